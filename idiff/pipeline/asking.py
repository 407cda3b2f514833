"""A trained model and its tasks, ready to be asked about images."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor

from idiff.checks import check_number
from idiff.errors import ConfigError, UntrustedError
from idiff.models.io.checkpoint import load
from idiff.models.memory import spare_memory
from idiff.models.ood import OODScore
from idiff.pipeline.choosing import choose_task
from idiff.pipeline.found import FoundCommands
from idiff.pipeline.image_input import AnyPicture, read_picture
from idiff.pipeline.pieces import ROWS, native_window, paint_pieces, sample_tiles, tile_windows
from idiff.pipeline.questions import Example, check_text, check_threshold, check_whole, one_way, questions, read_example
from idiff.pipeline.results import Answer, answer_of, notice_of
from idiff.tasks.asking import Asking
from idiff.tasks.common.region_masks import mask_prediction, original_scores
from idiff.tasks.common.view import cell_of, in_cell
from idiff.tasks.saved import TaskChoice, restore_task, saved_kinds
from idiff.transforms.geometry import unwarp
from idiff.types import Picture, Triplet
from idiff.utils.hardware import AUTO, chosen_device, weight_type
from idiff.utils.images import to_picture, to_tensor
from idiff.utils.merging import edited_weight, paste_back

RESTORATIONS = ("denoise", "deblur", "dewatermark")
"""What `restore` can be asked for, and the kinds of the tasks that do it."""

THRESHOLD = 20.0
"""Gray levels of 255 from which a pixel counts as edited: above what sampling changes where nothing was asked."""


class Pipeline(FoundCommands):
    """A trained model, and the tasks it was trained on, ready to be asked.

    Answers have the size of the image that was asked about, and lie on it pixel on pixel. An image is a file, a PIL image, an array
    or a tensor: see `idiff.pipeline.AnyPicture`.

    Args:
        checkpoint: a `.ckpt` file, a folder that `idiff export` wrote, or a pretrained model's name.
        steps: sampling steps; None: each task's own: those of its preset where the model has one, else the training's.
        seed: of the sampled images.
        device: where the network runs: `cpu`, `cuda`, `cuda:1`, `mps`; `auto`: the GPU where there is one.
        dtype: of the weights: `bfloat16` or `float16` halve the memory; None: `float32`.
        sampler, guidance_text, guidance_image: as in `Sampling`; None: each task's own.
        size: side in pixels at which the model sees an image; the longer side where the task has `frame: native64`. None: each
            task's own.
        preset: `paper` or `quick`, the published settings; `stored`, those of `idiff tune --store`; `training`. None: `stored`
            where there are some, else `training`. The settings above go over it.
        trust: import code of others that the checkpoint names, and read the files that it names.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        ConfigError: a setting has an unknown name or is out of its range, or there is no such device.
    """

    def __init__(
        self,
        checkpoint: str | Path = "tiny",
        *,
        steps: int | None = None,
        seed: int = 0,
        device: str = AUTO,
        dtype: str | None = None,
        sampler: str | None = None,
        guidance_text: float | None = None,
        guidance_image: float | None = None,
        size: int | None = None,
        preset: str | None = None,
        trust: bool = False,
    ) -> None:
        check_number("seed", seed, least=0, whole=True)
        self.asking = Asking(steps, sampler, guidance_text, guidance_image, size, preset)
        self.device, kind = chosen_device(device), weight_type(dtype)
        self.loaded = load(checkpoint)
        self.backbone = self.loaded.backbone.to(self.device)
        if kind != torch.float32:
            self.backbone.to(kind)
        self.seed, self.trust = seed, trust
        self.example: Example | None = None
        known = self.loaded.ood_score
        self.ood_score = None if known is None else OODScore.of(known)
        self.ood_damaged = {} if known is None else OODScore.damaged(known, RESTORATIONS)

    def with_settings(self, asking: Asking, *, seed: int = 0) -> Self:
        """A pipeline of the same model that is asked otherwise; the model is in memory once."""
        changed = copy.copy(self)
        changed.asking, changed.seed = asking, seed
        return changed

    def with_example(self, picture: AnyPicture, answer: AnyPicture) -> Self:
        """A pipeline of the same model that shows an example beside each question, for tasks trained with `example: pair`.

        Args:
            picture: see `AnyPicture`.
            answer: the same image with its answer painted as the task paints it.

        Raises:
            ConfigError: an image cannot be used, or the two differ in size.
        """
        changed = copy.copy(self)
        changed.example = read_example(picture, answer)
        return changed

    def segment(self, picture: AnyPicture, text: str) -> Answer:
        """Find what a phrase names, such as `the red star`; a model of classes alone is asked for that class."""
        return self.ask(("referring", "segmentation"), picture, text)

    def keypoints(self, picture: AnyPicture, text: str) -> Answer:
        """Find joints of the one person that fills the image, such as `left hand, right hand`."""
        return self.ask("keypoints", picture, text)

    def edit(
        self,
        picture: AnyPicture,
        text: str,
        *,
        keep_unedited: bool = False,
        threshold: float = THRESHOLD,
        tile: bool = False,
        native: bool = False,
    ) -> Answer:
        """Change an image as a sentence says.

        The whole image is fitted into the model's square with its shape kept, and the answer is enlarged to the image's size,
        so that a large image loses detail. Three ways around that:

        Args:
            picture: see `AnyPicture`.
            text: the sentence.
            keep_unedited: pixels that the edit left alone are those of the original, to the bit, with a soft edge between.
            threshold: gray levels of 255 from which a pixel counts as edited, for `keep_unedited`.
            tile: edit overlapping tiles of the model's size, each by itself, and blend them. Nothing is shrunk, but no tile knows
                what lies outside of it.
            native: paint the whole image at its own size, which the model was not trained for.

        Raises:
            ConfigError: the words or the image cannot be used, both `tile` and `native` are asked for, the threshold is not a gray
                level, or the image is too large for `native`.
        """
        check_threshold(threshold)
        check_text(text)
        pixels, choice = read_picture(picture), self._first("editing")
        if tile or native:
            return self._pieces(
                choice, pixels, text, native=one_way(tile, native), keep=threshold if keep_unedited else None
            )
        return self._asked(choice, pixels, text, keep=threshold if keep_unedited else None)

    def restore(self, picture: AnyPicture, text: str, *, tile: bool = False, native: bool = False) -> Answer:
        """Restore an image: `denoise`, `deblur` or `dewatermark`. Nothing is ever shrunk.

        Args:
            picture: see `AnyPicture`.
            text: one of the three.
            tile: restore overlapping tiles of the model's size and blend them: so it is done anyway, unless `native` is asked for.
            native: restore the whole image at once, at its own size, which the model was not trained for.

        Raises:
            ConfigError: the word or the image cannot be used, both `tile` and `native` are asked for, or the image is too large
                for `native`.
        """
        check_text(text)
        if text not in RESTORATIONS:
            raise ConfigError(
                f"restore knows no '{text}': expected {', '.join(RESTORATIONS[:-1])} or {RESTORATIONS[-1]}."
            )
        pixels, choice = read_picture(picture), self._first(text)
        return self._pieces(choice, pixels, text, native=one_way(tile, native), keep=None)

    def ask(self, task: str | tuple[str, ...] | TaskChoice, picture: AnyPicture, text: str = "") -> Answer:
        """Ask one of the model's tasks in words; see `Task.asked`.

        Args:
            task: its name in the training or its kind, also of a task of one's own; of several the first known; or its YAML.
            picture: see `AnyPicture`.
            text: what is asked; not every task needs words.

        Raises:
            ConfigError: the words or the image cannot be used, or the model was not trained on the task.
            UntrustedError: the task is code of others, and `trust` is not set.
        """
        check_text(text)
        pixels = read_picture(picture)
        if not isinstance(task, TaskChoice):
            task = self._first(*((task,) if isinstance(task, str) else task))
        return self._asked(task, pixels, text, keep=None)

    @torch.no_grad()
    def _asked(self, choice: TaskChoice, pixels: Picture, text: str, *, keep: float | None) -> Answer:
        """Ask about the image as the task looks at it: fitted into the model's square."""
        task = choice.task
        triplets = questions(task, pixels, text, self.example)
        edited, rendered = self._paint(triplets, choice)
        queries = [triplet.query for triplet in triplets]
        prediction = task.combine(task.decode(edited, rendered, queries), queries)
        edited, rendered = (cell_of(one, queries[0]) for one in (edited, rendered))
        queries = [in_cell(query) for query in queries]
        ood_score = self._familiar(pixels, choice)
        size = (pixels.shape[0], pixels.shape[1])
        painted = [to_picture(unwarp(one, query["warp"], size)) for one, query in zip(edited, queries, strict=True)]
        answer = answer_of(
            task, pixels, triplets, prediction, ood_score=ood_score, joints=choice.joints, text=text, painted=painted
        )
        if keep is not None:
            weight = edited_weight(edited[:1], rendered[:1], threshold=keep)[0]
            shown = original_scores([mask_prediction(queries[0], weight)], queries[0])[0]
            answer.overlay = paste_back(pixels, answer.overlay, shown)
        return answer

    def _pieces(self, choice: TaskChoice, pixels: Picture, text: str, *, native: bool, keep: float | None) -> Answer:
        """Paint the image pixel on pixel: in tiles, or whole."""
        task, size = choice.task, (pixels.shape[0], pixels.shape[1])
        check_whole(task)
        self.backbone.sample_seed = self.seed
        instruction = task.queries(task.asked(pixels, text), 0)[0].instruction
        if native:
            windows, overlap = [native_window(size, self.backbone.autoencoder.factor)], 0
        else:
            windows, overlap = tile_windows(size, int(choice.settings["size"]))
        painted = paint_pieces(
            self.backbone, choice, pixels, instruction, windows=windows, overlap=overlap,
            threshold=THRESHOLD if keep is None else keep, device=self.device, native=native,
        )  # fmt: skip
        picture, ood_score = to_picture(painted.picture), self._familiar(pixels, choice)
        return Answer(
            task=task.kind,
            prompts=[instruction],
            picture=pixels,
            overlay=picture if keep is None else paste_back(pixels, picture, painted.weight),
            score=None,
            ood_score=ood_score,
            notice=notice_of(ood_score),
            text=text,
            painted=[picture],
        )

    @torch.no_grad()
    def _familiar(self, pixels: Picture, choice: TaskChoice) -> float | None:
        """How familiar an image is; None where the model does not say.

        An image is judged as a whole, without the borders that a task may see around it. A damaged one is judged by its tiles, as
        restoration sees them, because noise is gone from a smaller copy.
        """
        if self.ood_score is None:
            return None
        side = int(self._trained(choice).settings["size"])
        if choice.task.kind in RESTORATIONS:
            shown = sample_tiles(pixels, side)
        else:
            small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
            shown = to_tensor(np.asarray(small, dtype=np.uint8))[None]
        rendered = self.backbone.autoencoder.render(shown.to(self.device)).cpu()
        return float(self.ood_damaged.get(choice.task.kind, self.ood_score)(shown, rendered).median())

    def _paint(self, triplets: Sequence[Triplet], choice: TaskChoice) -> tuple[Tensor, Tensor]:
        """Painted and rendered images of the prompts of one image, each (B, 3, H, W)."""
        self.backbone.sample_seed = self.seed
        source = torch.stack([triplet.source for triplet in triplets if triplet.source is not None]).to(self.device)
        spare_memory(self.backbone, (source.shape[2], source.shape[3]))
        edited = torch.cat(
            [
                self.backbone.edit(
                    source[start : start + ROWS],
                    [triplet.instruction for triplet in triplets[start : start + ROWS]],
                    sampling=choice.sampling,
                    seeds=range(start, min(start + ROWS, len(triplets))),
                )
                for start in range(0, len(triplets), ROWS)
            ]
        )
        return edited, self.backbone.autoencoder.render(source[:1]).expand_as(edited)

    def _trained(self, choice: TaskChoice) -> TaskChoice:
        """The choice as the model was trained on it."""
        if self.asking.size is None or not choice.entry:
            return choice
        return restore_task(self.loaded.config, choice.entry, data="", changes={}, trust=self.trust)

    def _first(self, *kinds: str) -> TaskChoice:
        """The model's task of the first of these kinds that it knows, asked as the options say."""
        known = saved_kinds(self.loaded.config, trust=self.trust)
        *others, last = [kind for kind in kinds if kind in {*known, *known.values()}] or kinds[-1:]
        for kind in others:
            with suppress(UntrustedError):
                return choose_task(self.loaded, self.asking, kind, trust=self.trust)
        return choose_task(self.loaded, self.asking, last, trust=self.trust)
