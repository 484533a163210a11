"""The bare server beside which Windlass is measured: the same web server, set up alike, and an answer ready in memory.

`/static/NAME` sends the answer of an operation; `/query/NAME` first sends the operation's statements over one
database connection. Run as `python -m bench.api.bare_server`, with the database's URL and the operations pickled on
standard input.
"""

import asyncio
import logging
import pickle
import socket
import sys

import asyncpg
import uvicorn
import uvloop

from bench.api.ceiling import Bare, prepared


async def _serve(url: str, operations: dict[str, Bare]) -> None:
    connection = await asyncpg.connect(url)
    answers = {}
    for name, bare in operations.items():
        body = b"x" * bare.answer_bytes
        headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        answers[name] = start, {"type": "http.response.body", "body": body}, await prepared(connection, bare)

    async def app(scope, receive, send) -> None:
        _, side, name = scope["path"].split("/")
        start, body, ask = answers[name]
        if scope["method"] == "PATCH":
            while (await receive())["more_body"]:
                pass
        if side == "query":
            await ask()
        await send(start)
        await send(body)

    listening = socket.create_server(("127.0.0.1", 0))
    # As windlass.server.app has it.
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level=logging.WARNING,
        lifespan="off",
        ws="none",
        access_log=False,
        server_header=False,
        date_header=False,
    )
    print(listening.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(*pickle.load(sys.stdin.buffer)))
