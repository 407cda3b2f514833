"""How hard a set of drawn scenes is, measured from what is stored with its samples."""

from __future__ import annotations

from collections import Counter
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
        `version` of the generator; `kinds`, `colors` and `backgrounds`: how many different ones occur;
        `objects_per_picture` [least, most]; `occlusion_max`: the largest hidden share of an object;
        `median_object_percent`: the median of the objects' visible area, in per cent of the image. Where there are
        figures, also `figures_per_picture` [least, most], `joints` a figure, `figure_height` [least, most] as a share
        of the image's height, and `hidden_joints`, the share of joints that are hidden. Where there are phrases, also
        `phrases_per_picture` on average, the shares `no_target_phrases`, `several_target_phrases` and
        `held_out_phrases` of all phrases, and `phrase_forms`: form -> its share. Where there are targets, also
        `identity_psnr`, the mean over the set of the untouched image's PSNR in dB; for damaged images `degradations`:
        kind -> its share, and the spans [least, most] of what they tell: `sigma`, `opacity`, `share`; for edits
        `operations`: operation -> its share. What has nothing to be measured on is None.

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
    phrases: list[dict[str, Any]] = []
    damages: list[dict[str, Any]] = []
    edits: list[dict[str, Any]] = []
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
        instances = sample.annotation.get("instances", [])
        joints += [instance["keypoints"] for instance in instances if "keypoints" in instance]
        phrases += sample.annotation.get("phrases", [])
        damages += [sample.annotation["degradation"]] if "degradation" in sample.annotation else []
        edits += [sample.annotation["edit"]] if "edit" in sample.annotation else []

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
    if phrases:
        forms = Counter(phrase["form"] for phrase in phrases)
        found["phrases_per_picture"] = round(len(phrases) / len(object_counts), 3)
        found["no_target_phrases"] = _share([not phrase["instances"] for phrase in phrases])
        found["several_target_phrases"] = _share([len(phrase["instances"]) > 1 for phrase in phrases])
        found["held_out_phrases"] = _share([phrase["held_out"] for phrase in phrases])
        found["phrase_forms"] = {form: round(count / len(phrases), 4) for form, count in sorted(forms.items())}
    if damages or edits:
        found["identity_psnr"] = round(float(np.mean([facts["identity_psnr"] for facts in (*damages, *edits)])), 3)
    if damages:
        found["degradations"] = _shares([facts["kind"] for facts in damages])
        for name in ("sigma", "opacity", "share"):
            values = [facts[name] for facts in damages if name in facts]
            found |= {name: _span(values)} if values else {}
    if edits:
        found["operations"] = _shares([facts["operation"] for facts in edits])
    return found


def _shares(names: list[str]) -> dict[str, float]:
    """Name -> how often it occurs, as a share."""
    return {name: round(count / len(names), 4) for name, count in sorted(Counter(names).items())}


def _share(values: list[bool]) -> float:
    return round(float(np.mean(values)), 4)


def _span(values: list[Any]) -> list[Any] | None:
    """The least and the largest value."""
    return [min(values), max(values)] if values else None
