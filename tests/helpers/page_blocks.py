"""The code blocks of the documentation, found and evaluated by Sybil.

A comment above a block tells how it is run, its parts separated by `;`:

    <!-- block: needs above -->     the block above it is run first, in the same folder
    <!-- block: slow -->            run by `make test-slow`
    <!-- block: not run, REASON --> its commands are only parsed

`<!-- blocks: ... -->` tells it of every block of the page; `run by FILE` there names the test that runs the page.
"""

import json
import re
import shlex
import sys
import tomllib
from pathlib import Path

import yaml
from small_models import ROOT
from sybil import Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser

from idiff.chains.experiment import read_experiment
from idiff.cli import COMMANDS, main
from idiff.cli import evaluate as evaluation
from idiff.cli.data import commands as data
from idiff.config.compose import compose

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTE = re.compile(r"<!-- block: ([^>]*?) -->\s*\Z")
WHOLE = re.compile(r"<!-- blocks: ([^>]*?) -->")
SHELL = ("sh", "bash")
OTHERS = ("make", "pip", "python", "source", "export", "curl", "torchrun", "srun")
"""Programs that a page may show beside `idiff`; no test runs them from a page."""


def commands(text):
    """The commands of a shell block, each as a list of words."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def understood(words):
    """Parse a command as a shell would hand it over; configurations that it names must be there."""
    program, *rest = words
    assert program == "idiff" or program in OTHERS, f"{program} is no command of these pages"
    if program != "idiff":
        return
    command, *rest = rest
    assert command in COMMANDS, f"idiff {command} does not exist"
    if command == "data":
        assert data.parser().parse_args(rest).command.__module__ == f"idiff.cli.data.{rest[0]}"
    elif command == "evaluate":
        assert evaluation.parser().parse_args(rest).out
    assert all((ROOT / word).is_file() for word in rest if word.startswith("configs/")), shlex.join(words)


def run_shell(example):
    """Run each line by the package's entry point, in the working folder."""
    for words in commands(example.parsed):
        assert words[0] == "idiff", f"{words[0]} cannot be run from a page: say `<!-- block: not run, REASON -->`"
        assert main(words[1:]) == 0, shlex.join(words)


def run_python(example):
    """Run the block; one that begins with its file's name is that file, too."""
    kept(example.parsed)
    sys.dont_write_bytecode = True
    return PythonEvaluator()(example)


def kept(text):
    """Write a block whose first line is `# name.ext` to that file; return its path."""
    named = re.match(r"# ([\w./-]+\.(?:yaml|py))\b", text)
    if named:
        Path(named[1]).write_text(text, encoding="utf-8")
    return Path(named[1]) if named else None


def check_yaml(example):
    """A chain is read, an experiment is composed and parsed, an entry of a mixture is parsed as one."""
    content = yaml.safe_load(example.parsed)
    assert isinstance(content, dict) and content
    beside = Path("configs/experiment/of_the_page.yaml")
    path = kept(example.parsed) or beside
    beside.write_text(example.parsed, encoding="utf-8")
    if "stages" in content:
        assert read_experiment(str(beside), commands=list(COMMANDS)).entries
    elif {"task", "sampling"} & content.keys():
        included = (
            {} if "class_path" in content.get("task", {}) else {"include": str(ROOT / "configs/task/segmentation.yaml")}
        )
        entry = included | content | {"root": "somewhere"}
        whole = {"data": {"class_path": "MixtureDataModule", "tasks": {"mine": entry}}}
        beside.write_text(yaml.safe_dump(whole), encoding="utf-8")
        assert main(["fit", "--config", str(ROOT / "configs/stage/autoencoder.yaml"), "--config", str(beside),
                     "--print_config"]) == 0  # fmt: skip
    elif {"model", "data", "trainer"} & content.keys():
        assert compose([str(path)])


def check_json(example):
    for line in example.parsed.splitlines():
        json.loads(line)


def check_toml(example):
    assert tomllib.loads(example.parsed)


SYBIL = Sybil(
    parsers=[
        *(CodeBlockParser(language, run_shell) for language in SHELL),
        CodeBlockParser("python", run_python),
        CodeBlockParser("yaml", check_yaml),
        CodeBlockParser("json", check_json),
        CodeBlockParser("toml", check_toml),
    ],
    pattern="*.md",
)


class Block:
    """One block of a page: its example, the block above it, and what its comment says."""

    def __init__(self, example, above, page, whole):
        """`whole` is the note of the page."""
        self.example, self.above = example, above
        note = NOTE.search(example.document.text[: example.start])
        parts = [part.strip() for text in (whole, note[1] if note else "") for part in text.split(";") if part.strip()]
        unknown = [part for part in parts if not re.match(r"needs above$|slow$|not run, .|run by tests/", part)]
        assert not unknown, f"{page}: unknown note {unknown[0]!r}"
        self.needs_above = "needs above" in parts
        self.slow = "slow" in parts
        self.runs_elsewhere = any(part.startswith("run by") for part in parts)
        self.is_run = not self.runs_elsewhere and not any(part.startswith("not run") for part in parts)
        self.language = example.region.lexemes["arguments"]
        self.name = f"{page.name}:{example.line}"

    def evaluate(self):
        """Run what it needs, and itself, in the working folder."""
        if self.needs_above:
            self.above.evaluate()
        self.example.evaluate()


def blocks():
    """All blocks of README.md and docs/."""
    found = []
    for page in PAGES:
        document = SYBIL.parse(page)
        whole = WHOLE.search(document.text)
        above = None
        for example in document.examples():
            above = Block(example, above, page, whole[1] if whole else "")
            found.append(above)
    return found
