"""What a language model answered, kept in a file, so that no question is paid for twice and a rewriting can go on."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from idiff.errors import ConfigError

Messages = Sequence[Mapping[str, str]]
"""The parts of a prompt, each with `role` and `content`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and what it cost.

    Attributes:
        text: as the model wrote it.
        asked: tokens of the prompt, as the service counted them.
        answered: tokens of the answer.
    """

    text: str
    asked: int = 0
    answered: int = 0


class ResponseCache:
    """Answers by model and prompt, in an SQLite file. Each is on disk once `keep` returns; no key is ever in it.

    Args:
        path: the file; made where missing, its folder must exist.

    Raises:
        ConfigError: it cannot be opened, or is another kind of file, which is left as it is.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = sqlite3.connect(self.path, timeout=30.0)
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, model TEXT NOT NULL, prompt TEXT NOT NULL, "
                "answer TEXT NOT NULL, asked INTEGER NOT NULL, answered INTEGER NOT NULL)"
            )
            self._file.execute("SELECT key, model, prompt, answer, asked, answered FROM answers LIMIT 1")
        except sqlite3.Error as error:
            raise self._damaged(error) from None

    def __enter__(self) -> ResponseCache:
        """Use it in a `with`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def find(self, model: str, messages: Messages) -> Answer | None:
        """The answer to a prompt, where it was asked before."""
        try:
            with closing(self._file.cursor()) as cursor:
                query = "SELECT answer, asked, answered FROM answers WHERE key = ?"
                row = cursor.execute(query, (_key(model, messages),)).fetchone()
            return None if row is None else Answer(str(row[0]), int(row[1]), int(row[2]))
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(error) from None

    def keep(self, model: str, messages: Messages, answer: Answer) -> None:
        """Write an answer down; one to the same prompt is replaced."""
        row = (_key(model, messages), model, json.dumps(list(messages)), answer.text, answer.asked, answer.answered)
        try:
            with self._file:
                self._file.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"{self.path} cannot be used to keep answers ({error}): expected a file that `idiff instructions rewrite` made, or "
            "none. Give another with --cache."
        )


def _key(model: str, messages: Messages) -> str:
    parts = json.dumps([model, [dict(message) for message in messages]], sort_keys=True)
    return hashlib.sha256(parts.encode("utf-8")).hexdigest()
