"""Who calls, and whether they may: the token in front of every operation.

Source: wire contract §7 and §8.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from windlass.server import logs
from windlass.server.errors import TokenRejected
from windlass.server.model.actor import Actor, ActorType, act_as
from windlass.server.model.principal import Permission, Principal, check
from windlass.server.service.rate_limit import RequestLimit
from windlass.server.service.tokens import Tokens

Operation: TypeAlias = Callable[[Request, Principal], Awaitable[Response]]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

_READING = ("GET", "HEAD")  # They change nothing that would be noted.


def guarded(
    tokens: Tokens, permission: Permission, operation: Operation, *, version: str, limit: RequestLimit | None
) -> Endpoint:
    """The operation behind its guard: a good token first, then the client's limit in the version, then the permission.

    limit: None where there is none.
    """

    async def endpoint(request: Request) -> Response:
        token = _token(request)
        principal = tokens.known(token) or await tokens.verify(token)
        logs.concerns(client_id=principal.client_id)
        if limit is not None:
            await limit.admit(principal.client_id, version)
        check(principal, permission)
        if request.method not in _READING:
            act_as(actor_of(request, principal))
        return await operation(request, principal)

    return endpoint


def actor_of(request: Request, principal: Principal) -> Actor:
    """Who makes the request, as the audit trail names them."""
    client = request.scope["client"]
    return Actor(
        type=ActorType.APPLICATION if principal.user_level is None else ActorType.USER,
        id=principal.client_id,
        name=principal.name,
        address=client and client[0],
        tracking_id=request.scope["windlass.request_id"],
    )


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenRejected("JWT is required")
    return token.strip()
