"""`idiff tune`: the fewest steps that are good enough, found on validation data and kept with the model."""

from __future__ import annotations

import argparse
import math
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from idiff.cli.align.generate import scales
from idiff.cli.arguments import WordParser, at_least_one
from idiff.cli.bar import progress
from idiff.errors import ConfigError

if TYPE_CHECKING:
    from idiff.evaluation.measure import Painting
    from idiff.evaluation.task_slice import TaskSlice
    from idiff.evaluation.tuning import Point
    from idiff.types import Sampling

STEPS = (1, 2, 4, 8, 16, 50)
TOLERANCE = 0.01


def parser() -> WordParser:
    """Options of `idiff tune`."""
    options = WordParser(
        prog="idiff tune",
        description="Measure sampler, steps and guidance on validation data, and choose the cheapest setting that is good enough. "
        "Killed, the same command goes on.",
    )
    add = options.add_argument
    add("--checkpoint", required=True, metavar="CKPT", help="a .ckpt file, an exported folder, or an embedded model")
    add("--data", required=True, metavar="DIR", help="validation shards: not those that results are reported on")
    add("--out", required=True, metavar="FILE", help="every point, as JSON; a picture of them goes beside it, as .png")
    add(
        "--task", metavar="NAME", help="a task of the training by its name, or a kind; default: what the shards are for"
    )
    add("--limit", type=at_least_one, metavar="N", help="items, spread evenly over the set; default: all")
    add("--seed", type=int, default=0, metavar="N", help="seed of the sampled pictures (0)")
    add("--steps", type=counts, default=list(STEPS), metavar="LIST", help="step counts (1,2,4,8,16,50)")
    add("--text", type=scales, metavar="LIST", help="text scales, such as 0.5,1,2; default: five around the task's")
    add("--image", type=scales, metavar="LIST", help="image scales; default: four around the task's")
    add(
        "--samplers",
        metavar="LIST",
        help="ddim, euler, euler_ancestral, dpmpp_2m; default: the task's, then the others",
    )
    add(
        "--guidance-steps",
        type=at_least_one,
        metavar="N",
        help="steps that guidance is searched at; default: the task's",
    )
    add(
        "--budget",
        type=at_least_one,
        metavar="EVALUATIONS",
        help="U-Net evaluations that a query may cost; settings that cost more are not measured. Default: any number",
    )
    add(
        "--tolerance",
        type=share,
        default=TOLERANCE,
        metavar="X",
        help=f"how far below the best score the preset may be ({TOLERANCE}); of PSNR, in units of 50 dB",
    )
    add("--store", action="store_true", help="keep the preset with the model: its task is sampled so from now on")
    add("--device", metavar="NAME", help="where the network runs, such as cpu or cuda:1; default: what there is")
    return options


def counts(words: str) -> list[int]:
    """Whole numbers of 1 or more with commas between, for argparse's `type`."""
    try:
        numbers = [int(word) for word in words.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"got '{words}', expected whole numbers of 1 or more with commas between")
    return numbers


def share(word: str) -> float:
    """A finite number of 0 or more, for argparse's `type`."""
    number = float(word)
    if not (math.isfinite(number) and number >= 0):
        raise argparse.ArgumentTypeError(f"got {word}, expected a number of 0 or more")
    return number


