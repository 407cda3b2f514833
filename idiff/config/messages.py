"""One short sentence of a parser's error: which setting, what was got, what was meant."""

from __future__ import annotations

import re

from idiff.config.sections import known_words
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
    re.compile(r"[Oo]ption ['\"]([\w.]+)['\"]"),
)
WRONG_NAME = re.compile(r"Expected a typing\.Literal\[(.*)\]\. Got value: (.*)")
NO_MODULE = re.compile(r"No module named '([\w.]+)'")
WRONG_TYPE = re.compile(r"Expected an? <class '(\w+)'>\. Got value: (.*)")


def short(message: str, *, where: str) -> str:
    """The innermost sentence of a parser's error, with a did-you-mean where a setting is unknown.

    Args:
        message: jsonargparse's, often of many lines; how far a line is indented says what it is about.
        where: the configuration files.

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
        elif text and not text.startswith(NOISE) and indent > found[0]:
            found = (indent, text, [name for _, name in path])
    _, text, names = found
    text = WRONG_TYPE.sub(r"expected \1, got '\2'", text)
    text = NO_MODULE.sub(r"there is no module \1 in the working folder or installed: put its file there", text)
    wrong = WRONG_NAME.search(text)
    if wrong:
        choices = [choice.strip("'") for choice in wrong.group(1).split(", ")]
        return f"{where}: {unknown('.'.join(names), wrong.group(2), choices)}"
    for pattern in UNKNOWN:
        match = pattern.search(text)
        if match:
            known = known_words()
            strange = [part for part in match.group(1).split(".") if part not in known]
            text += suggest(strange[-1], known) if strange else ""
            break
    return ": ".join(part for part in (where, ".".join(names), text) if part)


def said_by_us(error: BaseException) -> IdiffError | None:
    """The project's own error inside of one that a parser wrapped around it while it built an object."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, IdiffError):
        inner = inner.__cause__ or inner.__context__
    return inner
