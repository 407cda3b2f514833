"""A task that a model was never trained on is named by its YAML."""

import pytest
from small_models import ROOT

from idiff.errors import CheckpointError, ConfigError, DataError
from idiff.tasks import ImageClassification, ObjectDetection
from idiff.tasks.saved import restore_task

CONFIGS = ROOT / "configs" / "task"
TRAINED = {"data": {"init_args": {"tasks": {"masks": {"task": {"class_path": "idiff.tasks.SemanticSegmentation"}}}}}}


def restored(wanted, **changes):
    return restore_task(TRAINED, str(wanted), data="", changes=changes)


@pytest.mark.parametrize(("name", "kind"), [("detection", ObjectDetection), ("classification", ImageClassification)])
def test_a_yaml_is_a_task_with_its_settings_and_its_sampling(name, kind):
    choice = restored(CONFIGS / f"{name}.yaml", ask="present")
    assert choice.name == name and isinstance(choice.task, kind) and choice.task.ask == "present"
    assert choice.settings["decoder_args"] == {"smooth": 1} and choice.sampling.steps == 4
    assert choice.preset is None


def test_a_kind_that_was_not_trained_is_refused_and_the_way_out_is_named():
    with pytest.raises(
        ConfigError, match=r"trained on no task 'detection'.* by its YAML, such as configs/task/detection\.yaml"
    ):
        restored("detection")


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        (None, DataError, "is missing: expected the YAML of a task"),
        ("task: {", ConfigError, "cannot be read as YAML"),
        ("steps: 4", ConfigError, "describes no task"),
        ("- task", ConfigError, "describes no task"),
        ("task: {class_path: idiff.tasks.Nothing}", CheckpointError, "cannot be imported"),
        ("task: {class_path: idiff.types.Sample}", CheckpointError, "is not a task"),
    ],
)
def test_what_is_no_task_is_refused(tmp_path, text, error, sentence):
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=sentence) as refused:
        restored(path)
    assert "\n" not in str(refused.value)


def test_an_argument_that_it_does_not_take_is_refused():
    with pytest.raises(ConfigError, match="takes no 'gaps'; did you mean 'gap'"):
        restored(CONFIGS / "detection.yaml", gaps=1)
