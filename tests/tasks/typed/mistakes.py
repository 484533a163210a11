"""Mistakes that a type checker reports: the lines that say so, and no other."""

from windlass.tasks import Context, Record, task
from windlass.tasks.testing import Trial, run


@task("Typed")
def typed(context: Context, *, name: str, limit: int = 10) -> dict[str, object]:
    context.progress("1")  # wrong
    context.warn()  # wrong
    context.source(1)  # wrong
    context.is_cancelled()  # wrong
    for account in context.accounts(name):
        account.name = "other"  # wrong
    number: int = context.checkpoint.load(int)  # wrong
    return {"number": number}


@task("Odd")  # wrong
def odd(name: str) -> None: ...


@task()  # wrong
def nameless(context: Context) -> None: ...


run(typed)  # wrong
run(typed, name=1)  # wrong
run(typed, name="x", most=1)  # wrong
Trial(accounts=[Record("1", "One")])  # wrong
