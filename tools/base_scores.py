"""Score the models that ship on held-out scenes, and write their model card.

    python tools/base_scores.py      one metric card a variant and task under runs/base/cards, then idiff/assets/models/README.md

Needs the test scenes that tools/make_base.py draws. Cards that are there are kept, unless the model is another one.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from idiff.config.compose import compose
from idiff.data.loading.collate import collate_examples
from idiff.data.loading.dataset import Example
from idiff.data.shards.reader import ShardSet
from idiff.models.io.checkpoint import load
from idiff.tasks.captioned import Captioned
from idiff.utils.seeds import numpy_rng

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "configs" / "experiment"
ASSETS = ROOT / "idiff" / "assets" / "models"
DATA, RUNS = Path("data/base"), Path("runs/base")
TASKS = ("segmentation", "keypoints", "referring", "editing", "denoise", "deblur", "dewatermark")
VARIANTS = ("tiny-tasks", "tiny-aligned")
EVERY_TASK = {
    **{task: task for task in TASKS}, "legends": "segmentation", "detection": "detection",
    "classification": "classification", "instances": "instances", "instances_solids": "instances_solids",
    "depth": "depth", "normals": "normals", "edges": "edges", "generate": "segmentation_solids",
}  # fmt: skip
"""Task of `tiny-all` by its name in training -> folder of its scenes."""
GAIN = "dB above the damaged image"
GOALS = {
    ("segmentation", "miou"): (0.70, 0.80), ("referring", "ciou"): (0.60, 0.70), ("referring", "n_acc"): (0.85, 0.92),
    ("keypoints", "ap"): (0.72, 0.85), ("keypoints", "pck"): (0.95, 0.98), ("denoise", GAIN): (8, 9),
    ("deblur", GAIN): (1.5, 3), ("dewatermark", GAIN): (2.7, 5), ("editing", "mse_ratio"): (0.36, 0.25),
    ("detection", "ap"): (0.40, 0.60), ("classification", "accuracy"): (0.70, 0.90), ("instances", "ap"): (0.30, 0.50),
    ("depth", "absrel"): (0.15, 0.08), ("depth", "delta1"): (0.80, 0.93), ("normals", "mean_angle"): (20, 12),
    ("edges", "ods"): (0.60, 0.75),
}  # fmt: skip
"""(task, metric) of `tiny-all` -> what it must reach, and what is hoped for."""
LOWER = {"mse_ratio", "absrel", "mean_angle"}
RECIPE = (
    "base_autoencoder", "base_decoder", "base_text", "base_pictures", "base_adapted", "base_tasks", "base_tasks_more",
    "base_tasks_names", "base_tasks_muon", "base_tasks_all", "base_tasks_long", "base_tasks_deep",
    "base_tasks_deep_more", "base_tasks_deep_last", "base_tasks_deep_end",
    "base_tasks_deep_fine",
)  # fmt: skip


LIMIT, LIMIT_EVERY = 250, 500
"""Held-out scenes, phrases or figures a task; of `tiny-all`."""


def score(name: str, task: str, folder: str | None = None, *, limit: int = LIMIT) -> dict[str, Any]:
    """The metric card of a variant on the held-out scenes of a task, at the task's preset."""
    file = RUNS / "cards" / f"{name}_{task}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        card: dict[str, Any] = json.loads(file.read_text())
        if card["checkpoint"]["sha256"] == load(name).sha256 and card["samples"] >= limit:
            return card
    words = ["evaluate", "--checkpoint", name, "--data", str(DATA / (folder or task) / "test"), "--task", task,
             "--limit", str(limit), "--out", str(file)]  # fmt: skip
    print("$ idiff", *words, flush=True)
    subprocess.run([sys.executable, "-m", "idiff", *words], check=True)
    card = json.loads(file.read_text())
    return card


def marked_loss(name: str, *, marks: float, pictures: int = 200) -> float:
    """Denoising loss of a text-to-image variant on validation images, all or none of which carry marks, under fixed noise."""
    backbone, task = load(name).backbone, Captioned(marks=marks)
    shards = ShardSet.open(DATA / "segmentation" / "val")
    losses = []
    for start in range(0, min(pictures, len(shards)), 50):
        rows = [
            Example(
                task.encode(shards.read(index), 0, numpy_rng(0, "marked", index), train=True), index, "captioned", []
            )
            for index in range(start, min(start + 50, len(shards)))
        ]
        with torch.no_grad():
            losses.append(float(backbone.loss(collate_examples(rows), seed=0, dropout=False)))
    return sum(losses) / len(losses)


