"""A schedule whose due times a test sets, and what became of them."""

from windlass.server.model.task import CompletionStatus, ended, now

NEVER_MIND = "0 2 29 2 *"


class Planner:
    """A schedule, and what became of it. It launches tasks that a program outside reports on, unless told otherwise."""

    def __init__(self, application, schedule):
        self._application = application
        self.id = schedule.id

    async def is_due(self, ago_s=0):
        """Have it been due so many seconds ago, in the database's time."""
        await self._application.database.write(
            "UPDATE schedule SET next_due = date_trunc('second', now()) - $2 * interval '1 second'"
            " WHERE id = $1::text::uuid",
            self.id,
            ago_s,
        )

    async def row(self):
        return await self._application.schedules.find(self.id)

    async def firings(self):
        """What became of its due times, the oldest first."""
        found = await self._application.schedules.firings(await self.row(), at_most=100)
        return found[::-1]

    async def fates(self):
        return [firing.fate for firing in await self.firings()]

    async def tasks(self):
        """The tasks it launched, the oldest first."""
        return [await self.task(each.task_id) for each in await self.firings() if each.task_id]

    async def task(self, task_id):
        stored = await self._application.task_store.get(task_id)
        return self._application.task_store._codec.decode(stored.document)

    async def end(self, task):
        """End one of its tasks, as a program outside does."""
        await self._application.task_store.change(task.id, lambda task: ended(task, now(), CompletionStatus.SUCCESS))

    async def fire(self, ago_s=0):
        """Have it be due, and a node deal with it; the last firing."""
        await self.is_due(ago_s)
        await self._application.scheduler.launch_due()
        return (await self.firings())[-1]


async def noted(application, action):
    """What the audit trail has of an action: who, and what it says."""
    rows = await application.database.fetch(
        "SELECT actor_name, subject_id, before, after FROM audit WHERE action = $1 ORDER BY id", action
    )
    return [tuple(row) for row in rows]
