"""What each number of sampling steps is worth: every task of a model over 1, 2, 4, 8, 16 and 50 steps.

    python tools/steps_curve.py --checkpoint tiny --data data/base --tasks segmentation keypoints --limit 100 --out runs/base/curve

Each task is measured on DATA/TASK/SPLIT, at the guidance and with the sampler of its preset, or of its training where it has none.
Writes OUT/curve.json, OUT/curve.png and OUT/table.md, the table for a model card. The points lie in OUT/TASK.json, in the format of
`idiff tune`: the same command goes on where it was cut.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from idiff.cli.arguments import counts
from idiff.cli.trainer import one_device, quiet, scoring_trainer
from idiff.cli.tune import STEPS
from idiff.errors import IdiffError
from idiff.evaluation.measure import Painting
from idiff.evaluation.measured_points import Point
from idiff.evaluation.task_slice import TaskSlice
from idiff.evaluation.tuning_plots import number, save_png
from idiff.models.io.checkpoint import load
from idiff.tasks.saved import restore_task

TASKS = ("segmentation", "referring", "keypoints", "editing", "denoise", "deblur", "dewatermark")


def main(words: list[str] | None = None) -> int:
    options = parser().parse_args(words)
    quiet()
    disable_progress_bar()
    try:
        measure(options)
    except IdiffError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = options.add_argument
    add("--checkpoint", default="tiny", help="the model")
    add("--data", type=Path, default=Path("data/base"), help="a folder with one of shards for each task and split")
    add("--tasks", nargs="+", default=list(TASKS), help="names of folders there, and of the model's tasks")
    add("--split", default="val")
    add("--limit", type=int, help="items of each; default: all")
    add("--steps", type=counts, default=STEPS, help="step counts with commas between")
    add("--seed", type=int, default=0, help="of the sampled images")
    add("--device", help="where the network runs; default: what there is")
    add("--out", type=Path, required=True, help="a folder")
    return options


def measure(options: argparse.Namespace) -> None:
    trainer = scoring_trainer(one_device(options.device), bar=False)
    loaded = load(options.checkpoint)
    painting = Painting(loaded.backbone)
    options.out.mkdir(parents=True, exist_ok=True)
    curves: dict[str, list[Point]] = {}
    metrics: dict[str, str] = {}
    for task in options.tasks:
        data = str(options.data / task / options.split)
        choice = restore_task(loaded.config, task, data=data, changes={}, presets=loaded.presets)
        here = TaskSlice(
            loaded, painting, choice, trainer=trainer, data=data, out=options.out / f"{task}.json", limit=options.limit,
            seed=options.seed,
        )  # fmt: skip
        metrics[task], curves[task] = here.metric, []
        for steps in sorted(set(options.steps)):
            curves[task].append(here.score(replace(choice.sampling, steps=steps)))
            sys.stderr.write(f"{task}: {steps} steps\n")
    content = {
        "checkpoint": {"name": loaded.name, "sha256": loaded.sha256, "step": loaded.step},
        "limit": options.limit,
        "seed": options.seed,
        "tasks": {task: curve(points, metrics[task]) for task, points in curves.items()},
    }
    (options.out / "curve.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draw_curves(curves, metrics, options.out / "curve.png", title=f"{loaded.name}: headline metric over sampling steps")
    text = markdown(curves, metrics)
    (options.out / "table.md").write_text(text, encoding="utf-8")
    Console().print(text, markup=False)


def curve(points: list[Point], metric: str) -> dict:
    """One task's curve as plain values: what is the same everywhere once, what differs by step count."""
    first = points[0]
    guidance = {
        "text": first.sampling.guidance_text,
        "image": first.sampling.guidance_image,
        "rule": first.sampling.rule,
    }
    return {
        "metric": metric,
        "sampler": first.sampling.sampler,
        "guidance": guidance,
        "samples": first.samples,
        "queries": first.queries,
        "points": [
            {
                "steps": point.sampling.steps,
                "evaluations_per_query": point.evaluations_per_query,
                "seconds_per_query": point.seconds_per_query,
                "metrics": point.metrics,
            }
            for point in points
        ],
    }


def draw_curves(curves: Mapping[str, Sequence[Point]], metrics: Mapping[str, str], path: Path, *, title: str) -> None:
    """Draw each task's headline metric over the number of steps, in a panel of its own.

    Args:
        curves: task -> points that differ in their steps alone.
        metrics: task -> its headline metric.
        path: the PNG to write.
        title: above the image.

    Raises:
        ConfigError: the file cannot be written.
    """
    columns = min(len(curves), 3)
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.8 * rows), layout="constrained")
    figure.suptitle(title, fontsize=10)
    for place, (task, points) in enumerate(curves.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        steps = [point.sampling.steps for point in points]
        axes.plot(steps, [point.score(metrics[task]) for point in points], marker="o", color="tab:blue")
        _powers(axes, steps)
        axes.set_title(task, fontsize=9)
        axes.set_xlabel("steps", fontsize=8)
        axes.set_ylabel(metrics[task], fontsize=8)
    save_png(figure, path)


def markdown(curves: Mapping[str, Sequence[Point]], metrics: Mapping[str, str]) -> str:
    """A table with a row a task and a column a step count: the headline metric.

    Args:
        curves: task -> points that differ in their steps alone.
        metrics: task -> its headline metric.
    """
    steps = sorted({point.sampling.steps for points in curves.values() for point in points})
    head = ["task", "metric", *(f"{count} step{'s' if count > 1 else ''}" for count in steps)]
    lines = [head, ["---"] * len(head)]
    for task, points in curves.items():
        by = {point.sampling.steps: point.score(metrics[task]) for point in points}
        lines.append([task, metrics[task], *(number(by[count]) if count in by else "-" for count in steps)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _powers(axes, ticks: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(ticks), [str(tick) for tick in ticks], fontsize=7)
    axes.tick_params(axis="y", labelsize=7)
    axes.minorticks_off()
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    sys.exit(main())
