"""The client of the Task Management API. Imports nothing of the server.

clients                              Client, AsyncClient: the operations as methods
tracking async_tracking              a script's own progress, as a task
watching                             tasks as they change
waiting paging                       until a task has ended; all tasks of a list
launches tasks                       the operations of the API
exchange                             one request and its answer
auth repetition                      with a token, and again where that may help
answers models                       what is answered
filters filter_matching              what is asked for
configuration configuration_files    where, and as whom
base_url versions                    at which address, in which version
transport                            carries out, by blocking or by awaiting, what the others ask for
protocol errors                      how they ask, and what can go wrong
"""

from windlass.client.clients import AsyncClient, Client, track
from windlass.client.errors import (
    ApiError,
    BadAnswer,
    BadRequest,
    ClientError,
    ConfigurationError,
    Forbidden,
    NotFound,
    PreconditionFailed,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    WaitTimeout,
    WrongCredentials,
)
from windlass.client.filters import F, Filter
from windlass.client.models import (
    CompletionStatus,
    Headers,
    LoadTask,
    Message,
    MessageType,
    Page,
    Return,
    Target,
    TaskDefinition,
    TaskStatus,
    TaskType,
)
from windlass.client.tracking import Tracker

__all__ = [
    "ApiError",
    "AsyncClient",
    "BadAnswer",
    "BadRequest",
    "Client",
    "ClientError",
    "CompletionStatus",
    "ConfigurationError",
    "F",
    "Filter",
    "Forbidden",
    "Headers",
    "LoadTask",
    "Message",
    "MessageType",
    "NotFound",
    "Page",
    "PreconditionFailed",
    "Return",
    "ServerError",
    "Target",
    "TaskDefinition",
    "TaskStatus",
    "TaskType",
    "TooManyRequests",
    "Tracker",
    "Unauthorized",
    "Unreachable",
    "WaitTimeout",
    "WrongCredentials",
    "track",
]
