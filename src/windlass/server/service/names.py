"""What people may call things."""

from windlass.server.errors import InvalidRequest

_CHARACTERS_AT_MOST = 255


def checked(name: str, thing: str) -> str:
    """The name, if it can be kept and shown. thing: what bears it. Raises InvalidRequest."""
    if not name.strip():
        raise InvalidRequest(f"{thing} needs a name.")
    if len(name) > _CHARACTERS_AT_MOST:
        raise InvalidRequest(f"{thing}'s name has {len(name)} characters; {_CHARACTERS_AT_MOST} is the most.")
    if not name.isprintable():
        raise InvalidRequest(f"{thing}'s name is {name!a}; it must be printable text.")
    return name
