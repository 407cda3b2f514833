"""`idiff evaluate`: Lightning's validation with the evaluate callback, and a metric card at the end."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

from idiff.cli.arguments import writable
from idiff.cli.asking import asked
from idiff.cli.evaluate_options import parser
from idiff.errors import ConfigError


def run(words: list[str]) -> int:
    """Score a checkpoint on a set of shards and write the card.

    Raises:
        IdiffError: an input that cannot be used, before anything is computed.
    """
    options = parser().parse_args(words)
    out = Path(options.out)
    if not writable(out):
        raise ConfigError(f"--out {out} cannot be written: expected a file in a folder that exists and can be written")

    from idiff.evaluation.card import card_of, loses_nothing, write_card

    if not loses_nothing(out):
        raise ConfigError(
            f"--out {out} is a file of another kind: expected a new name, or that of a metric card. Give another --out."
        )

    from rich.console import Console

    from idiff.callbacks.benchmark import Benchmark
    from idiff.callbacks.prediction_files import PredictionFiles
    from idiff.callbacks.records import render_table
    from idiff.cli.trainer import quiet, scoring_trainer
    from idiff.evaluation.clip_metrics import clip_metrics
    from idiff.evaluation.held_out import trained_on
    from idiff.evaluation.measure import Painting, measure
    from idiff.evaluation.second_look import rereading
    from idiff.models.io.checkpoint import load
    from idiff.pipeline.choosing import choose_task
    from idiff.tasks.asking import Asking
    from idiff.tasks.reading_words import check_readings, readings
    from idiff.utils.hardware import weight_type

    quiet()
    asking, kind = Asking(**asked(options)), weight_type(options.dtype)
    trainer = scoring_trainer(options.device, ranks=options.ranks)
    loaded = load(options.checkpoint)
    given = readings(options.set)
    changes = _changes(options) | given
    choice = choose_task(loaded, asking, options.task, data=options.data, changes=changes, trust=options.trust)
    check_readings(choice.task, given)
    loaded.backbone.to(kind)
    choice.task.more_metrics = {**choice.task.more_metrics, **dict(map(_named, options.metric))}
    loaded.backbone.sample_seed = options.seed
    more, absent = clip_metrics(choice.task, clip=options.clip, aesthetic=options.aesthetic)
    painting = Painting(loaded.backbone)
    files = PredictionFiles(options.predictions) if options.predictions else None
    again, unread = rereading(painting, choice.task, partial(choose_task, loaded, asking, trust=options.trust))
    evaluate = Benchmark(resamples=options.bootstrap, seed=options.seed, more=more, files=files, again=again)
    began = time.perf_counter()
    score, fingerprint = measure(
        trainer, painting, choice, data=options.data, evaluate=evaluate, limit=options.limit,
        examples=options.examples,
    )  # fmt: skip
    if not trainer.is_global_zero:
        return 0
    card = card_of(
        loaded, choice, score, evaluate=evaluate, absent=absent | unread, seed=options.seed, data=options.data,
        fingerprint=fingerprint, minutes=(time.perf_counter() - began) / 60,
    )  # fmt: skip
    write_card(card, out)
    Console().print(render_table({choice.name: score}, step=loaded.step))
    if learned := trained_on(loaded.config, options.data):
        Console(stderr=True).print(f"idiff: {learned}", soft_wrap=True)
    if (headline := choice.task.headline) in card["null"]:
        Console(stderr=True).print(f"idiff: {headline} was not measured: {card['null'][headline]}.", soft_wrap=True)
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
