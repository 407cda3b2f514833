"""Help is quick and short for every command, and says what is true."""

import resource
import subprocess
import sys

import pytest
import yaml
from small_models import ROOT

from idiff.cli import COMMANDS, main, training
from idiff.cli.align.commands import PARTS as ALIGN
from idiff.cli.data.commands import COMMANDS as DATA
from idiff.cli.instructions.commands import COMMANDS as INSTRUCTIONS
from idiff.config.sections import RESUME_ALLOW, classes, sections
from idiff.utils.settings import parameters

PARTS = {"align": ALIGN, "data": DATA, "instructions": INSTRUCTIONS}
ALL = [[name] for name in COMMANDS] + [[name, part] for name, parts in PARTS.items() for part in parts]
LINES, SECONDS = 60, 0.7
TRAINING = sorted(training.DOES)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_is_short_and_loads_little(words):
    script = f"import sys; from idiff.cli import main; sys.exit(main({[*words, '--help']!r}) or 'torch' in sys.modules)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert 5 < len(done.stdout.splitlines()) <= LINES
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS


@pytest.mark.parametrize("command", TRAINING)
def test_the_short_help_shows_settings_that_exist(command, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out.split("of a section:\n")[1].split("\n\n")[0]
    lines = [line.split("  --help.")[0].rstrip() for line in shown.splitlines()]
    found = yaml.safe_load("\n".join(line[:1] + _without_words(line[1:]) for line in lines))
    known = classes()
    assert found.pop("resume").keys() == {RESUME_ALLOW.split(".")[1]}
    assert found.keys() == sections().keys()
    for name, settings in found.items():
        kinds = [sections()[name], *(kind for kind in known if issubclass(kind, sections()[name]))]
        taken = {each for kind in kinds for each in parameters(kind)} | {"class_path"}
        assert settings is not None and settings.keys() <= taken, name


def _without_words(line):
    """The YAML of a line: what stands before two spaces that follow a value."""
    start = len(line) - len(line.lstrip())
    return line[:start] + line[start:].split("  ")[0]


@pytest.mark.parametrize("command", TRAINING)
def test_every_level_that_the_short_help_names_is_there(command, capsys):
    assert main([command, "--help"]) == 0
    words = {word.strip(",:") for word in capsys.readouterr().out.split() if word.startswith("--help.")}
    levels = words - {"--help.SECTION", "--help.all"}
    assert {"--help.model", "--help.data.tasks", "--help.trainer"} <= levels
    for word in levels:
        assert main([command, word]) == 0
        assert capsys.readouterr().out.startswith(word.removeprefix("--help.") + ":\n")


def test_the_long_help_is_all_of_it(capsys):
    assert main(["fit", "--help.all"]) == 0
    assert "--trainer.reload_dataloaders_every_n_epochs" in capsys.readouterr().out


def test_a_level_that_is_none_is_refused(capsys):
    assert main(["fit", "--help.modle"]) == 2
    assert "did you mean 'model'?" in capsys.readouterr().err
