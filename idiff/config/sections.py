"""What the settings of a configuration are: the classes that its sections hold, their marks, and all names."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from idiff.utils.settings import ARGUMENTS, CLASS, UNKNOWN, Mark, Setting, marks_of, parameters, reachable, walk

RESUME_ALLOW = "resume.allow"
"""The option that names settings which may differ when a run goes on."""


def settings_in(config: Mapping[str, Any], part: str) -> Iterator[Setting]:
    """Every setting of one section of a configuration; paths begin with the section's name."""
    return walk(config.get(part), sections().get(part, UNKNOWN), unknown=_by_name, path=part)


def known_words() -> set[str]:
    """Names of all settings, for did-you-mean."""
    from lightning.pytorch import Trainer

    kinds = {*classes(), Trainer}
    words = {name for kind in kinds for name in parameters(kind)} | set(inspect.signature(Trainer.fit).parameters)
    return (words | {CLASS, ARGUMENTS, *sections(), *RESUME_ALLOW.split(".")}) - {"self"}


@cache
def callbacks() -> Mapping[str, type]:
    """The callbacks every run has; each is set in the configuration under its name."""
    from idiff.callbacks import BestCheckpoint, Evaluate, KeepLast, PredictionWriter, RunReport, WeightAverage

    return {
        "ema": WeightAverage, "evaluate": Evaluate, "last": KeepLast, "best": BestCheckpoint, "predictions": PredictionWriter,
        "report": RunReport,
    }  # fmt: skip


@cache
def sections() -> Mapping[str, type]:
    """What a configuration holds under each name: an object of this class."""
    from lightning.pytorch import LightningDataModule, Trainer

    from idiff.stages.base import Stage

    return {"model": Stage, "data": LightningDataModule, "trainer": Trainer, **callbacks()}


def classes() -> set[type]:
    """Classes that a configuration can name; Lightning's own are left out."""
    import idiff.data.datamodule
    import idiff.data.sentence_datamodule
    import idiff.stages  # noqa: F401

    return reachable(kind for name, kind in sections().items() if name != "trainer")


@cache
def _marks() -> Mapping[str, frozenset[Mark]]:
    """Names of this package's settings -> the marks they carry in every class that has them."""
    found: dict[str, frozenset[Mark]] = {}
    for kind in classes():
        if kind.__module__.startswith("idiff."):
            for name, each in parameters(kind).items():
                marks = marks_of(each.annotation)
                found[name] = found.get(name, marks) & marks
    return found


def _by_name(name: str) -> frozenset[Mark]:
    return _marks().get(name, frozenset())
