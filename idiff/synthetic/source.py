"""Drawn scenes as a data source: no files, any number of samples, exact truth."""

from __future__ import annotations

from typing import Any, Literal

import idiff.tasks
from idiff.checks import check_choice
from idiff.data.sources.base import Source
from idiff.errors import ConfigError, unknown
from idiff.synthetic.drawing.render import render
from idiff.synthetic.scenes.samples import SCENE_TASKS, VERSION, draw_scene
from idiff.synthetic.solids.samples import CLASSES, MAPS, SERVED, solids_sample
from idiff.synthetic.solids.samples import VERSION as SOLIDS_VERSION
from idiff.types import Sample
from idiff.utils.seeds import numpy_rng

Family = Literal["flat", "solids"]
"""Flat shapes and figures, or solids with depth."""

SIZES = (32, 1024)
"""Smallest and largest side of an image in pixels."""


class SyntheticSource(Source):
    """Drawn scenes for one task.

    A sample is a pure function of the generator's version, the task's layout, split, seed and index. Splits of one seed
    share no scene; a shorter set is the beginning of a longer one.

    Args:
        task: `segmentation` (label maps of the kinds of object), `referring` (phrases about the same scenes; splits whose
            names begin with `val` or `test` also name pairs of kind and color that others never name), `detection` and
            `instances` (the same scenes, their objects with masks and boxes), `classification` (scenes of one object),
            `keypoints` (figures with 14 joints), `denoise`, `deblur`, `dewatermark` (damaged and clean image) or `editing` (a
            sentence, the image before and after it). Of the family `solids`: `segmentation`, `referring`, `detection`,
            `instances` and the tasks that read maps, such as `depth` and `normals`.
        split: any name, such as `train` or `val`.
        count: number of samples.
        seed: of the whole set.
        size: side of the images in pixels.
        family: `flat` or `solids`: boxes, spheres, cylinders and cones on a plane or in a room. Every sample of solids has a label
            map and instances, and the maps that its task reads.

    Raises:
        ConfigError: an unknown task, one that the family does not serve, or a count or size out of range.
    """

    def __init__(
        self, task: str, *, split: str, count: int, seed: int = 0, size: int = 64, family: Family = "flat"
    ) -> None:
        check_choice("family", family, Family)
        self.maps: tuple[str, ...] = ()
        if family == "solids":
            self.maps = _maps_of(task)
        elif task not in _flat_tasks():
            if task in _solid_tasks():
                raise ConfigError(f"synthetic: flat scenes do not serve the task '{task}'. Add --family solids.")
            raise unknown("synthetic task", task, {**_flat_tasks(), **_solid_tasks()})
        if count < 1:
            raise ConfigError(f"synthetic: got count {count}, expected at least 1. Pass --count N.")
        if not SIZES[0] <= size <= SIZES[1]:
            raise ConfigError(f"synthetic: got size {size}, expected {SIZES[0]} to {SIZES[1]} pixels.")
        self.tasks = (task,)
        self._scenes = "" if family == "solids" else _flat_tasks()[task]
        self.unit = "phrases" if task == "referring" else SCENE_TASKS[self._scenes].unit if self._scenes else "picture"
        self.family, self.split, self.count, self.seed, self.size = family, split, count, seed, size

    def meta(self) -> dict[str, Any]:
        """`classes` of the label maps, or `skeletons` of the figures."""
        if self.family == "solids":
            return {"classes": list(CLASSES), "categories": list(CLASSES[1:])}
        return dict(SCENE_TASKS[self._scenes].meta)

    def set_inputs(self) -> list[str]:
        """The version of the generator: shards of another one are drawn again. See `Source.set_inputs`."""
        return [f"scenes of version {SOLIDS_VERSION if self.family == 'solids' else VERSION}"]

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int) -> Sample:
        """Draw one sample: the image uint8 (size, size, 3), and its label map or instances.

        Raises:
            IndexError: index is not in 0 <= index < len.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"synthetic: got index {index}, expected 0 <= index < {self.count}.")
        if self.family == "solids":
            phrases = self.tasks[0] == "referring"
            return solids_sample(
                self.split,
                seed=self.seed,
                index=index,
                size=self.size,
                maps=self.maps,
                phrases=phrases,
                meta=self.meta(),
            )
        task = SCENE_TASKS[self._scenes]
        scene = draw_scene(task, self.split, seed=self.seed, index=index)
        rendered = render(scene, self.size)
        annotation = task.annotate(scene, rendered)
        if task.tell is not None:
            rng = numpy_rng(self.seed, "tell", VERSION, self._scenes, self.split, index)
            annotation |= task.tell(annotation, rendered, rng, self.split)
        image, target = rendered.picture, None
        if task.pair is not None:
            pair = task.pair(scene, self.size, numpy_rng(self.seed, "pair", VERSION, self._scenes, self.split, index))
            image, target, annotation = pair.picture, pair.target, annotation | pair.facts
        return Sample(
            key=f"{index:08d}",
            image=image,
            annotation=annotation,
            meta=self.meta(),
            label=None if task.label is None else task.label(scene, rendered),
            target=target,
        )


def _flat_tasks() -> dict[str, str]:
    """The tasks that flat scenes serve, each with that of `SCENE_TASKS` whose scenes it sees."""
    kinds = idiff.tasks.by_kind().items()
    return {
        **{kind: kind for kind in SCENE_TASKS},
        **{kind: task.scenes for kind, task in kinds if task.scenes in SCENE_TASKS},
    }


def _solid_tasks() -> dict[str, tuple[str, ...]]:
    """The tasks that solids serve, each with the maps that it reads."""
    kinds = idiff.tasks.by_kind().items()
    reading = {kind: task.maps for kind, task in kinds if task.maps and set(task.maps) <= set(MAPS)}
    alike = {kind: task.maps for kind, task in kinds if task.scenes in SERVED}
    return {**dict.fromkeys(SERVED, ()), **alike, **reading}


def _maps_of(task: str) -> tuple[str, ...]:
    """The maps that a task reads of solids.

    Raises:
        ConfigError: solids do not serve the task.
    """
    served = _solid_tasks()
    if task in served:
        return served[task]
    names = ", ".join(served)
    if task in _flat_tasks():
        raise ConfigError(f"synthetic: solids do not serve the task '{task}', they serve {names}. Leave --family out.")
    raise unknown("synthetic task", task, served)
