"""One query, all joints of a person and all classes of an image, each beside calls of diffusers' pipeline.

Ours paints at the model's own preset, or for one query at two steps where the preset's mIoU is lower than the
peer's best, and reads the answer back. The peer paints alone, 100 steps with 3 evaluations each; what
it paints is read by the same decoder for the comparison of mIoU, outside of the timing. No call finds a prompt that an earlier one
kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from measuring import Finding, Scale, Times, bound_by_flops, flops_of, in_turns, matmul_peak, ratio
from peer_queries import NEARLY_OFF, PUBLISHED, PeerPipeline
from scenes import HELD_OUT

from idiff.pipeline import Pipeline
from idiff.pipeline.choosing import choose_task
from idiff.predictions import LabelMapPrediction
from idiff.synthetic.source import SyntheticSource
from idiff.tasks.saved import TaskChoice
from idiff.types import Prediction, Sample, Triplet

STEPS = 100
"""The peer's steps, as InstructDiffusion publishes."""

MEASURED = (10, 30)
"""Step counts that the time of one of many calls is computed from: it is linear in them."""

PRECISE = {"steps": 2, "guidance_text": 1.0, "guidance_image": 1.0}
"""A setting of ours that counts where the preset's mIoU is lower than the peer's."""

SCENES = 36
"""Scenes whose mIoU is compared."""

FIRST = 200
"""The first of them: `PRECISE` was chosen on scenes before it."""


class Asker:
    """Ours: the prompts of an image painted in one call, and their answers read back.

    Args:
        pipe: the model.
        kind: of the task.
        **other: settings of sampling that are not those of the model's own preset.
    """

    def __init__(self, pipe: Pipeline, kind: str, **other: Any) -> None:
        self.backbone = pipe.backbone
        self.choice: TaskChoice = choose_task(pipe.loaded, pipe.asking, kind)
        self.sampling = replace(self.choice.sampling, **other)

    def triplets(self, sample: Sample) -> list[Triplet]:
        """All prompts of a sample."""
        return list(self.choice.task.queries(sample, 0))

    def __call__(self, triplets: list[Triplet]) -> Prediction:
        """Paint prompts of one image, and read their answers."""
        self.backbone.text.forget()
        source = torch.stack([triplet.source for triplet in triplets if triplet.source is not None])
        words = [triplet.instruction for triplet in triplets]
        edited = self.backbone.edit(source, words, sampling=self.sampling, seeds=range(len(words)))
        return self.read(edited, triplets)

    @torch.no_grad()
    def read(self, edited: torch.Tensor, triplets: list[Triplet]) -> Prediction:
        """Answers of what was painted, (B, 3, H, W)."""
        task, queries = self.choice.task, [triplet.query for triplet in triplets]
        source = torch.stack([triplet.source for triplet in triplets[:1] if triplet.source is not None])
        rendered = self.backbone.autoencoder.render(source).expand_as(edited)
        return task.combine(task.decode(edited, rendered, queries), queries)


def scene(kind: str, index: int = 0) -> Sample:
    """A held-out scene."""
    return SyntheticSource(kind, split="val", count=index + 1, seed=HELD_OUT).sample(index)


def shown(asker: Asker, sample: Sample) -> list[Triplet]:
    """The prompt of one class that the scene shows."""
    assert sample.label is not None
    present = set(np.unique(sample.label).tolist())
    return [next(each for each in asker.triplets(sample) if each.query["class"] in present)]


def iou(prediction: Prediction, sample: Sample, triplets: list[Triplet]) -> float:
    """Intersection over union of the one class that was asked."""
    assert isinstance(prediction, LabelMapPrediction) and sample.label is not None
    index = int(triplets[0].query["class"])
    found, true = prediction.masks[index].cpu().numpy(), sample.label == index
    return float((found & true).sum() / (found | true).sum())


def quality(askers: Mapping[str, Asker], peer: PeerPipeline, *, scenes: int, steps: int) -> dict[str, float]:
    """mIoU of one class on each of some scenes: ours by setting, and the peer's at two strengths of guidance."""
    found: dict[str, list[float]] = {}
    for index in range(scenes):
        sample = scene("segmentation", FIRST + index)
        for name, asker in askers.items():
            triplets = shown(asker, sample)
            found.setdefault(name, []).append(iou(asker(triplets), sample, triplets))
        for name, guidance in {"peer, published guidance": PUBLISHED, "peer, weakest guidance": NEARLY_OFF}.items():
            painted = peer(sample.image, triplets[0].instruction, steps=steps, guidance=guidance)
            found.setdefault(name, []).append(iou(asker.read(painted, triplets), sample, triplets))
    return {name: round(float(np.mean(values)), 4) for name, values in found.items()}


