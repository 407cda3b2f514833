"""Base of the tasks that paint the objects of one class a prompt."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from torch import Tensor

from idiff.checks import check_number
from idiff.tasks.common.examples import object_shapes
from idiff.tasks.common.objects import Thing, absent_category, categories_of, known_parts, numbered, things_of
from idiff.tasks.common.skeleton import image_id
from idiff.tasks.common.view import ASKED, View, needed_words, warp_sample, whole_view
from idiff.tasks.instructions import Template
from idiff.tasks.region import ClassRegionTask
from idiff.transforms.frames import frame_keeping, frame_whole
from idiff.transforms.geometry import chain, warp_labels
from idiff.types import VOID, Labels, Picture, Sample, Triplet
from idiff.utils.settings import READING
from idiff.utils.strings import name_words


class ObjectTask(ClassRegionTask):
    """One prompt a class: its objects are painted.

    Objects are the sample's `annotation["instances"]` with `mask` or `box` (then the filled box is painted); classes are
    `meta["categories"]`.

    A subclass says in which colors it asks (`asks`), how objects are painted (`tint`), and what is true (`facts`).

    Args:
        min_pixels: regions with fewer of the model's pixels are specks, not objects.
        options: arguments of `ClassRegionTask` and `RegionTask`; `crop` keeps the asked objects whole.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    def __init__(self, *, min_pixels: Annotated[int, READING] = 8, **options: Any) -> None:
        super().__init__(**options)
        check_number("min_pixels", min_pixels, least=1)
        self.min_pixels = min_pixels

    @abstractmethod
    def asks(self, view: View, rng: np.random.Generator | None) -> dict[str, Any]:
        """The colors of a prompt, as its query holds them: `color`, `rgb`, or `colors`, `rgbs`. Without `rng` nothing is drawn."""

    @abstractmethod
    def tint(self, view: View, numbers: Labels, asked: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Paint.

        Args:
            view: the source.
            numbers: uint8 (h, w), the objects of the class, numbered from 1 on as the view sees them; 0 elsewhere.
            asked: what `asks` gave.

        Returns:
            the target (3, h, w), and what is painted: float32 (K, h, w), one map a color.
        """

    @abstractmethod
    def facts(self, sample: Sample, things: Sequence[Thing]) -> dict[str, Any]:
        """What is true of all classes, for `truth`."""

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Draw a class, and paint. See `Task.encode`."""
        things, names = things_of(sample), categories_of(sample)
        present = sorted({thing.category for thing in things})
        absent = [index for index in range(len(names)) if index not in present]
        pool = (absent if rng.random() < self.negatives else present) or present or absent
        chosen = pool[int(rng.integers(len(pool)))]
        numbers = numbered(things, chosen, sample.image.shape)
        view = (
            self._view(sample, numbers, rng)
            if train
            else whole_view(sample.image, self.size, frame=self.frame, labels=numbers)
        )
        asked, group = self.asks(view, rng), f"{sample.key}/{item}"
        return self._paint(sample, group, view, things, chosen, asked=asked, template=self.bank.draw(rng))

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """One prompt a class, all in the same colors. See `Task.queries`."""
        things, total = things_of(sample), len(categories_of(sample))
        ask = self._asks(total)
        present = {thing.category for thing in things}
        wanted = set(range(total)) if ask == "all" else {*present, absent_category(sample.key, total, present)} - {None}
        plain, group = whole_view(sample.image, self.size, frame=self.frame), f"{sample.key}/{item}"
        asked, template = self.asks(plain, None), self.bank.asking(group)
        triplets = []
        for index in sorted(index for index in wanted if index is not None):
            numbers = numbered(things, index, sample.image.shape)
            view = replace(plain, labels=warp_labels(numbers, plain.matrix, plain.size))
            triplets.append(self._paint(sample, group, view, things, index, asked=asked, template=template))
            triplets[-1].query["asked"] = ask
        return triplets

    def asked(self, picture: Picture, text: str) -> Sample:
        """Ask for all objects of one class by its name. See `Task.asked`."""
        return Sample(ASKED, picture, {"instances": []}, meta={"categories": [needed_words(text)]})

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Filled shapes on a noisy background. See `Task.example`."""
        return object_shapes(rng)

    def _view(self, sample: Sample, numbers: Labels, rng: np.random.Generator) -> View:
        """A training view: objects of the class stay whole where crops are drawn."""
        frame = frame_whole((numbers.shape[0], numbers.shape[1]), self.size)
        if self.crop and numbers.any():
            frame = frame_keeping(numbers > 0, self.size, rng)
        if rng.random() < self.flip:
            frame = chain(frame, np.array([[-1.0, 0.0, self.size - 1.0], [0.0, 1.0, 0.0]]))
        return warp_sample(sample.image, frame, self.size, augment=self.augment, rng=rng, labels=numbers)

    def _paint(
        self,
        sample: Sample,
        group: str,
        view: View,
        things: Sequence[Thing],
        index: int,
        *,
        asked: Mapping[str, Any],
        template: Template,
    ) -> Triplet:
        """Paint one class into a view, and write down what was asked and what is true."""
        assert view.labels is not None
        names = categories_of(sample)
        name = name_words(names[index])
        target, answer = self.tint(view, np.where(view.labels == VOID, 0, view.labels).astype(np.uint8), asked)
        facts = {"class": index, "name": name, "classes": len(names), "image_id": image_id(sample), **asked}
        if "category_ids" in sample.meta:
            facts["category_ids"] = list(sample.meta["category_ids"])
        return Triplet(
            key=f"{group}/{index}",
            source=view.source,
            instruction=template.fill([{"object": name, **asked}]),
            target=target,
            query=self._query(sample, facts, group=group, view=view),
            annotation={"key": sample.key, **self.facts(sample, things)},
            answer=answer,
            parts=known_parts(sample, view.matrix, view.size),
        )
