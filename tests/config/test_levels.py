"""Settings level by level, as `idiff fit --help.SECTION` shows them."""

import pytest
import yaml

from idiff.config.levels import level
from idiff.config.sections import sections
from idiff.errors import ConfigError
from idiff.stages import TaskTraining
from idiff.utils.settings import parameters


@pytest.mark.parametrize("name", [name for name in sections() if name not in {"model", "data"}])
def test_a_section_of_one_class_is_a_yaml_of_its_defaults(name):
    shown = yaml.safe_load(level(name))[name]
    known = {key: each for key, each in parameters(sections()[name]).items() if key != "self"}
    assert shown.keys() == known.keys()
    assert all(shown[key] == each.default for key, each in known.items())


def test_a_class_can_be_named():
    shown = yaml.safe_load(level("model.TaskTraining").replace("{...}", "{}"))["model.TaskTraining"]
    assert shown.keys() == parameters(TaskTraining).keys()
    assert shown["betas"] == [0.9, 0.999] and shown["lora"] == {}


def test_of_several_classes_what_is_alike_is_said_once():
    shown = level("model")
    assert shown.count("peak learning rate of AdamW") == 1
    assert shown.count("# as above: ") >= 3
    assert "class_path: Stage\n" not in shown


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("model.backbone", "  autoencoder: {...}"),
        ("model.backbone.objective", "  prediction: epsilon"),
        ("data.tasks", "  task: {...}"),
        ("data.tasks.task.KeypointDetection", "  joints_per_prompt: 5"),
    ],
)
def test_it_goes_down_into_objects(path, first):
    lines = level(path).splitlines()
    assert lines[0] == f"{path}:"
    assert any(line.startswith(first) for line in lines)
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("modle", "unknown section 'modle'; did you mean 'model'?"),
        ("model.bakbone", "did you mean 'backbone'?"),
        ("model.lr", "model.lr holds no object: `--help.model` says what it is."),
        ("", "unknown section ''"),
    ],
)
def test_a_wrong_path_is_refused(path, said):
    with pytest.raises(ConfigError) as caught:
        level(path)
    assert said in str(caught.value)
