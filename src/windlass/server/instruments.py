"""Instruments: what a process counts and measures of itself, for whoever watches it.

The one file that knows prometheus_client. Each process has a registry of its own, and the library's global one is
never asked. Labels have few values: whatever others may name is capped. Knows nothing of the server.
"""

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

from windlass.version import __version__

OTHER = "other"
"""The label of all that has none of its own."""

DEFINITIONS_AT_MOST = 50

_REQUEST_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_TASK_BUCKETS_S = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)

Reading = Mapping[tuple[str, ...], float]


class Instruments:
    """The instruments of one process. What it counts begins at nothing with it."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # They would double what is sent, to tell when the process began.
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build = Info("windlass_build", "The release of Windlass, and the Python that runs it.", registry=self.registry)
        build.info({"version": __version__, "python": platform.python_version()})
        self._definitions: set[str] = set()

        self.requests = self._counter(
            "windlass_http_requests",
            "Requests answered, by the version of the API, the route and the status.",
            "version", "method", "route", "status",
        )  # fmt: skip
        self.request_seconds = self._histogram(
            "windlass_http_request_duration_seconds",
            "Time until an answer begins; a stream of events goes on after it.",
            _REQUEST_BUCKETS_S, "version", "method", "route",
        )  # fmt: skip
        self.attempts = self._counter("windlass_task_attempts", "Attempts that workers here began.", "definition")
        self.retries = self._counter("windlass_task_retries", "Lost attempts after which a task was queued again.")
        self.handed_back = self._counter(
            "windlass_tasks_handed_back", "Tasks queued again without the attempt being counted."
        )
        self.leases_lost = self._counter(
            "windlass_leases_lost", "Tasks that the sweeper here took from a worker that is gone.", "cause"
        )
        self.fenced = self._counter(
            "windlass_writes_fenced", "Writes refused here because the writer had lost its right to the task."
        )
        self.ended = self._counter(
            "windlass_tasks_ended", "Tasks that this process ended, whoever asked for it.", "definition", "status"
        )
        self.task_seconds = self._histogram(
            "windlass_task_duration_seconds",
            "Time from a task's start to its end, of tasks that this process ended.",
            _TASK_BUCKETS_S, "definition",
        )  # fmt: skip
        self.slots = self._gauge("windlass_worker_slots", "How many tasks the worker here may run at once.")
        self.running = self._gauge("windlass_worker_running_tasks", "How many tasks the worker here runs.")

    def definition(self, name: str) -> str:
        """The label of a definition: its name, or that of all others once there are many."""
        if name not in self._definitions:
            if len(self._definitions) >= DEFINITIONS_AT_MOST:
                return OTHER
            self._definitions.add(name)
        return name

    def read(self, name: str, about: str, labels: Sequence[str], reading: Callable[[], Reading]) -> None:
        """Add gauges that are read when somebody asks. reading: values of the labels -> the number."""
        self.registry.register(_Reader(name, about, labels, reading))

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All of it as text, and its media type. accept: the header, which may ask for OpenMetrics."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(name, about, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, about, labels, buckets=buckets, registry=self.registry)


class _Reader:
    def __init__(self, name: str, about: str, labels: Sequence[str], reading: Callable[[], Reading]) -> None:
        self._name = name
        self._about = about
        self._labels = labels
        self._reading = reading

    def describe(self) -> Iterable[Metric]:
        """The gauge without values, by which the registry knows its name."""
        return [GaugeMetricFamily(self._name, self._about, labels=self._labels)]

    def collect(self) -> Iterable[Metric]:
        """The gauge as it stands."""
        family = GaugeMetricFamily(self._name, self._about, labels=self._labels)
        for values, number in self._reading().items():
            family.add_metric(values, number)
        return [family]
