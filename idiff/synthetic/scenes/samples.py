"""From a drawn scene to the facts that a task needs.

A task over scenes is one entry of `SCENE_TASKS`: how its scenes are laid out, and what is told about them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.synthetic.drawing.body import JOINTS, PAIRS, SIGMA
from idiff.synthetic.drawing.description import Figure, Scene, SceneObject
from idiff.synthetic.drawing.render import Rendered
from idiff.synthetic.phrases.told import object_instances, tell_phrases
from idiff.synthetic.scenes.layout import draw_objects_scene, draw_single_scene
from idiff.synthetic.scenes.pairs import Pair, damaged, edited
from idiff.synthetic.scenes.people import draw_figures_scene
from idiff.transforms.degradations.scenes import DEGRADATIONS
from idiff.utils.seeds import numpy_rng
from idiff.utils.silhouettes import KINDS

VERSION = 2
"""Of the generator. Any change of what is drawn for a seed raises it."""

CLASSES = ("background", *KINDS)
"""The value of a label map is the index into this."""

CATEGORY = "person"
"""What an instance with joints is called."""


@dataclass(frozen=True, slots=True)
class SceneTask:
    """A task that scenes are drawn for.

    Attributes:
        layout: name of the way its scenes are laid out; tasks of one layout see the same scenes.
        draw: rng -> scene.
        unit: what one item is, as in a data source.
        meta: facts shared by the whole set, as in `Sample.meta`.
        annotate: adds what this task tells to the facts about a scene: (scene, drawn scene) -> annotation.
        label: the label map of a drawn scene, for tasks that have one.
        tell: adds facts that are drawn by chance: (facts, drawn scene, rng, split) -> further facts.
        pair: draws image and target, for tasks whose answer is an image: (scene, side in pixels, rng) -> pair.
    """

    layout: str
    draw: Callable[[np.random.Generator], Scene]
    unit: str
    meta: Mapping[str, Any]
    annotate: Callable[[Scene, Rendered], dict[str, Any]]
    label: Callable[[Scene, Rendered], NDArray[np.uint8]] | None = None
    tell: Callable[[dict[str, Any], Rendered, np.random.Generator, str], dict[str, Any]] | None = None
    pair: Callable[[Scene, int, np.random.Generator], Pair] | None = None


def draw_scene(task: SceneTask, split: str, *, seed: int, index: int) -> Scene:
    """Describe one scene: a pure function of its arguments and `VERSION`. Splits share no scene.

    Args:
        task: an entry of `SCENE_TASKS`.
        split: such as `train` or `val`.
        seed: of the whole set.
        index: which scene of the set.
    """
    return task.draw(numpy_rng(seed, "scene", VERSION, task.layout, split, index))


def label_map(scene: Scene, rendered: Rendered) -> NDArray[np.uint8]:
    """The class of the thing that owns most of each pixel: uint8 (H, W), an index into `CLASSES`."""
    kinds = [CLASSES.index(thing.kind) if isinstance(thing, SceneObject) else 0 for thing in scene.things]
    return np.array([0, *kinds], dtype=np.uint8)[rendered.owners]


def scene_facts(scene: Scene, rendered: Rendered) -> dict[str, Any]:
    """The facts about a drawn scene: `{"scene": {"version", "background", "objects", "figures"}}`.

    Objects and figures have `order`, their place from the back (0) to the front, and `visible`, the share of their
    silhouette in sight. Objects also have `kind`, `color`, `rgb`, `centre` [x, y] and `angle` in degrees; `area` and
    `box` [x, y, w, h] are those of their visible pixels. Figures also have `facing` and `height`, a share of the
    image's height.
    """
    size = rendered.owners.shape[0]
    objects: list[dict[str, Any]] = []
    figures: list[dict[str, Any]] = []
    for order, thing in enumerate(scene.things):
        common = {"order": order, "visible": round(rendered.visible[order], 4)}
        if isinstance(thing, SceneObject):
            mask = rendered.mask(order)
            centre = [round(share * size - 0.5, 2) for share in thing.centre]
            drawn = {"kind": thing.kind, "colour": thing.color, "rgb": list(thing.rgb), "centre": centre}
            seen = {"angle": round(thing.angle, 1), "area": int(mask.sum()), "box": _box(mask)}
            objects.append({**drawn, **seen, **common})
        else:
            height = _box(rendered.silhouettes[order])[3] / size
            figures.append({"facing": thing.facing, "height": round(height, 4), **common})
    family = scene.background.family
    return {"scene": {"version": VERSION, "background": family, "objects": objects, "figures": figures}}


def object_facts(scene: Scene, rendered: Rendered) -> dict[str, Any]:
    """The facts about a drawn scene, and its objects as `instances`, see `idiff.synthetic.phrases.told.object_instances`."""
    facts = scene_facts(scene, rendered)
    return {**facts, "instances": object_instances(facts, rendered)}


def figure_facts(scene: Scene, rendered: Rendered) -> dict[str, Any]:
    """The facts about a drawn scene, and its figures as `instances`.

    Joints are [x, y, v] with v = 2 in sight and v = 1 behind something else. Box and area are those of the whole
    silhouette, with what is hidden, so that every joint lies in its box.
    """
    size = rendered.owners.shape[0]
    instances: list[dict[str, Any]] = []
    for order, thing in enumerate(scene.things):
        if isinstance(thing, Figure):
            whole = rendered.silhouettes[order]
            joints = [
                [round(x * size - 0.5, 2), round(y * size - 0.5, 2), 2 if seen else 1]
                for (x, y), seen in zip(thing.joints, rendered.seen[order], strict=True)
            ]
            instances.append(
                {
                    "category": CATEGORY,
                    "keypoints": joints,
                    "box": _box(whole),
                    "area": float(whole.sum()),
                    "id": len(instances),
                }
            )
    return {**scene_facts(scene, rendered), "instances": instances}


def _box(mask: NDArray[np.bool_]) -> list[int]:
    """The tight box [x, y, w, h] of a mask: w and h count pixels; zeros where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return [0, 0, 0, 0]
    return [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)]


