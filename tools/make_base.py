"""Train the models that ship, from nothing: shards, autoencoder, text encoder, text-to-image, and the three stages.

    python tools/make_base.py            train, go on where it was cut, then write the variants under runs/base
    python tools/make_base.py --ship     then put them under idiff/assets/models, and run tools/base_scores.py: figures, model card
    python tools/make_base.py --gpu --minutes 9     on one GPU, in pieces: exit code 3 says that the same command goes on

Every step runs a command that a user could run, each seeded and resumable. Nothing but drawn scenes is trained on.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from idiff.config.compose import compose
from idiff.config.resume import PARTS
from idiff.data.shards.reader import ShardSet
from idiff.errors import ConfigError
from idiff.models.io.checkpoint import Loaded, load
from idiff.models.io.export import write_folder
from idiff.models.ood import DAMAGED, OODScore
from idiff.pipeline import RESTORATIONS
from idiff.utils.hardware import fast_bfloat16, usable_device
from idiff.utils.images import to_tensor

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "configs" / "experiment"
DATA, RUNS = Path("data/base"), Path("runs/base")
ASSETS = ROOT / "idiff" / "assets" / "models"
SCENES = {
    "segmentation": 20_000, "keypoints": 20_000, "referring": 15_000, "editing": 10_000,
    "denoise": 5_000, "deblur": 8_000, "dewatermark": 5_000, "detection": 6_000, "classification": 6_000, "instances": 6_000,
}  # fmt: skip
"""Task -> training scenes."""
SOLIDS = {
    "depth": ("depth", 8_000), "normals": ("normals", 6_000), "edges": ("edges", 4_000),
    "instances_solids": ("instances", 4_000), "segmentation_solids": ("segmentation", 3_000),
}  # fmt: skip
"""Folder -> the task it is drawn for, and training scenes, of solids."""
STAGE_2 = ("base_tasks", "base_tasks_more", "base_tasks_names", "base_tasks_muon")
EVERY_TASK = ("base_tasks_all", "base_tasks_long", "base_tasks_deep", "base_tasks_deep_more",
              "base_tasks_deep_last", "base_tasks_deep_end", "base_tasks_deep_fine")  # fmt: skip
BEFORE, END, END_SHARE = "base_tasks_deep_more", "base_tasks_deep_end", 0.6
"""After the second part its weights are averaged with those of the first, by this share of its own. It lies between 0.5 and
0.7, which were compared on validation scenes."""
SEED = {"train": 1, "val": 2, "test": 1_000_000_007}
COUNT = {"val": 200, "test": 500}
SHARED = {"vae": "../shared/vae", "text_encoder": "../shared/text_encoder", "tokenizer": "../../tokenizer"}
"""Part -> where it lies once for all variants, seen from a variant's folder."""


GPU = ("accelerator", "gpu"), ("devices", "1"), ("strategy", "auto"), ("precision", "bf16-mixed")
GPU_WORKERS = "8"
UNFINISHED = 3
"""Exit code of a piece whose time is over."""


class Piece:
    """How long this run may take, and on what it trains."""

    ends = math.inf
    gpu = False


def idiff(*words: str) -> None:
    """Run one command of the package in a process of its own (training may start a second rank) and show it.

    When the time of the piece is over the command is asked to stop, which saves what it trains.
    """
    print(f"\n$ idiff {' '.join(words)}", flush=True)
    running = subprocess.Popen([sys.executable, "-m", "idiff", *words])
    left = Piece.ends - time.monotonic()
    try:
        code = running.wait(None if math.isinf(left) else max(left, 0))
    except subprocess.TimeoutExpired:
        running.terminate()
        running.wait()
        print("The time of this piece is over: the same command goes on.", flush=True)
        sys.exit(UNFINISHED)
    if code:
        sys.exit(code)


def on_gpu(name: str) -> list[str]:
    """Words that train an experiment on one GPU, with the batches that it has on all its ranks together."""
    settings = compose([str(EXPERIMENTS / f"{name}.yaml")])
    data = settings["data"].get("init_args", settings["data"])
    batch = int(settings["trainer"].get("devices", 1)) * int(data["batch_size"])
    words = [word for key, value in GPU for word in (f"--trainer.{key}", value)]
    return [*words, "--data.batch_size", str(batch), "--data.num_workers", GPU_WORKERS]