def figures() -> str:
    """Table of all figures: the variants of stage 2 and 3 beside ceiling and floors."""
    lines = [
        "| task | metric | tiny-tasks | 95 % | tiny-aligned | ceiling | source | baseline |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        cards = [score(name, task) for name in VARIANTS]
        for metric, value in cards[0]["metrics"].items():
            interval = cards[0].get("intervals", {}).get(metric)
            others = [
                cards[1]["metrics"].get(metric),
                *(cards[0][column].get(metric) for column in ("ceiling", "identity", "guess")),
            ]
            shown = ["-" if number is None else f"{number:.3f}" for number in (value, *others)]
            between = "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
            lines.append(f"| {task} | {metric} | {shown[0]} | {between} | {' | '.join(shown[1:])} |")
    return "\n".join(lines)


def every_task() -> str:
    """Table of all figures of the model of every task."""
    lines = ["| task | metric | tiny-all | 95 % | ceiling | source | baseline |", "|---|---|---|---|---|---|---|"]
    for task, folder in EVERY_TASK.items():
        card = score("tiny-all", task, folder, limit=LIMIT_EVERY)
        for metric, value in card["metrics"].items():
            if value is not None:
                interval = card.get("intervals", {}).get(metric)
                between = "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
                others = [card[column].get(metric) for column in ("ceiling", "identity", "guess")]
                shown = ["-" if number is None else f"{number:.3f}" for number in (value, *others)]
                lines.append(f"| {task} | {metric} | {shown[0]} | {between} | {' | '.join(shown[1:])} |")
    return "\n".join(lines)


def goals() -> str:
    """Table of what the model of every task must reach, from the same cards."""
    lines = ["| task | metric | tiny-all | expected | hoped for | reached |", "|---|---|---|---|---|---|"]
    for (task, metric), (must, hoped) in GOALS.items():
        card = score("tiny-all", task, EVERY_TASK[task], limit=LIMIT_EVERY)
        value = card["metrics"]["psnr"] - card["identity"]["psnr"] if metric == GAIN else card["metrics"][metric]
        short = value - must if metric in LOWER else must - value
        reached = "yes" if short <= 0 else f"no, by {short:.3f}"
        lines.append(f"| {task} | {metric} | {value:.3f} | {must:g} | {hoped:g} | {reached} |")
    return "\n".join(lines)


def adaptation() -> str:
    """Table of stage 1: what marked images cost a text-to-image model before and after it."""
    lines = ["| variant | loss on marked images | loss on plain images |", "|---|---|---|"]
    for name in ("tiny-base", "tiny-adapted"):
        lines.append(f"| `{name}` | {marked_loss(name, marks=1.0):.4f} | {marked_loss(name, marks=0.0):.4f} |")
    return "\n".join(lines)


def recipe() -> str:
    """The experiments in their order, with steps and rows a step."""
    parts = []
    for name in RECIPE:
        settings = compose([str(EXPERIMENTS / f"{name}.yaml")])
        rows = settings["data"]["init_args"]["batch_size"] * settings["trainer"].get("devices", 1)
        parts.append(f"`{name}.yaml` ({settings['trainer']['max_steps']:,} steps of {rows})")
    return ", ".join(parts)


def main(words: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(words)
    text = (ROOT / "tools" / "base_card.md").read_text()
    curve = RUNS / "curve" / "table.md"
    filled = {
        "{recipe}": recipe(),
        "{table}": figures(),
        "{every}": every_task(),
        "{goals}": goals(),
        "{limit}": str(LIMIT),
        "{limit every}": str(LIMIT_EVERY),
        "{adaptation}": adaptation(),
        "{curve}": curve.read_text().strip() if curve.exists() else "(not measured: run tools/steps_curve.py)",
    }
    for slot, filling in filled.items():
        text = text.replace(slot, filling)
    if curve.exists():
        shutil.copyfile(curve.with_name("curve.png"), ASSETS / "curve.png")
    (ASSETS / "README.md").write_text(text)


if __name__ == "__main__":
    main()
