"""Predictions as files that others can look at and re-score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from torch import Tensor

from idiff.callbacks.protocols import task_of
from idiff.callbacks.scoring import GroupPrediction, group_predictions, in_order, of_all_ranks
from idiff.errors import ConfigError
from idiff.metrics.result_formats import item_name, results_of
from idiff.types import Batch, Painted
from idiff.utils.files import write_atomic
from idiff.utils.images import to_picture, write_png
from idiff.utils.picture_files import encode_map


class _Answer(NamedTuple):
    """The lines of `queries.jsonl` of one answer, and its entries in the lists of results, by file name."""

    lines: list[str]
    lists: dict[str, list[dict[str, Any]]]


class PredictionFiles:
    """Write answers under `folder/<task>`, in the pixels of the original images and in the field's own formats.

    A file is named by the sample's key, which is the original file's name with `-` for `/` and what cannot stand in a name.

    * semantic segmentation: `masks/KEY.png`, label maps with the set's own values, and `masks.json`, each asked class on
      its own (`idiff.metrics.result_formats.class_mask_results`);
    * referring segmentation: `masks/KEY_ITEM.png`, 0 and 255, and `masks.json` (`idiff.metrics.result_formats.mask_result`);
    * keypoints: `keypoints.json`, COCO's keypoint results; detection: `detections.json`, COCO's detection results;
    * classification: `classes.json`, for each image `key`, `image_id` and `scores`, class index -> score;
    * restoration and editing: `pictures/KEY.png`;
    * what `Task.stored` stores of an answer: `maps/KEY_depth.png`, millimeters in 16 bits, and `maps/KEY_normals.png`;
    * of all: `painted/KEY_ITEM_N.png`, what the model painted, in the model's pixels; and `queries.jsonl`, a line for each
      prompt with `key`, `prompt` and `query`, whose `origin` is what the set's own files call the sample.

    Args:
        folder: made where missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.answers: dict[str, list[_Answer]] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the folder {self.folder} for predictions cannot be made: {error.strerror}. Choose one that can."
            ) from None

    def write(self, batch: Batch, edited: Tensor, found: list[GroupPrediction]) -> None:
        """Write one batch's answers. Edited: (B, 3, H, W) in [-1, 1]."""
        place = self.folder / batch.task[0]
        place.mkdir(exist_ok=True)
        for answer in found:
            lines = []
            for number, row in enumerate(range(answer.rows.start, answer.rows.stop)):
                line = {"key": batch.keys[row], "prompt": batch.instruction[row], "query": batch.query[row]}
                lines.append(json.dumps(line, ensure_ascii=False))
                write_png(to_picture(edited[row]), place / "painted", f"{item_name(batch.query[row])}_{number}")
            self.answers.setdefault(batch.task[0], []).append(_Answer(lines, self._write_answer(place, answer)))

    def _write_answer(self, place: Path, answer: GroupPrediction) -> dict[str, list[dict[str, Any]]]:
        """Write the images of an answer; returns its entries in the lists of results."""
        results = results_of(answer.prediction, answer.queries)
        for (folder, name), image in results.images.items():
            write_png(image, place / folder, name)
        for end, values in answer.stored(answer.prediction).items():
            (place / "maps").mkdir(exist_ok=True)
            write_atomic(place / "maps" / f"{answer.queries[0]['key']}{end}", encode_map(values), error=ConfigError)
        return results.lists

    def close(self) -> None:
        """Write prompts and lists of results, of all ranks in the order of one process; every rank must call it."""
        parts = of_all_ranks(self.answers)
        if dist.is_available() and dist.is_initialized() and dist.get_rank():
            return
        for task in dict.fromkeys(name for part in parts for name in part):
            answers = in_order(part.get(task, []) for part in parts)
            lines = [line for answer in answers for line in answer.lines]
            (self.folder / task / "queries.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            lists: dict[str, list[dict[str, Any]]] = {}
            for answer in answers:
                for name, entries in answer.lists.items():
                    lists.setdefault(name, []).extend(entries)
            for name, entries in lists.items():
                (self.folder / task / name).write_text(json.dumps(entries), encoding="utf-8")


class PredictionWriter(pl.Callback):
    """Write what `predict` paints and reads back; see `PredictionFiles`.

    Args:
        out: folder; None: `predictions` in the run folder.
    """

    def __init__(self, out: str | None = None) -> None:
        self.out = out
        self._files: PredictionFiles | None = None

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the folder before anything is painted."""
        self._files = PredictionFiles(self.out or Path(trainer.default_root_dir) / "predictions")

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Painted,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Decode and write one batch."""
        assert self._files is not None
        with torch.no_grad():
            found = group_predictions(task_of(trainer, batch.task[0]), outputs.images, outputs.sources, batch)
        self._files.write(batch, outputs.images, found)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what is written at the end, and say where."""
        assert self._files is not None
        self._files.close()
        if trainer.is_global_zero:
            print(f"predictions written to {self._files.folder}")  # noqa: T201
