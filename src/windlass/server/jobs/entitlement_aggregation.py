"""Entitlement aggregation, with its results under the names that clients of the API read.

Source: wire contract §4.
"""

from windlass.server.jobs.aggregation import aggregate
from windlass.server.jobs.context import JobContext
from windlass.server.model.source import Kind
from windlass.server.model.task import CompletionStatus, Outcome, ReturnDetail

_RETURNS = tuple(
    ReturnDetail(f"TASK_OUT_ACCOUNT_GROUP_AGGREGATION_{label}", attribute)
    for label, attribute in (
        ("TOTAL", "total"),
        ("CREATED", "groupsCreated"),
        ("UPDATED", "groupsUpdated"),
        ("DELETED", "groupsDeleted"),
    )
)


async def run(job: JobContext) -> Outcome:
    """Aggregate the source's entitlements."""
    tally = await aggregate(job, Kind.ENTITLEMENT)
    return Outcome(
        status=CompletionStatus.WARNING if tally.messages else CompletionStatus.SUCCESS,
        attributes={
            "total": tally.read,
            "groupsCreated": tally.created,
            "groupsUpdated": tally.updated,
            "groupsDeleted": tally.deleted,
        },
        returns=_RETURNS,
        messages=tuple(tally.messages),
    )
