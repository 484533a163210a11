"""A task in a worker's hands."""

from windlass.server.engine.job import Progress
from windlass.server.engine.process import JobProcess
from windlass.server.store.leases import Lease


class Running:
    """One task in this worker's hands.

    is_held: the process may still speak for the task. progress: the last it reported, written or not.
    """

    def __init__(self, lease: Lease, process: JobProcess) -> None:
        self.lease = lease
        self.process = process
        self.is_held = True
        self.is_asked_to_stop = False
        self.progress: Progress | None = None

    def drop(self) -> None:
        """The lease is gone: end the process and let it write nothing more."""
        self.is_held = False
        self.process.kill()
