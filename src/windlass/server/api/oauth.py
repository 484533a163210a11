"""The endpoints of tokens: clients sign in to get one and to revoke one; anybody may ask by which keys they are good.

Source: wire contract §2; RFC 6749 §4.4 and §5.2, RFC 7009, RFC 7517.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias
from urllib.parse import unquote_plus

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api import parameters
from windlass.server.api.authentication import actor_of
from windlass.server.api.errors import json_response
from windlass.server.api.forms import FORMS, read_form
from windlass.server.errors import InvalidRequest
from windlass.server.model.actor import act_as
from windlass.server.service.rate_limit import FailureLimit, RequestLimit
from windlass.server.service.tokens import ORG, POD, ClientRejected, Tokens

_QUERY_PARAMETERS = ("grant_type", "client_id", "client_secret")
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_REVOCATIONS = "oauth/revoke"  # What they are counted under, beside the versions of the API.
_SHORTLY = {"Cache-Control": "public, max-age=5"}  # Half as long as a key is published before it signs.

_Form: TypeAlias = Mapping[str, str]
_Check: TypeAlias = Callable[[_Form], None]
_Operation: TypeAlias = Callable[[Request, str, str, _Form], Awaitable[Response]]


class _Rejected(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


class OAuthApi:
    """Issues and revokes access tokens for client credentials."""

    def __init__(
        self,
        tokens: Tokens,
        limit: FailureLimit | None,
        revocation_limit: RequestLimit | None,
        *,
        takes_query_credentials: bool,
    ) -> None:
        self._tokens = tokens
        self._revocation_limit = revocation_limit
        self._limit = limit
        self._takes_query_credentials = takes_query_credentials

    async def token(self, request: Request) -> Response:
        """Answer an access token, or the RFC's error. Raises TooManyRequests for a failure after many."""
        return await self._answer(request, _check_grant_type, self._issued)

    async def revoke(self, request: Request) -> Response:
        """Refuse one of the client's tokens from now on. Raises TooManyRequests, also for a failure after many.

        Any text that is no good token of the client's is answered alike: there is nothing to refuse.
        """
        return await self._answer(request, _check_token, self._revoked)

    async def keys(self, request: Request) -> Response:
        """The keys by which anybody may verify tokens; a new one is here some seconds before it signs."""
        return json_response(await self._tokens.published_keys(), headers=_SHORTLY)

    async def info(self, request: Request) -> Response:
        """Say where tokens come from; tools ask before they have one."""
        base = str(request.base_url).rstrip("/")
        about = {
            "tenantId": self._tokens.tenant_id,
            "tenantName": ORG,
            "authorizeEndpoint": f"{base}/oauth/authorize",
            "tokenEndpoint": f"{base}/oauth/token",
            "pod": POD,
        }
        return json_response(msgspec.json.encode(about))

    async def _answer(self, request: Request, check: _Check, operation: _Operation) -> Response:
        """What the operation answers to a client that signs in. check: raises _Rejected for the form."""
        client_id = ""
        try:
            of_query = self._of_query(request)
            form = await _form(request)
            if form.keys() & of_query.keys():
                raise _Rejected("invalid_request", "A parameter is given more than once.")
            form |= of_query
            check(form)
            client_id, secret = _credentials(request, form)
            return await operation(request, client_id, secret, form)
        except ClientRejected as error:
            if self._limit is not None:
                self._limit.note(client_id, request.client.host if request.client else "")
            return _refusal("invalid_client", str(error))
        except _Rejected as error:
            return _refusal(error.error, str(error))

    async def _issued(self, request: Request, client_id: str, secret: str, form: _Form) -> Response:
        answer = await self._tokens.issue(client_id, secret)
        return json_response(msgspec.json.encode(answer), headers=_NO_STORE)

    async def _revoked(self, request: Request, client_id: str, secret: str, form: _Form) -> Response:
        principal = await self._tokens.own(client_id, secret, form["token"])
        if principal is not None:
            if self._revocation_limit is not None:
                await self._revocation_limit.admit(client_id, _REVOCATIONS)
            act_as(actor_of(request, principal))
            await self._tokens.revoke(principal)
        return Response(None, headers=_NO_STORE)

    def _of_query(self, request: Request) -> dict[str, str]:
        """What the query string adds to the form: nothing, unless credentials may stand there."""
        given = [(name, value) for name, value in request.query_params.multi_items() if name in _QUERY_PARAMETERS]
        if not self._takes_query_credentials:
            if {name for name, _ in given} - {"grant_type"}:
                raise _Rejected(
                    "invalid_request",
                    "Credentials in the query string are not accepted, for logs keep it; send them in the body. "
                    "WINDLASS_QUERY_CREDENTIALS=on makes the server take them.",
                )
            return {}
        if len(dict(given)) != len(given):
            raise _Rejected("invalid_request", "A parameter is given more than once.")
        return dict(given)


def _check_grant_type(form: _Form) -> None:
    grant_type = form.get("grant_type", "")
    if grant_type.lower() != "client_credentials":
        code = "unsupported_grant_type" if grant_type else "invalid_request"
        raise _Rejected(code, f"grant_type is {grant_type!r}; it must be client_credentials.")


def _check_token(form: _Form) -> None:
    if not form.get("token"):
        raise _Rejected("invalid_request", "token is missing; it must be the access token to revoke.")


def _refusal(error: str, description: str) -> Response:
    is_client = error == "invalid_client"
    headers = _NO_STORE | ({"WWW-Authenticate": 'Basic realm="windlass"'} if is_client else {})
    body = msgspec.json.encode({"error": error, "error_description": description})
    return json_response(body, 401 if is_client else 400, headers)


async def _form(request: Request) -> dict[str, str]:
    if parameters.media_type(request) not in FORMS:
        if request.headers.get("content-type"):
            raise _Rejected("invalid_request", f"The body must be {' or '.join(FORMS)}.")
        return {}
    try:
        async with read_form(request) as fields:
            form = {name: value for name, value in fields.multi_items() if isinstance(value, str)}
            if len(form) != len(fields.multi_items()):
                raise _Rejected("invalid_request", "A parameter is given more than once.")
            return form
    except InvalidRequest as error:
        raise _Rejected("invalid_request", str(error)) from error


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        if "client_secret" in form:
            raise _Rejected("invalid_request", "Credentials come in the header or in the body, not in both.")
        try:
            decoded = base64.b64decode(encoded.strip(), validate=True).decode()
        except ValueError:
            raise _Rejected("invalid_request", "The Basic credentials cannot be decoded.") from None
        client_id, _, secret = decoded.partition(":")
        return unquote_plus(client_id), unquote_plus(secret)
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    if not client_id or not secret:
        raise ClientRejected("client_id and client_secret are required.")
    return client_id, secret
