"""Account aggregation, with its results under the names that clients of the API read.

Source: wire contract §4.
"""

from windlass.server.jobs.aggregation import aggregate
from windlass.server.jobs.context import JobContext
from windlass.server.model.source import Kind
from windlass.server.model.task import CompletionStatus, Outcome, ReturnDetail

_RETURNS = tuple(
    ReturnDetail(f"TASK_OUT_{label}", attribute)
    for label, attribute in (
        ("ACCOUNT_AGGREGATION_TOTAL", "total"),
        ("ACCOUNT_AGGREGATION_OPTIMIZED", "optimizedAggregation"),
        ("ACCOUNT_AGGREGATION_IGNORED", "ignored"),
        ("UNCHANGED_ACCOUNTS", "optimized"),
        ("ACCOUNT_AGGREGATION_CREATED", "created"),
        ("ACCOUNT_AGGREGATION_UPDATED", "updated"),
        ("ACCOUNT_AGGREGATION_DELETED", "deleted"),
    )
)


async def run(job: JobContext) -> Outcome:
    """Aggregate the source's accounts."""
    tally = await aggregate(job, Kind.ACCOUNT, rewrite_all=job.arguments.get("rewrite_all") is True)
    return Outcome(
        status=CompletionStatus.WARNING if tally.messages else CompletionStatus.SUCCESS,
        attributes={
            "total": tally.read,
            "created": tally.created,
            "updated": tally.updated,
            "deleted": tally.deleted,
            "optimized": tally.unchanged,
            "ignored": tally.ignored,
        },
        returns=_RETURNS,
        messages=tuple(tally.messages),
    )
