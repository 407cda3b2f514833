"""The short form of a configuration means the long one."""

import textwrap

import pytest
import yaml

from idiff.config.compose import compose
from idiff.errors import ConfigError

BACKBONE = "idiff.models.backbone.LatentDiffusion"
MIXTURE = "idiff.data.datamodule.MixtureDataModule"
KEYPOINTS = "idiff.tasks.KeypointDetection"


@pytest.fixture
def composed(tmp_path):
    def composed(*texts, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(textwrap.dedent(text))
        paths = []
        for number, text in enumerate(texts):
            paths.append(tmp_path / f"top{number}.yaml")
            paths[-1].write_text(textwrap.dedent(text))
        return compose([str(path) for path in paths])

    return composed


SHORT = """
model: {class_path: TaskTraining, lr: 1.0e-3, backbone: {pretrained: tiny, objective: {terminal_share: 0.5}}}
data:
  class_path: MixtureDataModule
  tasks: {faces: {task: {class_path: KeypointDetection, faint: true}, train: a, weight: 2}}
  batch_size: 4
ema: {decay: 0.9}
"""
LONG = {
    "model": {
        "class_path": "idiff.stages.TaskTraining",
        "init_args": {
            "lr": 1e-3,
            "backbone": {
                "class_path": BACKBONE,
                "init_args": {"pretrained": "tiny", "objective": {"terminal_share": 0.5}},
            },
        },
    },
    "data": {
        "class_path": MIXTURE,
        "init_args": {
            "tasks": {
                "faces": {"task": {"class_path": KEYPOINTS, "init_args": {"faint": True}}, "train": "a", "weight": 2}
            },
            "batch_size": 4,
        },
    },
    "ema": {"decay": 0.9},
}


def test_the_short_form_means_the_long_one(composed):
    assert composed(SHORT) == LONG
    assert composed(yaml.safe_dump(LONG)) == LONG


@pytest.mark.parametrize(
    ("over", "rate"),
    [
        ("model: {lr: 2.0}", 2.0),
        ("model: {init_args: {lr: 2.0}}", 2.0),
        ("model: {class_path: idiff.stages.TaskTraining, lr: 2.0}", 2.0),
        ("model: {class_path: idiff.stages.tasks.TaskTraining, init_args: {lr: 2.0}}", 2.0),
    ],
)
def test_either_form_goes_over_either(composed, over, rate):
    for base in (SHORT, yaml.safe_dump(LONG)):
        merged = composed(base, over)
        assert merged["model"]["init_args"]["lr"] == rate
        assert merged["model"]["init_args"]["backbone"] == LONG["model"]["init_args"]["backbone"]


def test_another_class_replaces_the_one_below(composed):
    assert composed(SHORT, "model: {class_path: AutoencoderTraining, kl_weight: 1.0}")["model"] == {
        "class_path": "idiff.stages.AutoencoderTraining",
        "init_args": {"kl_weight": 1.0},
    }


@pytest.mark.parametrize("included", ["{task: {class_path: KeypointDetection, size: 64}}",
    "{task: {class_path: idiff.tasks.KeypointDetection, init_args: {size: 64}}, weight: 3}"])  # fmt: skip
@pytest.mark.parametrize("own", ["size: 32", "task: {size: 32}", "task: {init_args: {size: 32}}"])
def test_what_an_entry_says_goes_over_what_it_includes(composed, included, own):
    top = f"data: {{class_path: MixtureDataModule, tasks: {{faces: {{include: leaf.yaml, {own}}}}}}}"
    entry = composed(top, leaf=included)["data"]["init_args"]["tasks"]["faces"]
    assert entry["task"] == {"class_path": KEYPOINTS, "init_args": {"size": 32}}


def test_defaults_go_over_included_files_and_under_the_entries(composed):
    leaf = "task: {class_path: KeypointDetection, size: 64, faint: false}\nsampling: {steps: 4}"
    top = """
        data:
          class_path: MixtureDataModule
          defaults: {size: 32, sampling: {steps: 1}}
          tasks: {one: {include: leaf.yaml}, two: {include: leaf.yaml, size: 16}, three: leaf.yaml}
    """
    data = composed(top, leaf=leaf)["data"]["init_args"]
    assert {name: entry["task"]["init_args"]["size"] for name, entry in data["tasks"].items()} == {
        "one": 32,
        "two": 16,
        "three": 32,
    }
    assert all(entry["sampling"] == {"steps": 1} for entry in data["tasks"].values())
    assert "defaults" not in data
    later = composed(top, "data: {defaults: {size: 8}}", leaf=leaf)["data"]["init_args"]["tasks"]
    assert {entry["task"]["init_args"]["size"] for entry in later.values()} == {8}


def test_a_root_stands_for_its_splits(composed):
    both = composed("data: {class_path: MixtureDataModule, tasks: {a: {root: d/}, b: {root: d, val: elsewhere}}}")
    tasks = both["data"]["init_args"]["tasks"]
    assert (tasks["a"]["train"], tasks["a"]["val"]) == ("d/train", "d/val")
    assert (tasks["b"]["train"], tasks["b"]["val"]) == ("d/train", "elsewhere")
    one = composed("data: {class_path: SegmentationDataModule, root: d}")["data"]["init_args"]
    assert (one["train"], one["val"]) == ("d/train", "d/val")


def test_the_order_of_tasks_is_that_of_the_file(composed):
    top = "data: {tasks: {c: {weight: 1}, a: {include: leaf.yaml}, b: leaf.yaml, d: {weight: 2}}}"
    assert list(composed(top, leaf="weight: 3")["data"]["init_args"]["tasks"]) == ["c", "a", "b", "d"]


def test_a_class_of_ones_own_is_left_to_the_parser(composed):
    own = composed("data: {class_path: mine.Module, tasks: {a: {weight: 1}}, color: red}")["data"]
    assert own == {"class_path": "mine.Module", "init_args": {"tasks": {"a": {"weight": 1}}, "color": "red"}}


def test_a_name_that_is_nearly_right_is_asked_back(composed):
    with pytest.raises(ConfigError, match=r"there is no class 'TaskTrainin'; did you mean 'TaskTraining'\?"):
        composed("model: {class_path: TaskTrainin}")


def test_an_old_name_of_a_setting_is_read_with_a_notice(composed, capsys):
    top = "data: {class_path: MixtureDataModule, tasks: {a: {task: {class_path: SemanticSegmentation, classes_a_prompt: 3}}}}"
    task = composed(top)["data"]["init_args"]["tasks"]["a"]["task"]
    assert task["init_args"] == {"classes_per_prompt": 3}
    assert "the setting classes_a_prompt is called classes_per_prompt now" in capsys.readouterr().err


def test_a_root_with_a_test_set_stands_for_that_too(composed, tmp_path):
    (tmp_path / "d" / "test").mkdir(parents=True)
    top = f"data: {{class_path: MixtureDataModule, tasks: {{a: {{root: {tmp_path}/d}}}}}}"
    assert composed(top)["data"]["init_args"]["tasks"]["a"]["test"] == f"{tmp_path}/d/test"
