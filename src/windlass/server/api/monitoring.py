"""What the process tells those who watch it, to anybody who reaches it: its metrics, and whether it is well.

Outside of the API's versions and their documents, and of its limits.
"""

import asyncio
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api.authentication import Endpoint
from windlass.server.api.errors import json_response
from windlass.server.instruments import Instruments
from windlass.server.service.census import Census
from windlass.server.service.health import OK, Health


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What is told. census: of all tasks; None where others tell it. has_metrics: whether there are metrics at all."""

    health: Health
    instruments: Instruments
    census: Census | None = None
    has_metrics: bool = True


def table(watched: Watched) -> dict[str, dict[str, Endpoint]]:
    """What answers at which path, by method."""
    api = MonitoringApi(watched)
    return {
        "/metrics": {"GET": api.metrics},
        "/health/live": {"GET": api.live},
        "/health/ready": {"GET": api.ready},
    }


class MonitoringApi:
    """Answers those who watch."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    async def live(self, request: Request) -> Response:
        """It answers, so its event loop runs; whoever gets no answer in time may start it anew."""
        return json_response(msgspec.json.encode({"status": "live"}))

    async def ready(self, request: Request) -> Response:
        """Whether requests and tasks should come here now."""
        checks = await self._watched.health.checks()
        is_ready = all(found == OK for found in checks.values())
        body = msgspec.json.encode({"status": "ready" if is_ready else "not ready", "checks": checks})
        return json_response(body, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def metrics(self, request: Request) -> Response:
        """All numbers, in Prometheus's text format, or in OpenMetrics where that is asked for."""
        if not self._watched.has_metrics:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        if self._watched.census is not None:
            await self._watched.census.refresh()
        accept = request.headers.get("accept", "")
        # In a thread, for it takes milliseconds.
        body, media_type = await asyncio.to_thread(self._watched.instruments.exposition, accept)
        return Response(body, headers={"Content-Type": media_type})
