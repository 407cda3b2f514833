"""Going on with a run: which settings may differ from those the checkpoint was trained with."""

from __future__ import annotations

import sys
from collections.abc import Container, Mapping, Sequence
from typing import Any

from idiff.config.sections import settings_in
from idiff.errors import ConfigError
from idiff.utils.moved import modernised
from idiff.utils.settings import ARGUMENTS, CLASS

PARTS = ("model", "data", "ema", "trainer")
"""Parts of a configuration that a checkpoint carries."""

TRAINER = frozenset({"gradient_clip_val", "gradient_clip_algorithm", "precision"})
"""Trainer settings that what is learned depends on. The others say how long, where and how often it is looked at.

They are listed here because the class is Lightning's; parameters of other classes carry a mark where they may always differ.
"""

NOT_SET = "not set"
SHOWN, LONGEST = 3, 120
"""Changes that an error lists, and letters of the names that it repeats."""


def config_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings that training depends on and that differ.

    Args:
        old: the checkpoint's configuration, plain values in the long form.
        new: this run's.

    Returns:
        dotted path without `init_args` -> (old value, new value), in the order of the new configuration; `not set` where one side
        lacks it.
    """
    changes: dict[str, tuple[Any, Any]] = {}
    for part in PARTS:
        before, now = modernised(old.get(part, {})), new.get(part, {})
        if part == "trainer":
            before, now = ({k: v for k, v in side.items() if k in TRAINER} for side in (before, now))
        if before != now:
            ours, theirs = list(settings_in(new, part)), settings_in(_without_unloaded(old), part)
            free = {each.path for each in (*ours, *theirs) if each.marks}
            later = {each.path for each in ours if each.value == each.default}
            _compare(before, now, part, free, later, changes)
    return changes


def _without_unloaded(value: Any) -> Any:
    """A checkpoint's configuration without classes that are not loaded: comparing it imports nothing that it names."""
    if isinstance(value, Mapping):
        return {key: _without_unloaded(each) for key, each in value.items() if key != CLASS or _is_loaded(each)}
    return [_without_unloaded(each) for each in value] if isinstance(value, list) else value


def _is_loaded(path: Any) -> bool:
    module = str(path).rpartition(".")[0]
    return not module or module in sys.modules or module.partition(".")[0] in {"idiff", "lightning"}


def refuse_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], *, allow: Sequence[str] = (), origin: str = "the checkpoint"
) -> None:
    """Check that a run goes on as it began.

    Args:
        old: the checkpoint's configuration.
        new: this run's.
        allow: dotted paths that may differ, with everything under them.
        origin: names the checkpoint.

    Raises:
        ConfigError: other settings differ; says from what to what.
    """
    changes = without(config_changes(old, new), allow)
    if not changes:
        return
    count = "a setting differs" if len(changes) == 1 else f"{len(changes)} settings differ"
    allowed = ",".join(changes)
    if len(allowed) > LONGEST:
        allowed = _common(list(changes))
    raise ConfigError(
        f"this run cannot go on from {origin}: {count} (old -> new).\n  {listed(changes)}\n"
        f"Set the old values, allow the new ones with --resume.allow {allowed}, or begin from its weights with model.init_from."
    )


def _common(paths: Sequence[str]) -> str:
    """The sections that hold all of some dotted paths, as deep as few names say it."""
    for depth in range(4, 0, -1):
        names = list(dict.fromkeys(".".join(path.split(".")[:depth]) for path in paths))
        if len(names) <= SHOWN:
            return ",".join(names)
    return ",".join(dict.fromkeys(path.split(".")[0] for path in paths))


def without(changes: dict[str, tuple[Any, Any]], allow: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Leave out the changes of settings that are allowed, and of everything under them."""
    return {
        path: values
        for path, values in changes.items()
        if not any(path == name or path.startswith(f"{name}.") for name in map(_short_path, allow))
    }


def _compare(
    old: Any, new: Any, path: str, free: Container[str], later: Container[str], changes: dict[str, tuple[Any, Any]]
) -> None:
    """Write down what differs, but for `free` settings, and for those in `later` that the checkpoint does not know.

    An option that came after the checkpoint was written changes nothing where it has its default.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*new, *(key for key in old if key not in new)]:
            place = f"{path}.{key}"
            if place not in free and (key in old or place not in later):
                _compare(old.get(key, NOT_SET), new.get(key, NOT_SET), place, free, later, changes)
    elif old != new and not all(_says_nothing(side, path, free) for side in (old, new)):
        changes[_short_path(path)] = (old, new)


def _says_nothing(value: Any, path: str, free: Container[str]) -> bool:
    """Whether a setting is not used, or is an object of which nothing but free settings is said, such as its weights."""
    if isinstance(value, Mapping) and CLASS in value:
        inside = f"{path}.{ARGUMENTS}"
        arguments = value.get(ARGUMENTS) or {}
        return all(f"{inside}.{key}" in free or _says_nothing(each, inside, free) for key, each in arguments.items())
    return value in (None, NOT_SET)


def _short_path(path: str) -> str:
    """A dotted path as the short form has it."""
    return path.replace(f".{ARGUMENTS}", "")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def listed(changes: Mapping[str, tuple[Any, Any]]) -> str:
    """Changes in words, the first `SHOWN` of them: `setting: old -> new; ...`."""
    shown = [f"{path}: {_short(before)} -> {_short(now)}" for path, (before, now) in list(changes.items())[:SHOWN]]
    more = f"; and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    return "; ".join(shown) + more


def refuse_unsharded(checkpoint: Mapping[str, Any], *, strategy: str, origin: str) -> None:
    """Refuse to go on sharded from a checkpoint that has the optimizer's state of a run that was not.

    Args:
        checkpoint: as read.
        strategy: class of the trainer's.
        origin: the checkpoint's path.

    Raises:
        ConfigError: it cannot go on.
    """
    if strategy == "ModelParallelStrategy" and "sharded" not in checkpoint:
        raise ConfigError(
            f"{origin} is of a run that was not sharded, and its optimizer's state cannot be. Go on with strategy ddp, or start "
            "a new run from its weights: model.init_from."
        )
