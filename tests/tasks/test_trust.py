"""A checkpoint's own words import nothing and open nothing, unless it is trusted."""

import sys

import pytest
import yaml

from idiff.config.resume import config_changes
from idiff.errors import ConfigError, UntrustedError
from idiff.tasks import trust
from idiff.tasks.saved import restore_task

SEGMENTATION = {"class_path": "idiff.tasks.SemanticSegmentation", "init_args": {}}


def of(entry):
    return {"tasks": {"one": {"task": SEGMENTATION} | entry}}


def with_argument(**arguments):
    return of({"task": SEGMENTATION | {"init_args": arguments}})


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module that says so when it is imported."""
    (tmp_path / "evil.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom idiff.tasks import SemanticSegmentation\n"
        "class Task(SemanticSegmentation): pass\nclass Module: default_task = Task\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("evil", None)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (of({"task": {"class_path": "evil.Task"}}), "evil.Task"),
        (of({"task": "evil.Task"}), "evil.Task"),
        (of({"metrics": {"m": "evil.Metric"}}), "evil.Metric"),
        (of({"metrics": {"m": {"class_path": "evil:Metric"}}}), "evil:Metric"),
        (of({"sampling": {"sampler": "evil.sampler"}}), "evil.sampler"),
        (with_argument(decoder="evil.Decoder"), "evil.Decoder"),
        (with_argument(decoder="unet", decoder_args={"weights": "evil_folder"}), "evil_folder"),
        (with_argument(augment="evil.Augment"), "evil.Augment"),
        (with_argument(augment={"class_path": "evil.Augment"}), "evil.Augment"),
        (with_argument(instructions="/dev/zero"), "/dev/zero"),
        (with_argument(instructions="pipe"), "pipe"),
        ({"data": {"class_path": "evil.Module", "init_args": {"train": "evil/train"}}}, "evil.Module"),
        ({"data": {"class_path": "idiff.data.datamodule.TaskDataModule", "init_args": {"task": "evil.Task"}}}, "evil.Task"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wanted", ["one", "segmentation"])
def test_others_code_and_files_need_trust(config, named, wanted, evil):
    if "data" in config and wanted == "one":
        wanted = "task"
    with pytest.raises(UntrustedError, match=rf"names {named}.* Add --trust \(in Python trust=True\)"):
        restore_task(config, wanted, data="", changes={})
    assert not (evil / "ran").exists() and "evil" not in sys.modules


def test_with_trust_it_is_used(evil):
    choice = restore_task(of({"task": {"class_path": "evil.Task"}}), "segmentation", data="", changes={}, trust=True)
    assert type(choice.task).__module__ == "evil" and (evil / "ran").exists()


def test_what_is_not_asked_for_is_not_looked_at(evil):
    config = {"tasks": {"two": {"task": "evil.Task"}, "one": {"task": SEGMENTATION, "train": "a/b"}}}
    assert restore_task(config, "segmentation", data="", changes={}).entry == "one"
    assert restore_task(config, "one", data="", changes={}).entry == "one"
    with pytest.raises(UntrustedError, match=r"'two' names evil\.Task"):
        restore_task(config, "keypoints", data="", changes={})
    config["tasks"].pop("two")
    with pytest.raises(ConfigError, match="was trained on no task 'keypoints'"):
        restore_task(config, "keypoints", data="", changes={})
    assert not (evil / "ran").exists()


def test_what_the_user_says_is_trusted(evil):
    own = with_argument(decoder="evil.Decoder")
    assert restore_task(own, "one", data="", changes={"decoder": "color"}).task.kind == "segmentation"
    (evil / "one.yaml").write_text(yaml.safe_dump({"task": {"class_path": "evil.Task"}}))
    assert type(restore_task({}, str(evil / "one.yaml"), data="", changes={}).task).__module__ == "evil"


def test_installed_tasks_are_known_and_those_of_the_working_folder_are_not(tmp_path, monkeypatch):
    for place in ("site", "here"):
        info = tmp_path / place / f"plug_{place}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plug-{place}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[idiff.tasks]\n{place} = plug_{place}:Task\n")
        monkeypatch.syspath_prepend(str(tmp_path / place))
    monkeypatch.chdir(tmp_path / "here")
    assert trust.is_known("plug_site.Task") and not trust.is_known("plug_here.Task")
    assert not trust.is_known("plug_site.Other")


def test_going_on_with_a_run_imports_nothing_that_the_checkpoint_names(evil):
    before = {"data": {"class_path": "evil.Module", "init_args": {"seed": 1}}}
    changes = config_changes(before, {"data": {"class_path": "idiff.data.datamodule.TaskDataModule", "init_args": {}}})
    assert "data.class_path" in changes
    assert not (evil / "ran").exists()
