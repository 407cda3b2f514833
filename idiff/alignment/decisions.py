"""What an annotator decided about a sample. Loads neither numpy nor torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from idiff.errors import ConfigError

MOST = 2
"""Candidates that can be chosen of a sample: InstructDiffusion keeps the best none to two."""

LONGEST = 1e9
"""Seconds that a decision can take: more are a mistake."""

Action = Literal["pick", "undo"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EXPECTED = "1 to 64 letters (a to z), digits, _ and -"


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of a journal.

    Attributes:
        sample: name of the sample, such as `000012`.
        chosen: indices of none to two candidates, best first; none: no candidate is good, or `undo`.
        annotator: who decided.
        time: ISO 8601 in UTC.
        seconds: how long the decision took.
        action: `pick`, or `undo`, which takes back what was decided about the sample.
    """

    sample: str
    chosen: tuple[int, ...]
    annotator: str
    time: str
    seconds: float
    action: Action = "pick"


def is_annotator(name: str) -> bool:
    """Whether a name can be used for a person, and so for a file."""
    return bool(_NAME.fullmatch(name))


def check_annotator(name: str) -> str:
    """Return a name that can be used.

    Raises:
        ConfigError: it is not one to 64 letters (a to z), digits, `_` and `-`.
    """
    if not is_annotator(name):
        raise ConfigError(f"annotator {name[:80]!r}: expected {_EXPECTED}.")
    return name


def parse_decision(value: Any) -> Decision:
    """Build a decision from plain values, such as a line of a journal.

    Args:
        value: an object with the attributes of `Decision`; more are ignored. Its time may be in any zone.

    Raises:
        ValueError: something is wrong with it.
    """
    fields = Decision.__dataclass_fields__
    if not isinstance(value, dict) or fields.keys() - value.keys():
        raise ValueError(f"expected an object with {', '.join(fields)}")
    sample, chosen, annotator, seconds = (value[name] for name in ("sample", "chosen", "annotator", "seconds"))
    if not isinstance(sample, str) or not sample:
        raise ValueError(f"sample is {sample!r}, expected a name")
    if value["action"] not in get_args(Action):
        raise ValueError(f"action is {value['action']!r}, expected pick or undo")
    whole = isinstance(chosen, list) and all(type(index) is int and index >= 0 for index in chosen)
    most = MOST if value["action"] == "pick" else 0
    if not whole or len(chosen) > most or len(set(chosen)) < len(chosen):
        raise ValueError(
            f"chosen is {chosen!r}, expected at most {most} different indices from 0 for {value['action']}"
        )
    if not isinstance(annotator, str) or not is_annotator(annotator):
        raise ValueError(f"annotator is {annotator!r}, expected {_EXPECTED}")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST:
        raise ValueError(f"seconds is {seconds!r}, expected 0 to {LONGEST:.0e}")
    return Decision(sample, tuple(chosen), annotator, _in_utc(value["time"]), float(seconds), value["action"])


def _in_utc(time: Any) -> str:
    try:
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC).isoformat(timespec="milliseconds")
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"time is {time!r}, expected ISO 8601 with a time zone") from None
