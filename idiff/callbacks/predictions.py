"""Predictions as files that others can look at and re-score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from idiff.callbacks.scoring import Answer, answers
from idiff.callbacks.seen import painter, task_of
from idiff.errors import ConfigError
from idiff.metrics.results import coco_keypoint_result
from idiff.types import Batch
from idiff.utils.images import to_picture, write_png
from idiff.utils.seeds import hash64


class PredictionFiles:
    """Write answers under `folder/<task>`.

    `masks/KEY.png` label maps (or `masks/KEY_ITEM.png`, one mask an item) in the pixels of the original picture;
    `keypoints.json` in COCO's results format;
    `painted/KEY_ITEM_N.png` what the model painted, in the model's pixels; `queries.jsonl` with key, prompt and query a line.

    Args:
        folder: made where missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.keypoints: dict[str, list[dict[str, Any]]] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the folder {self.folder} for predictions cannot be made: {error.strerror}. Choose one that can."
            ) from None
        self._begun: set[str] = set()

    def write(self, batch: Batch, edited: Tensor, found: list[Answer]) -> None:
        """Write one batch's answers. Edited: (B, 3, H, W) in [-1, 1]."""
        name = batch.task[0]
        place = self.folder / name
        place.mkdir(exist_ok=True)
        with (place / "queries.jsonl").open("a" if name in self._begun else "w", encoding="utf-8") as lines:
            self._begun.add(name)
            for answer in found:
                for number, row in enumerate(range(answer.rows.start, answer.rows.stop)):
                    line = {"key": batch.keys[row], "prompt": batch.instruction[row], "query": batch.query[row]}
                    lines.write(json.dumps(line, ensure_ascii=False) + "\n")
                    write_png(to_picture(edited[row]), place / "painted", f"{_name(batch.query[row])}_{number}")
                self._write_answer(place, name, answer)

    def _write_answer(self, place: Path, name: str, answer: Answer) -> None:
        prediction, key = answer.prediction, _name(answer.queries[0])
        if prediction.labels is not None:
            write_png(prediction.labels.cpu().numpy(), place / "masks", answer.queries[0]["key"])
        elif prediction.mask is not None:
            write_png(prediction.mask.cpu().numpy(), place / "masks", key)
        if prediction.picture is not None:
            write_png(to_picture(prediction.picture), place / "pictures", key)
        if prediction.keypoints is not None:
            query = answer.queries[0]
            number = query.get("image_id", hash64("image", query["key"]) >> 11)  # fits a double, as JSON readers need
            result = coco_keypoint_result(prediction, image_id=number, category_id=query.get("category_id", 1))
            self.keypoints.setdefault(name, []).append(result)

    def close(self) -> None:
        """Write the keypoint results."""
        for name, results in self.keypoints.items():
            text = json.dumps(results)
            (self.folder / name / "keypoints.json").write_text(text, encoding="utf-8")


def _name(query: dict[str, Any]) -> str:
    """File name of a group: the sample's key and the item's number."""
    key, _, item = str(query["group"]).rpartition("/")
    return f"{key}_{item}" if key else item


@torch.no_grad()
def _write(
    files: PredictionFiles, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, edited: Tensor
) -> None:
    """Decode one batch by the path that scores it, and write it."""
    rendered = painter(pl_module).render(batch.target if batch.source is None else batch.source)
    files.write(batch, edited, answers(task_of(trainer, batch.task[0]), edited, rendered, batch))


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
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Decode and write one batch."""
        assert self._files is not None
        _write(self._files, trainer, pl_module, batch, outputs)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what is written at the end, and say where."""
        assert self._files is not None
        self._files.close()
        if trainer.is_global_zero:
            print(f"predictions written to {self._files.folder}")  # noqa: T201


class ValidationPredictions(pl.Callback):
    """Write what a validation decodes, by the same path that scores it.

    Args:
        out: folder.
    """

    def __init__(self, out: str) -> None:
        self._files = PredictionFiles(out)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Decode and write one batch."""
        _write(self._files, trainer, pl_module, batch, outputs)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what is written at the end."""
        self._files.close()
