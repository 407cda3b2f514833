"""One worker: questions wait, run, end, are cancelled, take too long, are forgotten."""

import threading
import time

import pytest
from picker_server import wait_for

pytest.importorskip("prometheus_client", reason="idiff serve needs the extra idiff[serve]")

from idiff.apps.serve.engine import Engine, RefusedError
from idiff.apps.serve.limits import Limits
from idiff.apps.serve.metrics import Metrics
from idiff.errors import ConfigError


class Worker:
    """Works on a question until it is let go."""

    def __init__(self):
        self.go, self.order = threading.Event(), []

    def __call__(self, work, on):
        self.order.append(work)
        if work == "refused":
            raise ConfigError("the words cannot be used.")
        if work == "broken":
            raise ZeroDivisionError
        while not self.go.wait(0.01):
            on(0.5)
        return f"answer to {work}"


@pytest.fixture
def made():
    engines = []

    def make(**limits):
        worker = Worker()
        engine = Engine(worker, weigh=len, limits=Limits(**limits), metrics=Metrics())
        engines.append((engine, worker))
        return engine, worker

    yield make
    for engine, worker in engines:
        worker.go.set()
        engine.close()
        assert not engine.alive


def ended(job):
    wait_for(lambda: job.ended)
    return job


def test_clients_take_turns_and_see_how_many_come_before(made):
    engine, worker = made()
    first = engine.submit("a0", client="a")
    wait_for(lambda: first.state == "running")
    others = [engine.submit(f"a{n}", client="a") for n in (1, 2, 3)] + [engine.submit("b0", client="b")]
    assert [engine.place(job) for job in others] == [0, 2, 3, 1]
    assert engine.place(first) is None and engine.load == (4, 1)
    worker.go.set()
    assert [ended(job).result for job in others][-1] == "answer to b0"
    assert worker.order == ["a0", "a1", "b0", "a2", "a3"]
    assert engine.job(first.key) is first and first.share == 1.0


def test_a_question_is_cancelled_while_it_waits_and_while_it_runs(made):
    engine, worker = made()
    running, waiting = engine.submit("x", client="a"), engine.submit("y", client="a")
    wait_for(lambda: running.share == 0.5)
    engine.cancel(waiting)
    assert waiting.state == "cancelled"
    engine.cancel_all("a")
    assert ended(running).state == "cancelled" and running.result is None and running.status == 409
    worker.go.set()
    assert ended(engine.submit("z", client="a")).result == "answer to z"
    assert worker.order == ["x", "z"]
    text = engine.metrics.text().decode()
    assert 'idiff_questions_total{outcome="cancelled"} 2.0' in text
    assert 'idiff_questions_total{outcome="done"} 1.0' in text


def test_limits_of_time_and_of_the_queue(made):
    engine, _ = made(seconds=0.1, waiting=3, waiting_each=2)
    slow = engine.submit("slow", client="a")
    wait_for(lambda: slow.state == "running")
    engine.submit("1", client="b")
    engine.submit("2", client="b")
    with pytest.raises(RefusedError, match="2 questions of this client wait already") as refusal:
        engine.submit("3", client="b")
    assert refusal.value.status == 429
    engine.submit("4", client="c")
    with pytest.raises(RefusedError, match="3 questions of all clients wait already"):
        engine.submit("5", client="d")
    assert ended(slow).status == 408 and "took more than 0.1 seconds" in slow.error


def test_what_fails_is_a_sentence_and_the_next_is_answered(made, caplog):
    engine, worker = made()
    worker.go.set()
    refused, broken, fine = (engine.submit(work, client="a") for work in ("refused", "broken", "fine"))
    assert (ended(refused).state, refused.status, refused.error) == ("failed", 422, "the words cannot be used.")
    assert (ended(broken).state, broken.status) == ("failed", 500) and "ZeroDivisionError" in caplog.text
    assert "Zero" not in broken.error
    assert ended(fine).state == "done"


def test_the_oldest_answers_are_forgotten_and_the_newest_never(made):
    engine, worker = made(kept=3000)
    worker.go.set()
    jobs = [ended(engine.submit(str(n), client="a")) for n in range(5)]
    wait_for(lambda: len(engine._jobs) == 2)
    assert engine.job(jobs[4].key) is jobs[4]
    with pytest.raises(RefusedError, match="no such job") as refusal:
        engine.job(jobs[0].key)
    assert refusal.value.status == 404


def test_a_closed_engine_takes_nothing(made):
    engine, worker = made()
    job = engine.submit("x", client="a")
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 5 and job.state == "cancelled"
    with pytest.raises(RefusedError, match="ending"):
        engine.submit("y", client="a")
    worker.go.set()
