"""`idiff evaluate` on every checkpoint that `idiff fit` can write: each stage with each data module that it can train on."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from small_models import AUTOENCODER, TEXT, UNET

from idiff.cli import main
from idiff.errors import CheckpointError
from idiff.models.io.checkpoint import load
from idiff.pipeline import Pipeline
from idiff.tasks.saved import restore_task

MINE = '''
from dataclasses import dataclass
from pathlib import Path

from idiff.data.datamodule import StreamDataModule, TaskDataModule
from idiff.data.loading.training import TaskEntry
from idiff.tasks import SemanticSegmentation
from idiff.tasks.captioned import Captioned
from idiff.types import Sampling


@dataclass
class Note:
    text: str = "none"


class Judged(SemanticSegmentation):
    """The source is what people found worse than the target."""

    def __init__(self, *, folder: Path = Path("there"), note: Note = Note(), **options):
        super().__init__(**options)
        assert isinstance(folder, Path) and isinstance(note, Note)

    def encode(self, sample, item, rng, *, train):
        triplet = super().encode(sample, item, rng, train=train)
        triplet.rejected = triplet.source
        return triplet


class JudgedModule(TaskDataModule):
    default_task = Judged


class CaptionedModule(TaskDataModule):
    default_task = Captioned


class OwnModule(StreamDataModule):
    """Its configuration names no task."""

    def __init__(self, folder: str, captioned: bool = False):
        task = Captioned() if captioned else Judged(folder=Path("here"), note=Note("mine"), min_score=0.25)
        entry = TaskEntry(task, folder + "/train", folder + "/val", sampling=Sampling(steps=2))
        super().__init__({"own": entry}, batch_size=2, val_samples=1, val_groups=1)
'''
BATCH = {"batch_size": 2, "val_samples": 1, "val_groups": 1, "overlap": "warn"}
IDIFF = "idiff.data.datamodule"
OBJECTIVE = {"prediction": "sample", "zero_terminal_snr": True, "spacing": "trailing"}


def part(kind, **arguments):
    return {"class_path": kind, "init_args": arguments}


def split(folder):
    return {"train": f"{folder}/train", "val": f"{folder}/val"}


def data_of(name, shards):
    """The `data` section of a configuration, the shards it validates on, and the task that evaluation asks for."""
    masks, joints = shards / "segmentation", shards / "keypoints"
    short = {"sampling": {"steps": 1}} | split(masks)
    judged, captioned = part("mine.Judged"), part("idiff.tasks.captioned.Captioned")
    own = {"folder": str(masks)}
    return {
        "mixture": (part(f"{IDIFF}.MixtureDataModule", tasks={"painted": {"task": judged} | short}, **BATCH), masks, None),
        "one task": (part(f"{IDIFF}.TaskDataModule", task=judged, name="painted", **short, **BATCH), masks, "painted"),
        "segmentation": (part(f"{IDIFF}.SegmentationDataModule", **short, **BATCH), masks, None),
        "keypoints": (part(f"{IDIFF}.KeypointDataModule", **split(joints), **BATCH), joints, None),
        "default task": (part("mine.JudgedModule", **short, **BATCH), masks, None),
        "own module": (part("mine.OwnModule", **own), masks, None),
        "captions": (part(f"{IDIFF}.MixtureDataModule", tasks={"words": {"task": captioned} | short}, **BATCH), masks, "words"),
        "one captioned": (part(f"{IDIFF}.TaskDataModule", task=captioned, **short, **BATCH), masks, "captioned"),
        "default captions": (part("mine.CaptionedModule", **short, **BATCH), masks, "captioned"),
        "own captions": (part("mine.OwnModule", captioned=True, **own), masks, "own"),
        "sentences": (part("idiff.data.sentence_datamodule.SentenceDataModule", batch_size=2, epoch_steps=1), masks, None),
    }[name]  # fmt: skip


def model_of(stage, autoencoder, start):
    """The `model` section of a configuration."""
    net = part("idiff.models.autoencoder.Autoencoder", weights=autoencoder)
    text = part("idiff.models.text.TextEncoder", config=TEXT)
    backbone = part(
        "idiff.models.backbone.LatentDiffusion", autoencoder=net, text=text, unet=UNET, objective=OBJECTIVE,
        with_source=stage != "Adaptation",
    )  # fmt: skip
    fresh = part("idiff.models.autoencoder.Autoencoder", config=AUTOENCODER)
    return {
        "Adaptation": part("idiff.stages.Adaptation", backbone=backbone),
        "TaskTraining": part("idiff.stages.TaskTraining", backbone=backbone),
        "LoRA": part("idiff.stages.TaskTraining", backbone=backbone, init_from=start, lora={"rank": 1}),
        "PreferenceTraining": part("idiff.stages.PreferenceTraining", backbone=backbone, init_from=start),
        "AutoencoderTraining": part("idiff.stages.AutoencoderTraining", autoencoder=fresh),
        "ReadoutTraining": part("idiff.stages.ReadoutTraining", autoencoder=net, widths=[4, 8]),
        "TextTraining": part("idiff.stages.TextTraining", text=text),
    }[stage]


OF_TASKS = ("mixture", "one task", "segmentation", "keypoints", "default task", "own module")
TRAINS_ON = {
    "Adaptation": ("captions", "one captioned", "default captions", "own captions"),
    "TaskTraining": OF_TASKS,
    "LoRA": OF_TASKS,
    "PreferenceTraining": ("mixture", "one task", "default task", "own module"),
    "AutoencoderTraining": OF_TASKS,
    "ReadoutTraining": OF_TASKS,
    "TextTraining": ("sentences",),
}
PAINTS_NOTHING = {"AutoencoderTraining", "ReadoutTraining", "TextTraining"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder, with a user's file in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("mine.py").write_text(MINE)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


def fit(model, data):
    """One step of training; returns the checkpoint."""
    config = {
        "model": model, "data": data, "last": {"every_n_steps": 1}, "evaluate": {"table": False, "baselines": False},
        "trainer": {
            "default_root_dir": "run", "max_steps": 1, "limit_val_batches": 0, "accelerator": "cpu", "logger": False,
            "enable_model_summary": False,
        },
    }  # fmt: skip
    Path("config.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", "config.yaml"]) == 0
    return "run/checkpoints/last.ckpt"


@pytest.fixture(scope="module")
def start(tmp_path_factory, shards, autoencoder_folder):
    """A checkpoint that adapters and preferences start from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("start"))
        data, _, _ = data_of("segmentation", shards)
        return str(Path(fit(model_of("TaskTraining", autoencoder_folder, None), data)).resolve())


