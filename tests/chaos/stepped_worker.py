"""`windlass worker` on a machine whose clock is wrong: python -m tests.chaos.stepped_worker SECONDS.

Whatever asks for the time of day in this process, in Python, is told that many seconds more; its monotonic clock
goes on as it is, as it does on a real machine whose clock is set.
"""

import datetime
import sys
import time

STEP_S = int(sys.argv.pop())

_time, _time_ns = time.time, time.time_ns


class Stepped(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)


time.time = lambda: _time() + STEP_S
time.time_ns = lambda: _time_ns() + STEP_S * 10**9
datetime.datetime = Stepped

from windlass.cli import main  # noqa: E402  It has to see the stepped clock.

if __name__ == "__main__":
    print(f"the clock says {datetime.datetime.now(datetime.UTC):%H:%M:%S}", file=sys.stderr)
    sys.argv[1:] = ["worker"]
    main()
