"""Keypoint detection as painting: each asked joint gets a disc in its own color."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.checks import check_number
from idiff.decoders import locate, query_colors
from idiff.errors import ConfigError
from idiff.predictions import KeypointPrediction, KeypointTruth, expect
from idiff.tasks.base import Task
from idiff.tasks.common.baselines import mean_pose
from idiff.tasks.common.examples import figure
from idiff.tasks.common.flip_test import in_original, merge_points, scale_of
from idiff.tasks.common.prompts import fitting, prompts
from idiff.tasks.common.skeleton import (
    Person,
    asked_person,
    both_sides,
    check_scored,
    draw_joints,
    fills,
    image_id,
    joints_in,
    named_joints,
    person,
    scored_joints,
)
from idiff.tasks.common.view import (
    View,
    build_augment,
    build_decoder,
    check_frame,
    check_size,
    query_of,
    warp_sample,
    whole_view,
)
from idiff.tasks.instructions import InstructionBank, Phrasings, Template
from idiff.transforms.frames import FrameName, PersonDraw, frame_box, frame_person
from idiff.types import Picture, Prediction, Sample, Triplet, Truth
from idiff.utils import painting
from idiff.utils.settings import READING

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

MOST = 5
"""Most joints of one prompt, and the channels of `Triplet.answer`."""


class KeypointDetection(Task):
    """Paint up to five joints of one person as discs, each in its own color; read their places back from the colors.

    Shapes: images (3, H, W) float32 in [-1, 1]; keypoints (K, 3). Source: InstructDiffusion, section 3.1, and its released code.
    The person's box is given, as in top-down pose estimation. A hidden joint is painted, one without a label may be asked for
    and is not painted, and one outside of the crop is not asked for in training. Evaluation asks for every joint of the skeleton.

    Args:
        size: side of the model's image in pixels; with `frame: native64` the longer side of an image that a person fills.
        palette: one of `PALETTES`, see `idiff.utils.painting`.
        radius_share: radius of a disc as a share of the side; the paper's is 10 / 256.
        transparency: the share of the image that shows through a disc, in [0, 1); 0 is opaque.
        paint_hidden: paint joints that are labelled but hidden, too; OKS counts them.
        ask_unlabelled: training also asks for joints without a label; None: as `paint_hidden`.
        joints_per_prompt: most joints of one prompt, 1 to 5; training draws how many.
        joints_per_query: most joints of one prompt of evaluation; None: as `joints_per_prompt`. Fewer take longer.
        flip_test: evaluation asks about the mirrored image, too, and takes the mean, see `idiff.tasks.common.flip_test`.
        padding: how much larger than the person's box the crop is.
        scale_sigma, rotation_sigma, rotation_share, half_body_share, flip: how training views vary, see `PersonDraw`.
        instructions: file of templates with {joints} and a clause with {joint} and {color}; None: the built-in ones.
        augment: albumentations transforms of training, each `{name: ..., arguments}`; None: light color changes; []:
            none.
        decoder: name of the decoder.
        decoder_args: its arguments; None: the task's default.
        threshold: least share of a disc that must be painted for its joint to count as found.
        faint: place a joint that was not found where most of its color is, with a score below the threshold.
        phrasings: `seen` or `unseen`: which sentences evaluation asks with, see `InstructionBank`.
        frame: `native64`: where the box is all of the image, it is seen as the released InstructDiffusion does, see
            `idiff.transforms.frames.FrameName`; otherwise, and for any other box, the square around the box.
        score: `all` joints, or `coco`: those alone that COCO's people have by the same name, as the paper scores AP-10K.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    kind = "keypoints"
    unit = "instances"
    headline = "ap"
    former: ClassVar[Mapping[str, Any]] = {"paint_hidden": False}

    def __init__(
        self,
        size: int = 64,
        palette: painting.PaletteName = "saturated",
        radius_share: float = 0.0625,
        transparency: float = 0.0,
        paint_hidden: bool = True,
        ask_unlabelled: bool | None = None,
        joints_per_prompt: int = 5,
        padding: float = 1.25,
        scale_sigma: float = 0.35,
        rotation_sigma: float = 45.0,
        rotation_share: float = 0.6,
        half_body_share: float = 0.3,
        flip: float = 0.5,
        instructions: str | None = None,
        augment: list[dict[str, Any]] | None = None,
        decoder: Annotated[str, READING] = "color",
        decoder_args: Annotated[dict[str, Any] | None, READING] = None,
        threshold: Annotated[float, READING] = 0.25,
        faint: Annotated[bool, READING] = False,
        phrasings: Annotated[Phrasings, READING] = "seen",
        score: Annotated[str, READING] = "all",
        frame: Annotated[FrameName | None, READING] = None,
        flip_test: Annotated[bool, READING] = False,
        joints_per_query: Annotated[int | None, READING] = None,
    ) -> None:
        self.size = check_size(size)
        self.colors = painting.palette(palette)
        self.radius = radius_share * size
        self.transparency = painting.check_transparency(transparency)
        check_number("joints_per_prompt", joints_per_prompt, least=1, most=MOST, whole=True)
        if not 1.0 <= self.radius <= size / 4:
            raise ConfigError(
                f"{radius_share=} of {size} px is a disc of radius {self.radius:g}; expected 1 px to a quarter of it."
            )
        check_number("joints_per_query", joints_per_query, least=1, most=MOST, whole=True, optional=True)
        self.joints_per_query, self.flip_test = joints_per_query or joints_per_prompt, flip_test
        check_number("padding", padding, above=0)
        check_number("threshold", threshold, least=0)
        self.paint_hidden, self.joints_per_prompt, self.padding = paint_hidden, joints_per_prompt, padding
        self.ask_unlabelled = paint_hidden if ask_unlabelled is None else ask_unlabelled
        self.frame, self.one_size = check_frame(frame), frame != "native64"
        self.threshold, self.faint, self.score = threshold, faint, check_scored(score)
        self.draw = PersonDraw(scale_sigma, rotation_sigma, rotation_share, half_body_share, flip)
        self.bank = InstructionBank(self.kind, instructions, phrasings=phrasings)
        self.augment = build_augment(augment)
        self.decoder = build_decoder(decoder, decoder_args, default={})

    def encode(self, sample: Sample, item: int, rng: np.random.Generator, *, train: bool) -> Triplet:
        """Draw joints and colors, and paint. See `Task.encode`.

        Where no joint that may be asked for lies inside the crop, one is asked for and nothing is painted.
        """
        who = person(sample, item)
        view = self._view(sample, who, rng if train else None)
        joints = joints_in(who, view)
        known = np.flatnonzero(joints[:, 2] >= (0 if self.ask_unlabelled else 1))
        pool = known if len(known) else np.arange(len(joints))
        most = min(self.joints_per_prompt, len(known), len(self.colors))
        count = int(rng.integers(1, most + 1)) if most else 1
        chosen = [int(index) for index in rng.choice(pool, count, replace=False)]
        colors = [list(self.colors)[int(index)] for index in rng.choice(len(self.colors), count, replace=False)]
        template = self.bank.draw(rng)
        asking = partial(_ask, who, colors=colors, template=template)
        kept = fitting(chosen, asking, key=sample.key, field="skeleton.joints", what="joint")
        triplet = self._paint(sample, item, who, view, joints, chosen=kept, colors=colors, template=template)
        triplet.query["split"] = len(chosen) - len(kept)
        return triplet

    def queries(self, sample: Sample, item: int) -> list[Triplet]:
        """All joints of the skeleton, in prompts that fit the text encoder. See `Task.queries`."""
        colors, triplets = list(self.colors), []
        template, most = self.bank.asking(f"{sample.key}/{item}"), min(self.joints_per_query, len(colors))
        for who, mirror in both_sides(person(sample, item), flip_test=self.flip_test):
            order, asking = range(len(who.joints)), partial(_ask, who, colors=colors, template=template)
            asked = prompts(order, most, asking, key=sample.key, field="skeleton.joints", what="joint")
            view = self._view(sample, who, None, mirror=mirror)
            triplets += [
                self._paint(
                    sample, item, who, view, joints_in(who, view), chosen=chosen, colors=colors, template=template
                )
                for chosen in asked
            ]
            for triplet in triplets[-len(asked) :]:
                triplet.query["split"] = len(asked) - math.ceil(len(who.joints) / most)
        return triplets

    def asked(self, picture: Picture, text: str) -> Sample:
        """Ask for joints, commas between their names, of the one person that fills the image. See `Task.asked`."""
        return asked_person(picture, text)

    def decode(self, edited: Tensor, rendered: Tensor, queries: Sequence[dict[str, Any]]) -> Sequence[Prediction]:
        """The asked joints, in the model's pixels. See `Task.decode`."""
        colors = query_colors([query["rgbs"] for query in queries], edited)
        scores = self.decoder.scores(edited, rendered, colors, self.transparency)
        points = locate(scores, radius=self.radius, threshold=self.threshold, faint=self.faint)
        return [
            KeypointPrediction(query=query, score=float(found[:, 2].mean()), keypoints=found)
            for query, found in ((query, row[: len(query["rgbs"])]) for query, row in zip(queries, points, strict=True))
        ]

    def combine(self, predictions: Sequence[Prediction], queries: Sequence[dict[str, Any]]) -> Prediction:
        """All joints of the person, in the original's pixels; NaN where a joint was not found. See `Task.combine`."""
        query = queries[0]
        found = [expect(each, KeypointPrediction, by=self.kind).keypoints for each in predictions]
        estimates = [
            (in_original(one, asked["warp"]), asked["indices"]) for one, asked in zip(found, queries, strict=True)
        ]
        points = merge_points(estimates, int(query["total"]), near=2 * self.radius / scale_of(query["warp"]))
        return KeypointPrediction(query=query, score=float(points[:, 2].mean()), keypoints=points)

    def truth(self, annotation: dict[str, Any]) -> KeypointTruth:
        """The person's joints and box in the original image. See `Task.truth`."""
        joints = torch.as_tensor(scored_joints(annotation, self.score), dtype=torch.float32)
        facts = {name: annotation[name] for name in ("key", "box", "area")}
        return KeypointTruth(**facts, keypoints=joints, sigmas=tuple(annotation["sigmas"]))

    def truth_of_prompt(self, annotation: dict[str, Any], query: dict[str, Any]) -> Truth:
        """Joints that the prompt does not ask for count as not labelled. See `Task.truth_of_prompt`."""
        truth = self.truth(annotation)
        others = torch.ones(len(truth.keypoints), dtype=torch.bool)
        others[query["indices"]] = False
        truth.keypoints[others, 2] = 0
        return truth

    def metrics(self) -> MetricCollection:
        """`ap ap50 ap75` by OKS, `pck` and `pck05`. See `Task.metrics`."""
        from torchmetrics import MetricCollection

        from idiff.metrics import PCK, KeypointAP

        return MetricCollection({"ap": KeypointAP(), "pck": PCK(0.1), "pck05": PCK(0.05)})

    def baseline(self, truths: Iterable[Truth]) -> tuple[str, Callable[[dict[str, Any]], Prediction]] | None:
        """The median pose inside the given box, for each number of joints. See `Task.baseline`."""
        return mean_pose(truths)

    def render(self, prediction: Prediction, picture: Picture) -> Picture:
        """Draw each joint that was found as a dot in its own color. See `Task.render`."""
        return draw_joints(picture, expect(prediction, KeypointPrediction, by=self.kind).keypoints)

    @classmethod
    def example(cls, rng: np.random.Generator) -> Sample:
        """A stick figure of 14 joints. See `Task.example`."""
        return figure(rng)

    def _view(self, sample: Sample, who: Person, rng: np.random.Generator | None, *, mirror: bool = False) -> View:
        """The square around the person, drawn in training, with an rng; or all of an image that the person fills."""
        if rng is None and self.frame == "native64" and fills(who.box, sample.image):
            return whole_view(sample.image, self.size, frame=self.frame, points=who.joints[:, :2], mirror=mirror)
        frame = frame_box(who.box, self.size, padding=self.padding, mirror=mirror)
        if rng is not None:
            how: dict[str, Any] = {"padding": self.padding, "draw": who.drawn(self.draw)}
            frame = frame_person(who.box, who.joints, self.size, rng, names=who.names, **how)
        augment = None if rng is None else self.augment
        return warp_sample(sample.image, frame, self.size, augment=augment, rng=rng, points=who.joints[:, :2])

    def _paint(
        self,
        sample: Sample,
        item: int,
        who: Person,
        view: View,
        joints: NDArray[np.float64],
        *,
        chosen: list[int],
        colors: list[str],
        template: Template,
    ) -> Triplet:
        """Paint the chosen joints into a view, each in the color of its place; write down what was asked, what is true."""
        colors = colors[: len(chosen)]
        least = 1 if self.paint_hidden else 2
        painted = [slot for slot, index in enumerate(chosen) if joints[index, 2] >= least]
        rgbs = [list(self.colors[color]) for color in colors]
        places = joints[[chosen[slot] for slot in painted], :2]
        answer = torch.zeros(MOST, *view.size)
        answer[painted] = painting.disc_maps(places, view.size, self.radius).float()
        look = {"radius": self.radius, "transparency": self.transparency}
        group = f"{sample.key}/{item}"
        asked = {
            **{"category": who.category, "category_id": who.category_id, "image_id": image_id(sample)},
            **{"joints": [who.names[index] for index in chosen], "indices": chosen, "total": len(who.names)},
            **{"box": list(who.box), "colors": colors, "rgbs": rgbs, "transparency": self.transparency},
        }
        return Triplet(
            key=f"{group}/{chosen[0]}" + who.suffix,
            source=view.source,
            instruction=_ask(who, chosen, colors=colors, template=template),
            target=painting.discs(view.source, places, [rgbs[slot] for slot in painted], **look),
            query=query_of(sample, asked, task=self.kind, group=group, matrix=view.matrix, entry=who.entry),
            annotation={"key": sample.key} | who.facts(),
            answer=answer,
            parts=named_joints(who.names, joints, view.size, radius=self.radius),
        )


def _ask(who: Person, chosen: Sequence[int], *, colors: Sequence[str], template: Template) -> str:
    """The instruction for joints, each in the color of its place."""
    names = [who.names[index] for index in chosen]
    return template.fill([{"joint": name, "color": color} for name, color in zip(names, colors, strict=False)])
