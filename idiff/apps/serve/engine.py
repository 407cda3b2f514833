"""One worker with one model: questions wait their turn, can be watched and cancelled, and end in time."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

from idiff.apps.serve.fair_queue import FairQueue
from idiff.apps.serve.limits import Limits
from idiff.apps.serve.metrics import Metrics
from idiff.errors import IdiffError

log = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "failed", "cancelled"]
Work = TypeVar("Work")
Result = TypeVar("Result")


class RefusedError(IdiffError):
    """A request that is not answered.

    Args:
        text: one sentence.
        status: of HTTP.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Job(Generic[Work, Result]):
    """A question and what becomes of it.

    Attributes:
        key: cannot be guessed: who knows it may read the answer.
        client: who asks.
        work: what is asked.
        state: where it is.
        share: how much of the work is done, in [0, 1].
        result: of a job that is done.
        error, status: why it failed, in a sentence, and HTTP's status for that.
    """

    def __init__(self, client: str, work: Work) -> None:
        self.key, self.client, self.work = secrets.token_urlsafe(16), client, work
        self.state: State = "waiting"
        self.share = 0.0
        self.result: Result | None = None
        self.error: str | None = None
        self.status = 200
        self.asked = time.monotonic()
        self.stop = threading.Event()

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in {"done", "failed", "cancelled"}

    def end(self, state: State, *, error: str | None = None, status: int = 200) -> None:
        """Come to an end. The state is set last: who sees it sees the rest."""
        self.error, self.status = error, status
        self.state = state


class Engine(Generic[Work, Result]):
    """Answers questions one after the other in a thread of its own.

    Args:
        answer: called with the work and a function that it must call now and then with the share that is done: that raises where
            the question was cancelled or takes too long.
        weigh: bytes that a result keeps in memory.
        limits: how many may wait, how long one may take, how much is kept.
        metrics: counted here.
    """

    def __init__(
        self,
        answer: Callable[[Work, Callable[[float], None]], Result],
        *,
        weigh: Callable[[Result], int],
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self.limits, self.metrics = limits, metrics
        self._answer, self._weigh = answer, weigh
        self._waiting: FairQueue[Job[Work, Result]] = FairQueue()
        self._jobs: OrderedDict[str, Job[Work, Result]] = OrderedDict()
        self._weights: dict[str, int] = {}
        self._change = threading.Condition()
        self._closed = False
        self._running: Job[Work, Result] | None = None
        self._thread = threading.Thread(target=self._work, name="idiff-engine", daemon=True)
        metrics.watch(waiting=lambda: len(self._waiting), running=lambda: self._running is not None)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the worker works."""
        return self._thread.is_alive()

    @property
    def load(self) -> tuple[int, int]:
        """How many wait, and how many are worked on."""
        return len(self._waiting), int(self._running is not None)

    def submit(self, work: Work, *, client: str) -> Job[Work, Result]:
        """Ask.

        Raises:
            RefusedError: 429, too many wait; 503, the server ends.
        """
        job: Job[Work, Result] = Job(client, work)
        with self._change:
            if self._closed:
                raise RefusedError("the server is ending: ask again once it is back.", 503)
            for waiting, most, whose in (
                (len(self._waiting), self.limits.waiting, "all clients"),
                (self._waiting.count(client), self.limits.waiting_each, "this client"),
            ):
                if waiting >= most:
                    self.metrics.refused()
                    raise RefusedError(f"{waiting} questions of {whose} wait already: ask again in a while.", 429)
            self._waiting.put(client, job)
            self._jobs[job.key] = job
            self._change.notify()
        return job

    def job(self, key: str) -> Job[Work, Result]:
        """A job by its key.

        Raises:
            RefusedError: 404, there is none, or it was forgotten.
        """
        job = self._jobs.get(key)
        if job is None:
            raise RefusedError("there is no such job, or its answer was forgotten to make room: ask again.", 404)
        return job

    def place(self, job: Job[Work, Result]) -> int | None:
        """How many jobs come before it, 0 for the one that is next; None: it does not wait."""
        with self._change:
            return next((place for place, other in enumerate(self._waiting) if other is job), None)

    def cancel(self, job: Job[Work, Result]) -> None:
        """End a job: at once where it waits, before its next step where it runs."""
        with self._change:
            job.stop.set()
            if self._waiting.remove(job.client, job):
                job.end("cancelled", error="the question was cancelled.", status=409)
                self._keep(job, 0)
                self.metrics.ended("cancelled", waited=time.monotonic() - job.asked)

    def cancel_all(self, client: str) -> None:
        """Cancel whatever a client still waits for."""
        for job in [job for job in self._jobs.copy().values() if job.client == client and not job.ended]:
            self.cancel(job)

    def close(self) -> None:
        """Cancel everything and end the worker."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for job in list(self._jobs.copy().values()):
            if not job.ended:
                self.cancel(job)
        self._thread.join(timeout=10)

    def _work(self) -> None:
        while True:
            with self._change:
                while not self._closed and not len(self._waiting):
                    self._change.wait()
                if not len(self._waiting):
                    return
                job = self._waiting.take()
                self._running, job.state = job, "running"
            try:
                self._run(job)
            finally:
                self._running = None

    def _run(self, job: Job[Work, Result]) -> None:
        began = time.monotonic()

        def on(share: float) -> None:
            job.share = min(max(share, 0.0), 1.0)
            if job.stop.is_set():
                raise RefusedError("the question was cancelled.", 409)
            if time.monotonic() - began > self.limits.seconds:
                raise RefusedError(
                    f"the question took more than {self.limits.seconds:g} seconds: ask with fewer steps or a smaller image.",
                    408,
                )

        weight = 0
        try:
            on(0.0)
            job.result = self._answer(job.work, on)
            weight, job.share = self._weigh(job.result), 1.0
            job.end("done")
        except RefusedError as refusal:
            job.end("cancelled" if refusal.status == 409 else "failed", error=str(refusal), status=refusal.status)
        except IdiffError as error:
            job.end("failed", error=str(error), status=422)
        except Exception:
            log.exception("a question could not be answered")
            job.end("failed", error="the server failed at this question; its log says how.", status=500)
        with self._change:
            self._keep(job, weight)
        self.metrics.ended(job.state, waited=began - job.asked, worked=time.monotonic() - began)

    def _keep(self, job: Job[Work, Result], weight: int) -> None:
        """Remember a job that ended, and forget the oldest that are too much."""
        self._weights[job.key] = weight + 1024
        while len(self._weights) > 1 and sum(self._weights.values()) > self.limits.kept:
            oldest = next(iter(self._weights))
            del self._weights[oldest]
            self._jobs.pop(oldest, None)
