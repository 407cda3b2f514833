"""What 10 minutes of one core reach from `tiny-base`: ours beside the loop of diffusers' InstructPix2Pix example.

    python benchmarks/score.py                        # all arms, three seeds (`make bench-score`): about two and a half hours
    python benchmarks/score.py --minutes 0.5 --seeds 1 --out /tmp/score

Both read the same drawn scenes through the same loader, and the time of loading counts. Ours is stage 2 as the demo configures it;
the peer has the example's published settings (learning rate 5e-5), and two more learning rates. Its loop predicts what `tiny-base`
was trained to predict. Both use bfloat16 where the CPU has it. Minutes are of the processor. Afterwards averaged weights
are scored on held-out scenes, untimed: ours in one step, the peer's in 20. An arm that ended is
kept under OUT/arms and not run again, where its settings are the same.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from peer_training import PeerTraining
from scenes import HELD_OUT, TASKS, shards_of

from idiff.callbacks.average import WeightAverage
from idiff.data.datamodule import MixtureDataModule
from idiff.data.loading.training import TaskEntry
from idiff.models.backbone import LatentDiffusion
from idiff.models.objective import Objective
from idiff.sampling import Sampling
from idiff.stages.tasks import TaskTraining
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import KeypointDetection, SemanticSegmentation
from idiff.tasks.base import Task
from idiff.utils.hardware import fast_bfloat16

SIZE, SCENES, TRAINED, PROBE = 16, 64, 4000, 8
"""Examples of a batch, scenes that are scored a task, scenes that are trained on a task, steps that tell how long a step takes."""

RATES = (5e-5, 3e-4, 1e-3)
"""The peer's learning rates; the first is the published one."""

KEYS = {"pck": "keypoints", "mciou": "segmentation"}
"""What is scored, and its task."""


def tasks() -> dict[str, Task]:
    """Both tasks, as the demo configures them."""
    figures = {"scale_sigma": 0.1, "rotation_sigma": 10.0, "rotation_share": 0.5, "half_body_share": 0.0, "faint": True}
    return {"segmentation": SemanticSegmentation(negatives=0.4), "keypoints": KeypointDetection(**figures)}


def loader_of(folder: Path, seed: int) -> MixtureDataModule:
    """The mixture on its shards, opened."""
    entries = {name: TaskEntry(task, train=str(folder / f"{name}-train")) for name, task in tasks().items()}
    data = MixtureDataModule(entries, batch_size=SIZE, seed=seed)
    data.setup("fit")
    return data


