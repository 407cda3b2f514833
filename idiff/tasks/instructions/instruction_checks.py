"""Is a sentence fit for the bank? Slots, length, plain words, one task, and no near-duplicate of another sentence."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from idiff.errors import ConfigError
from idiff.tasks.instructions.bank import Template, slots
from idiff.tasks.instructions.kinds import EDITS, Kind, kind_of
from idiff.utils.tokens import LIMIT, count_tokens, fits

MOST_CHARACTERS = 240
"""Of a sentence with its clause, slots unfilled. The longest that was written by hand has 120."""

SAME_WORDS = 0.75
"""Two sentences are near-duplicates where more than this share of their distinct words is common (Jaccard), ..."""

SAME_ORDER = 0.8
"""... or where difflib's ratio of their words is above this. The closest pair of the bank has 0.70 and 0.77."""

_WORD = re.compile(r"\{\w+\}|[^\W_]+(?:'[^\W_]+)?")
_FORBIDDEN: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("an address", r"://|\bwww\.|\b[\w-]+\.(com|org|net|io|ru|cn|dev|xyz|html?|php|py|js|exe|sh)\b|\S@\w+\.\w"),
        ("markup", r"<[/!a-z|]|&\w+;|&#|`|\*\*|__|^\s*([#>*+-]|\d+[.)])\s|\[[^\]]*\]|\\|\$\(|\{%"),
        (
            "words to a language model",
            r"\b(ignore|disregard|forget|override) (all|any|the|your|these|those|previous|prior|above|every)\b.*"
            r"\b(instruction|prompt|rule|message|direction|above|before)|\b(system|developer|user|assistant) ?(prompt|message|:)"
            r"|\blanguage model\b|\bchat ?gpt\b|\bgpt-?\d|\bopenai\b|\bas an ai\b|\byou are (now )?(a|an|my) |\bjailbreak"
            r"|\bapi[ _-]?key|\bpassword|\bi('m| am) sorry\b|\bi can(no|')t (help|assist|comply|do that)\b|\brewrit|\bparaphras",
        ),
        (
            "program code",
            r"\b(import|exec|eval|sudo|rm -rf|curl|wget|drop table|select \*)\s*[(\w*/-]*.*[;()/]|__\w+__",
        ),
    )
)
_NEGATED = re.compile(
    r"\b(?:do not|don't|does not|never|without|not|no|nor|rather than)\b[\s\w]*?(?=[,.;:!?|]|\bbut\b|\band\b|$)",
    re.IGNORECASE,
)


class Fault(NamedTuple):
    """What is wrong with a line: its number, from 1 (0: the file as a whole), its sentence, the reason."""

    line: int
    sentence: str
    reason: str


def fault_of(line: str, kind: Kind) -> str | None:
    """The first thing that is wrong with one sentence, or None.

    Args:
        line: a template as the bank's files have it: `sentence` or `sentence | clause`.
        kind: what it should ask.
    """
    if len(line) > MOST_CHARACTERS:
        return f"it has {len(line):,} characters, expected {MOST_CHARACTERS} or fewer"
    odd = next((c for c in line if unicodedata.category(c)[0] == "C" or unicodedata.category(c) in {"Zl", "Zp"}), None)
    if odd is not None:
        return f"it has the control character U+{ord(odd):04X}"
    for name, pattern in _FORBIDDEN:
        found = pattern.search(line)
        if found:
            return f"it has {name}: '{found.group()[:40]}'"
    sentence, bar, clause = (part.strip() for part in line.partition("|"))
    if bool(bar) != bool(kind.clause) or "|" in clause:
        return f"it has {line.count('|')} bars, expected {1 if kind.clause else 0}"
    return _slots_fault(sentence, clause, kind) or _words_fault(sentence, clause, kind)


def _slots_fault(sentence: str, clause: str, kind: Kind) -> str | None:
    for words, expected in ((sentence, kind.slots), (clause, kind.clause)):
        try:
            got = slots(words)
        except ValueError as error:
            return f"it is no template: {error}"
        if got != sorted(expected):
            return f"'{words}' has the slots {got}, expected {sorted(expected)}, once each"
    return None