_SKELETON = {"joints": list(JOINTS), "pairs": [list(pair) for pair in PAIRS], "sigmas": [SIGMA] * len(JOINTS)}

SCENE_TASKS: Mapping[str, SceneTask] = {
    "segmentation": SceneTask(
        layout="objects",
        draw=draw_objects_scene,
        unit="picture",
        meta={"classes": list(CLASSES)},
        annotate=scene_facts,
        label=label_map,
    ),
    "referring": SceneTask(
        layout="objects",
        draw=draw_objects_scene,
        unit="phrases",
        meta={"categories": list(KINDS)},
        annotate=scene_facts,
        tell=tell_phrases,
    ),
    "detection": SceneTask(
        layout="objects",
        draw=draw_objects_scene,
        unit="picture",
        meta={"categories": list(KINDS)},
        annotate=object_facts,
    ),
    "classification": SceneTask(
        layout="single",
        draw=draw_single_scene,
        unit="picture",
        meta={"categories": list(KINDS)},
        annotate=object_facts,
    ),
    "keypoints": SceneTask(
        layout="figures",
        draw=draw_figures_scene,
        unit="instances",
        meta={"skeletons": {CATEGORY: _SKELETON}},
        annotate=figure_facts,
    ),
    **{
        task: SceneTask(
            layout="objects",
            draw=draw_objects_scene,
            unit="picture",
            meta={},
            annotate=scene_facts,
            pair=damaged(task),
        )
        for task in DEGRADATIONS
    },
    "editing": SceneTask(
        layout="objects",
        draw=draw_objects_scene,
        unit="picture",
        meta={},
        annotate=scene_facts,
        pair=edited,
    ),
}
"""Task -> its scenes."""
