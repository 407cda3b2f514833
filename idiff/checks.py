"""Checks that a constructor makes of its settings: each error names the setting, what was got and what is expected."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from importlib.util import find_spec
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


def check_there(setting: str, path: str) -> None:
    """Refuse `module.Name` or `module:Name` whose module is not there. Nothing of it is imported or run.

    Raises:
        ConfigError: names the first part that is missing.
    """
    module = path.partition(":")[0] if ":" in path else path.rpartition(".")[0]
    if module in sys.modules:
        return
    where: list[str] | None = None
    parts = module.split(".")
    for count, part in enumerate(parts, start=1):
        try:
            spec = find_spec(part) if count == 1 else PathFinder.find_spec(".".join(parts[:count]), where)
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            place = f"in {'.'.join(parts[: count - 1])}" if count > 1 else "in the working folder or installed"
            raise ConfigError(
                f"{setting} '{path}': there is no module '{part}' {place}. Put its file there, or correct the path."
            )
        where = list(spec.submodule_search_locations or ())
