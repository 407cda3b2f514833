"""From a scene of solids to the sample of a task: image, facts, label map, and the maps that the task reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.synthetic.phrases.told import object_instances, tell_phrases
from idiff.synthetic.solids.description import FARTHEST, KINDS, SolidScene
from idiff.synthetic.solids.layout import draw_solids_scene
from idiff.synthetic.solids.render import SeenSolids, see
from idiff.types import Sample
from idiff.utils.seeds import numpy_rng

VERSION = 2
"""Of the generator. Any change of what is drawn for a seed raises it."""

CLASSES = ("background", *KINDS)
"""The value of a label map is the index into this."""

SERVED = ("segmentation", "referring", "detection")
"""The tasks that read no maps and are served; those that read maps of `MAPS` are served, too."""


def _edges(seen: SeenSolids) -> NDArray[np.uint8]:
    """255 where a pixel and its right or lower neighbour are of two things or two faces; 0 elsewhere."""
    found = np.zeros(seen.owners.shape, bool)
    for axis in (0, 1):
        first, second = (tuple(s if a == axis else slice(None) for a in (0, 1)) for s in (slice(0, -1), slice(1, None)))
        bent = (seen.normals[first] * seen.normals[second]).sum(axis=-1) < math.cos(math.radians(25))
        sky = (seen.depth[first] == 0) & (seen.depth[second] == 0)
        found[first] |= (seen.owners[first] != seen.owners[second]) | (bent & ~sky)
    return found.astype(np.uint8) * 255


MAPS: Mapping[str, Callable[[SeenSolids], NDArray[Any]]] = {
    "depth": lambda seen: np.rint(1000 * seen.depth).astype(np.uint16),
    "normals": lambda seen: seen.normals,
    "instance_ids": lambda seen: seen.owners,
    "edges": _edges,
}
"""Name -> a map of numbers: depth in millimetres uint16 (H, W), 0 = sky; normals float32 (H, W, 3) in camera axes, 0 = sky;
instance_ids uint8 (H, W), 0 = none; edges uint8 (H, W), 0 or 255."""


def solids_sample(
    split: str, *, seed: int, index: int, size: int, maps: Sequence[str], phrases: bool, meta: Mapping[str, Any]
) -> Sample:
    """Draw one sample: a pure function of its arguments and `VERSION`. All tasks see the same scenes.

    Args:
        split: such as `train` or `val`.
        seed: of the whole set.
        index: which scene of the set.
        size: side of the image in pixels.
        maps: names of `MAPS` to add.
        phrases: tell phrases about the scene.
        meta: the set's facts.
    """
    scene = draw_solids_scene(numpy_rng(seed, "solids", VERSION, split, index))
    seen = see(scene, size)
    facts = _facts(scene, seen)
    facts["instances"] = object_instances(facts, seen)
    if phrases:
        facts |= tell_phrases(facts, seen, numpy_rng(seed, "tell solids", VERSION, split, index), split)
    kinds = np.array([0, *(CLASSES.index(solid.kind) for solid in scene.solids)], np.uint8)
    return Sample(
        key=f"{index:08d}",
        image=seen.picture,
        annotation=facts,
        meta=dict(meta),
        label=kinds[seen.owners],
        maps={name: MAPS[name](seen) for name in maps},
    )


def _facts(scene: SolidScene, seen: SeenSolids) -> dict[str, Any]:
    """`{"scene": ...}` as of flat scenes, and the `camera`: height in metres, pitch and view in degrees, focal length in pixels."""
    size, objects = seen.owners.shape[0], []
    for order, solid in enumerate(scene.solids):
        mask = seen.mask(order)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1] if len(rows) else [0, 0, 0, 0]
        objects.append(
            {
                "kind": solid.kind,
                "colour": solid.color,
                "rgb": list(solid.rgb),
                "order": order,
                "visible": round(seen.visible[order], 4),
                "area": int(mask.sum()),
                "box": [int(value) for value in box],
            }
        )
    focal = 0.5 * size / math.tan(math.radians(scene.camera.view) / 2)
    camera = {"height": scene.camera.height, "pitch": scene.camera.pitch, "view": scene.camera.view, "focal": focal}
    place = "room" if scene.room else "plane"
    return {
        "scene": {"version": VERSION, "background": place, "objects": objects, "figures": []},
        "camera": {name: round(value, 4) for name, value in camera.items()} | {"farthest": FARTHEST},
    }
