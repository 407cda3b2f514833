"""Run the stages of a chain in a row. What is done is skipped, what was cut goes on, what fails stops the chain."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from idiff.chains.experiment import Entry, Experiment
from idiff.chains.state import RECORDS, origins, plan, record_file, state_of, write_record
from idiff.errors import ConfigError
from idiff.utils.files import own_run, put_aside
from idiff.utils.signals import INTERRUPTED, TERMINATED, StopRequest


def run_chain(experiment: Experiment, *, redo: Sequence[str] = (), said: Callable[[str], None]) -> int:
    """Do what is not done yet, stage by stage.

    Args:
        experiment: the chain.
        redo: stages to do again, see `plan`.
        said: called with a sentence of what is done and why.

    Returns:
        0 done; the exit code of the stage that failed; 143 after SIGTERM, which the running stage gets, too.

    Raises:
        IdiffError: a record does not fit, before anything is run; or a stage left nothing behind.
    """
    records = experiment.folder / RECORDS
    try:
        records.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder {experiment.folder} of the chain cannot be made: {error.strerror}. Name another with --set folder=DIR"
        ) from None
    runner = Runner()
    with own_run(records), runner.stop:
        return _run(experiment, runner, redo=redo, said=said)


def _run(experiment: Experiment, runner: Runner, *, redo: Sequence[str], said: Callable[[str], None]) -> int:
    steps = plan(experiment, redo)
    for number, step in enumerate(steps, start=1):
        entry = step.entry
        if step.action == "redo":
            put_aside(entry.out, said)
            record_file(experiment, entry).unlink(missing_ok=True)
        now = state_of(experiment, entry)  # what was run before it may have changed it
        said(f"stage {number} of {len(steps)}, {entry.name}: {now.action}, {now.why}")
        if now.action != "done":
            begun = origins(entry)
            write_record(experiment, entry, finished=False, started_from=begun)
            code = runner.call(_words(experiment, entry))
            if code:
                said(_failure(entry, code, asked=runner.asked()))
                return code
            if not Path(entry.result).exists():
                raise ConfigError(
                    f"stage '{entry.name}' ended well and left no {entry.result}: expected it there. Mend `done` or `result` in "
                    "the file."
                )
            write_record(experiment, entry, finished=True, started_from=begun)
    said(f"all {len(steps)} stages are done: {experiment.entries[-1].result}")
    return 0


def _words(experiment: Experiment, entry: Entry) -> list[str]:
    """The command of a stage. A training gets its whole configuration in one file, beside the chain's records."""
    if entry.config is None:
        return entry.words
    file = record_file(experiment, entry).with_suffix(".yaml")
    file.write_text(yaml.safe_dump(entry.config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return ["fit", "--config", str(file), "--ckpt_path", "last"]


def _failure(entry: Entry, code: int, *, asked: bool) -> str:
    if asked or code in {TERMINATED, INTERRUPTED}:
        return f"stage '{entry.name}' was stopped; the same command goes on with it"
    return f"stage '{entry.name}' failed with exit code {code}. Mend the cause and give the same command again: it goes on there"


class Runner:
    """Runs commands of the package, each in a process of its own. SIGTERM is passed on to the one that runs."""

    def __init__(self) -> None:
        self.stop = StopRequest(signal.SIGTERM, on_stop=self._pass_on, twice=False)
        self._process: subprocess.Popen[bytes] | None = None

    def asked(self) -> bool:
        """Whether this process was asked to stop."""
        return self.stop.code is not None

    def call(self, words: list[str]) -> int:
        """Run `idiff WORDS`.

        Returns:
            its exit code, 128 + N where signal N ended it; 143 where this process was asked to stop, 130 where it was interrupted.
        """
        if self.asked():
            return TERMINATED
        self._process = subprocess.Popen([sys.executable, "-m", "idiff", *words])
        if self.asked():  # asked between the check and the start
            self._process.send_signal(signal.SIGTERM)
        interrupted = False
        while True:
            try:
                code = self._process.wait()
                break
            except KeyboardInterrupt:  # the terminal sent it to the stage, too: wait until it has saved
                interrupted = True
        self._process = None
        if self.asked():
            return TERMINATED
        if interrupted:
            return INTERRUPTED
        return code if code >= 0 else 128 - code

    def _pass_on(self, code: int) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
