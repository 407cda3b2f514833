"""Thirty and some mistakes that people make: each ends with its exit code and at most three lines that say cause and remedy."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from idiff.cli import main

FIT = ["fit", "--config", "tiny.yaml"]
PLAIN = """
import torch
from lightning.pytorch import LightningDataModule

class Mine(LightningDataModule):
    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.zeros(4, 3), batch_size=2)
"""
EARLY = "lightning.pytorch.callbacks.EarlyStopping"


def setting(path, value):
    """Change one setting of the configuration, dotted; None takes it out."""

    def change(here):
        config = yaml.safe_load((here / "tiny.yaml").read_text())
        *way, leaf = path.split(".")
        place = config
        for part in way:
            place = place.setdefault(part, {})
        if value is None:
            place.pop(leaf)
        else:
            place[leaf] = value
        (here / "tiny.yaml").write_text(yaml.safe_dump(config))

    return change


def text(old, new):
    """Change the words of the configuration."""

    def change(here):
        words = (here / "tiny.yaml").read_text()
        assert old in words
        (here / "tiny.yaml").write_text(words.replace(old, new))

    return change


def weights(change):
    """Train with a copy of the autoencoder in which `change(folder, file of weights)` broke something."""

    def prepare(here):
        config = yaml.safe_load((here / "tiny.yaml").read_text())
        place = config["model"]["init_args"]["backbone"]["init_args"]["autoencoder"]["init_args"]
        shutil.copytree(place["weights"], here / "vae")
        change(here / "vae", here / "vae" / "diffusion_pytorch_model.safetensors")
        setting("model.init_args.backbone.init_args.autoencoder.init_args.weights", "vae")(here)

    return prepare


def trained(here):
    """A finished run lies in the run folder."""
    shutil.copytree(here / "finished", here / "run")


def file(name, words="x"):
    def prepare(here):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(words)

    return prepare


def locked(here):
    (here / "closed").mkdir(mode=0o500)


TASK = "data.init_args.tasks.segmentation"
MISTAKES = {
    # name: (words, preparation, cause, remedy)
    "no GPU": ([*FIT, "--trainer.accelerator", "gpu"], None, "no such accelerator", "Set trainer.accelerator to cpu"),
    "no wandb": ([*FIT, "--trainer.logger", "WandbLogger"], None, "package wandb is not installed", "pip install 'wandb"),
    "no deepspeed": (
        [*FIT, "--trainer.strategy", "deepspeed"], None, "package deepspeed is not installed", "pip install 'deepspeed'",
    ),
    "unknown metric": (
        FIT, setting("trainer.callbacks", [{"class_path": EARLY, "init_args": {"monitor": "val/miou"}}]),
        "a callback watches 'val/miou', which nothing logs", "did you mean 'val/segmentation/miou'",
    ),
    "unknown metric for the best": (
        [*FIT, "--best.monitor", "miou"], None, "a callback watches 'miou', which nothing logs", "Logged are: val/",
    ),
    "plain data module": (
        FIT,
        lambda here: (file("mine_plain.py", PLAIN)(here), setting("data", {"class_path": "mine_plain.Mine"})(here)),
        "batches are of type Tensor", "choose another data module",
    ),
    "half a download": (
        FIT, weights(lambda folder, file: file.write_bytes(file.read_bytes()[:2000])),
        "2,000 bytes of 15,680", "Get the file again",
    ),
    "LFS pointer": (
        FIT, weights(lambda folder, file: file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\n")),
        "is a pointer of git LFS", "git lfs pull",
    ),
    "no weights": (
        FIT, weights(lambda folder, file: file.unlink()),
        "vae has no weights of the autoencoder", "Get the whole folder",
    ),
    "no config.json": (FIT, weights(lambda folder, file: (folder / "config.json").unlink()), "config.json", "Give the folder"),
    "checkpoints is a file": (FIT, file("run/checkpoints"), "run/checkpoints is a file", "set trainer.default_root_dir"),
    "run in the way": (FIT, trained, "holds a run already", "--ckpt_path last"),
    "other settings": (
        [*FIT, "--ckpt_path", "last", "--model.lr", "0.5", "--ema.decay", "0.3", "--data.seed", "9",
         "--trainer.gradient_clip_val", "2"],
        trained, "4 settings differ", "--resume.allow model.lr,data.seed,ema.decay,trainer.gradient_clip_val",
    ),
    "folder closed": (
        [*FIT, "--trainer.default_root_dir", "closed/run"], locked,
        "closed/run cannot be made", "Set trainer.default_root_dir",
    ),
    "no validation interval": ([*FIT, "--trainer.val_check_interval", "0"], None, "val_check_interval is 0", "1 or more"),
    "no devices": ([*FIT, "--trainer.devices", "0"], None, "trainer.devices is 0", "1 or more, or auto"),
    "seed in words": ([*FIT, "--seed_everything", "abc"], None, "seed_everything: expected a whole number", "whole number"),
    "batch above the set": (
        [*FIT, "--data.batch_size", "1000"], None, "one optimizer step takes", "Make the batch smaller",
    ),
    "unknown task": ([*FIT, "--data.tasks.segmentatio.root", "x"], None, "task 'segmentatio'", "did you mean 'segmentation'"),
    "no such root": ([*FIT, "--data.tasks.segmentation.root", "x"], None, "x/val: expected a folder", "idiff data build"),
    "no root": ([*FIT, "--data.tasks.segmentation.root"], None, "is followed by no folder", "expected one that holds train/"),
    "two roots": (FIT, setting(f"{TASK}.root", ["a", "b"]), "root is ['a', 'b']", "expected one folder"),
    "forgotten quotes": (["segment", "example:objects", "the", "red", "star"], None, "no image 'the' or 'red'", "in quotes"),
    "folder of sets": (["data", "check", "sets"], file("sets/val/manifest.json"), "sets holds sets", "give one of sets/val"),
    "endless size": (["segment", "example:objects", "star", "--size", "100000"], None, "size is 100000", "at most 4096"),
    "folder of a run": (
        ["segment", "example:objects", "star", "--checkpoint", "run"], trained, "folder of a training",
        "give run/checkpoints/best.ckpt",
    ),
    "key twice": (FIT, text("ema:", "ema: {decay: 0.5}\nema:"), "the key 'ema' stands in line", "leave one of them out"),
    "negative rate": ([*FIT, "--model.lr", "-1"], None, "lr is -1.0", "expected 0 or more"),
    "unknown class": ([*FIT, "--model.class_path", "TaskTrainin"], None, "no class 'TaskTrainin'", "did you mean 'TaskTraining'"),
    "unknown class in a module": (
        [*FIT, "--model.class_path", "idiff.stages.TaskTrainin"], None, "no class 'TaskTrainin' in idiff.stages", "'TaskTraining'",
    ),
    "no class": (
        FIT, setting(TASK, {"task": {"decoder": "color"}, "train": "x"}), "no class is named", "give `class_path: NAME`",
    ),
    "no sampler file": (FIT, setting(f"{TASK}.sampling.sampler", "gone_file.fast"), "no module 'gone_file'", "Put its file there"),
    "no configuration": (
        ["fit", "--trainer.max_steps", "3"], None,
        "needs a configuration", "--config configs/experiment/first_run.yaml",
    ),
    "configuration without --config": (["fit", "tiny.yaml"], None, "needs a configuration", "--config tiny.yaml"),
    "empty configuration": (FIT, file("tiny.yaml", ""), "`model:` and `data:` are missing", "experiment/first_run.yaml does"),
    "chain as a training": (FIT, file("tiny.yaml", "stages: []"), "a chain of stages, not one training", "`idiff run tiny.yaml`"),
    "unknown precision": ([*FIT, "--trainer.precision", "fp16"], None, "unknown trainer.precision 'fp16'", "16-mixed, 16-true"),
    "folder as configuration": (["fit", "--config", "."], None, "it is a folder", "expected a YAML file"),
    "shards of another task": (
        FIT, text("segmentation/train", "keypoints/train"), "was built for keypoints, and task 'segmentation'", "Give it shards",
    ),
    "no shards": (
        FIT, text("segmentation/train", "segmentation/trian"),
        "segmentation/trian: expected a folder", "`idiff data build`",
    ),
    "option with a typo": (
        ["segment", "a.png", "the star", "--chekpoint", "tiny"], None,
        "--chekpoint", "did you mean '--checkpoint'",
    ),
    "model with a typo": (
        ["segment", "a.png", "the star", "--checkpoint", "tinny"], None,
        "tinny is missing", "did you mean 'tiny'",
    ),
    "command with a typo": (["evalute"], None, "unknown command 'evalute'", "did you mean 'evaluate'"),
    "command of data with a typo": (["data", "biuld", "coco"], None, "'biuld'", "did you mean 'build'"),
    "folder without a picture": (
        ["segment", "none", "the star"], lambda here: (here / "none").mkdir(), "none has no image", "expected files such as",
    ),
    "no picture": (["edit", "gone.png", "Make it red."], None, "gone.png is missing", "Correct the path"),
    "joint that is none": (["keypoints", "a.png", ","], None, "names no joint", "with commas between"),
    "unknown restoration": (["restore", "a.png", "sharpen"], None, "no 'sharpen'", "denoise, deblur or dewatermark"),
    "no such device": (
        ["tune", "--checkpoint", "tiny", "--data", "SHARDS/segmentation/val", "--out", "t", "--device", "cuda:7"], None,
        "--device cuda:7 cannot be used", "expected cpu",
    ),
    "file as the card's folder": (
        ["evaluate", "--checkpoint", "tiny", "--data", "SHARDS/segmentation/val", "--out", "a.png/card.json"], None,
        "--out a.png/card.json cannot be written", "a folder that exists",
    ),
    "model as YAML": (
        ["export", "--checkpoint", "tiny.yaml", "--out", "o"], None,
        "tiny.yaml cannot be read as a checkpoint", "Use another checkpoint",
    ),
}  # fmt: skip


@pytest.fixture
def here(config, uncut, tmp_path, monkeypatch):
    (tmp_path / "finished").symlink_to(uncut)
    monkeypatch.syspath_prepend(str(tmp_path))
    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save("a.png")
    yield tmp_path
    for closed in tmp_path.glob("closed"):
        closed.chmod(0o700)


def there(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_said_in_three_lines_with_cause_and_remedy(here, shards, capfd, name):
    words, prepare, cause, remedy = MISTAKES[name]
    if name == "folder closed" and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    if prepare is not None:
        prepare(here)
    before = there(here)
    capfd.readouterr()
    assert main([word.replace("SHARDS", str(shards)) for word in words]) == 2
    out, err = capfd.readouterr()
    lines = err[err.rindex("idiff: ") :].splitlines()
    assert len(lines) <= 3 and len(max(lines, key=len)) <= 420, lines
    said = " ".join(lines)
    assert cause in said and remedy in said, said
    assert "Traceback" not in out + err
    assert there(here) == before


def test_debug_shows_where(here, capfd):
    assert main([*FIT, "--trainer.accelerator", "gpu", "--debug"]) == 2
    err = capfd.readouterr().err
    assert "Traceback" in err and err.splitlines()[-1].startswith("idiff: this machine has no such accelerator")


def test_fp16_weights_alone_are_loaded(here):
    from diffusers import AutoencoderKL

    def half(folder, _):
        net = AutoencoderKL.from_pretrained(folder)
        shutil.rmtree(folder)
        net.half().save_pretrained(folder, variant="fp16")

    weights(half)(here)
    assert [path.name for path in (here / "vae").glob("*.safetensors")] == ["diffusion_pytorch_model.fp16.safetensors"]
    assert main([*FIT, "--trainer.max_steps", "1", "--trainer.limit_val_batches", "0"]) == 0


def test_a_training_without_validation_sets_says_so_once(here, capfd):
    for task in ("segmentation", "keypoints"):
        setting(f"data.init_args.tasks.{task}.val", None)(here)
    assert main([*FIT, "--trainer.max_steps", "1"]) == 0
    assert (
        capfd.readouterr().err.count("no task has a `val` set: nothing is scored, and there will be no best.ckpt") == 1
    )


def test_fresh_renames_nothing_where_the_data_or_the_model_is_refused(here):
    trained(here)
    before = there(here)
    assert main([*FIT, "--fresh", "--model.lr", "-1"]) == 2
    text("segmentation/train", "segmentation/trian")(here)
    assert main([*FIT, "--fresh"]) == 2
    assert there(here) == before
    text("segmentation/trian", "segmentation/train")(here)
    assert main([*FIT, "--fresh", "--trainer.max_steps", "1", "--trainer.limit_val_batches", "0"]) == 0
    assert (here / "run.1" / "checkpoints" / "last.ckpt").is_file()


def test_max_time_ends_a_training_with_a_sentence(here, capfd):
    assert main([*FIT, "--trainer.max_time", "00:00:00:01", "--trainer.max_steps", "100000"]) == 0
    assert "the time of trainer.max_time is up" in capfd.readouterr().err
    assert Path("run/checkpoints/last.ckpt").is_file()


def test_the_settings_of_a_default_task_need_no_class(here, shards, capfd):
    data = {"class_path": "SegmentationDataModule", "task": {"decoder": "color"}, "batch_size": 2}
    setting("data", data | {name: str(shards / "segmentation" / name) for name in ("train", "val")})(here)
    assert main([*FIT, "--trainer.max_steps", "1", "--trainer.limit_val_batches", "0"]) == 0