def fit(name: str, done: Path) -> None:
    """Train one experiment, or go on with it, unless what it leaves behind is there."""
    if not done.exists():
        began = time.time()
        half = name in {STAGE_2[-1], *EVERY_TASK} and fast_bfloat16()
        words = on_gpu(name) if Piece.gpu else ["--trainer.precision", "bf16-mixed"] if half else []
        idiff("fit", "--config", str(EXPERIMENTS / f"{name}.yaml"), "--ckpt_path", "last", *words)
        print(f"{name}: {(time.time() - began) / 60:.1f} minutes in this run", flush=True)


def trained(name: str) -> bool:
    """Whether an experiment has reached its last step."""
    trainer = compose([str(EXPERIMENTS / f"{name}.yaml")])["trainer"]
    last = Path(trainer["default_root_dir"]) / "checkpoints" / "last.ckpt"
    return last.exists() and load(last).step >= int(trainer["max_steps"])


def build_data() -> None:
    """Draw the scenes of every task."""
    flat = {task: ("flat", task, scenes) for task, scenes in SCENES.items()}
    for folder, (family, task, scenes) in (flat | {name: ("solids", *what) for name, what in SOLIDS.items()}).items():
        for split, seed in SEED.items():
            out, count = DATA / folder / split, COUNT.get(split, scenes)
            idiff("data", "build", "synthetic", "--family", family, "--task", task, "--split", split,
                  "--count", str(count), "--seed", str(seed), "--out", str(out), "--workers", "2")  # fmt: skip


def ceilings(loaded: Loaded, *, pictures: int = 100) -> None:
    """Print how far the autoencoder can restore, beside the damaged images as they are."""
    for task in RESTORATIONS:
        shards = ShardSet.open(DATA / task / "val")
        samples = [shards.read(index) for index in range(min(pictures, len(shards)))]
        clean = torch.stack([to_tensor(sample.target) for sample in samples if sample.target is not None])
        damaged = torch.stack([to_tensor(sample.image) for sample in samples])
        with torch.no_grad():
            rendered = loaded.backbone.autoencoder.render(clean)
        above, below = (psnr(one, clean) for one in (rendered, damaged))
        print(f"{task}: input {below:.2f} dB, ceiling {above:.2f} dB, {above - below:+.2f} dB")


def psnr(pictures: torch.Tensor, clean: torch.Tensor) -> float:
    """Mean over images, in dB."""
    error = (pictures - clean).square().mean(dim=(1, 2, 3)) / 4
    return float(-10 * error.log10().mean())


def ood_score(loaded: Loaded, *tasks: str, pictures: int = 1000) -> dict[str, Any]:
    """What the training images of some tasks look like to the autoencoder."""
    sources = []
    for task in tasks:
        shards = ShardSet.open(DATA / task / "train")
        sources += [to_tensor(shards.read(index).image) for index in range(min(pictures, len(shards)))]
    with torch.no_grad():
        rendered = [loaded.backbone.autoencoder.render(part) for part in torch.stack(sources).split(64)]
    return OODScore.fit(torch.stack(sources), torch.cat(rendered)).describe()


def known_images(loaded: Loaded, *more: str) -> dict[str, Any]:
    """What undamaged training images look like to the autoencoder, and the damaged ones of each restoration."""
    damaged = {task: ood_score(loaded, task) for task in RESTORATIONS}
    return ood_score(loaded, "segmentation", "keypoints", "editing", *more) | {DAMAGED: damaged}


def known_joints() -> list[str]:
    """Joints of the drawn figures."""
    (skeleton,) = ShardSet.open(DATA / "keypoints" / "train").meta["skeletons"].values()
    return list(skeleton["joints"])


def export(experiment: str, name: str) -> Path:
    """Write the last weights of an experiment as a variant on its own. Its settings are those of the file, as it is now."""
    folder = RUNS / name
    if not folder.exists():
        settings = compose([str(EXPERIMENTS / f"{experiment}.yaml")])
        loaded = load(Path(settings["trainer"]["default_root_dir"]) / "checkpoints" / "last.ckpt")
        known = known_images(loaded, *(["depth"] if experiment in EVERY_TASK else []))
        config = {key: settings[key] for key in PARTS if key in settings}
        if "keypoints" in config["data"]["init_args"].get("tasks", {}):
            config["data"]["init_args"]["tasks"]["keypoints"]["joints"] = known_joints()
        write_folder(loaded.backbone, folder, config=config, step=loaded.step, ood_score=known, half=False)
    return folder


