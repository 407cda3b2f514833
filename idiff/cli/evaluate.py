"""`idiff evaluate`: Lightning's validation with the evaluate callback, and a metric card at the end."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from idiff._version import __version__
from idiff.cli.arguments import WordParser, at_least_one, not_negative
from idiff.errors import ConfigError
from idiff.utils.files import write_atomic

PACKAGES = ("torch", "lightning", "diffusers", "transformers", "torchmetrics", "numpy")

SCORED = {"joints": "score", "whole": "whole"}
"""What a card says of how its task was scored, and the task's own name for it."""


def parser() -> WordParser:
    """Options of `idiff evaluate`."""
    options = WordParser(prog="idiff evaluate", description=__doc__)
    add = options.add_argument
    add("--checkpoint", required=True, metavar="CKPT", help="a .ckpt file of a training")
    add("--data", required=True, metavar="DIR", help="shards that `idiff data build` wrote")
    add("--task", metavar="NAME", help="a task of the training by its name, or a kind (segmentation, keypoints)")
    add("--queries", choices=("present", "all"), help="classes asked a picture: those present and one absent, or all")
    add(
        "--phrasings",
        choices=("seen", "unseen"),
        help="ask as in training (default), or in sentences kept apart from it",
    )
    add(
        "--joints",
        choices=("all", "coco"),
        help="keypoints: score all joints, or those that COCO's people have (AP-10K)",
    )
    add(
        "--whole",
        action="store_true",
        default=None,
        help="restoration: score whole pictures, seen in overlapping squares, and not the middle of each alone",
    )
    add("--decoder", metavar="NAME", help="how painted answers are read: color, unet, or unet=FOLDER with its weights")
    add(
        "--steps",
        type=at_least_one,
        metavar="N",
        help="sampling steps; default: the task's preset, else its training's",
    )
    add("--no-preset", action="store_true", help="sample as in training, whatever preset the model has")
    add("--limit", type=at_least_one, metavar="N", help="items; default: all")
    add("--seed", type=int, default=0, metavar="N", help="seed of the sampled pictures, and of the resamples")
    add(
        "--bootstrap",
        type=not_negative,
        default=1000,
        metavar="N",
        help="resamples of the pictures for 95 %% intervals (1000); 0: no intervals",
    )
    add("--clip", metavar="FOLDER", help="editing: a CLIP model in the hub's format, for clip_sim and clip_dir")
    add("--aesthetic", metavar="FILE", help="editing: an aesthetic predictor's weights, for aesthetic; with --clip")
    add("--predictions", metavar="DIR", help="write what was decoded, for others to re-score")
    add("--out", required=True, metavar="CARD.json", help="the metric card")
    return options


def run(words: list[str]) -> int:
    """Score a checkpoint on a set of shards and write the card.

    Raises:
        IdiffError: an input that cannot be used, before anything is computed.
    """
    options = parser().parse_args(words)
    out = Path(options.out)
    if not out.parent.is_dir() or out.is_dir() or not os.access(out.parent, os.W_OK):
        raise ConfigError(f"--out {out} cannot be written: expected a file in a folder that exists and can be written")

    from rich.console import Console

    from idiff.callbacks.benchmark import Benchmark
    from idiff.callbacks.predictions import PredictionFiles
    from idiff.callbacks.records import render_table
    from idiff.cli.lightning import _quiet
    from idiff.evaluation.clip_metrics import clip_metrics, reasons
    from idiff.evaluation.measure import Painting, measure
    from idiff.metrics.bootstrap import LEVEL
    from idiff.models.io.checkpoint import load
    from idiff.tasks.saved import restore_task

    _quiet()
    loaded = load(options.checkpoint)
    changes: dict[str, Any] = {"ask": options.queries, "phrasings": options.phrasings}
    changes |= {"score": options.joints, "whole": options.whole}
    changes = {name: value for name, value in changes.items() if value is not None}
    if options.decoder:
        name, _, weights = options.decoder.partition("=")
        changes |= {"decoder": name, "decoder_args": {"weights": weights} if weights else None}
    presets = {} if options.no_preset else loaded.presets
    found = restore_task(loaded.config, options.task, data=options.data, changes=changes, presets=presets)
    task, sampling = found.task, found.sampling
    if options.steps is not None:
        sampling.steps = options.steps
    loaded.backbone.sample_seed = options.seed
    more, absent = clip_metrics(task, clip=options.clip, aesthetic=options.aesthetic)
    files = PredictionFiles(options.predictions) if options.predictions else None
    evaluate = Benchmark(resamples=options.bootstrap, seed=options.seed, more=more, files=files)
    began = time.perf_counter()
    painting = Painting(loaded.backbone)
    score, fingerprint = measure(painting, found, data=options.data, evaluate=evaluate, limit=options.limit)
    metrics = _clean(score.metrics) | dict.fromkeys(absent)
    card = {
        "task": found.name,
        "metrics": metrics,
        "null": reasons(metrics, absent),
        "intervals": score.intervals,
        "bootstrap": {"resamples": options.bootstrap, "level": LEVEL, "unit": "picture"},
        "ceiling": _clean(score.ceiling),
        "painted": _clean(score.painted),
        "identity": _clean(score.identity),
        "guess": {"name": score.guess_name, **_clean(score.guess)},
        "samples": score.samples,
        "queries": score.queries,
        "asked": score.asked,
        "phrasings": found.settings.get("phrasings") or "those of the data",
        "prompts": {"split": score.split, "cut": loaded.backbone.text.truncated},
        "steps": sampling.steps,
        "evaluations_per_query": evaluate.evaluations[found.name],
        "seconds_per_query": evaluate.seconds[found.name] / max(score.queries, 1),
        "minutes": (time.perf_counter() - began) / 60,
        "decoder": found.settings.get("decoder") or "its own",
        "scored": {name: found.settings[key] for name, key in SCORED.items() if key in found.settings},
        "guidance": {key: value for key, value in asdict(sampling).items() if key != "steps"},
        "preset": found.preset is not None and found.preset.over(sampling) == sampling,
        "seed": options.seed,
        "checkpoint": {"name": loaded.name, "sha256": loaded.sha256, "step": loaded.step},
        "data": {"path": options.data, "fingerprint": fingerprint},
        "versions": {"idiff": __version__, "python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
    }
    write_atomic(out, json.dumps(card, indent=2) + "\n")
    Console().print(render_table({found.name: score}, step=loaded.step))
    return 0


def _clean(values: dict[str, float]) -> dict[str, float | None]:
    """JSON knows no nan: a metric of nothing is null."""
    return {name: None if value != value else value for name, value in values.items()}  # noqa: PLR0124