def _words_fault(sentence: str, clause: str, kind: Kind) -> str | None:
    filled = filled_long(sentence, clause, kind)
    words = _WORD.findall(sentence)
    if len(_WORD.findall(filled)) < kind.words or not any(word[0] != "{" for word in words):
        return f"it has too few words, expected {kind.words} or more: bare task names halve what a model learns"
    if not fits(filled):
        return f"it has {count_tokens(filled)} tokens with long values, expected {LIMIT} or fewer: '{filled[:60]}...'"
    plain = re.sub(r"\{\w+\}", " ", f"{sentence} {clause}")
    other = kind.other_words.search(_NEGATED.sub(" ", plain))
    if other:
        return f"it speaks of another task: '{other.group()}'"
    if kind.must and not kind.task_words.search(plain):
        return f"no word of it says that it asks for '{kind.name}'"
    return None


def filled_long(sentence: str, clause: str, kind: Kind) -> str:
    """The sentence with the long values of its kind."""
    slot = next(iter(kind.slots)) if kind.clause else ""
    return Template(sentence, clause, slot).fill(kind.values)


class Known:
    """The sentences of one kind that were taken so far: refuses near-duplicates."""

    def __init__(self) -> None:
        self._words: list[tuple[str, list[str], Counter[str]]] = []

    def twin(self, line: str) -> str | None:
        """The sentence that a new one repeats, or None; see `SAME_WORDS` and `SAME_ORDER`."""
        words = [word.lower() for word in _WORD.findall(line)]
        counts = Counter(words)
        for other, theirs, their_counts in self._words:
            common, every = len(counts.keys() & their_counts.keys()), len(counts.keys() | their_counts.keys())
            if common > SAME_WORDS * every:
                return other
            most = 2 * (counts & their_counts).total() / max(len(words) + len(theirs), 1)
            if most > SAME_ORDER and difflib.SequenceMatcher(None, words, theirs, autojunk=False).ratio() > SAME_ORDER:
                return other
        return None

    def add(self, line: str) -> None:
        """Take a sentence."""
        words = [word.lower() for word in _WORD.findall(line)]
        self._words.append((line, words, Counter(words)))


def check_text(text: str, kind: str | None, *, known: Callable[[str], Known] | None = None) -> Iterator[Fault]:
    """Check a file of the bank.

    Args:
        text: its content.
        kind: of its sentences; None: each line names its kind before a colon, as edits do.
        known: kind -> sentences of other files that may not be repeated.

    Raises:
        ConfigError: the kind is unknown.
    """
    taken: dict[str, Known] = {}
    for number, name, line in numbered(text, kind):
        if name is None:
            yield Fault(number, line, f"expected `kind: sentence` with a kind of {', '.join(EDITS)}")
            continue
        found = taken.setdefault(name, Known())
        reason = fault_of(line, kind_of(name))
        twin = None if reason else found.twin(line) or (known(name).twin(line) if known else None)
        if twin is not None:
            reason = f"it nearly repeats '{twin}'"
        if reason is None:
            found.add(line)
        else:
            yield Fault(number, line, reason)
    if not taken:
        yield Fault(0, "", "it has no sentence")


def numbered(text: str, kind: str | None) -> Iterator[tuple[int, str | None, str]]:
    """The sentences of a file with line number and kind; notes and empty lines are left out.

    The kind is None where a line of edits names none.
    """
    if kind is not None:
        kind_of(kind)
    for number, whole in enumerate(text.split("\n"), start=1):
        line = whole.rstrip("\r").replace("{colour}", "{color}")  # the slot's name in files of earlier versions
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if kind is not None:
            yield number, kind, line.strip()
        else:
            name, _, words = (part.strip() for part in line.partition(":"))
            yield number, name if name in EDITS else None, words if name in EDITS else line.strip()


def seeds(text: str, kind: str | None) -> list[tuple[str, str]]:
    """The sentences that rewriting multiplies, each with its kind: from a note `# seeds` to the next note; else all.

    Raises:
        ConfigError: there is none.
    """
    lines, inside = text.split("\n"), False
    marked: list[str] = []
    for line in lines:
        if line.lstrip().startswith("#"):
            inside = line.strip().lower() == "# seeds"
        marked.append(line if inside else "")
    ways = ("\n".join(chosen) for chosen in (marked, lines))
    found = next((some for some in ([(k, s) for _, k, s in numbered(way, kind) if k] for way in ways) if some), [])
    if not found:
        raise ConfigError("no seed is given: write sentences, one a line, the seeds under a line `# seeds`.")
    return found
