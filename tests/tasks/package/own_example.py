"""A package of tasks as somebody would install it; the dist-info beside it says which there are."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from windlass.tasks import Cancelled, Context, PassingFault, task


@task("Example Count", description="Counts accounts.", max_attempts=5)
def count(
    context: Context,
    *,
    source_id: str,
    kind: Literal["accounts", "entitlements"] = "accounts",
    most: Annotated[int, Meta(ge=1)] = 100_000,
    since: date | None = None,
) -> dict[str, object]:
    records = context.accounts(source_id) if kind == "accounts" else context.entitlements(source_id)
    names = []
    for number, record in enumerate(records, start=1):
        context.progress(number, most)
        names.append(record.name)
    context.info(f"{context.source(source_id).name} was read.", key="source_read")
    return {"rowsRead": len(names), "sorted": names == sorted(names), "since": since}


@task("Example Faulty", max_attempts=2)
def faulty(context: Context, *, how: str) -> list[str]:
    """Ends as it is told.

    This is for people who read code.
    """
    context.progress(1, 2, "Half of it")
    match how:
        case "passing":
            raise PassingFault("The report server does not answer.")
        case "raise":
            raise ValueError("a secret=hunter2 of mine")
        case "exit":
            sys.exit("no more")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "object":
            return [object()]  # type: ignore[list-item]
        case "print":
            print("one\ntwo")
            thread = threading.Thread(target=print, args=("from a thread",))
            thread.start()
            thread.join()
            subprocess.run(["echo", "from elsewhere"], stdout=sys.stdout, check=True)
            print("secret=hunter2", end="")
        case "nul":
            context.info("a\0b")
            return {"a\0": ["\0"]}  # type: ignore[return-value]
        case "thread":
            threading.Thread(target=time.sleep, args=(3600,)).start()
        case "warn":
            context.warn("It looks odd.", key="odd")
        case "error":
            context.error("It is odd.", key="odd")
    return [how]


@task("Example Later")
async def later(context: Context, *, words: list[str]) -> dict[str, object]:
    """Does its work in an event loop."""
    await asyncio.sleep(0)
    return {"words": len(words), "attempt": context.attempt}


@task("Example Patient")
def patient(context: Context, *, seen: str) -> None:
    """Waits until it is cancelled, and writes down when it saw that."""
    context.progress(0, text="Waiting")
    while not context.is_cancelled:
        with suppress(Cancelled):
            context.pause(60)
    Path(seen).write_text(repr(time.monotonic()))
    context.check_cancelled()


@task("Example Resumed", max_attempts=3)
def resumed(context: Context, *, steps: int, trace: str, go: str) -> dict[str, object]:
    """Writes a line for each step, keeps the number of the last, and waits in the middle for the file `go`."""
    first = (context.checkpoint.load(int) or 0) + 1
    for step in range(first, steps + 1):
        with Path(trace).open("a") as file:
            file.write(f"{context.attempt} {step}\n")
        context.checkpoint.save(step)
        context.progress(step, steps)
        while step == steps // 2 and not Path(go).exists():
            context.check_cancelled()
            time.sleep(0.01)
    return {"steps": steps}
