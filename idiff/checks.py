"""Checks that a constructor makes of its settings: each error names the setting, what was got and what is expected."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, get_args

from idiff.errors import ConfigError, unknown


def is_path(name: str) -> bool:
    """Whether a name in a configuration is a path to something of the user's own, and not one of the package's names."""
    return "." in name or ":" in name


def check_choice(setting: str, value: Any, choices: Any) -> None:
    """Refuse a name that is not among the choices.

    Args:
        setting: what the name is for.
        value: the name.
        choices: a `Literal` type, or the names.

    Raises:
        ConfigError: with the nearest name, and all of them.
    """
    names: Iterable[str] = get_args(choices) or choices
    if value not in names:
        raise unknown(setting, str(value), names)


def check_number(
    setting: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    whole: bool = False,
    optional: bool = False,
) -> None:
    """Refuse what is not a finite number, or one out of range.

    Args:
        setting: its name.
        value: the number.
        least: lower end of the range, included; None: no such end.
        above: lower end, not included.
        most: upper end, included.
        below: upper end, not included.
        whole: it must be an integer.
        optional: None will do, too.

    Raises:
        ConfigError: with the range.
    """
    if optional and value is None:
        return
    if type(value) is not bool and isinstance(value, Integral if whole else Real) and math.isfinite(value):
        number = float(value)
        high = (least is None or number >= least) and (above is None or number > above)
        if high and (most is None or number <= most) and (below is None or number < below):
            return
    ends = {"{:g} or more": least, "more than {:g}": above, "at most {:g}": most, "less than {:g}": below}
    ranges = [" and ".join(words.format(end) for words, end in ends.items() if end is not None)]
    wanted = [*filter(None, [*ranges, "a whole number" if whole else ""])] or ["a finite number"]
    raise ConfigError(f"{setting} is {value!r}: expected {', '.join([*wanted, *(['or null'] if optional else [])])}.")
