"""A task whose sentence file notes a command is found by the command line, `Pipeline`, and the choice among commands."""

import inspect
import subprocess
import sys

import pytest
from small_models import ROOT

from idiff import Pipeline
from idiff.cli import COMMANDS, main, own_code, usage
from idiff.pipeline.commands import KINDS, choose
from idiff.tasks import by_kind
from idiff.utils import task_notes
from idiff.utils.task_notes import TaskCommand, noted, task_commands

FOUND = task_commands()
WRITTEN = {"segment", "keypoints", "edit", "restore"}


@pytest.mark.parametrize("name", FOUND)
def test_every_one_is_found_everywhere(name, capsys):
    command = FOUND[name]
    assert name in by_kind() and KINDS[name] == (name,)
    assert COMMANDS[name] == ("idiff.cli.task_answer", command.line) and f"\n  {name} " in usage()
    method = getattr(Pipeline, name)
    assert command.answer in inspect.getdoc(method) and name in dir(Pipeline)
    assert ("text" in method.__doc__) == bool(command.words)
    assert own_code.names_code([name, "a.png", "--sampler", "own.mine"])
    assert main([name, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert " ".join(command.writes.split()[:3]) in shown and ("TEXT" in shown) == bool(command.words)
    assert f"idiff {name} " in (ROOT / "docs/tasks.md").read_text()


def test_none_takes_the_name_of_another_command_or_of_what_a_pipeline_has():
    assert set(FOUND).isdisjoint({name for name, (module, _) in COMMANDS.items() if module != "idiff.cli.task_answer"})
    assert set(FOUND).isdisjoint({*vars(Pipeline), *vars(Pipeline("tiny")), *WRITTEN})
    assert {"depth", "normals"} <= set(FOUND) <= set(noted())


def test_a_new_file_is_enough(tmp_path):
    """A file of sentences beside the others: a command with words, and a method, without another edit."""
    for path in task_notes.SENTENCES.glob("*.txt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "glow.txt").write_text(
        "# asks: x\n# does: find what glows\n# writes: NAME_glow.png\n# answer: `Answer.mask`\n"
        '# words: a thing, such as "a lamp"\n# seeds\nFind the glow.\n'
    )
    script = (
        f"from pathlib import Path; from idiff.utils import task_notes; task_notes.SENTENCES = Path({str(tmp_path)!r});"
        "from idiff.cli import main; main(['--help']); main(['glow', '--help']);"
        "from idiff import Pipeline; print(Pipeline.glow.__doc__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert 'find what glows: idiff glow PHOTO "a lamp"' in done.stdout
    assert "Find what glows. Writes NAME_glow.png; and a colored view" in done.stdout
    assert 'Find what glows: `Answer.mask`. `text` is a thing, such as "a lamp".' in done.stdout


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("depth", ("depth", "depth")),
        ("Show me the depth map.", ("depth", "Show me the depth map.")),
        ("find the normals", ("normals", "find the normals")),
        ("the depth gauge", ("segment", "the depth gauge")),
    ],
)
def test_a_sentence_may_call_one_by_its_name(text, chosen):
    assert choose(text, ["segment", "depth", "normals"]) == chosen
    assert choose(text, ["segment", "edit"])[0] == "segment"
    assert choose(text, ["segment", "depth", "normals"], "segment")[0] == "segment"


def test_the_line_of_help_has_the_example_of_the_words():
    assert TaskCommand("a", "do it", "w", "x").line == "do it: idiff a PHOTO"
    assert TaskCommand("a", "do it", "w", "x", 'a name, such as "star", or two').line == 'do it: idiff a PHOTO "star"'
