"""Permits to make requests: the one row for each client and version from which all processes take theirs.

The database's clock says when a window opens and ends, for those of the machines differ.
"""

import msgspec

from windlass.server.config import Rate
from windlass.server.store.database import Database

# A window whose opening lies ahead by as much as it lasts is over, too: then the clock was set back.
# now() stands still in a statement, so that all parts of it agree on whether the window is over.
_LEASE = """
INSERT INTO rate_window AS held (client_id, version, opened, taken, granted)
VALUES ($1, $2, now(), $3::integer, $3)
ON CONFLICT (client_id, version) DO UPDATE SET (opened, taken, granted) = (
    SELECT present.opened, present.taken + fresh.permits, fresh.permits
    FROM (SELECT abs(extract(epoch FROM now() - held.opened)) >= $5::integer AS is_over) AS past,
         LATERAL (
             SELECT CASE WHEN is_over THEN now() ELSE held.opened END AS opened,
                    CASE WHEN is_over THEN 0 ELSE held.taken END AS taken
         ) AS present,
         LATERAL (SELECT greatest(0, least($3, $4::integer - present.taken)) AS permits) AS fresh
)
RETURNING granted, ($5 + extract(epoch FROM opened - now()))::double precision AS ends_in_s
"""


class Lease(msgspec.Struct, frozen=True):
    """Permits that are good until the window ends; none where all are taken. ends_in_s: by the database's clock."""

    permits: int
    ends_in_s: float


class PermitStore:
    """Hands out permits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lease(self, client_id: str, version: str, rate: Rate, *, at_most: int) -> Lease:
        """Take permits of the window that is open, or of a new one; at_most: not more than the rate allows."""
        # It writes, but may be asked twice like a reading statement: then permits are lost, and none is made.
        (row,) = await self._database.fetch(_LEASE, client_id, version, at_most, rate.requests, rate.window_s)
        return Lease(row["granted"], row["ends_in_s"])
