"""Who calls, and whether they may: the token in front of every operation.

Source: wire contract §7 and §8.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from windlass.server import logs
from windlass.server.model.principal import Permission, Principal, check
from windlass.server.service.rate_limit import RequestLimit
from windlass.server.service.tokens import TokenRejected, Tokens

Operation: TypeAlias = Callable[[Request, Principal], Awaitable[Response]]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def guarded(
    tokens: Tokens, permission: Permission, operation: Operation, *, version: str, limit: RequestLimit | None
) -> Endpoint:
    """The operation behind its guard: a good token first, then the client's limit in the version, then the permission.

    limit: None where there is none.
    """

    async def endpoint(request: Request) -> Response:
        principal = tokens.verify(_token(request))
        logs.concerns(client_id=principal.client_id)
        if limit is not None:
            await limit.admit(principal.client_id, version)
        check(principal, permission)
        return await operation(request, principal)

    return endpoint


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenRejected("JWT is required")
    return token.strip()
