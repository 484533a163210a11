"""Who does something: what the audit trail says of it.

Each request, command and worker says once who it is; whatever it then changes is noted as its doing. It is a
context variable, for between the edge that knows and the statement that writes it down nobody else asks.
"""

import socket
from contextvars import ContextVar
from enum import StrEnum

import msgspec


class ActorType(StrEnum):
    """What kind of somebody it is."""

    USER = "user"
    APPLICATION = "application"
    COMMAND = "command"
    WORKER = "worker"
    SERVER = "server"


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who changes something.

    id: the client's, the operating system's user, the worker's number, or the machine's name.
    address: where it came from. tracking_id: of the request, as its answer bears it.
    """

    type: ActorType
    id: str
    name: str
    address: str | None = None
    tracking_id: str | None = None


MACHINE = socket.gethostname()
THE_SERVER = Actor(type=ActorType.SERVER, id=MACHINE, name="windlass", address=MACHINE)
_acting: ContextVar[Actor] = ContextVar("acting", default=THE_SERVER)


def acting() -> Actor:
    """Who acts here: the server itself, unless somebody said otherwise."""
    return _acting.get()


def act_as(actor: Actor) -> None:
    """Say who acts from here on, in this task and in those that it starts."""
    _acting.set(actor)