@pytest.mark.parametrize(("stage", "name"), [(stage, name) for stage, names in TRAINS_ON.items() for name in names])
def test_every_checkpoint_gives_a_card_or_one_sentence(stage, name, here, shards, autoencoder_folder, start, capsys):
    data, folder, task = data_of(name, shards)
    saved = fit(model_of(stage, autoencoder_folder, start), data)
    capsys.readouterr()
    words = ["evaluate", "--checkpoint", saved, "--data", f"{folder}/val", "--out", "card.json", "--limit", "1"]
    words += ["--bootstrap", "0", *(["--task", task] if task else []), *(["--trust"] if "mine." in str(data) else [])]
    code = main(words)
    said = capsys.readouterr().err
    if stage in PAINTS_NOTHING:
        assert code == 2 and not Path("card.json").exists()
        assert said.count("\n") == 1 and "holds no diffusion model" in said
    else:
        assert code == 0, said
        card = json.loads(Path("card.json").read_text())
        assert card["samples"] == 1 and card["steps"] == (2 if "own" in name else 4 if name == "keypoints" else 1)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_score_on_the_training_set_says_so(split, here, start, shards, capsys):
    words = ["evaluate", "--checkpoint", start, "--data", f"{shards}/segmentation/{split}", "--out", "card.json"]
    assert main([*words, "--limit", "1", "--bootstrap", "0"]) == 0
    assert ("the model was trained on" in capsys.readouterr().err) is (split == "train")


@pytest.fixture
def own(here, shards, autoencoder_folder):
    """A checkpoint of a data module whose configuration names no task."""
    return fit(model_of("TaskTraining", autoencoder_folder, None), data_of("own module", shards)[0])


def test_other_commands_find_the_task_too(own, shards, capsys):
    val = str(shards / "segmentation" / "val")
    assert main(["export", "--checkpoint", own, "--out", "exported"]) == 0
    for model in (own, "exported"):
        choice = restore_task(load(model).config, None, data=val, changes={}, trust=True)
        assert choice.entry == "own" and choice.sampling.steps == 2 and choice.task.min_score == 0.25
        assert choice.settings["folder"] == Path("here") and choice.settings["note"].text == "mine"
        assert Pipeline(model, trust=True)._first("referring", "segmentation").entry == "own"
        words = ["--checkpoint", model, "--data", val, "--out", f"{Path(model).stem}.json", "--limit", "1", "--trust"]
        words += ["--steps", "1", "--text", "0.5", "--image", "0.5", "--samplers", "ddim", "--device", "cpu"]
        assert main(["tune", *words]) == 0
        assert json.loads(Path(f"{Path(model).stem}.json").read_text())["task"] == "own"
    assert main(["segment", "example:objects", "the red star", "--checkpoint", own, "--out", "answers", "--trust"]) == 0
    capsys.readouterr()
    assert main(["data", "cache", "--config", "config.yaml", "--model", "tiny", "--out", "caches"]) == 0
    assert Path("caches/own").is_dir()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("segmentation", None), ("default task", None), ("own module", "the checkpoint carries no task")],
)
def test_a_checkpoint_of_an_earlier_version_is_read_by_its_configuration(name, sentence, here, shards):
    data, _, _ = data_of(name, shards)
    config = {"data": {**data, "init_args": {"task": None, "name": None, **data["init_args"]}}}
    if sentence is None:
        assert restore_task(config, "segmentation", data="", changes={}, trust=True).task.kind == "segmentation"
    else:
        with pytest.raises(CheckpointError, match=sentence):
            restore_task(config, "segmentation", data="", changes={}, trust=True)
