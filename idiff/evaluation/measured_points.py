"""Settings of the sampling with what each gave, in a file from which the same search goes on."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from idiff.errors import ConfigError
from idiff.sampling import Sampling
from idiff.utils.files import write_atomic
from idiff.utils.foreign import decoding, read_json
from idiff.utils.presets import Preset


@dataclass(frozen=True, slots=True)
class Point:
    """One setting and what it gave.

    Attributes:
        sampling: the setting.
        metrics: by name; None where nothing could be scored.
        evaluations_per_query: U-Net samples.
        seconds_per_query: of painting, on `device`, decoding and scoring left out.
        samples: items. queries: prompts.
        device: kind of machine part the network ran on.
    """

    sampling: Sampling
    metrics: dict[str, float | None]
    evaluations_per_query: float
    seconds_per_query: float
    samples: int
    queries: int
    device: str

    def score(self, metric: str) -> float:
        """A metric; nan where it is not known."""
        value = self.metrics.get(metric)
        return math.nan if value is None else value

    def preset(self, metric: str, *, data: str) -> Preset:
        """The point as a preset that was chosen by a metric on shards of this fingerprint."""
        own = self.sampling
        assert own.rule is not None  # `TaskSlice.score` writes it out
        text, image = own.scales(own.rule)
        return Preset(
            steps=own.steps, guidance_text=text, guidance_image=image, sampler=own.sampler, rule=own.rule,
            metric=metric, score=self.metrics.get(metric), evaluations=self.evaluations_per_query,
            samples=self.samples, data=data,
        )  # fmt: skip


@dataclass(slots=True)
class PointFile:
    """The points of one model, task and slice of data. The file changes whole or not at all, after every point.

    Attributes:
        path: the file.
        identity: what all of its points have in common, as plain values.
        points: measured ones, in their order.
    """

    path: Path
    identity: dict[str, Any]
    points: list[Point] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, identity: dict[str, Any]) -> PointFile:
        """Go on with a file, or begin one; nothing is written yet.

        Args:
            path: the file.
            identity: `checkpoint` and `data` count by `sha256` and `fingerprint` alone: their names may change.

        Raises:
            ConfigError: the file holds something else, or points of another checkpoint, task or slice.
        """
        if not path.exists():
            return cls(path, identity)
        with decoding(
            lambda _: ConfigError(
                f"--out {path} exists and holds no points of this command: name another file, or move it away"
            )
        ):
            content = read_json(path)
            points = [Point(**{**row, "sampling": Sampling(**row["sampling"])}) for row in content["points"]]
            wrong = _differences({name: content[name] for name in identity}, identity)
        if wrong:
            raise ConfigError(
                f"--out {path} holds points of another measurement: {'; '.join(wrong)}. Name another file, or move it away."
            )
        return cls(path, identity, points)

    def measured(self, sampling: Sampling) -> Point | None:
        """The point of a setting, where it was measured."""
        return next((point for point in self.points if point.sampling == sampling), None)

    def add(self, point: Point) -> None:
        """Take a point in and write the file."""
        self.points.append(point)
        self.write({})

    def write(self, more: dict[str, Any]) -> None:
        """Write the points, and what is to be said beside them.

        Raises:
            ConfigError: the file cannot be written.
        """
        content = self.identity | more | {"points": [asdict(point) for point in self.points]}
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        write_atomic(self.path, text, error=ConfigError, remedy="Free some space or name another --out.")


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """What keeps points of two identities apart, in words."""
    marks = {"checkpoint": "sha256", "data": "fingerprint"}
    wrong = []
    for name, value in here.items():
        old, new = (part[marks[name]][:12] if name in marks else part for part in (there[name], value))
        if old != new:
            wrong.append(f"{name} was {old}, is {new}")
    return wrong
