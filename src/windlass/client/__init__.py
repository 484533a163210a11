"""The client of the Task Management API. Imports nothing of the server."""

from windlass.client.errors import ApiError, ClientError, Unreachable
from windlass.client.transport import Client

__all__ = ["ApiError", "Client", "ClientError", "Unreachable"]
