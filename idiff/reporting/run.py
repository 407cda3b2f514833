"""A run folder as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from idiff.errors import ConfigError
from idiff.reporting.results import Figures, read_figures, read_results

INFO = "run.json"
"""The file of a run folder with command, environment, data and progress."""

PARTS = ("results.csv", "figures.csv", "config.yaml", INFO, "samples")
"""What makes a folder a run."""


@dataclass(slots=True)
class Run:
    """What a page shows of a run.

    Attributes:
        folder: where it lies.
        name: of the folder, for people.
        results: rows of `results.csv`.
        figures: of `figures.csv`.
        config: the text of `config.yaml`; empty where there is none.
        settings: dotted name -> value of the configuration.
        info: `run.json`; empty where there is none.
    """

    folder: Path
    name: str
    results: list[dict[str, str]] = field(default_factory=list)
    figures: Figures = field(default_factory=dict)
    config: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)


def read_run(folder: str | Path) -> Run:
    """Read a run folder.

    Raises:
        ConfigError: it is not a folder, or holds nothing of a run.
        DataError: a table in it is damaged.
    """
    place = Path(folder)
    if not place.is_dir():
        raise ConfigError(f"{place} is not a folder: expected a run folder, which `idiff fit` writes.")
    if not any((place / part).exists() for part in PARTS):
        raise ConfigError(f"{place} is not a run folder: it has none of {', '.join(PARTS)}. `idiff fit` writes them.")
    path = place / "config.yaml"
    config = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    run = Run(place, place.resolve().name, read_results(place), read_figures(place), config)
    run.settings = _settings(config)
    run.info = read_info(place)
    return run


def read_info(folder: str | Path) -> dict[str, Any]:
    """The content of `run.json`; nothing where it is missing or damaged."""
    try:
        found = json.loads((Path(folder) / INFO).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    kinds = {"progress": dict, "environment": dict, "data": list, "commands": list}
    found = {name: found[name] for name, kind in kinds.items() if isinstance(found.get(name), kind)}
    for name in ("data", "commands"):
        found[name] = [each for each in found.get(name, []) if isinstance(each, dict)]
    for each in found["data"]:
        steps = each.get("funnel") if isinstance(each.get("funnel"), list) else []
        each["funnel"] = [pair for pair in steps if isinstance(pair, list) and len(pair) == 2]
    if "progress" in found:
        found["progress"] = _progress(found["progress"])
    return found


def _progress(found: dict[str, Any]) -> dict[str, Any]:
    """How far a run is: step, total and seconds left as numbers, the last two None where they are not known."""
    step, total, left = (found.get(name) for name in ("step", "total", "seconds_left"))
    return {
        "step": step if isinstance(step, int) else 0,
        "total": total if isinstance(total, int) else None,
        "seconds_left": left if isinstance(left, int | float) else None,
        "state": str(found.get("state", "")),
        "updated": str(found.get("updated", "")),
    }


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings and lists as (dotted name, value); `init_args` is left out, as in the short form."""
    inside = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if inside is None or not value:
        yield path, value
        return
    for key, each in inside:
        yield from flat(each, path if key == "init_args" else f"{path}.{key}" if path else str(key))


def _settings(text: str) -> dict[str, str]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return {name: str(value) for name, value in flat(content)} if isinstance(content, dict) else {}