def one_query(pipe: Pipeline, peer: PeerPipeline, scale: Scale, *, peak: float) -> Finding:
    """One class of one image: the preset, or else two steps, whichever first has an mIoU no lower than the peer's best."""
    askers = {"ours, preset": Asker(pipe, "segmentation"), "ours, 2 steps": Asker(pipe, "segmentation", **PRECISE)}
    sample, scenes = scene("segmentation"), scale.of(SCENES, least=2)
    triplets = shown(askers["ours, preset"], sample)
    ways = {name: partial(asker, triplets) for name, asker in askers.items()}
    times = in_turns(
        {**ways, "peer": lambda: peer(sample.image, triplets[0].instruction, steps=STEPS)}, rounds=scale.rounds
    )
    miou = quality(askers, peer, scenes=scenes, steps=STEPS)
    best = max(value for name, value in miou.items() if name not in askers)
    chosen = next((name for name in askers if miou[name] >= best), "ours, preset")
    words = (
        f"CPU seconds of one query of `tiny` at 64 px: {chosen}, decoded, against diffusers' pipeline at {STEPS} steps x 3; mIoU "
        f"on {scenes} scenes: {', '.join(f'{name} {value}' for name, value in miou.items())}."
    )
    reason = None if miou[chosen] >= best else f"mIoU is lower than the peer's best, {best}, so that it does not count"
    more = {
        "scenes": scenes, "miou": miou, "ours_is": chosen,
        "ratios": {name: ratio(times["peer"], times[name]) for name in askers},
        "other_settings": {name: times[name].plain() for name in askers if name != chosen},
    }  # fmt: skip
    return Finding(
        ratio(times["peer"], times[chosen]), words, times[chosen], times["peer"],
        bound_by_flops(times["peer"], flops_of(ways[chosen]), peak), reason, more, holds=reason is None,
    )  # fmt: skip


def many(pipe: Pipeline, peer: PeerPipeline, scale: Scale, *, kind: str, peak: float) -> Finding:
    """All that can be asked about one image, against one call of the peer for each."""
    asker, sample = Asker(pipe, kind), scene(kind)
    triplets = asker.triplets(sample)
    single = [name for each in triplets for name in each.query.get("joints", [each.query.get("name")])]
    prompts = [triplets[number % len(triplets)].instruction for number in range(len(single))]
    ways: dict[str, Callable[[], Any]] = {"ours": lambda: asker(triplets)}
    few, several = MEASURED
    for steps in MEASURED:
        ways[str(steps)] = partial(calls, peer, sample, prompts[: scale.of(len(prompts), least=2)], steps=steps)
    times = in_turns(ways, rounds=scale.rounds)
    asked = scale.of(len(prompts), least=2)
    scaled = [
        (low + (high - low) * (STEPS - few) / (several - few)) * len(prompts) / asked
        for low, high in zip(times[str(few)].seconds, times[str(several)].seconds, strict=True)
    ]
    peer_times = Times(scaled)
    what = {"keypoints": "joints of a person", "segmentation": "classes of an image"}[kind]
    words = (
        f"CPU seconds of all {len(single)} {what} with `tiny` at 64 px: ours in {len(triplets)} prompts of one call, decoded, "
        f"against {len(single)} calls of diffusers' pipeline at {STEPS} steps x 3, whose time is scaled linearly from {few} and "
        f"{several} steps."
    )
    raw = {f"{steps} steps, {asked} calls": times[str(steps)].plain() for steps in MEASURED}
    ceiling = bound_by_flops(peer_times, flops_of(lambda: asker(triplets)), peak)
    return Finding(ratio(peer_times, times["ours"]), words, times["ours"], peer_times, ceiling, more={"measured": raw})


def calls(peer: PeerPipeline, sample: Sample, prompts: list[str], *, steps: int) -> None:
    """One call of the peer for each prompt."""
    for prompt in prompts:
        peer(sample.image, prompt, steps=steps)


def measure(scale: Scale) -> dict[str, Finding]:
    """All keys of queries."""
    pipe = Pipeline("tiny", device="cpu")
    peer, peak = PeerPipeline(pipe.backbone), matmul_peak()
    return {
        "query_ratio": one_query(pipe, peer, scale, peak=peak),
        "many_queries_ratio": many(pipe, peer, scale, kind="keypoints", peak=peak),
        "many_classes_ratio": many(pipe, peer, scale, kind="segmentation", peak=peak),
    }


def profiled() -> dict[str, Callable[[], object]]:
    """Name -> a call of either side, for the profiler."""
    pipe = Pipeline("tiny", device="cpu")
    peer, asker, sample = PeerPipeline(pipe.backbone), Asker(pipe, "segmentation"), scene("segmentation")
    triplets = asker.triplets(sample)
    return {
        "query_ours": lambda: asker(triplets[:1]),
        "many_classes_ours": lambda: asker(triplets),
        "query_peer": lambda: peer(sample.image, triplets[0].instruction, steps=20),
    }
