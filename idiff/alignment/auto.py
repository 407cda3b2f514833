"""Picks by a metric instead of people: for tasks with truth, and for edits by CLIP."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics import Metric

from idiff.alignment.candidates import CandidateFolder, CandidateSample
from idiff.alignment.generate import one_prompt
from idiff.alignment.picks import MOST, PickJournal
from idiff.curation.quality.features import ClipFeatures
from idiff.data.shards.reader import ShardSet
from idiff.errors import ConfigError, DataError, missing, unknown
from idiff.tasks.base import Task
from idiff.tasks.saved import restore_task
from idiff.utils.images import to_tensor
from idiff.utils.picture_files import decode_picture

CLIP_SIM = "clip_sim"
HEADLINE = "headline"


@dataclass(frozen=True, slots=True)
class Scores:
    """How good the candidates of a sample are; larger is better, nan is not defined.

    Attributes:
        candidates: one a candidate.
        floor: of the unedited source.
    """

    candidates: list[float]
    floor: float


Scorer = Callable[[CandidateSample], Scores]


def choose(scores: Scores, *, most: int = MOST, least: int = 0) -> list[int]:
    """The best candidates, best first; of equals the lower number.

    Args:
        scores: of one sample.
        most: at most so many, of those that are better than the unedited source.
        least: at least so many, if need be of the others; those without a score are never chosen.
    """
    ranked = sorted((-score, index) for index, score in enumerate(scores.candidates) if not math.isnan(score))
    better = sum(-score > scores.floor for score, _ in ranked)  # nothing is better than nan
    return [index for _, index in ranked[: min(most, max(better, least))]]


class TaskScorer:
    """Score each candidate alone by a metric of its task: decoded, combined, compared with the truth of its one prompt.

    What the prompt does not ask for does not count, see `Task.truth_of_prompt`.

    Args:
        folder: the candidates.
        task: as it was when they were painted.
        shards: the data they were painted for.
        metric: name of one of the task's metrics, or `headline`: the task's own for one prompt.

    Raises:
        DataError: the shards are of another content.
        ConfigError: the task has no such metric.
    """

    def __init__(self, folder: CandidateFolder, task: Task, shards: ShardSet, *, metric: str = HEADLINE) -> None:
        wanted = folder.settings["data"]["fingerprint"]
        if shards.fingerprint != wanted:
            raise DataError(
                f"{shards.folder} is not the set the candidates were painted for: fingerprint {shards.fingerprint[:12]}, expected "
                f"{wanted[:12]}. Build that set again."
            )
        self.folder, self.task, self.shards = folder, task, shards
        self.metric = (task.headline_of_one_prompt or task.headline) if metric == HEADLINE else metric
        names = _names(task)
        if self.metric not in names:
            raise unknown("metric", self.metric, [*names, HEADLINE, CLIP_SIM])
        self.sign = names[self.metric]
        self._numbers = {shards.key(number): number for number in range(len(shards))}

    def __call__(self, facts: CandidateSample) -> Scores:
        """Score a sample.

        Raises:
            DataError: an image is missing or damaged, or the sample is not in the shards.
        """
        if facts.key not in self._numbers:
            raise DataError(
                f"{self.shards.folder} has no sample '{facts.key}', which sample {facts.sample} was painted for."
            )
        triplet = one_prompt(self.task, self.shards.read(self._numbers[facts.key]), facts.item)
        source = _pixels(self.folder, facts, facts.source)
        rendered = source if facts.rendered is None else _pixels(self.folder, facts, facts.rendered)
        painted = [_pixels(self.folder, facts, {"file": one.file, "sha256": one.sha256}) for one in facts.candidates]
        pictures = torch.stack([source, *painted])
        queries = [triplet.query] * len(pictures)
        predictions = self.task.decode(pictures, rendered.expand_as(pictures), queries)
        values = []
        for prediction in predictions:
            collection = self.task.metrics()
            truth = self.task.truth_of_prompt(triplet.annotation, triplet.query)
            collection.update(self.task.combine([prediction], [triplet.query]), truth)
            values.append(self.sign * float(collection.compute()[self.metric]))
        return Scores(values[1:], values[0])


class ClipScorer:
    """Cosine similarity of each candidate with the caption of what is wanted, by CLIP; the instruction where there is no caption.

    Source: InstructDiffusion, section 4, "CLIP-Sim".

    Args:
        folder: the candidates.
        clip: folder of a CLIP model in the hub's format, tokenizer included.

    Raises:
        DataError: a part of the model is missing.
        CheckpointError: it cannot be used.
    """

    def __init__(self, folder: CandidateFolder, clip: str, *, device: str = "cpu") -> None:
        if not any((Path(clip) / name).is_file() for name in ("tokenizer.json", "vocab.json")):
            remedy = "Give a folder with the model's tokenizer beside its weights."
            raise missing(Path(clip) / "tokenizer.json", what="the tokenizer of a CLIP model", remedy=remedy)
        self.folder, self.metric = folder, CLIP_SIM
        self.features = ClipFeatures(clip, device=device)

    def __call__(self, facts: CandidateSample) -> Scores:
        """Score a sample. Raises DataError where an image is missing or damaged."""
        entries = [facts.source, *({"file": one.file, "sha256": one.sha256} for one in facts.candidates)]
        pictures = [
            decode_picture(self.folder.picture(facts, one["file"], one.get("sha256")), where=facts.sample)
            for one in entries
        ]
        images = torch.cat(
            [
                self.features(pictures[start : start + self.features.batch_size])
                for start in range(0, len(pictures), self.features.batch_size)
            ]
        )
        text = self.features.texts([facts.caption])
        values = torch.nn.functional.cosine_similarity(images, text).tolist()
        return Scores(values[1:], values[0])


def scorer_of(
    folder: CandidateFolder, metric: str, *, clip: str | None = None, data: str | None = None, trust: bool = False
) -> ClipScorer | TaskScorer:
    """What scores candidates by a metric.

    Args:
        folder: the candidates.
        metric: `clip_sim`, or see `TaskScorer`.
        clip: see `ClipScorer`.
        data: the shards that were asked about, where they have moved.
        trust: import code of others that the folder names.

    Raises:
        ConfigError: the task has no such metric, or `clip_sim` has no model.
        DataError: the shards or the model cannot be read.
    """
    if metric == CLIP_SIM:
        if clip is None:
            raise ConfigError("clip_sim needs a CLIP model: add --clip FOLDER, a model in the hub's format.")
        return ClipScorer(folder, clip)
    name, data = folder.settings["task"], data or folder.settings["data"]["path"]
    config = {"data": {"init_args": {"tasks": {name: {"task": folder.settings["entry"]}}}}}
    task = restore_task(config, name, data=data, changes={}, trust=trust).task
    return TaskScorer(folder, task, ShardSet.open(data), metric=metric)


def pick_all(
    folder: CandidateFolder,
    scorer: Scorer,
    journal: PickJournal,
    *,
    clock: Callable[[], float],
    least: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, int]:
    """Decide about every sample that the journal has no decision about.

    Args:
        folder: the candidates.
        scorer: scores a sample.
        journal: gets the decisions.
        clock: seconds, such as `time.perf_counter`.
        least: see `choose`.
        progress: called with (samples done, samples in all).

    Returns:
        `decided` samples now, `before`: those that were decided already, `none_good` of those decided now.
    """
    names, standing = folder.samples(), journal.decisions()
    counts = {"decided": 0, "before": sum(name in standing for name in names), "none_good": 0}
    for place, name in enumerate(names):
        if name not in standing:
            began = clock()
            chosen = choose(scorer(folder.read(name)), least=least)
            journal.append(name, chosen, seconds=round(clock() - began, 3))
            counts["decided"] += 1
            counts["none_good"] += not chosen
        progress(place + 1, len(names))
    return counts


def _names(task: Task) -> dict[str, float]:
    """The task's metrics, each with 1 where larger is better, else -1."""
    collection = task.metrics()
    metrics: dict[str, Metric] = dict(collection.items())
    names = {}
    for name in collection.compute():
        metric = metrics.get(name)
        lower = task.headline_lower_is_better if name == task.headline else metric and metric.higher_is_better is False
        names[name] = -1.0 if lower else 1.0
    return names


def _pixels(folder: CandidateFolder, facts: CandidateSample, entry: Mapping[str, str]) -> Tensor:
    """One image of a sample as the model has it."""
    data = folder.picture(facts, entry["file"], entry.get("sha256"))
    return to_tensor(decode_picture(data, where=f"{facts.sample}/{entry['file']}"))
