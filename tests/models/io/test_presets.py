"""Presets are kept with the model they were found for, and with no other."""

import json
import threading
from dataclasses import replace

import pytest
import torch

from idiff.errors import CheckpointError
from idiff.models.io import checkpoint as checkpoints
from idiff.models.io.export import write_folder
from idiff.models.io.folders import DESCRIPTION
from idiff.models.io.preset_files import BESIDE, check_storable, store_preset
from idiff.tasks.saved import restore_task
from idiff.types import Sampling
from idiff.utils.presets import Preset

PRESET = Preset(
    steps=3, guidance_text=1.5, guidance_image=0.75, sampler="euler", rule="instructdiffusion", metric="psnr", score=21.5,
    evaluations=9, samples=4, data="f" * 64,
)  # fmt: skip
TASKS = {
    "clean": {"task": "idiff.tasks.Denoise", "sampling": {"steps": 7, "stop_unchanged": 0.1}},
    "sharp": {"task": "idiff.tasks.Deblur"},
}
CONFIG = {"data": {"init_args": {"tasks": TASKS}}}


@pytest.fixture
def folder(backbone, tmp_path):
    return write_folder(backbone, tmp_path / "model", config=CONFIG, step=7, half=False)


@pytest.fixture
def checkpoint(backbone, tmp_path):
    state = {f"backbone.{k}": v for k, v in backbone.state_dict().items() if not k.startswith("autoencoder.")}
    path = tmp_path / "last.ckpt"
    content = {"state_dict": state, "backbone": backbone.describe(), "global_step": 7, "config": CONFIG}
    torch.save(content, path)
    return path


def test_plain_values_bring_a_preset_back_and_it_sets_five_settings_alone():
    assert Preset.of(json.loads(json.dumps(PRESET.describe())), origin="x") == PRESET
    other = Sampling(steps=50, stop_unchanged=0.2)
    assert PRESET.over(other) == Sampling(3, 1.5, 0.75, "euler", "instructdiffusion", stop_unchanged=0.2)
    assert other.steps == 50


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"steps": 0}, "steps is 0: expected 1 or more"),
        ({"steps": 2.5}, "steps is 2.5, expected int"),
        ({"steps": True}, "steps is True, expected int"),
        ({"guidance_text": float("nan")}, "guidance_text is nan, expected float"),
        ({"sampler": None}, "sampler is None, expected str"),
        ({"why": 1}, "why is missing or unknown"),
    ],
)
def test_values_that_are_no_preset_are_refused(change, says):
    with pytest.raises(CheckpointError, match="here is not a preset: ") as caught:
        Preset.of(PRESET.describe() | change, origin="here")
    assert says in str(caught.value)


@pytest.mark.parametrize("values", [None, 3, ["steps"]])
def test_what_is_no_mapping_is_refused(values):
    with pytest.raises(CheckpointError, match=f"it is a {type(values).__name__}"):
        Preset.of(values, origin="here")


def test_a_folder_keeps_presets_and_stays_the_same_model(folder):
    before = checkpoints.load(folder)
    assert before.presets == {}
    assert store_preset(folder, "clean", PRESET, sha256=before.sha256) == folder / DESCRIPTION
    later = replace(PRESET, steps=1)
    store_preset(folder, "sharp", later, sha256=before.sha256)
    after = checkpoints.load(folder)
    assert after.presets == {"clean": PRESET, "sharp": later}
    assert (after.sha256, after.config, after.step) == (before.sha256, before.config, before.step)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_an_export_keeps_presets(folder, tmp_path):
    store_preset(folder, "clean", PRESET, sha256="")
    loaded = checkpoints.load(folder)
    again = write_folder(loaded.backbone, tmp_path / "again", config=loaded.config, step=7, presets=loaded.presets)
    assert checkpoints.load(again).presets == {"clean": PRESET}


def test_a_checkpoint_has_them_beside_it_for_its_own_bytes_alone(checkpoint, tmp_path):
    sha256 = checkpoints.load(checkpoint).sha256
    assert store_preset(checkpoint, "clean", PRESET, sha256=sha256) == tmp_path / BESIDE
    store_preset(checkpoint, "sharp", PRESET, sha256=sha256)
    assert checkpoints.load(checkpoint).presets == {"clean": PRESET, "sharp": PRESET}
    copy = tmp_path / "best.ckpt"
    copy.write_bytes(checkpoint.read_bytes())
    assert checkpoints.load(copy).presets == {"clean": PRESET, "sharp": PRESET}
    content = torch.load(checkpoint, weights_only=True)
    torch.save(content | {"global_step": 8}, checkpoint)  # training went on
    assert checkpoints.load(checkpoint).presets == {}
    later = checkpoints.load(checkpoint).sha256
    store_preset(checkpoint, "sharp", PRESET, sha256=later)
    assert set(json.loads((tmp_path / BESIDE).read_text())) == {later}  # what last.ckpt was is gone
    assert checkpoints.load(checkpoint).presets == {"sharp": PRESET}


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"file": "x"}}', '{"a": {"file": 1, "presets": {}}}'])
def test_a_file_that_holds_no_presets_is_refused_and_left_alone(checkpoint, tmp_path, text):
    (tmp_path / BESIDE).write_text(text)
    for work in (lambda: checkpoints.load(checkpoint), lambda: store_preset(checkpoint, "a", PRESET, sha256="b")):
        with pytest.raises(CheckpointError, match="cannot be read as presets"):
            work()
    assert (tmp_path / BESIDE).read_text() == text


@pytest.mark.parametrize("presets", [[1], {"clean": {"steps": 1}}])
def test_a_folder_with_presets_that_are_none_is_refused(folder, presets):
    file = folder / DESCRIPTION
    file.write_text(json.dumps(json.loads(file.read_text()) | {"presets": presets}))
    with pytest.raises(CheckpointError, match="presets"):
        checkpoints.load(folder)


def test_models_of_the_package_are_not_written_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="'tiny' comes with the package"):
        check_storable("tiny")
    (tmp_path / "tiny").mkdir()
    check_storable("tiny")  # a folder of that name is one's own


def test_two_that_store_at_once_lose_nothing(folder):
    names = [f"task{number}" for number in range(8)]
    threads = [
        threading.Thread(target=store_preset, args=(folder, name, PRESET), kwargs={"sha256": ""}) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(json.loads((folder / DESCRIPTION).read_text())["presets"]) == set(names)


def test_a_task_is_sampled_as_its_preset_says():
    plain = restore_task(CONFIG, "denoise", data="", changes={})
    assert (plain.sampling.steps, plain.preset, plain.entry) == (7, None, "clean")
    for wanted in ("clean", "denoise"):  # by name and by kind
        found = restore_task(CONFIG, wanted, data="", changes={}, presets={"clean": PRESET})
        assert (found.preset, found.entry) == (PRESET, "clean")
        assert found.sampling == PRESET.over(Sampling(stop_unchanged=0.1))
    assert restore_task(CONFIG, "sharp", data="", changes={}, presets={"clean": PRESET}).preset is None
