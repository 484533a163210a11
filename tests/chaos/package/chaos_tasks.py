"""A task for workers that are killed."""

from windlass.tasks import Context, task


@task("Chaos Nap", max_attempts=100)
def nap(context: Context, *, tenths: int) -> dict[str, object]:
    """Takes a little while, and computes next to nothing."""
    for done in range(tenths):
        context.progress(done, tenths)
        context.pause(0.1)
    return {"tenths": tenths}