def mean_of(folder: Path, last: Path, before: Path, share: float) -> Path:
    """Write the weighted mean of two variants, which keeps what training on has unlearned.

    Source: WiSE-FT, Wortsman et al., arXiv 2109.01903.

    Args:
        folder: of the new variant; kept where it is there.
        last: its settings are taken, and this `share` of its weights.
        before: what `last` was trained from.
        share: from 0 to 1.
    """
    if not folder.exists():
        loaded, other = load(last), load(before).backbone.state_dict()
        for name, weights in loaded.backbone.state_dict().items():
            if weights.is_floating_point():
                weights.lerp_(other[name].to(weights), 1 - share)
        write_folder(
            loaded.backbone, folder, config=loaded.config, step=loaded.step, ood_score=loaded.ood_score, half=False
        )
    return folder


def train_every_task() -> Path:
    """Train the parts that follow `tiny-tasks`; the last one starts from a mean of two."""
    for name in EVERY_TASK:
        if not trained(name):
            fit(name, RUNS / "tiny-all")
        if name == END:
            mean_of(RUNS / "tiny-all-mean", export(END, "tiny-all-end"), export(BEFORE, "tiny-all-more"), END_SHARE)
    return export(EVERY_TASK[-1], "tiny-all")


def ship(variants: dict[str, Path], best: str) -> None:
    """Put variants under the package's assets: what they share once, half precision, and score the best one."""
    shutil.rmtree(ASSETS, ignore_errors=True)
    ASSETS.mkdir(parents=True)
    first = load(next(iter(variants.values())))
    first.backbone.text.save(ASSETS / "shared")
    shutil.rmtree(ASSETS / "shared" / "tokenizer")
    for part, net in {"vae": first.backbone.autoencoder.net, "text_encoder": first.backbone.text.net}.items():
        net.half().to(memory_format=torch.contiguous_format).save_pretrained(ASSETS / "shared" / part)
    for name, folder in variants.items():
        loaded = load(folder)
        write_folder(loaded.backbone, ASSETS / name, config=loaded.config, step=loaded.step,
                     ood_score=loaded.ood_score, presets=loaded.presets, shared=SHARED)  # fmt: skip
    index = {name: name for name in variants} | {"tiny": best}
    (ASSETS / "index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--ship", action="store_true", help="write idiff/assets/models from what was trained, and score it"
    )
    parser.add_argument("--minutes", type=float, metavar="N", help="stop after so long; what trains is saved first")
    parser.add_argument("--gpu", action="store_true", help="train on one GPU, in bfloat16, instead of on CPU cores")
    options = parser.parse_args(words)
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        parser.error(f"--minutes is {options.minutes:g}: expected more than 0")
    if options.gpu:
        try:
            usable_device("cuda", setting="--gpu:")
        except ConfigError as error:
            parser.error(str(error))
    Piece.gpu = options.gpu
    if options.minutes is not None:
        Piece.ends = time.monotonic() + 60 * options.minutes
    build_data()
    fit("base_autoencoder", RUNS / "autoencoder" / "autoencoder")
    fit("base_decoder", RUNS / "decoder" / "autoencoder")
    fit("base_text", RUNS / "text" / "text_encoder")
    if not trained("base_pictures"):
        fit("base_pictures", RUNS / "tiny-base")
    base = export("base_pictures", "tiny-base")
    ceilings(load(base))
    if not trained("base_adapted"):
        fit("base_adapted", RUNS / "tiny-adapted")
    adapted = export("base_adapted", "tiny-adapted")
    for name in STAGE_2:
        if not trained(name):
            fit(name, RUNS / "tiny-tasks")
    tasks = export(STAGE_2[-1], "tiny-tasks")
    every = train_every_task()
    idiff("run", str(EXPERIMENTS / "base_aligned.yaml"))
    aligned = export("base_alignment", "tiny-aligned")
    if options.ship:
        ship(
            {
                "tiny-base": base,
                "tiny-adapted": adapted,
                "tiny-tasks": tasks,
                "tiny-all": every,
                "tiny-aligned": aligned,
            },
            best="tiny-tasks",
        )
        subprocess.run([sys.executable, str(ROOT / "tools" / "base_scores.py")], check=True)


if __name__ == "__main__":
    main()