class Until(Callback):
    """Ends a fit once so many seconds of the processor have gone, and plans the learning rate's fall for that time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.began = seconds, 0.0

    def on_train_start(self, trainer, pl_module) -> None:
        self.began = time.process_time()
        pl_module.total_steps = float("inf")

    def on_train_batch_end(self, trainer, pl_module, *_) -> None:
        taken = time.process_time() - self.began
        if trainer.global_step == PROBE:
            pl_module.total_steps = trainer.global_step * self.seconds / taken
        trainer.should_stop = trainer.should_stop or taken >= self.seconds


class Falling(TaskTraining):
    """Stage 2 whose number of steps is known once a few of them were timed: `Until` sets it."""

    def configure_optimizers(self):
        self.decay = "constant"
        found = super().configure_optimizers()
        self.decay = "cosine"
        return found


def train_ours(data: MixtureDataModule, *, seed: int, seconds: float) -> tuple[LatentDiffusion, int]:
    """Stage 2 with the demo's settings; returns the averaged model and its steps."""
    objective = Objective(
        prediction="sample", residual=True, zero_terminal_snr=True, spacing="trailing", terminal_share=1.0, dropout_text=0.0,
        dropout_image=0.0, changed_weight=4.0, auxiliary_loss_weight=0.5,
    )  # fmt: skip
    attended = {"up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]}
    backbone = LatentDiffusion(pretrained="tiny-base", unet=attended, objective=objective)
    stage = Falling(backbone=backbone, lr=1.5e-3, optimizer="muon", warmup_steps=50, seed=seed)
    folder = tempfile.mkdtemp()
    trainer = Trainer(
        max_epochs=-1, accelerator="cpu", devices=1, gradient_clip_val=1.0, callbacks=[WeightAverage(0.99), Until(seconds)],
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder, precision="bf16-mixed" if fast_bfloat16() else "32-true",
    )  # fmt: skip
    trainer.fit(stage, train_dataloaders=data.train_dataloader())
    stage.take_average()
    return backbone.eval(), trainer.global_step


def train_peer(data: MixtureDataModule, *, seed: int, seconds: float, lr: float) -> tuple[LatentDiffusion, int]:
    """The peer's loop; returns the averaged model, sampled by InstructPix2Pix's rule, and its steps."""
    objective = Objective(
        prediction="sample", zero_terminal_snr=True, spacing="trailing", rule="instructpix2pix",
    )  # fmt: skip
    backbone = LatentDiffusion(pretrained="tiny-base", unet_weights="tiny-base", objective=objective)
    peer, steps = PeerTraining(backbone, bfloat16=fast_bfloat16(), lr=lr, base=True), 0
    began = time.process_time()
    while time.process_time() - began < seconds:
        for batch in data.train_dataloader():
            peer.step(batch.source, batch.target, batch.instruction)
            steps += 1
            if time.process_time() - began >= seconds:
                break
    peer.ema.copy_to(peer.unet.parameters())
    backbone.unet.load_state_dict(peer.unet.state_dict())
    return backbone.eval(), steps


@torch.no_grad()
def score(backbone: LatentDiffusion, *, steps: int, scenes: int) -> dict[str, float]:
    """`pck` and `mciou` on held-out scenes."""
    found = {}
    for key, name in KEYS.items():
        task = SemanticSegmentation(ask="present") if key == "mciou" else tasks()[name]
        metric = task.metrics()[key]
        source = SyntheticSource(name, split="val", count=scenes, seed=HELD_OUT)
        for index in range(scenes):
            triplets = list(task.queries(source.sample(index), 0))
            shown = torch.stack([each.source for each in triplets if each.source is not None])
            words, queries = [each.instruction for each in triplets], [each.query for each in triplets]
            edited = backbone.edit(shown, words, sampling=Sampling(steps=steps), seeds=range(len(words)))
            rendered = backbone.autoencoder.render(shown[:1]).expand_as(edited)
            metric.update(
                task.combine(task.decode(edited, rendered, queries), queries), task.truth(triplets[0].annotation)
            )
        found[key] = round(float(metric.compute()), 4)
    return found


def arm(name: str, folder: Path, *, seed: int, minutes: float, scenes: int) -> dict[str, Any]:
    """Train and score one arm: `ours`, or the peer at a learning rate."""
    torch.manual_seed(seed)
    data, seconds = loader_of(folder, seed), minutes * 60
    if name == "ours":
        backbone, steps = train_ours(data, seed=seed, seconds=seconds)
    else:
        backbone, steps = train_peer(data, seed=seed, seconds=seconds, lr=float(name))
    return {"steps": steps, **score(backbone, steps=1 if name == "ours" else 20, scenes=scenes)}


def kept(file: Path, settings: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What an earlier run found with the same settings, or what is made now and kept."""
    if file.is_file():
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if found["settings"] == settings:
            return found
    found = {**make(), "settings": settings}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found) + "\n", encoding="utf-8")
    return found


def summary(arms: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Means of the arms, and ours over the peer's published settings and over the better of its learning rates, by key."""
    means = {name: {key: statistics.mean(run[key] for run in runs) for key in KEYS} for name, runs in arms.items()}
    peers = [name for name in means if name != "ours"]
    best = {key: max(means[name][key] for name in peers) for key in KEYS}
    over = {key: round(means["ours"][key] / max(best[key], 1e-9), 3) for key in KEYS}
    published = {key: round(means["ours"][key] / max(means[peers[0]][key], 1e-9), 3) for key in KEYS}
    value = min(over.values())
    return {
        "time_to_score": value, "must": 1.0, "goal": 2.0, "reached": value > 1, "over_best_rate": over,
        "over_published": published, "means": means, "arms": arms,
    }  # fmt: skip


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--minutes", type=float, default=10, metavar="N", help="CPU minutes of each arm (10)")
    add("--seeds", type=int, default=3, metavar="N", help="seeds of each arm (3)")
    add("--scenes", type=int, default=SCENES, metavar="N", help=f"held-out scenes that are scored a task ({SCENES})")
    add("--trained", type=int, default=TRAINED, metavar="N", help=f"scenes that are trained on a task ({TRAINED})")
    add("--out", type=Path, default=Path("runs/bench"), metavar="DIR", help="score.json and arms/ (runs/bench)")
    options = parser.parse_args(words)
    for name in ("minutes", "seeds", "scenes", "trained"):
        if getattr(options, name) <= 0:
            parser.error(f"--{name} is {getattr(options, name):g}: expected more than 0")
    torch.set_num_threads(1)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    shards = options.out / "scenes" / str(options.trained)
    for name in TASKS:
        shards_of(name, shards, count=options.trained)
    settings = {"minutes": options.minutes, "scenes": options.scenes, "trained": options.trained}
    arms: dict[str, list[dict[str, Any]]] = {}
    for seed in range(options.seeds):
        for name in ("ours", *map(str, RATES)):
            file = options.out / "arms" / f"{name}-{seed}.json"
            found = kept(
                file, {**settings, "seed": seed},
                lambda name=name, seed=seed: arm(name, shards, seed=seed, minutes=options.minutes, scenes=options.scenes),
            )  # fmt: skip
            arms.setdefault(name, []).append(found)
            print(f"{name:8} seed {seed}: " + ", ".join(f"{key} {found[key]}" for key in ("steps", *KEYS)), flush=True)
    result = summary(arms)
    (options.out / "score.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"time_to_score {result['time_to_score']} (over the peer's best rate: {result['over_best_rate']})")


if __name__ == "__main__":
    main()
