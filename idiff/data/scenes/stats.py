"""How hard a set of drawn scenes is, measured from what is stored with its samples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from idiff.errors import BadSampleError

if TYPE_CHECKING:
    from idiff.types import Sample


def difficulty(samples: Iterable[Sample]) -> dict[str, Any]:
    """Measure a set of drawn scenes.

    Args:
        samples: of the source `synthetic`, any task.

    Returns:
        `version` of the generator; `kinds`, `colours` and `backgrounds`: how many different ones occur;
        `objects_per_picture` [least, most]; `occlusion_max`: the largest hidden share of an object;
        `median_object_percent`: the median of the objects' visible area, in per cent of the picture. Where there are
        figures, also `figures_per_picture` [least, most], `joints` a figure, `figure_height` [least, most] as a share
        of the picture's height, and `hidden_joints`, the share of joints that are hidden. What has nothing to be
        measured on is None.

    Raises:
        BadSampleError: a sample carries no facts about a scene.
    """
    version: int | None = None
    objects: list[dict[str, Any]] = []
    percents: list[float] = []
    object_counts: list[int] = []
    backgrounds: set[str] = set()
    heights: list[float] = []
    joints: list[list[list[float]]] = []
    figure_counts: list[int] = []
    for sample in samples:
        scene = sample.annotation.get("scene")
        if not isinstance(scene, dict):
            raise BadSampleError(
                sample.key,
                "scene",
                "missing; expected the facts of a drawn scene, as the source `synthetic` writes them",
            )
        version = scene["version"]
        backgrounds.add(scene["background"])
        objects += scene["objects"]
        object_counts.append(len(scene["objects"]))
        pixels = sample.image.shape[0] * sample.image.shape[1]
        percents += [100 * thing["area"] / pixels for thing in scene["objects"]]
        heights += [figure["height"] for figure in scene["figures"]]
        figure_counts.append(len(scene["figures"]))
        joints += [instance["keypoints"] for instance in sample.annotation.get("instances", [])]

    found: dict[str, Any] = {
        "version": version,
        "kinds": len({thing["kind"] for thing in objects}),
        "colours": len({thing["colour"] for thing in objects}),
        "backgrounds": len(backgrounds),
        "objects_per_picture": _span(object_counts),
        "occlusion_max": round(1 - min(thing["visible"] for thing in objects), 4) if objects else None,
        "median_object_percent": round(float(np.median(percents)), 3) if percents else None,
    }
    if joints:
        hidden = [joint[2] == 1 for figure in joints for joint in figure]
        found["figures_per_picture"] = _span(figure_counts)
        found["joints"] = min(len(figure) for figure in joints)
        found["figure_height"] = _span(heights)
        found["hidden_joints"] = round(float(np.mean(hidden)), 4)
    return found


def _span(values: list[Any]) -> list[Any] | None:
    """The least and the largest value."""
    return [min(values), max(values)] if values else None
