"""The rows of the route table: one for each operation of a version that answers to a token."""

import msgspec

from windlass.server.api.authentication import Operation
from windlass.server.model.principal import Permission


class Row(msgspec.Struct, frozen=True):
    """One operation. is_gated: it asks for the experimental header."""

    method: str
    path: str
    permission: Permission
    operation: Operation
    is_gated: bool = False
