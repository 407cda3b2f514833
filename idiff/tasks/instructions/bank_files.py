"""Where sentences lie: the shipped banks by kind, and files of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from idiff.errors import ConfigError, missing, suggest
from idiff.tasks.instructions.bank import SLOTS, builtin
from idiff.tasks.instructions.instruction_checks import Known, fault_of, numbered, seeds
from idiff.tasks.instructions.kinds import EDITS, KINDS, Kind, kind_of
from idiff.utils.foreign import read_text

EDITING = "editing"
"""The name of all edits together, which share a file."""


@dataclass(frozen=True)
class Bank:
    """A file of sentences.

    Attributes:
        name: for messages.
        text: its content.
        kind: of its sentences; None: each line names its own.
        avoid: kind -> sentences of another file that it may not repeat.
    """

    name: str
    text: str
    kind: str | None
    avoid: Callable[[str], Known] | None = None


def shipped() -> list[str]:
    """Names of all that ships."""
    return [*(kind for kind in KINDS if kind not in EDITS), EDITING]


def where(what: str, *, kind: str | None = None) -> list[Bank]:
    """The files that a word names: a kind (its bank, and its unseen sentences), or the path of a file.

    Args:
        what: a kind, `editing`, or a path.
        kind: of a file; None: told by its name, such as `deblur.txt`.

    Raises:
        ConfigError: neither a kind nor a file, or a file whose kind is not known.
        DataError: the file is missing.
    """
    if what == EDITING or what in EDITS:
        unseen = "unseen/edits.txt"
        return [Bank("edits.txt", builtin("edits.txt"), None), Bank(unseen, builtin(unseen), None, _known)]
    if what in KINDS:
        more = [Bank(f"unseen/{what}.txt", builtin(f"unseen/{what}.txt"), what, _known)] if what in SLOTS else []
        return [Bank(f"{what}.txt", builtin(f"{what}.txt"), what), *more]
    path = Path(what)
    if not path.suffix and not path.exists():
        raise ConfigError(
            f"'{what}' is no kind of instruction and no file{suggest(what, shipped()) or '.'} Kinds: {', '.join(shipped())}."
        )
    text = _read(path)
    name = kind or path.stem
    if name == EDITING or name in EDITS:
        return [Bank(what, text, None if name == EDITING else _edit(text, name))]
    if name not in KINDS:
        raise ConfigError(f"{what}: of which kind are its sentences? Give --kind: {', '.join([*KINDS, EDITING])}.")
    return [Bank(what, text, name)]


def seeds_of(name: str, path: str | None) -> dict[Kind, list[str]]:
    """The sentences to multiply, by kind.

    Args:
        name: a kind, or `editing` for all its operations.
        path: a file of seeds; None: those that the shipped bank marks.

    Raises:
        ConfigError: an unknown kind, no seed, or one that does not pass the checks itself.
        DataError: the file is missing.
    """
    if name != EDITING:
        kind_of(name)
    bank = where(path, kind=name)[0] if path is not None else where(name)[0]
    found: dict[Kind, list[str]] = {}
    for kind, line in seeds(bank.text, bank.kind):
        if name in {kind, EDITING}:
            reason = fault_of(line, kind_of(kind))
            if reason is not None:
                raise ConfigError(f"{bank.name}: the seed '{line[:80]}' cannot be used: {reason}.")
            found.setdefault(kind_of(kind), []).append(line)
    if not found:
        raise ConfigError(f"{bank.name}: has no seed of the kind '{name}'. Write some, one a line.")
    return found


def unseen_of(kind: str) -> list[str]:
    """The sentences of a kind that training must never see; none where none are kept apart."""
    text, name = ("", kind)
    if kind in SLOTS:
        text = builtin(f"unseen/{kind}.txt")
    elif kind in EDITS:
        text, name = builtin("unseen/edits.txt"), ""
    return [line for found, line in ((k, s) for _, k, s in numbered(text, name or None)) if found == kind]


def _known(kind: str) -> Known:
    """The shipped sentences of training, which unseen ones may not repeat."""
    bank, known = where(kind)[0], Known()
    for _, name, line in numbered(bank.text, bank.kind):
        if name == kind:
            known.add(line)
    return known


def _edit(text: str, name: str) -> str | None:
    """None where the lines of a file for one edit name their kind, else that kind."""
    return None if any(found in EDITS for _, found, _ in numbered(text, None)) else name


def _read(path: Path) -> str:
    try:
        return read_text(path)
    except FileNotFoundError:
        raise missing(path, what="a text file of sentences", remedy="Correct the path.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({error}). Give a text file.") from error
