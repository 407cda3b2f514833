"""The metrics of images that need CLIP, made of the folders that the command line names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from idiff.errors import ConfigError

if TYPE_CHECKING:
    from torchmetrics import Metric

    from idiff.tasks.base import Task

NAMES = ("clip_sim", "clip_dir", "aesthetic")
_CLIP = "it needs a CLIP model: give --clip FOLDER"
_HEAD = "it needs an aesthetic predictor: give --aesthetic FILE"
_NOTHING = "no sample has what it scores"
_CAPTIONS = "no sample has the captions that it compares with"


def clip_metrics(
    task: Task, *, clip: str | None, aesthetic: str | None
) -> tuple[Callable[[], Mapping[str, Metric]] | None, dict[str, str]]:
    """What can be scored of a task by CLIP, and why the rest cannot.

    Args:
        task: whose answers are scored, by the metrics of its `clip_metrics`.
        clip: folder of a CLIP model, in the hub's format.
        aesthetic: file of an aesthetic predictor's weights.

    Returns:
        a function that makes fresh metrics, None where there are none; and the reason for each metric that is missing.

    Raises:
        ConfigError: a model is given for a task that does not use it, or a predictor without CLIP, or one for features of
            another length.
        IdiffError: a model cannot be read.
    """
    wanted = task.clip_metrics
    if not wanted:
        for option, value in (("--clip", clip), ("--aesthetic", aesthetic)):
            if value is not None:
                raise ConfigError(f"{option} {value}: the task '{task.kind}' is not scored by CLIP; leave it out.")
        return None, {}
    if clip is None:
        if aesthetic is not None:
            raise ConfigError(f"--aesthetic {aesthetic} scores features of CLIP: give --clip FOLDER, too.")
        return None, dict.fromkeys(wanted, _CLIP)
    import torch

    from idiff.curation.quality.aesthetic import load_head
    from idiff.curation.quality.features import ClipFeatures
    from idiff.metrics.clip import Aesthetic, CLIPDirection, CLIPSimilarity, Remembered

    head = None if aesthetic is None else load_head(aesthetic)
    model = Remembered(ClipFeatures(clip, device="cuda" if torch.cuda.is_available() else "cpu"))
    if head is not None:
        head(
            model.picture(torch.zeros(3, 64, 64))[None]
        )  # refuses features of another length before anything is computed
    model.text("a photo")  # refuses a folder without a tokenizer

    def make() -> dict[str, Metric]:
        made: dict[str, Metric] = {"clip_sim": CLIPSimilarity(model), "clip_dir": CLIPDirection(model)}
        made |= {} if head is None else {"aesthetic": Aesthetic(model, head)}
        return {name: metric for name, metric in made.items() if name in wanted}

    return make, {} if head is not None else {"aesthetic": _HEAD}


def reasons(metrics: Mapping[str, float | None], absent: Mapping[str, str]) -> dict[str, str]:
    """Why a card's figures are null, by name.

    Args:
        metrics: figures as the card has them.
        absent: metrics that were not scored at all, and why.
    """
    nothing = {
        name: _CAPTIONS if name in NAMES else _NOTHING
        for name, value in metrics.items()
        if value is None and name not in absent
    }
    return nothing | dict(absent)
