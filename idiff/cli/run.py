"""`idiff run EXPERIMENT.yaml`: stages in a row. What is done is skipped, what was cut goes on, what fails stops the chain."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType

import yaml

from idiff.chains.experiment import Entry, Experiment, check_bases, read_experiment
from idiff.cli.arguments import WordParser
from idiff.errors import ConfigError, unknown

TERMINATED = 143
INTERRUPTED = 130


def parser() -> WordParser:
    """Options of `idiff run`."""
    options = WordParser(prog="idiff run", description=__doc__)
    add = options.add_argument
    add(
        "experiment",
        metavar="EXPERIMENT.yaml",
        help="a file with `stages:`, such as configs/experiment/three_stages.yaml",
    )
    add("--dry", action="store_true", help="print what would be done about each stage, and why; run nothing")
    add(
        "--redo",
        action="append",
        default=[],
        metavar="STAGE",
        help="do a stage again, and what is made from it; moved aside, not lost",
    )
    add("--over", action="append", default=[], metavar="FILE", help="a YAML of STAGE: settings that go over the stages")
    add("--set", action="append", default=[], metavar="STAGE.SETTING=VALUE", help="one setting, or folder=DIR")
    return options


def run(words: list[str]) -> int:
    """Run a chain of stages.

    Returns:
        0 done; the exit code of the stage that failed; 143 after SIGTERM, which the running stage gets, too.

    Raises:
        IdiffError: the file, a base or a record does not fit, before anything is run.
    """
    options = parser().parse_args(words)
    from idiff.cli import COMMANDS

    commands = [name for name in COMMANDS if name not in {"run", "fit"}]
    experiment = read_experiment(options.experiment, sets=options.set, over=options.over, commands=commands)
    for name in options.redo:
        if name not in {entry.name for entry in experiment.entries}:
            raise unknown("stage", name, [entry.name for entry in experiment.entries])
    check_bases(experiment)
    from idiff.chains.state import RECORDS, plan
    from idiff.utils.files import own_run

    if options.dry:
        for step in plan(experiment, options.redo):
            print(f"{step.action:<7} {step.entry.name}: {step.why}")  # noqa: T201
        return 0
    records = experiment.folder / RECORDS
    try:
        records.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder {experiment.folder} of the chain cannot be made: {error.strerror}. Name another with --set folder=DIR"
        ) from None
    with own_run(records), Runner() as runner:
        return _run(experiment, runner, redo=options.redo)


def _run(experiment: Experiment, runner: Runner, *, redo: list[str]) -> int:
    from idiff.chains.state import origins, plan, record_file, state_of, write_record

    steps = plan(experiment, redo)
    for number, step in enumerate(steps, start=1):
        entry = step.entry
        if step.action == "redo":
            _put_aside(entry.out)
            record_file(experiment, entry).unlink(missing_ok=True)
        now = state_of(experiment, entry)  # what was run before it may have changed it
        _say(f"stage {number} of {len(steps)}, {entry.name}: {now.action}, {now.why}")
        if now.action != "done":
            begun = origins(entry)
            write_record(experiment, entry, finished=False, started_from=begun)
            code = runner.call(_words(experiment, entry))
            if code:
                _say(_failure(entry, code, asked=runner.asked.is_set()))
                return code
            if not Path(entry.result).exists():
                raise ConfigError(
                    f"stage '{entry.name}' ended well and left no {entry.result}: expected it there. Mend `done` or `result` in "
                    "the file."
                )
            write_record(experiment, entry, finished=True, started_from=begun)
    _say(f"all {len(steps)} stages are done: {experiment.entries[-1].result}")
    return 0


def _words(experiment: Experiment, entry: Entry) -> list[str]:
    """The command of a stage. A training gets its whole configuration in one file, beside the chain's records."""
    if entry.config is None:
        return entry.words
    from idiff.chains.state import record_file

    file = record_file(experiment, entry).with_suffix(".yaml")
    file.write_text(yaml.safe_dump(entry.config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return ["fit", "--config", str(file), "--ckpt_path", "last"]


def _failure(entry: Entry, code: int, *, asked: bool) -> str:
    if asked or code in {TERMINATED, INTERRUPTED}:
        return f"stage '{entry.name}' was stopped; the same command goes on with it"
    return f"stage '{entry.name}' failed with exit code {code}. Mend the cause and give the same command again: it goes on there"


def _put_aside(path: Path) -> None:
    """Rename a file or folder to the first free NAME.1, NAME.2, ..."""
    if path.exists():
        number = 1
        while (free := path.with_name(f"{path.name}.{number}")).exists():
            number += 1
        path.rename(free)
        _say(f"{path} is now {free}")


class Runner:
    """Runs commands of the package, each in a process of its own. SIGTERM is passed on to the one that runs."""

    def __init__(self) -> None:
        self.asked = Event()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Runner:
        """Listen for SIGTERM."""
        self._before = signal.signal(signal.SIGTERM, self._on_sigterm)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        signal.signal(signal.SIGTERM, self._before)

    def call(self, words: list[str]) -> int:
        """Run `idiff WORDS`.

        Returns:
            its exit code, 128 + N where signal N ended it; 143 where this process was asked to stop, 130 where it was interrupted.
        """
        if self.asked.is_set():
            return TERMINATED
        interrupted = False
        with self._started(words) as process:
            while True:
                try:
                    code = process.wait()
                    break
                except KeyboardInterrupt:  # the terminal sent it to the stage, too: wait until it has saved
                    interrupted = True
        if self.asked.is_set():
            return TERMINATED
        if interrupted:
            return INTERRUPTED
        return code if code >= 0 else 128 - code

    @contextmanager
    def _started(self, words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        self._process = subprocess.Popen([sys.executable, "-m", "idiff", *words])
        try:
            if self.asked.is_set():  # asked between the check and the start
                self._process.send_signal(signal.SIGTERM)
            yield self._process
        finally:
            self._process = None

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self.asked.set()
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)


def _say(text: str) -> None:
    sys.stderr.write(f"idiff: {text}\n")
    sys.stderr.flush()
