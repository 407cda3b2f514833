"""Words: prompts that a tokenizer can take, names that a file system can take, names of joints."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

_BIDI_CONTROLS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_DROPPED_CATEGORIES = frozenset({"Cc", "Cs"})
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_JOINERS = re.compile(r"[\s_\-]+")


@lru_cache(maxsize=4096)
def normalise_prompt(text: str) -> str:
    r"""Fold a prompt to what the tokenizer should see.

    Unicode NFC; control characters (NUL among them), lone surrogates and marks of writing direction are removed; any
    run of white space becomes one space. Emoji and right-to-left words stay. The length is left alone: the tokenizer
    truncates.

    >>> normalise_prompt(" paint\tthe\x00 dog\n red ")
    'paint the dog red'
    """
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    kept = (c for c in text if c not in _BIDI_CONTROLS and unicodedata.category(c) not in _DROPPED_CATEGORIES)
    return " ".join("".join(kept).split())


def safe_name(text: str, *, max_length: int = 80) -> str:
    """Turn any text into a file name without a suffix: letters, digits, `_` and `-` only.

    Text that had to be changed gets eight hexadecimal digits of its hash, so that two texts never share a name.

    Args:
        text: a key or a prompt; may be empty, may hold `../`.
        max_length: longest name, at least 16.

    >>> safe_name("000123")
    '000123'
    """
    plain = _UNSAFE.sub("_", text).strip("_")[:max_length]
    if plain == text and plain:
        return plain
    from idiff.utils.seeds import hash64  # loads torch

    mark = f"{hash64(text.encode('utf-8', 'surrogatepass').hex()):016x}"[-8:]
    return f"{plain[: max_length - 9]}_{mark}" if plain else mark


def name_words(name: str) -> str:
    """Spell the name of a joint or a class as lower-case words.

    >>> name_words("Left_Shoulder")
    'left shoulder'
    """
    return _JOINERS.sub(" ", normalise_prompt(name)).strip().lower()


def join_words(parts: Sequence[str]) -> str:
    """Join parts into one phrase.

    >>> join_words(["nose in red", "left hand in blue", "neck in cyan"])
    'nose in red, left hand in blue and neck in cyan'
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def names_in(text: str) -> list[str]:
    """Names with commas between; blanks around them and empty ones are left out.

    >>> names_in("one, two,")
    ['one', 'two']
    """
    return [name.strip() for name in text.split(",") if name.strip()]
