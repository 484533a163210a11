"""What people may call things."""

from windlass.server.errors import InvalidRequest

_CHARACTERS_AT_MOST = 255


def checked(name: str, thing: str) -> str:
    """The name, if it can be kept and shown. thing: what bears it. Raises InvalidRequest."""
    if not name.strip():
        raise InvalidRequest("{thing} needs a name.", thing=thing)
    if len(name) > _CHARACTERS_AT_MOST:
        raise InvalidRequest(
            "{thing}'s name has {length} characters; {most} is the most.",
            thing=thing,
            length=len(name),
            most=_CHARACTERS_AT_MOST,
        )
    if not name.isprintable():
        raise InvalidRequest("{thing}'s name is {name}; it must be printable text.", thing=thing, name=ascii(name))
    return name
