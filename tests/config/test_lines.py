"""An error of a setting names the file and the line that it stands in, includes looked through."""

import pytest

from idiff.config.compose import compose
from idiff.config.lines import place_of, place_of_value
from idiff.config.messages import short
from idiff.errors import ConfigError

MINE = """\
include: base.yaml
data:
  tasks:
    faces:
      include: task.yaml
      weigth: 2.0
    others: task.yaml
model: {lrr: 1.0}
stages:
  - name: first
    trainer: {max_steps: 3}
"""
BASE = "model:\n  class_path: TaskTraining\n  init_args:\n    lr: fast\n"
TASK = "task:\n  class_path: Denoise\n  size: big\n"


@pytest.fixture
def files(tmp_path):
    for name, text in {"mine.yaml": MINE, "base.yaml": BASE, "task.yaml": TASK}.items():
        (tmp_path / name).write_text(text)
    return [str(tmp_path / "mine.yaml")]


@pytest.mark.parametrize(
    ("path", "value", "at"),
    [
        ("data.init_args.tasks.faces.weigth", None, "mine.yaml, line 6"),
        ("model.init_args.lrr", None, "mine.yaml, line 8"),
        ("model.lr", "fast", "base.yaml, line 4"),
        ("data.tasks.task.size", "big", "task.yaml, line 3"),
        ("data.init_args.tasks.faces.task.init_args.size", "big", "task.yaml, line 3"),
        ("trainer.max_steps", "3", "mine.yaml, line 11"),
        ("lrr", None, "mine.yaml, line 8"),
    ],
)
def test_a_setting_is_found(files, path, value, at):
    assert str(place_of(files, path, value=value)).endswith(at)


@pytest.mark.parametrize(("path", "value"), [("model.lr", "slow"), ("ema.decay", None), ("model.max_steps", None)])
def test_what_no_file_sets_has_no_place(files, path, value):
    assert place_of(files, path, value=value) is None


def test_what_goes_over_others_is_named(files, tmp_path):
    (tmp_path / "over.yaml").write_text("model: {lr: fast}")
    assert str(place_of([*files, str(tmp_path / "over.yaml")], "model.lr", value="fast")).endswith("over.yaml, line 1")


def test_files_that_cannot_be_read_are_passed_over(tmp_path):
    (tmp_path / "a.yaml").write_text("include: a.yaml\nmodel: [")
    (tmp_path / "b.yaml").write_text("include: [b.yaml, nowhere.yaml]\nmodel: {lr: 1}")
    assert str(place_of([str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")], "model.lr")).endswith("b.yaml, line 2")
    assert place_of_value([str(tmp_path)], "x") is None


def test_a_message_begins_with_the_place(files):
    said = short("Subcommand 'fit' does not accept option 'model.lrr'", where="mine.yaml", files=files)
    assert said == f"{files[0]}, line 8: there is no setting 'model.lrr'; did you mean 'lr'?"
    said = short("Parser key \"model.lr\":\n  Expected a <class 'float'>. Got value: fast", where="x", files=files)
    assert said.endswith("base.yaml, line 4: model.lr: expected float, got 'fast'")


def test_an_unknown_section_is_compared_with_sections(files):
    said = short("Subcommand 'fit' does not accept option 'modle.lr'", where="the command line")
    assert said == "the command line: there is no setting 'modle.lr'; did you mean 'model'?"


def test_a_class_that_is_not_there_is_said_with_its_line(files, tmp_path):
    (tmp_path / "base.yaml").write_text(BASE.replace("TaskTraining", "TaskTrainin"))
    with pytest.raises(ConfigError, match=r"base.yaml, line 2: there is no class 'TaskTrainin'; did you mean"):
        compose(files)
