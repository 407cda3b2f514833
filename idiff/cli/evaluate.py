"""`idiff evaluate`: Lightning's validation with the evaluate callback, and a metric card at the end."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

from idiff.cli.arguments import WEIGHTS_HELP, WordParser, at_least_one, not_negative, writable
from idiff.cli.asking import add_asking_options, asked
from idiff.cli.own_code import add_trust
from idiff.errors import ConfigError


def parser() -> WordParser:
    """Options of `idiff evaluate`."""
    options = WordParser(prog="idiff evaluate", description="Score a checkpoint on shards, and write a metric card.")
    add = options.add_argument
    add("--checkpoint", required=True, metavar="CKPT", help=WEIGHTS_HELP)
    add("--data", required=True, metavar="DIR", help="shards that `idiff data build` wrote")
    add("--task", metavar="NAME", help="a task of the training by its name, or a kind")
    add("--queries", choices=("present", "all"), help="classes queried per image: those present and one absent, or all")
    told = "instructions as in training (default), or held-out ones"
    add("--phrasings", choices=("seen", "unseen"), help=told)
    joints = "keypoints: score all joints, or those that COCO's people have (AP-10K)"
    add("--joints", choices=("all", "coco"), help=joints)
    add(
        "--whole",
        action="store_true",
        default=None,
        help="restoration: score whole images, and not the middle of each alone",
    )
    add("--decoder", metavar="NAME", help="how output images are decoded: color, unet, or unet=FOLDER with its weights")
    add_asking_options(options)
    add("--no-preset", action="store_const", dest="preset", const="training", help="the same as --preset training")
    add("--limit", type=at_least_one, metavar="N", help="items; default: all")
    add("--seed", type=int, default=0, metavar="N", help="seed of the sampled images, and of the resamples")
    resamples = "resamples of the images for 95 %% intervals (1000); 0: no intervals"
    add("--bootstrap", type=not_negative, default=1000, metavar="N", help=resamples)
    add(
        "--clip",
        metavar="FOLDER",
        help="editing and the like: a CLIP model in the hub's format, for clip_sim and clip_dir",
    )
    add("--aesthetic", metavar="FILE", help="editing: an aesthetic predictor's weights, for aesthetic; with --clip")
    add("--metric", metavar="NAME=MODULE.CLASS", action="append", default=[], help="one of your own")
    add("--predictions", metavar="DIR", help="write what was decoded, for others to re-score")
    add("--out", required=True, metavar="CARD.json", help="the metric card")
    add_trust(options)
    return options


def run(words: list[str]) -> int:
    """Score a checkpoint on a set of shards and write the card.

    Raises:
        IdiffError: an input that cannot be used, before anything is computed.
    """
    options = parser().parse_args(words)
    out = Path(options.out)
    if not writable(out):
        raise ConfigError(f"--out {out} cannot be written: expected a file in a folder that exists and can be written")

    from rich.console import Console

    from idiff.callbacks.benchmark import Benchmark
    from idiff.callbacks.prediction_files import PredictionFiles
    from idiff.callbacks.records import render_table
    from idiff.cli.trainer import quiet, scoring_trainer
    from idiff.evaluation.card import card_of, write_card
    from idiff.evaluation.clip_metrics import clip_metrics
    from idiff.evaluation.measure import Painting, measure
    from idiff.evaluation.second_look import rereading
    from idiff.models.io.checkpoint import load
    from idiff.pipeline.choosing import choose_task
    from idiff.tasks.asking import Asking
    from idiff.utils.hardware import weight_type

    quiet()
    asking, kind, trainer = Asking(**asked(options)), weight_type(options.dtype), scoring_trainer(options.device)
    loaded = load(options.checkpoint)
    changes = _changes(options)
    choice = choose_task(loaded, asking, options.task, data=options.data, changes=changes, trust=options.trust)
    loaded.backbone.to(kind)
    choice.task.more_metrics = {**choice.task.more_metrics, **dict(map(_named, options.metric))}
    loaded.backbone.sample_seed = options.seed
    more, absent = clip_metrics(choice.task, clip=options.clip, aesthetic=options.aesthetic)
    painting = Painting(loaded.backbone)
    files = PredictionFiles(options.predictions) if options.predictions else None
    again, unread = rereading(painting, choice.task, partial(choose_task, loaded, asking, trust=options.trust))
    evaluate = Benchmark(resamples=options.bootstrap, seed=options.seed, more=more, files=files, again=again)
    began = time.perf_counter()
    score, fingerprint = measure(trainer, painting, choice, data=options.data, evaluate=evaluate, limit=options.limit)
    card = card_of(
        loaded, choice, score, evaluate=evaluate, absent=absent | unread, seed=options.seed, data=options.data,
        fingerprint=fingerprint, minutes=(time.perf_counter() - began) / 60,
    )  # fmt: skip
    write_card(card, out)
    Console().print(render_table({choice.name: score}, step=loaded.step))
    return 0


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    """What the options set anew of the task's arguments."""
    given = {"ask": options.queries, "phrasings": options.phrasings, "score": options.joints, "whole": options.whole}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if options.decoder:
        name, _, weights = options.decoder.partition("=")
        changes |= {"decoder": name, "decoder_args": {"weights": weights} if weights else None}
    return changes


def _named(word: str) -> tuple[str, str]:
    name, _, path = word.partition("=")
    if not (name.isidentifier() and path):
        raise ConfigError(f"--metric {word}: expected NAME=MODULE.CLASS.")
    return name, path
