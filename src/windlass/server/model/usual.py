"""How long tasks of one kind usually take, and what that says of one that still runs. Pure."""

from statistics import median, quantiles

import msgspec

LAST = 50
"""Of how many tasks, at most, the usual duration is made."""
FEWEST = 5
"""Of fewer nothing is said."""

Kind = tuple[str, str | None]
"""What tasks have in common that take alike: the definition's type, and the source's id where there is one."""


class Usual(msgspec.Struct, frozen=True):
    """How long the last tasks of one kind took that ended well. durations_s: FEWEST of them at least."""

    durations_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """Half of them took no longer."""
        return median(self.durations_s)

    @property
    def p95_s(self) -> float:
        """Of twenty, nineteen took no longer; between two of them it is interpolated."""
        return quantiles(self.durations_s, n=20, method="inclusive")[-1]

    def end_s(self, elapsed_s: float) -> float | None:
        """After how long a task ends that has run for `elapsed_s`: the median of those that took longer.

        None where none did: then the past says nothing any more.
        """
        longer = [duration_s for duration_s in self.durations_s if duration_s > elapsed_s]
        return median(longer) if longer else None
