"""A training step beside the loop of diffusers' InstructPix2Pix example: float32, bfloat16, and from a latent cache.

Ours is `Trainer.fit` of stage 2 with the weight average and clipped gradients. Its batches come from a loader that runs a turn of
the peer before each of its own, so that both take turns in one process on the same batches.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import cycle, islice

import torch
from gpu import latents_of
from measuring import Finding, Scale, Times, bound_by_flops, flops_of, matmul_peak, ratio
from peer_training import PeerTraining
from scenes import training_batches

from idiff.callbacks.average import WeightAverage
from idiff.models.backbone import LatentDiffusion
from idiff.models.io.checkpoint import load
from idiff.stages.tasks import TaskTraining
from idiff.types import Batch, BatchBase
from idiff.utils.hardware import fast_bfloat16

SIZE = 16
"""Examples of a batch: that of the shipped models' recipe."""

STEPS = 12
"""Steps of a turn."""


class Turns:
    """A loader of our batches that runs a turn of each peer before each turn of ours, and times them all in CPU seconds."""

    def __init__(
        self, batches: Sequence[BatchBase], peers: Mapping[str, Callable[[], None]], *, rounds: int, steps: int
    ) -> None:
        self.batches, self.peers, self.rounds, self.steps = batches, dict(peers), rounds, steps
        self.ours, self.others = Times(), {name: Times() for name in peers}

    def __iter__(self) -> Iterator[BatchBase]:
        """Yield each turn's batches; the time until the next one is asked for is that of a step. The first turn warms up."""
        batches = cycle(self.batches)
        for turn in range(self.rounds + 1):
            for name, peer in self.peers.items():
                began = time.process_time()
                peer()
                if turn:
                    self.others[name].seconds.append((time.process_time() - began) / self.steps)
            taken = 0.0
            for batch in islice(batches, self.steps):
                began = time.process_time()
                yield batch
                taken += time.process_time() - began
            if turn:
                self.ours.seconds.append(taken / self.steps)


def fit(backbone: LatentDiffusion, loader: Iterable[BatchBase], *, bfloat16: bool = False, ranks: int = 1) -> None:
    """Train on everything that a loader gives, without logs and checkpoints."""
    from lightning.pytorch import Trainer

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    stage = TaskTraining(backbone=copy.deepcopy(backbone), lr=1e-4)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_epochs=1, accelerator="cpu", devices=ranks, strategy="ddp" if ranks > 1 else "auto", gradient_clip_val=1.0,
            callbacks=[WeightAverage(0.999)],
            use_distributed_sampler=False,
            precision="bf16-mixed" if bfloat16 else "32-true", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(stage, train_dataloaders=loader)


def peer_turns(
    backbone: LatentDiffusion, batches: Sequence[Batch], *, steps: int, bfloat16: bool
) -> Callable[[], None]:
    """A call that runs a turn of the peer's loop."""
    peer = PeerTraining(backbone, bfloat16=bfloat16)

    def turn() -> None:
        for batch in islice(cycle(batches), steps):
            assert batch.source is not None
            peer.step(batch.source, batch.target, batch.instruction)

    return turn


def measure(scale: Scale, *, size: int = SIZE, steps: int = STEPS) -> dict[str, Finding]:
    """All keys of training."""
    torch.manual_seed(0)
    steps, rapid = scale.of(steps, least=2), fast_bfloat16()
    backbone = load("tiny").backbone
    batches = training_batches(size=size, count=min(4, steps))
    cached = [latents_of(backbone.eval(), batch) for batch in batches]
    peaks = {False: matmul_peak(), True: matmul_peak(torch.bfloat16) if rapid else 0.0}
    flops = {"plain": _flops(backbone, batches[0]), "cached": _flops(backbone, cached[0])}

    def against(ours: Sequence[BatchBase], *, bfloat16: bool, beside: Sequence[bool]) -> Turns:
        names = {False: "float32", True: "bfloat16"}
        peers = {names[half]: peer_turns(backbone, batches, steps=steps, bfloat16=half) for half in beside}
        turns = Turns(ours, peers, rounds=scale.rounds, steps=steps)
        fit(backbone, turns, bfloat16=bfloat16)
        return turns

    def finding(turns: Turns, compared: str, *, work: str, bfloat16: bool) -> Finding:
        best = min(turns.others, key=lambda name: turns.others[name].median)
        peer = turns.others[best]
        more = {"peer_is": best, "peers": {name: times.plain() for name, times in turns.others.items()}, "batch": size}
        more["share_of_peak"] = round(flops[work] / peaks[bfloat16] / turns.ours.median, 3)
        ceiling = bound_by_flops(peer, flops[work], peaks[bfloat16])
        return Finding(ratio(peer, turns.ours), compared, turns.ours, peer, ceiling, more=more)

    both = [False, True] if rapid else [False]
    words = "CPU seconds of a step of `tiny` at 64 px"
    found = {
        "train_step_ratio": finding(
            against(batches, bfloat16=False, beside=[False]),
            f"{words}, float32: Trainer.fit of stage 2 against the loop of diffusers' InstructPix2Pix example.",
            work="plain", bfloat16=False,
        ),
        "train_cached_ratio": finding(
            against(cached, bfloat16=rapid, beside=both),
            f"{words}, {'bfloat16' if rapid else 'float32'}, from a latent cache against the peer's best.",
            work="cached", bfloat16=rapid,
        ),
    }  # fmt: skip
    compared = f"{words}: ours in bfloat16 against the peer's best of bfloat16 and float32."
    if rapid:
        found["train_step_bf16_ratio"] = finding(
            against(batches, bfloat16=True, beside=both), compared, work="plain", bfloat16=True
        )
    else:
        found["train_step_bf16_ratio"] = Finding(
            None, compared, reason="this CPU does not multiply in bfloat16 by itself"
        )
    return found


def _flops(backbone: LatentDiffusion, batch: Batch) -> int:
    model = copy.deepcopy(backbone).train()
    return flops_of(lambda: model.loss(batch, seed=0).backward())


def profiled(size: int = SIZE) -> dict[str, Callable[[], object]]:
    """Name -> a call of either side, for the profiler."""
    backbone, batches = load("tiny").backbone, training_batches(size=size, count=2)
    cached = [latents_of(backbone.eval(), batch) for batch in batches]
    return {
        "train_step_ours": lambda: fit(backbone, Turns(batches, {}, rounds=1, steps=4)),
        "train_step_peer": peer_turns(backbone, batches, steps=8, bfloat16=False),
        "train_cached_ours": lambda: fit(backbone, Turns(cached, {}, rounds=1, steps=4), bfloat16=fast_bfloat16()),
    }
