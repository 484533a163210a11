"""A client that speaks HTTP: fetches its token when it is first needed, and again when it is refused.

Source: wire contract §2, §5 and §6.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import httpx

from windlass.client.errors import ApiError, ClientError, Unreachable

_TIMEOUT_S = 30.0


class Client:
    """Talks to one server under one client id. Close it, or use it in a `with` block."""

    def __init__(self, base_url: str, client_id: str, client_secret: str) -> None:
        """Take the address and the credentials; nothing is sent yet. Raises ClientError for an address that is none."""
        if not base_url.startswith(("http://", "https://")):
            raise ClientError(f"The base URL is {base_url!r}; it must begin with http:// or https://.")
        self._credentials = {"client_id": client_id, "client_secret": client_secret}
        try:
            self._http = httpx.Client(base_url=base_url.rstrip("/"), timeout=_TIMEOUT_S)
        except httpx.InvalidURL as error:
            raise ClientError(f"The base URL is {base_url!r}, which is none: {error}.") from error
        self._token: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Client":
        """A client from the SAIL_* variables. Raises ClientError naming the one that is missing."""
        names = ("SAIL_BASE_URL", "SAIL_CLIENT_ID", "SAIL_CLIENT_SECRET")
        for name in names:
            if not environ.get(name):
                raise ClientError(
                    f"{name} is not set. `windlass client create NAME` makes a client id and secret; "
                    "`windlass demo` keeps its own, with the address, in the file demo.env of its data folder."
                )
        return cls(*(environ[name] for name in names))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get_task_status(self, task_id: str) -> dict[str, Any]:
        """One task's TaskStatus. Raises ApiError, Unreachable; so do all that follow."""
        status: dict[str, Any] = self._call("GET", f"/beta/task-status/{quote(task_id, safe='')}")
        return status

    def get_pending_tasks(self) -> list[dict[str, Any]]:
        """The newest TaskStatus objects of tasks that have not ended, 250 at most."""
        statuses: list[dict[str, Any]] = self._call("GET", "/beta/task-status/pending-tasks")
        return statuses

    def load_accounts(
        self, source_id: str, file: Path | None = None, *, disable_optimization: bool = False
    ) -> dict[str, Any]:
        """Start an account aggregation; its load task. file: sent as the source's content."""
        fields = {"disableOptimization": "true"} if disable_optimization else {}
        answer = self._load(f"/beta/sources/{quote(source_id, safe='')}/load-accounts", file, fields)
        task: dict[str, Any] = answer["task"]
        return task

    def load_entitlements(self, source_id: str, file: Path | None = None) -> dict[str, Any]:
        """Start an entitlement aggregation; its load task. file: sent as the source's content."""
        return self._load(f"/beta/sources/{quote(source_id, safe='')}/load-entitlements", file, {})

    def _load(self, path: str, file: Path | None, fields: dict[str, str]) -> dict[str, Any]:
        try:
            content = file.open("rb") if file else None
        except OSError as error:
            raise ClientError(f"{file} cannot be read: {error.strerror}.") from error
        with content or nullcontext():
            task: dict[str, Any] = self._call("POST", path, data=fields, file=content)
            return task

    def _call(
        self,
        method: str,
        path: str,
        *,
        data: dict[str, str] | None = None,
        file: BinaryIO | None = None,
    ) -> Any:
        def send() -> httpx.Response:
            if file is not None:
                file.seek(0)
            return self._http.request(
                method,
                path,
                headers={"Authorization": f"Bearer {self._token}"},
                data=data or None,
                files={"file": (Path(file.name).name, file)} if file else None,
            )

        if self._token is None:
            self._authenticate()
        response = self._answered(send)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._authenticate()
            response = self._answered(send)
        return _content(response)

    def _authenticate(self) -> None:
        form = {"grant_type": "client_credentials", **self._credentials}
        response = self._answered(lambda: self._http.post("/oauth/token", data=form))
        self._token = _content(response)["access_token"]

    def _answered(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        try:
            return send()
        except httpx.HTTPError as error:
            raise Unreachable(
                f"{self._http.base_url} does not answer ({error or type(error).__name__}); is the server running?"
            ) from error


def _content(response: httpx.Response) -> Any:
    try:
        content = response.json()
    except ValueError as error:
        raise ApiError(
            f"The server answered {response.status_code} with something that is not JSON; is the base URL right?",
            status=response.status_code,
            tracking_id=response.headers.get("SLPT-Request-ID"),
        ) from error
    if response.is_success:
        return content
    causes = [cause["text"] for cause in content.get("causes") or content.get("messages") or ()]
    words = " ".join(causes) or content.get("error_description") or content.get("error") or content.get("message")
    raise ApiError(
        f"The server refused ({response.status_code}): {words}",
        status=response.status_code,
        tracking_id=content.get("trackingId"),
    )
