"""Sets how many examples each property-based test tries: WINDLASS_FUZZ_EXAMPLES, or Hypothesis's own number.

`make fuzz` raises it. A test that sets `max_examples` itself keeps its number.
"""

import os

from hypothesis import HealthCheck, settings


def pytest_configure(config):
    examples = int(os.environ.get("WINDLASS_FUZZ_EXAMPLES", settings().max_examples))
    # A busy machine is no reason to fail, so neither a single example nor the whole has a time of its own;
    # pytest-timeout watches the test.
    settings.register_profile(
        "windlass",
        settings(),
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("windlass")
