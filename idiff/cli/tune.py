"""`idiff tune`: the fewest steps that are good enough, found on validation data and kept with the model."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from idiff.cli.arguments import WEIGHTS_HELP, WordParser, at_least_one, counts, number_from, scales, writable
from idiff.cli.bar import progress
from idiff.cli.own_code import add_trust
from idiff.errors import ConfigError

STEPS = [1, 2, 4, 8, 16, 50]
TOLERANCE = 0.01


def parser() -> WordParser:
    """Options of `idiff tune`."""
    options = WordParser(
        prog="idiff tune",
        description="Measure sampler, steps and guidance on validation data, and choose the cheapest setting that is good enough. "
        "Killed, the same command goes on.",
    )
    add = options.add_argument
    add("--checkpoint", required=True, metavar="CKPT", help=WEIGHTS_HELP)
    add("--data", required=True, metavar="DIR", help="validation shards: not those that results are reported on")
    add("--out", required=True, metavar="FILE", help="every point, as JSON; an image of them goes beside it, as .png")
    kinds = "a task of the training by its name, or a kind; default: what the shards are for"
    add("--task", metavar="NAME", help=kinds)
    add("--limit", type=at_least_one, metavar="N", help="items, spread evenly over the set; default: all")
    add("--seed", type=int, default=0, metavar="N", help="seed of the sampled images (0)")
    add("--steps", type=counts, default=STEPS, metavar="LIST", help="step counts (1,2,4,8,16,50)")
    add("--text", type=scales, metavar="LIST", help="text scales, such as 0.5,1,2; default: five around the task's")
    add("--image", type=scales, metavar="LIST", help="image scales; default: four around the task's")
    add(
        "--samplers", type=lambda words: words.split(","), metavar="LIST",
        help="ddim, euler, euler_ancestral, dpmpp_2m, MODULE.FUNCTION; default: the task's, then the others",
    )  # fmt: skip
    add(
        "--guidance-steps",
        type=at_least_one,
        metavar="N",
        help="steps that guidance is searched at; default: the task's",
    )
    add(
        "--budget", type=at_least_one, metavar="EVALUATIONS",
        help="U-Net evaluations that a query may cost; settings that cost more are not measured. Default: any number",
    )  # fmt: skip
    add(
        "--tolerance", type=number_from(0), default=TOLERANCE, metavar="X",
        help=f"how far below the best score the preset may be ({TOLERANCE}); of PSNR, in units of 50 dB",
    )  # fmt: skip
    add("--store", action="store_true", help="keep the preset with the model: its task is sampled so from now on")
    add("--device", metavar="NAME", help="where the network runs, such as cpu or cuda:1; default: what there is")
    add_trust(options)
    return options


def run(words: list[str]) -> int:
    """Measure, choose, write, and store where that is asked for.

    Raises:
        IdiffError: an input that cannot be used, before anything is measured; or no point has a score.
    """
    options = parser().parse_args(words)
    out = Path(options.out)
    if out.suffix == ".png" or not writable(out):
        raise ConfigError(
            f"--out {out} cannot be written: expected a JSON file in a folder that exists and can be written"
        )

    from rich.console import Console
    from transformers.utils.logging import disable_progress_bar

    from idiff.cli.trainer import one_device, quiet, scoring_trainer
    from idiff.evaluation.measure import Painting
    from idiff.evaluation.task_slice import TaskSlice
    from idiff.evaluation.tuning import affordable_grid, known_samplers, tune
    from idiff.evaluation.tuning_plots import draw_front, label, table
    from idiff.models.io.checkpoint import load
    from idiff.models.io.preset_files import check_storable, store_preset
    from idiff.tasks.saved import restore_task

    quiet()
    disable_progress_bar()  # stderr is for how far it is, and for what went wrong
    trainer = scoring_trainer(one_device(options.device), bar=False)
    if options.store:
        check_storable(options.checkpoint)
    loaded = load(options.checkpoint)
    choice = restore_task(loaded.config, options.task, data=options.data, changes={}, trust=options.trust)
    samplers = known_samplers(options.samplers, choice.sampling)
    grid = affordable_grid(
        choice.sampling, rule=loaded.backbone.objective.rule, sampler=samplers[0], evaluations=loaded.backbone.evaluations,
        text=options.text, image=options.image, steps=options.guidance_steps, budget=options.budget,
    )  # fmt: skip
    here = TaskSlice(
        loaded, Painting(loaded.backbone), choice, trainer=trainer, data=options.data, out=out,
        limit=options.limit, seed=options.seed,
    )  # fmt: skip
    with progress("settings") as show:
        found = tune(
            here, grid, steps=options.steps, samplers=samplers, budget=options.budget or math.inf,
            tolerance=options.tolerance * choice.task.headline_range, progress=show,
        )  # fmt: skip
    points, chosen = here.file.points, here.file.points[found.chosen]
    preset = chosen.preset(here.metric, data=here.fingerprint)
    settings = {"tolerance": options.tolerance, "budget": options.budget, "guidance": asdict(found.guidance)}
    here.file.write(settings | {"front": found.front, "chosen": found.chosen, "preset": preset.describe()})
    title = f"{loaded.name}, {choice.entry}: {chosen.samples} items, {chosen.queries} queries"
    marked: dict[str, Any] = {"metric": here.metric, "front": found.front, "preset": found.chosen, "title": title}
    draw_front(points, out.with_suffix(".png"), **marked)
    Console().print(table(points, **marked))
    said = [f"{here.fresh} settings measured, {len(points) - here.fresh} were there", f"preset: {label(chosen)}"]
    if options.store:
        said.append(f"stored in {store_preset(options.checkpoint, choice.entry, preset, sha256=loaded.sha256)}")
    sys.stdout.write(f"{'; '.join(said)}\n")
    return 0
