"""What an operation comes down to: the statements that it cannot do without, and the size of its answer."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import asyncpg


class Bare(NamedTuple):
    """What an operation comes down to: statements with their arguments, mostly one, and an answer of so many bytes."""

    statements: list[tuple[str, tuple[object, ...]]]
    answer_bytes: int


async def prepared(connection: asyncpg.Connection, bare: Bare) -> Callable[[], Awaitable[None]]:
    """What sends the prepared statements and fetches their rows."""
    ready = [(await connection.prepare(statement), arguments) for statement, arguments in bare.statements]

    async def ask() -> None:
        for statement, arguments in ready:
            await statement.fetch(*arguments)

    return ask
