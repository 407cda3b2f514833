"""results.json, its table, and the table's place in docs/performance.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keys import KEYS
from measuring import Finding, machine

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- table of make bench: begin -->", "<!-- table of make bench: end -->"


def entry(key: str, found: Finding | dict[str, Any]) -> dict[str, Any]:
    """What results.json holds under `details` for a key."""
    plain = found.plain() if isinstance(found, Finding) else found
    known, value = KEYS[key], plain["value"]
    bounds = {"must": known.must, "goal": known.aim, "lower_is_better": known.lower}
    holds = plain.get("holds", True)
    reached = {
        name: None if value is None else holds and known.reached(value, bound)
        for name, bound in (("reached", known.must), ("goal_reached", known.aim))
    }
    return {**plain, **bounds, **reached}


def read(path: Path) -> dict[str, Any]:
    """Results of an earlier run; empty ones where there are none."""
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    return {"details": {}}


def write(path: Path, details: dict[str, dict[str, Any]], *, scale: str, minutes: float) -> dict[str, Any]:
    """Write results.json: each key's value at the top, and what it comes from under `details`."""
    ordered = {key: details[key] for key in KEYS if key in details}
    values = {key: each["value"] for key, each in ordered.items()}
    results = {**values, "scale": scale, "minutes": round(minutes, 2), "machine": machine(), "details": ordered}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


def rows(results: dict[str, Any]) -> list[list[str]]:
    """The table's lines, the first of which names the columns."""
    found = [["key", "value", "must / aim", "reached", "ours (s)", "beside it (s)", "spread", "ceiling"]]
    for key, each in results["details"].items():
        sides = [each[side] for side in ("ours", "peer")]
        spread = " / ".join(f"{side['spread']:.0%}" for side in sides if side)
        reached = {True: "yes", False: "no", None: "-"}[each["reached"]] + (" (aim)" if each["goal_reached"] else "")
        seconds = [_number(side["median"]) if side else "-" for side in sides]
        bounds = f"{_number(each['must'])} / {_number(each['goal'])}{' or less' if each['lower_is_better'] else ''}"
        ceiling = (each["ceiling"] or {}).get("value")
        found.append([key, _number(each["value"]), bounds, reached, *seconds, spread or "-", _number(ceiling)])
    return found


def table(results: dict[str, Any]) -> str:
    """The table for a terminal, and what is to be said about its lines."""
    lines = rows(results)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*text, "", *notes(results)])


def notes(results: dict[str, Any]) -> list[str]:
    """What was compared, by key, and why a value is missing or not as it should be."""
    return [
        f"{key}: {each['compared']}" + (f" Note: {each['reason']}." if each["reason"] else "")
        for key, each in results["details"].items()
    ]


def markdown(results: dict[str, Any]) -> str:
    """The table for the page, with the machine it was measured on."""
    lines, known = rows(results), results["machine"]
    text = [f"| {' | '.join(line)} |" for line in lines]
    text.insert(1, f"|{'---|' * len(lines[0])}")
    versions = ", ".join(f"{name} {version}" for name, version in known["versions"].items())
    where = (
        f"Measured in {results['minutes']:.0f} minutes on {known['cores']} cores of {known['processor']}; {versions}."
    )
    return "\n".join([where, "", *text, "", *(f"- {note}" for note in notes(results))])


def write_page(results: dict[str, Any], page: Path = PAGE) -> None:
    """Put the table between the marks of the page.

    Raises:
        ValueError: the page lacks the marks.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for the table: expected the lines {BEGIN} and {END}")
    page.write_text(f"{before}{begin}\n\n{markdown(results)}\n\n{end}{after}", encoding="utf-8")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