def run(words: list[str]) -> int:
    """Measure, choose, write, and store where that is asked for.

    Raises:
        IdiffError: an input that cannot be used, before anything is measured; or no point has a score.
    """
    options = parser().parse_args(words)
    out = Path(options.out)
    if out.suffix == ".png" or not out.parent.is_dir() or out.is_dir() or not os.access(out.parent, os.W_OK):
        raise ConfigError(
            f"--out {out} cannot be written: expected a JSON file in a folder that exists and can be written"
        )

    from rich.console import Console
    from transformers.utils.logging import disable_progress_bar

    from idiff.cli.lightning import _quiet
    from idiff.evaluation.measure import Painting, placed
    from idiff.evaluation.task_slice import TaskSlice
    from idiff.evaluation.tuning import choose
    from idiff.evaluation.tuning_plots import draw_front, label, table
    from idiff.metrics.pareto import pareto_front
    from idiff.models.io.checkpoint import load
    from idiff.models.io.preset_files import check_storable, store_preset
    from idiff.tasks.saved import restore_task

    _quiet()
    disable_progress_bar()  # stderr is for how far it is, and for what went wrong
    placed(options.device)
    if options.store:
        check_storable(options.checkpoint)
    loaded = load(options.checkpoint)
    choice = restore_task(loaded.config, options.task, data=options.data, changes={})
    painting = Painting(loaded.backbone)
    samplers = _samplers(options.samplers, choice.sampling)
    grid = _grid(options, painting, choice.sampling, sampler=samplers[0])
    budget, tolerance = options.budget or math.inf, options.tolerance * choice.task.headline_range
    here = TaskSlice(
        loaded, painting, choice, data=options.data, out=out, limit=options.limit, seed=options.seed,
        device=options.device,
    )  # fmt: skip
    guidance = _searched(here, grid, steps=options.steps, samplers=samplers, tolerance=tolerance, budget=budget)
    points = here.file.points
    place = choose(points, here.metric, tolerance=tolerance, budget=budget)
    if guidance is None or place is None:
        raise ConfigError(
            f"{options.data} gives no {here.metric} for the task '{choice.entry}' under any setting: nothing can be chosen by it. "
            "Give shards that have what it scores, or more items."
        )
    front = pareto_front([p.evaluations_per_query for p in points], [p.score(here.metric) for p in points])
    preset = points[place].preset(here.metric, data=here.fingerprint)
    settings = {"tolerance": options.tolerance, "budget": options.budget, "guidance": asdict(guidance)}
    here.file.write(settings | {"front": front, "chosen": place, "preset": preset.describe()})
    title = f"{loaded.name}, {choice.entry}: {points[place].samples} items, {points[place].queries} queries"
    draw_front(points, out.with_suffix(".png"), metric=here.metric, front=front, preset=place, title=title)
    Console().print(table(points, metric=here.metric, front=front, preset=place, title=title))
    said = [f"{here.fresh} settings measured, {len(points) - here.fresh} were there", f"preset: {label(points[place])}"]
    if options.store:
        file = store_preset(options.checkpoint, choice.entry, preset, sha256=loaded.sha256)
        said.append(f"stored in {file}")
    sys.stdout.write(f"{'; '.join(said)}\n")
    return 0


def _samplers(words: str | None, own: Sampling) -> list[str]:
    """The samplers to measure; without words the task's own and all others.

    Raises:
        ConfigError: an unknown sampler.
    """
    from idiff.diffusion import SAMPLERS
    from idiff.errors import unknown

    names = [own.sampler, *SAMPLERS] if words is None else words.split(",")
    for name in names:
        if name not in SAMPLERS:
            raise unknown("sampler", name, SAMPLERS)
    return list(dict.fromkeys(names))


def _grid(options: argparse.Namespace, painting: Painting, own: Sampling, *, sampler: str) -> list[Sampling]:
    """The guidance to measure at one step count.

    Raises:
        ConfigError: the budget allows none of it.
    """
    from idiff.alignment.grid import guidance_grid

    rule, steps = painting.backbone.objective.rule, options.guidance_steps
    grid = guidance_grid(own, rule=rule, text=options.text, image=options.image, steps=steps, sampler=sampler)
    cheapest = min(painting.backbone.evaluations(setting) for setting in grid)
    if options.budget is not None and cheapest > options.budget:
        raise ConfigError(
            f"--budget {options.budget} allows no guidance at {grid[0].steps} steps: the cheapest takes {cheapest} evaluations. "
            "Give more, or fewer --guidance-steps."
        )
    return [setting for place, setting in enumerate(grid) if setting not in grid[:place]]


def _searched(
    here: TaskSlice,
    grid: list[Sampling],
    *,
    steps: list[int],
    samplers: list[str],
    tolerance: float,
    budget: float,
) -> Sampling | None:
    """Run the search and show how far it is; the chosen guidance."""
    from idiff.evaluation.tuning import choose, crossed, search

    asked: list[Sampling] = []
    total = len(grid) + len(crossed(grid[0], steps=steps, samplers=samplers))
    with progress("settings") as show:

        def score(sampling: Sampling) -> Point:
            point = here.score(sampling)
            asked.append(sampling)
            show(len(asked), total)
            return point

        return search(
            score, grid=grid, steps=steps, samplers=samplers,
            chosen=lambda points: choose(points, here.metric, tolerance=tolerance),
            affordable=lambda sampling: here.painting.backbone.evaluations(sampling) <= budget,
        )  # fmt: skip
