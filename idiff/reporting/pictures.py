"""Images of a run folder, small and few enough for one page."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

STEPS, ROWS, TASKS, WORST = 10, 6, 8, 20
"""Validations, samples and tasks that are shown over time, and samples of the lowest scores."""

BUDGET = 6_000_000
"""Characters of all images of a page."""

WIDTH, QUALITY = 660, 82
LARGEST = 40_000_000
"""Pixels of an image file that is opened."""

TEXT = 600
"""Characters of a sentence or a key that are shown."""

_NAMED = re.compile(r"(.+)_(\d{7})")


@dataclass(slots=True)
class Shown:
    """One row: image as a data URI, key, sentence, prompts of its group, score."""

    uri: str
    key: str = ""
    sentence: str = ""
    asked: int = 1
    score: float | None = None


@dataclass(slots=True)
class Frame:
    """The rows of one validation."""

    step: int
    rows: list[Shown]


@dataclass(slots=True)
class Film:
    """The same samples of one task over time, or its worst samples as one frame."""

    task: str
    headline: str = ""
    columns: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    scored: int = 0


@dataclass(slots=True)
class Gallery:
    """Reads images until a page is full.

    Attributes:
        left_out: sentences on what is not shown.
        used: characters of the images so far.
    """

    budget: int = BUDGET
    left_out: list[str] = field(default_factory=list)
    used: int = 0

    def films(self, folder: Path, steps: list[int]) -> list[Film]:
        """The images under `samples/`.

        Args:
            folder: the run folder.
            steps: validations of the run; images of others are of an earlier run and left out. Empty: all are shown.
        """
        found: dict[str, list[tuple[int, Path]]] = {}
        for path in sorted((folder / "samples").glob("*.png")):
            named = _NAMED.fullmatch(path.stem)
            if named is not None and (not steps or int(named[2]) in steps):
                found.setdefault(named[1], []).append((int(named[2]), path))
        if len(found) > TASKS:
            self.left_out.append(f"Images of {len(found) - TASKS} of {len(found)} tasks are not shown.")
        films = []
        for name, files in list(found.items())[:TASKS]:
            chosen = spread(files, STEPS)
            if len(chosen) < len(files):
                self.left_out.append(f"{name}: {len(chosen)} of {len(files)} validations are shown.")
            film = Film(name)
            for step, path in chosen[::-1]:  # the newest first, so that they are there where the page gets full
                frame = self._frame(film, path, step, most=ROWS)
                if frame is not None:
                    film.frames.insert(0, frame)
            if film.frames:
                films.append(film)
        return films

    def worst(self, folder: Path) -> list[Film]:
        """The images under `worst/`."""
        films = []
        for path in sorted((folder / "worst").glob("*.png"))[:TASKS]:
            film = Film(path.stem)
            frame = self._frame(film, path, 0, most=WORST)
            if frame is not None:
                film.frames = [frame]
                films.append(film)
        return films

    def _frame(self, film: Film, path: Path, step: int, *, most: int) -> Frame | None:
        """The rows of one image file; None where it cannot be read or the page is full."""
        described = _described(path.with_suffix(".json"))
        film.task = str(described.get("task", film.task))[:TEXT]
        film.headline = str(described.get("headline", ""))[:TEXT]
        film.columns = [str(name)[:TEXT] for name in described.get("columns", [])][:8]
        film.scored = int(described.get("scored", 0))
        rows = described.get("rows") or [{}]
        try:
            with Image.open(path) as image:
                if image.width * image.height > LARGEST:
                    raise ValueError("too large")
                whole = image.convert("RGB")
            shown = [_shown(whole, row) for row in rows[:most]]
        except (OSError, ValueError, TypeError, KeyError) as error:
            self.left_out.append(f"{path.name} cannot be shown: {str(error)[:TEXT]}.")
            return None
        size = sum(len(row.uri) for row in shown)
        if self.used + size > self.budget:
            self.left_out.append(f"{path.name} is not shown: the page is full.")
            return None
        if len(rows) > most and step in (0, film.frames[0].step if film.frames else step):
            note = f"{film.task}: {most} of {len(rows)} samples are shown."
            self.left_out += [] if note in self.left_out else [note]
        self.used += size
        return Frame(int(described.get("step", step)), shown)


def spread(items: list[Any], most: int) -> list[Any]:
    """At most so many of a list, evenly spread, with the first and the last."""
    if len(items) <= most:
        return items
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]


def _shown(whole: Image.Image, row: dict[str, Any]) -> Shown:
    left, top, right, bottom = (int(edge) for edge in row.get("box", (0, 0, *whole.size)))
    part = whole.crop((max(left, 0), max(top, 0), min(right, whole.width), min(bottom, whole.height)))
    if part.width > WIDTH:
        part = part.resize((WIDTH, max(1, round(part.height * WIDTH / part.width))), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    part.save(stream, format="JPEG", quality=QUALITY)
    uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    score = row.get("score")
    return Shown(
        uri,
        str(row.get("key", ""))[:TEXT],
        str(row.get("sentence", ""))[:TEXT],
        int(row.get("asked", 1)),
        score if isinstance(score, int | float) else None,
    )


def _described(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("rows", []), list) else {}
