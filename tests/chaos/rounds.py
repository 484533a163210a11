"""How often each thing is tried, and the seed of what chance decides."""

import os
import random
import statistics

ROUNDS = int(os.environ.get("WINDLASS_CHAOS_ROUNDS", "2"))
SEED = int(os.environ.get("WINDLASS_CHAOS_SEED", random.SystemRandom().randrange(1 << 32)))
_FULL = 50


def rounds(full, *, least=5):
    """So many of the rounds that the full figures take (`full`) as WINDLASS_CHAOS_ROUNDS asks for: at 50, all."""
    return max(least, full * ROUNDS // _FULL)


def chance(what):
    """Chance, the same for the same seed, which is printed."""
    print(f"\n{what}: WINDLASS_CHAOS_SEED={SEED}")
    return random.Random(f"{SEED} {what}")


def show(what, figures_s):
    """Print durations."""
    ordered = sorted(figures_s)
    print(
        f"{what}, s: {len(ordered)} of them, median {statistics.median(ordered):.3f}, "
        f"from {ordered[0]:.3f} to {ordered[-1]:.3f}"
    )
