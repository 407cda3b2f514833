"""What the server counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._questions = Counter("idiff_questions", "Questions by how they ended", ["outcome"], registry=self.registry)
        self._answers = Counter("idiff_answers", "Answers by command", ["command"], registry=self.registry)
        self._unfamiliar = Counter("idiff_notices", "Answers that came with a notice", registry=self.registry)
        self._waited = Histogram("idiff_waited_seconds", "Time in the queue", registry=self.registry, buckets=_SECONDS)
        self._worked = Histogram("idiff_worked_seconds", "Time of work", registry=self.registry, buckets=_SECONDS)
        self._waiting = Gauge("idiff_waiting", "Questions in the queue", registry=self.registry)
        self._running = Gauge("idiff_running", "Questions that are worked on", registry=self.registry)
        self._responses = Counter(
            "idiff_responses", "HTTP responses of the API by status", ["status"], registry=self.registry
        )
        for outcome in ("done", "failed", "cancelled", "refused"):
            self._questions.labels(outcome)

    def watch(self, *, waiting: Callable[[], float], running: Callable[[], float]) -> None:
        """Where the gauges look."""
        self._waiting.set_function(waiting)
        self._running.set_function(running)

    def ended(self, outcome: str, *, waited: float, worked: float | None = None) -> None:
        """Count a question that ended, with its seconds."""
        self._questions.labels(outcome).inc()
        self._waited.observe(waited)
        if worked is not None:
            self._worked.observe(worked)

    def refused(self) -> None:
        """Count a question for which there was no room."""
        self._questions.labels("refused").inc()

    def answered(self, command: str, *, notice: bool) -> None:
        """Count an answer."""
        self._answers.labels(command).inc()
        self._unfamiliar.inc(int(notice))

    def responded(self, status: int) -> None:
        """Count a response of the API."""
        self._responses.labels(str(status)).inc()

    def text(self) -> bytes:
        """All of them, in Prometheus' format."""
        return generate_latest(self.registry)
