"""One short sentence of a parser's error: which setting, what was got, what was meant."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from idiff.config.lines import place_of
from idiff.config.sections import classes, known_words, sections
from idiff.errors import IdiffError, suggest, unknown

NOISE = (
    "Given value",
    "Subtypes",
    "Errors",
    "Expected a <class 'NoneType'>",
    "Does not validate",
    "Problem with given",
)
KEY = re.compile(r'Parser key "([^"]+)"')
UNKNOWN = (
    re.compile(r"[Kk]ey ['\"]?([\w.]+)['\"]? is not expected"),
    re.compile(r"[Uu]nrecognized arguments: --([\w.]+)"),
    re.compile(r"(?:[Oo]ption|setting) ['\"]([\w.]+)['\"]"),
)
NO_SETTING = re.compile(r"Subcommand '\w+' does not accept option '([\w.]+)'")
WRONG_NAME = re.compile(r"Expected a typing\.Literal\[(.*)\](?:\. Got value: (.*))?$")
GIVEN = re.compile(r"Given value: (.*)")
"""Stands below the choices where a setting may also be null."""
NO_MODULE = re.compile(r"No module named '([\w.]+)'")
NO_ATTRIBUTE = re.compile(r"module '([\w.]+)' has no attribute '(\w+)'")
NO_PATH = re.compile(r"Expected a dot import path string: (\S+)")
NO_CLASS = re.compile(r"^a class path \(str\)$")
GOT = re.compile(r"Got value: (.*)")
NO_VALUE = re.compile(r"^Expected an? <class '(\w+)'>$")
WRONG_TYPE = re.compile(r"Expected an? <class '(\w+)'>\. Got value: (.*)")


def short(message: str, *, where: str, files: Sequence[str] = ()) -> str:
    """The innermost sentence of a parser's error, with a did-you-mean where a setting is unknown.

    Args:
        message: jsonargparse's, often of many lines; how far a line is indented says what it is about.
        where: names the configuration, where no line of its files is at fault.
        files: the configuration files, in which the line is looked up.

    Returns:
        `WHERE: SETTING: SENTENCE`.
    """
    path: list[tuple[int, str]] = []
    found: tuple[int, str, list[str]] = (-1, " ".join(message.split())[:300], [])
    for line in message.splitlines():
        text = line.strip(" -")
        indent = len(line) - len(line.lstrip(" -"))
        path = [entry for entry in path if entry[0] < indent]
        key = KEY.match(text)
        if key:
            path.append((indent, key.group(1)))
        elif text and not text.startswith(NOISE):
            names_it = indent == found[0] and WRONG_NAME.match(text) and not WRONG_NAME.match(found[1])
            if indent > found[0] or names_it:  # of several alternatives, the one that lists its choices
                found = (indent, text, [name for _, name in path])
    _, text, names = found
    where = _place(text, names, files) or where
    text = WRONG_TYPE.sub(r"expected \1, got '\2'", text)
    text = NO_VALUE.sub(r"expected \1", text) if names != ["seed_everything"] else "expected a whole number"
    text = NO_SETTING.sub(r"there is no setting '\1'", text)
    text = NO_MODULE.sub(r"there is no module \1 in the working folder or installed: put its file there", text)
    text = NO_ATTRIBUTE.sub(_no_class, text)
    text = NO_PATH.sub(lambda found: f"there is no class '{found[1]}'{suggest(found[1], _class_names()) or '.'}", text)
    text = NO_CLASS.sub("no class is named: give `class_path: NAME` beside the settings", text)
    wrong = WRONG_NAME.search(text)
    if wrong:
        choices = [choice.strip("'") for choice in wrong.group(1).split(", ")]
        given = GIVEN.search(message, message.find(wrong.group()))
        got = wrong.group(2) or (given.group(1) if given else "")
        return f"{where}: {unknown('.'.join(names), got, choices)}"
    for pattern in UNKNOWN:
        match = pattern.search(text)
        if match:
            known = known_words()
            steps = match.group(1).split(".")
            strange = [part for part in steps if part not in known]
            outermost = not names and strange[:1] == steps[:1]
            text += suggest(strange[-1], [*sections(), "stages"] if outermost else known) if strange else ""
            break
    return ": ".join(part for part in (where, ".".join(names), text) if part)


def _place(text: str, names: list[str], files: Sequence[str]) -> str:
    """File and line of the setting that a sentence is about; empty where no file has it."""
    strange = next((match[1] for pattern in UNKNOWN if (match := pattern.search(text))), None)
    got = GOT.search(text)
    path = ".".join([*names, *([strange] if strange else [])])
    found = place_of(files, path, value=None if strange or got is None else got[1])
    if found is None and strange:
        known = known_words()
        unknown_step = next((step for step in strange.split(".") if step not in known), None)
        found = place_of(files, unknown_step) if unknown_step else None
    return str(found or "")


def _no_class(found: re.Match[str]) -> str:
    module = sys.modules.get(found[1])
    beside = [name for name, value in getattr(module, "__dict__", {}).items() if isinstance(value, type)]
    meant = suggest(found[2], beside) or suggest(found[2], _class_names())
    return f"there is no class '{found[2]}' in {found[1]}{meant or '.'}"


def _class_names() -> list[str]:
    return [kind.__name__ for kind in classes() if kind.__module__.startswith("idiff.")]


def said_by_us(error: BaseException) -> IdiffError | None:
    """The project's own error inside of one that a parser wrapped around it while it built an object."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, IdiffError):
        inner = inner.__cause__ or inner.__context__
    return inner
