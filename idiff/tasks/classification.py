"""Image classification as painting: which of several colors does the model put into the middle of the image?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from idiff.checks import check_number
from idiff.errors import ConfigError
from idiff.predictions import ClassPrediction, ClassTruth, expect
from idiff.tasks.common.baselines import most_frequent
from idiff.tasks.common.examples import object_shapes
from idiff.tasks.common.objects import categories_of, known_parts, shown_class
from idiff.tasks.common.prompts import fitting, prompts
from idiff.tasks.common.region_masks import named_square
from idiff.tasks.common.view import ASKED, View, needed_words, whole_view
from idiff.tasks.instructions import Template
from idiff.tasks.region import ClassRegionTask
from idiff.types import Parts, Picture, Prediction, Sample, Triplet, Truth
from idiff.utils import painting
from idiff.utils.seeds import hash64
from idiff.utils.strings import name_words

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class ImageClassification(ClassRegionTask):
    """Name a few classes, each with a color; paint a square in the middle of the image in the color of the right one.

    Shapes: images (3, H, W) float32 in [-1, 1]. Source: InstructDiffusion, section 4.5 (classification is one of the tasks that
    its model was never trained on). A square in the middle, and not the object itself, because the answer is then at one place
    in every image: reading it needs no outline, and a thousand pixels vote instead of a few. It is painted like a mask, which the
    model knows how to do, so that the image still shows through. Which color stands for which class is drawn anew in training;
    only the words say it.

    The class of an image is `annotation["category"]` where it is given, else that of the largest of `annotation["instances"]`;
    classes of its other objects are never named beside it, so that one named class is right at most. Classes are
    `meta["categories"]`.

    Args:
        square: side of the square as a share of the image's, in (0, 1].
        classes_per_prompt: most classes that one prompt names, 2 to the number of colors.
        classes_per_query: most classes of one prompt of evaluation, 1 to the number of colors; None: as `classes_per_prompt`. Where
            it is 1, training also asks for one class alone. Fewer take longer.
        options: arguments of `ClassRegionTask` and `RegionTask`. `negatives`: how often training names no class that is right.
            `ask`: with `all`, evaluation names the classes in as many prompts as it takes, none of which knows of the others; with
            `present`, in one prompt the right class and others chosen by key, so that chance is one over their number.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind = "classification"
    headline = "accuracy"

    def __init__(
        self,
        *,
        square: float = 0.5,
        classes_per_prompt: int = 4,
        classes_per_query: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_number("square", square, least=0, most=1)
        side = round(square * self.size)
        if not 1 <= side <= self.size:
            raise ConfigError(f"{square=} of {self.size} px must be 1 px to all of it.")
        if self.frame == "native64":
            raise ConfigError(
                "frame native64: classification paints a square in the middle of a square. Use letterbox or crop."
            )
        start = (self.size - side) // 2
        self.square = slice(start, start + side)
        self.most = self._check_colors("classes_per_prompt", classes_per_prompt, least=2)
        self.most_of_query = self._check_colors(
            "classes_per_query", classes_per_prompt if classes_per_query is None else classes_per_query, least=1
        )

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Draw classes, colors and a sentence, and paint. See `Task.encode`."""
        right, others = shown_class(sample)
        view = self._look(sample, rng, train=train)
        wrong, template = rng.permutation(others).tolist(), self.bank.draw(rng)
        without = right is None or (rng.random() < self.negatives and len(wrong) > 0)
        count = int(rng.integers(min(2, self.most_of_query), self.most + 1))
        chosen = wrong[:count] if without else [right, *wrong[: count - 1]]
        colors = rng.permutation(list(self.colors)).tolist()
        asking = partial(self._ask, sample, colors=colors, template=template)
        chosen = fitting(chosen, asking, key=sample.key, field="meta.categories")
        chosen = [chosen[place] for place in rng.permutation(len(chosen)).tolist()]
        parts = known_parts(sample, view.matrix, self.size)
        return self._paint(sample, f"{sample.key}/{item}", view, chosen, colors=colors, template=template, parts=parts)

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """The classes, in an order and in colors that depend only on the sample key. See `Task.queries`."""
        right, others = shown_class(sample)
        group, total = f"{sample.key}/{item}", len(categories_of(sample))
        ask = self._asks(total)
        order = sorted(others, key=lambda index: hash64("choice", sample.key, index))
        if right is not None:
            order = [right, *(order[: self.most - 1] if ask == "present" else order)]
        order.sort(key=lambda index: hash64("place", sample.key, index))
        view = whole_view(sample.image, self.size, frame=self.frame)
        template, colors = self.bank.asking(group), list(self.colors)
        asking = partial(self._ask, sample, colors=colors, template=template)
        asked = prompts(
            order,
            self.most if ask == "present" else self.most_of_query,
            asking,
            key=sample.key,
            field="meta.categories",
        )
        parts = known_parts(sample, view.matrix, self.size)
        triplets = [
            self._paint(sample, group, view, chosen, colors=colors, template=template, parts=parts) for chosen in asked
        ]
        for triplet in triplets:
            triplet.query["asked"] = ask
        return triplets

    def asked(self, picture: Picture, text: str) -> Sample:
        """Ask which of several classes, commas between their names, an image shows. See `Task.asked`."""
        names = [name_words(name) for name in needed_words(text).replace(";", ",").split(",")]
        names = list(dict.fromkeys(name for name in names if name))
        if len(names) < 2:
            raise ConfigError(f"the text '{text}' names {len(names)} class: expected two or more with commas between.")
        return Sample(ASKED, picture, {"category": None, "instances": []}, meta={"categories": names})

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """The mean score of each named class's color in the square. See `Task.decode`."""
        means = self._scores(edited, rendered, queries)[..., self.square, self.square].mean(dim=(2, 3))
        found = []
        for query, row in zip(queries, means.tolist(), strict=True):
            named = dict(zip(query["indices"], row[: len(query["indices"])], strict=True))
            sure = {index: score if score >= self.min_score else 0.0 for index, score in named.items()}
            found.append(ClassPrediction(query=query, score=max(sure.values()), class_scores=sure))
        return found

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """The scores of all named classes, and the query in which the best one was named. See `Task.combine`."""
        best = max(range(len(predictions)), key=lambda place: predictions[place].score)
        found = [expect(one, ClassPrediction, by=self.kind) for one in predictions]
        merged = {index: score for one in found for index, score in one.class_scores.items()}
        return ClassPrediction(query=queries[best], score=predictions[best].score, class_scores=merged)

    def truth(self, annotation: dict[str, Any]) -> Truth:
        """The class of the image. See `Task.truth`."""
        return ClassTruth(key=annotation["key"], category=annotation["category"])

    def metrics(self) -> MetricCollection:
        """`accuracy` (top-1) and `balanced_accuracy`, its mean over classes. See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics import BalancedAccuracy, Top1Accuracy

        return MetricCollection({"accuracy": Top1Accuracy(), "balanced_accuracy": BalancedAccuracy()})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """The most frequent class. See `Task.baseline`."""
        return most_frequent(truths)

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """Write the name of the class into a square of its color. See `Task.render`."""
        from idiff.metrics import top1

        found = expect(prediction, ClassPrediction, by=self.kind)
        drawn, best = picture.copy(), top1(found.class_scores)
        if best is None or best not in prediction.query.get("indices", []):
            return drawn
        place = prediction.query["indices"].index(best)
        return named_square(drawn, prediction.query["names"][place], prediction.query["rgbs"][place])

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """Filled shapes on a noisy background, one of which is the largest. See `Task.example`."""
        return object_shapes(rng)

    def _ask(self, sample: Sample, chosen: Sequence[int], *, colors: Sequence[str], template: Template) -> str:
        """The instruction that names classes, each with the color of its place."""
        names = categories_of(sample)
        parts = [
            {"object": name_words(names[index]), "color": color} for index, color in zip(chosen, colors, strict=False)
        ]
        return template.fill(parts)

    def _paint(
        self,
        sample: Sample,
        group: str,
        view: View,
        chosen: list[int],
        *,
        colors: Sequence[str],
        template: Template,
        parts: Parts | None,
    ) -> Triplet:
        """Paint the square in the color of the right class, if it is named, and write down what was asked and what is true."""
        right, _ = shown_class(sample)
        used = list(colors[: len(chosen)])
        mask = torch.zeros(self.size, self.size, dtype=torch.bool)
        mask[self.square, self.square] = right in chosen
        color = self.colors[used[chosen.index(right)] if right in chosen else used[0]]
        names = categories_of(sample)
        asked = {
            "indices": list(chosen),
            "names": [name_words(names[index]) for index in chosen],
            "classes": len(names),
            "colors": used,
            "rgbs": [list(self.colors[one]) for one in used],
        }
        return Triplet(
            key=f"{group}/{chosen[0]}",
            source=view.source,
            instruction=self._ask(sample, chosen, colors=used, template=template),
            target=painting.blend(view.source, mask, color, self.transparency),
            query=self._query(sample, asked, group=group, view=view),
            annotation={"key": sample.key, "category": right},
            answer=mask.float()[None],
            parts=parts,
        )
