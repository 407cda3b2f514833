"""Drawn scenes as a data source: no files, any number of samples, exact truth."""

from __future__ import annotations

from typing import Any

from idiff.data.sources.base import Source
from idiff.errors import ConfigError, unknown
from idiff.synthetic.drawing.render import render
from idiff.synthetic.scenes.samples import SCENE_TASKS, VERSION, draw_scene
from idiff.types import Sample
from idiff.utils.seeds import numpy_rng

SIZES = (32, 1024)
"""Smallest and largest side of an image in pixels."""


class SyntheticSource(Source):
    """Drawn scenes for one task.

    A sample is a pure function of the generator's version, the task's layout, split, seed and index. Splits of one seed
    share no scene; a shorter set is the beginning of a longer one.

    Args:
        task: `segmentation` (label maps of the kinds of object), `referring` (phrases about the same scenes; splits whose
            names begin with `val` or `test` also name pairs of kind and color that others never name), `detection` (the
            same scenes, their objects with masks and boxes), `classification` (scenes of one object), `keypoints`
            (figures with 14 joints), `denoise`, `deblur`, `dewatermark` (damaged and clean image) or `editing` (a
            sentence, the image before and after it).
        split: any name, such as `train` or `val`.
        count: number of samples.
        seed: of the whole set.
        size: side of the images in pixels.

    Raises:
        ConfigError: an unknown task, or a count or size out of range.
    """

    def __init__(self, task: str, *, split: str, count: int, seed: int = 0, size: int = 64) -> None:
        if task not in SCENE_TASKS:
            raise unknown("synthetic task", task, SCENE_TASKS)
        if count < 1:
            raise ConfigError(f"synthetic: got count {count}, expected at least 1. Pass --count N.")
        if not SIZES[0] <= size <= SIZES[1]:
            raise ConfigError(f"synthetic: got size {size}, expected {SIZES[0]} to {SIZES[1]} pixels.")
        self.tasks = (task,)
        self.unit = SCENE_TASKS[task].unit
        self.split, self.count, self.seed, self.size = split, count, seed, size

    def meta(self) -> dict[str, Any]:
        """`classes` of the label maps, or `skeletons` of the figures."""
        return dict(SCENE_TASKS[self.tasks[0]].meta)

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int) -> Sample:
        """Draw one sample: the image uint8 (size, size, 3), and its label map or instances.

        Raises:
            IndexError: index is not in 0 <= index < len.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"synthetic: got index {index}, expected 0 <= index < {self.count}.")
        task = SCENE_TASKS[self.tasks[0]]
        scene = draw_scene(task, self.split, seed=self.seed, index=index)
        rendered = render(scene, self.size)
        annotation = task.annotate(scene, rendered)
        if task.tell is not None:
            rng = numpy_rng(self.seed, "tell", VERSION, self.tasks[0], self.split, index)
            annotation |= task.tell(annotation, rendered, rng, self.split)
        image, target = rendered.picture, None
        if task.pair is not None:
            pair = task.pair(scene, self.size, numpy_rng(self.seed, "pair", VERSION, self.tasks[0], self.split, index))
            image, target, annotation = pair.picture, pair.target, annotation | pair.facts
        return Sample(
            key=f"{index:08d}",
            image=image,
            annotation=annotation,
            meta=self.meta(),
            label=None if task.label is None else task.label(scene, rendered),
            target=target,
        )
