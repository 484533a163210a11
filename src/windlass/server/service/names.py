"""What people may call things."""

from windlass.server.errors import InvalidRequest

_CHARACTERS_AT_MOST = 255


def checked(name: str, field: str = "name") -> str:
    """The name, if it can be kept and shown. field: what callers know it by. Raises InvalidRequest."""
    if not name.strip():
        raise InvalidRequest("{field} is empty; it must be a name.", field=field)
    if len(name) > _CHARACTERS_AT_MOST:
        raise InvalidRequest(
            "{field} has {length} characters; {most} is the most.",
            field=field,
            length=len(name),
            most=_CHARACTERS_AT_MOST,
        )
    if not name.isprintable():
        raise InvalidRequest("{field} is {name}; it must be printable text.", field=field, name=ascii(name))
    return name
