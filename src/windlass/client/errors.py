"""What can go wrong when talking to a server.

ClientError                 the message says what failed and what to do
├── Unreachable             no answer came
└── ApiError                the server refused; by status, with its own words
"""


class ClientError(Exception):
    """The root of the tree."""


class Unreachable(ClientError):
    """No answer came: the address is wrong, or nothing listens there."""


class ApiError(ClientError):
    """The server refused.

    status: of HTTP; tracking_id: by which the server's log can be searched, where one was given.
    """

    def __init__(self, message: str, *, status: int, tracking_id: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.tracking_id = tracking_id
