"""A package of tasks as a careful author writes one; no type checker has anything to say of it."""

from collections.abc import Iterator
from datetime import date

from windlass.tasks import Cancelled, Context, PassingFault, Record, Task, task
from windlass.tasks.testing import Outcome, Trial, run


@task("Typed", description="Of every kind.", max_attempts=5)
def typed(context: Context, name: str, *, since: date | None = None, limit: int = 10) -> dict[str, object]:
    accounts: Iterator[Record] = context.accounts(name, after="a")
    last = context.checkpoint.load(tuple[str, int])
    place: str = last[0] if last is not None else ""
    for number, account in enumerate(accounts):
        context.progress(number, limit, text=account.name)
        context.logger.info("at %s", account.native_identity)
    try:
        context.pause(1.5)
    except Cancelled:
        context.warn("too early", key="early")
        raise
    if context.is_cancelled or context.attempt > 3:
        raise PassingFault("not yet")
    context.checkpoint.save((place, limit))
    return {"since": since, "connector": context.source(name).connector}


@task("Typed too")
async def typed_too(context: Context) -> list[int]:
    context.info(context.task_id)
    return [context.attempt]


declared: Task[[], object] = task("Lambda")(lambda context: context.attempt)
outcome: Outcome = run(typed, name="x", limit=3)
again = Trial(accounts={"hr": [Record("1", "One")]}, cancel_at=2).run(typed_too)
text: str = again.messages[0].text
