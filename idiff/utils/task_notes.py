"""What the sentence file of a task notes of it: what its sentences ask for, and the command that answers it.

Read without importing a task, so that help is quick.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SENTENCES = Path(__file__).parents[1] / "tasks" / "instructions"
"""The folder of sentence files, each named after its kind."""

_NOTE = re.compile(r"^# (asks|must|slots|does|words|writes|answer): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TaskCommand:
    """A command of `idiff` and a method of `Pipeline`, named after the kind of the task that answers it.

    Attributes:
        name: the kind, such as `depth`.
        does: what it does: `estimate depth, as 16-bit PNG`.
        writes: the files it writes besides the colored view, NAME being the image's; empty: the answer is a new image.
        answer: what `Answer` has then.
        words: what is asked for in words, with an example in double quotes; empty: it takes none.
    """

    name: str
    does: str
    writes: str
    answer: str
    words: str = ""

    @property
    def line(self) -> str:
        """Its line of `idiff --help`."""
        example = re.search(r' "[^"]+"', self.words)
        return f"{self.does}: idiff {self.name} PHOTO{example.group() if example else ''}"


def noted() -> dict[str, dict[str, str]]:
    """The kinds of sentence that the notes of their own file describe.

    Such a file is named after its kind. Above its sentences it notes `# asks: ...`, what they ask for, in words; `# must: ...`, a
    regular expression of which each sentence has a part; and, where sentences have slots, `# slots: object, color`. A task with a
    command of its own also notes `# does:`, `# answer:`, where it writes more than an image `# writes:`, and where it takes words
    `# words:`, see `TaskCommand`.
    """
    return {kind: dict(notes) for kind, notes in _all().items() if "asks" in notes}


def task_commands() -> dict[str, TaskCommand]:
    """The commands that sentence files note, by name."""
    return {
        kind: TaskCommand(kind, notes["does"], notes.get("writes", ""), notes["answer"], notes.get("words", ""))
        for kind, notes in _all().items()
        if "does" in notes
    }


@cache
def _all() -> Mapping[str, Mapping[str, str]]:
    files = sorted(SENTENCES.glob("*.txt"))
    heads = {path.stem: path.read_text(encoding="utf-8-sig").split("# seeds", 1)[0] for path in files}
    return {kind: dict(_NOTE.findall(head)) for kind, head in heads.items()}
