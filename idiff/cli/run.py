"""`idiff run EXPERIMENT.yaml`: stages in a row. What is done is skipped, what was cut goes on, what fails stops the chain."""

from __future__ import annotations

import sys

from idiff.cli.arguments import WordParser
from idiff.errors import unknown


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
    from idiff.chains.experiment import check_bases, read_experiment
    from idiff.chains.running import run_chain
    from idiff.chains.state import plan
    from idiff.cli import COMMANDS

    commands = [name for name in COMMANDS if name not in {"run", "fit"}]
    experiment = read_experiment(options.experiment, sets=options.set, over=options.over, commands=commands)
    stages = [entry.name for entry in experiment.entries]
    for name in options.redo:
        if name not in stages:
            raise unknown("stage", name, stages)
    check_bases(experiment)
    if not options.dry:
        return run_chain(experiment, redo=options.redo, said=_say)
    for step in plan(experiment, options.redo):
        print(f"{step.action:<7} {step.entry.name}: {step.why}")  # noqa: T201
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"idiff: {text}\n")
    sys.stderr.flush()
