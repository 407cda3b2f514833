"""Compare the learned decoder with the color decoder on the same images: truth as painted, truth through the autoencoder, and
what a model paints.

    python tools/compare_decoders.py --checkpoint tiny --decoder runs/readout_tiny/decoder --data data/base/segmentation/val \
        data/base/referring/val data/base/keypoints/val --count 200 --out runs/readout_tiny/compare.json

Of each task: the mean over its items of IoU (masks) or OKS (joints) under both decoders, the paired difference with a 95 % interval
by bootstrap and the p value of Wilcoxon's signed-rank test, the task's own metrics, and the expected calibration error.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import wilcoxon

from idiff.callbacks.scoring import answers
from idiff.data.datamodule import TaskDataModule
from idiff.decoders.queries import asked_paint, visible
from idiff.errors import IdiffError
from idiff.metrics import oks
from idiff.metrics.calibration_error import CalibrationError
from idiff.models.io.checkpoint import load
from idiff.tasks.saved import restore_task

RESAMPLES = 10_000


def main(words: list[str] | None = None) -> int:
    options = parser().parse_args(words)
    torch.set_num_threads(options.threads)
    try:
        results = [row for data in options.data for row in compare(data, options)]
    except IdiffError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    Console(width=150).print(table(results))
    if options.out:
        Path(options.out).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = options.add_argument
    add("--checkpoint", default="tiny", help="the model that paints")
    add("--decoder", default="tiny", help="the learned decoder: a folder or a pretrained one's name")
    add("--data", nargs="+", required=True, help="folders of shards, one a task")
    add("--count", type=int, default=200, help="items of each")
    add("--steps", type=int, nargs="*", default=[1, 4], help="sampling steps the model paints with")
    add("--flip", action="store_true", help="the learned decoder reads the mirror, too")
    add("--color-share", type=float, default=0.0, help="share of the color decoder's score in the learned one's")
    add("--device", default="cpu")
    add("--threads", type=int, default=1)
    add("--out", help="a JSON file")
    return options


@torch.no_grad()
def compare(data: str, options: argparse.Namespace) -> list[dict]:
    """One row for each way images came about."""
    loaded = load(options.checkpoint)
    backbone = loaded.backbone.to(options.device)
    arguments = {"weights": options.decoder, "flip": options.flip, "color_share": options.color_share}
    learned = {"decoder": "unet", "decoder_args": arguments}
    choices = {"color": {"decoder": "color", "decoder_args": None}, "unet": learned}
    found = {name: restore_task(loaded.config, None, data=data, changes=change) for name, change in choices.items()}
    name, tasks = found["color"].name, {which: choice.task for which, choice in found.items()}
    module = TaskDataModule(
        tasks["color"], val=data, name=name, val_samples=options.count, sampling=found["color"].sampling
    )
    module.setup("validate")
    ways = ["painted", "rendered", *[f"{steps} steps" for steps in options.steps]]
    rows = {way: {which: Reading(task) for which, task in tasks.items()} for way in ways}
    for each in module.val_dataloader()[0]:
        batch = each.to(options.device)
        rendered = backbone.autoencoder.render(batch.source)
        for way in ways:
            source = batch.source if way == "painted" else rendered
            if way == "painted":
                edited = batch.target
            elif way == "rendered":
                edited = backbone.autoencoder.render(batch.target)
            else:
                sampling = found["color"].sampling
                sampling.steps = int(way.split()[0])
                edited = backbone.edit(
                    batch.source, batch.instruction, sampling=sampling, seeds=batch.position.tolist()
                )
            for reading in rows[way].values():
                reading.add(edited, source, batch)
    return [summary(name, way, *(rows[way][which] for which in ("color", "unet"))) for way in ways]


class Reading:
    """What one decoder makes of images of one task that came about in one way."""

    def __init__(self, task):
        self.task, self.values = task, []
        self.metrics, self.calibration = task.metrics(), CalibrationError()

    def add(self, edited, rendered, batch):
        for answer in answers(self.task, edited, rendered, batch):
            self.metrics.update(answer.prediction, answer.truth)
            self.values.append(value(answer.prediction, answer.truth))
        colors, _ = asked_paint(batch.query, edited)
        scores = self.task.decoder.scores(edited, rendered, colors, self.task.transparency)
        asked = colors.isfinite().all(dim=2)
        self.calibration.add(scores[asked].cpu(), visible(batch.answer)[:, : colors.shape[1]][asked].cpu().round())


def value(prediction, truth) -> float:
    """OKS of a person, IoU of a mask, or mean IoU of the classes that were asked; empty against empty is 1."""
    if truth.keypoints is not None:
        return oks(prediction.keypoints.cpu(), truth.keypoints, area=truth.area, sigmas=truth.sigmas)
    if truth.mask is not None:
        return iou(prediction.mask.cpu(), truth.mask)
    known = truth.labels != 255
    return float(np.mean([iou(mask.cpu() & known, truth.labels == index) for index, mask in prediction.masks.items()]))


def iou(found, true) -> float:
    union = int((found | true).sum())
    return int((found & true).sum()) / union if union else 1.0


def summary(task: str, way: str, color: Reading, unet: Reading) -> dict:
    """Means, paired difference, its interval and p value."""
    pairs = np.array([color.values, unet.values], dtype=np.float64)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    difference = pairs[1] - pairs[0]
    rng = np.random.default_rng(0)
    means = difference[rng.integers(len(difference), size=(RESAMPLES, len(difference)))].mean(axis=1)
    return {
        "task": task,
        "pictures": way,
        "items": len(difference),
        "color": float(pairs[0].mean()),
        "unet": float(pairs[1].mean()),
        "difference": float(difference.mean()),
        "interval": np.quantile(means, [0.025, 0.975]).tolist(),
        "p": float(wilcoxon(difference).pvalue) if difference.any() else 1.0,
        "metrics": {name: numbers(reading.metrics) for name, reading in (("color", color), ("unet", unet))},
        "ece": {"color": float(color.calibration.compute()), "unet": float(unet.calibration.compute())},
    }


def numbers(metrics) -> dict[str, float | None]:
    found = {name: float(one) for name, one in metrics.compute().items()}
    return {name: one if np.isfinite(one) else None for name, one in found.items()}


def table(results: list[dict]) -> Table:
    drawn = Table()
    for column in (
        "task",
        "pictures",
        "items",
        "color",
        "unet",
        "difference",
        "95 %",
        "p",
        "ece",
        "metrics color -> unet",
    ):
        drawn.add_column(column)
    for row in results:
        low, high = row["interval"]
        both = row["metrics"]
        known = [name for name, one in both["color"].items() if one is not None and both["unet"][name] is not None]
        shown = ", ".join(f"{name} {both['color'][name]:.3f} -> {both['unet'][name]:.3f}" for name in known)
        drawn.add_row(
            row["task"], row["pictures"], str(row["items"]), f"{row['color']:.4f}", f"{row['unet']:.4f}",
            f"{row['difference']:+.4f}", f"{low:+.4f} to {high:+.4f}", f"{row['p']:.2g}",
            f"{row['ece']['color']:.4f} -> {row['ece']['unet']:.4f}", shown,
        )  # fmt: skip
    return drawn


if __name__ == "__main__":
    sys.exit(main())
