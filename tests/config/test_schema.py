"""The JSON Schemas under configs/schema: equal to the code, right about every shipped file, and of use against typos."""

import json
import re
import subprocess
import sys

import jsonschema
import pytest
from small_models import ROOT

from idiff.cli import main
from idiff.utils.plain_yaml import parse_yaml

CONFIGS = ROOT / "configs"
FILES = sorted(CONFIGS.rglob("*.yaml"))
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """In a process of its own: other tests define stages and tasks."""
    out = tmp_path_factory.mktemp("schema")
    subprocess.run([sys.executable, "-m", "idiff", "schema", "--out", str(out)], check=True, cwd=ROOT, timeout=120)
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(out.iterdir())}


@pytest.fixture(scope="module")
def validators(written):
    found = {name.removesuffix(".json"): json.loads(text) for name, text in written.items()}
    for schema in found.values():
        jsonschema.Draft7Validator.check_schema(schema)
    return {name: jsonschema.Draft7Validator(schema) for name, schema in found.items()}


def test_shipped_schemas_equal_the_code(written):
    there = {path.name: path.read_text(encoding="utf-8") for path in (CONFIGS / "schema").iterdir()}
    assert there == written, "run `idiff schema`"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_configuration_names_its_schema_and_fits_it(path, validators):
    text = path.read_text(encoding="utf-8")
    named = MODELINE.match(text)
    assert named, f"{path} does not begin with `# yaml-language-server: $schema=` and the relative path of its schema"
    schema = (path.parent / named[1]).resolve()
    assert schema.parent == CONFIGS / "schema"
    assert [error.message for error in validators[schema.stem].iter_errors(parse_yaml(text))] == []


WRONG = {
    "a section": ("experiment", "mdoel: {lr: 1.0e-3}", "mdoel"),
    "a setting": ("experiment", "model: {lrr: 1.0e-3}", "lrr"),
    "of another class": ("experiment", "model: {class_path: TaskTraining, decoder_only: true}", "decoder_only"),
    "in the long form": ("experiment", "model: {class_path: TaskTraining, init_args: {lrr: 1.0e-3}}", "lrr"),
    "a class": ("experiment", "model: {class_path: TaskTrainin}", "TaskTrainin"),
    "inside": ("experiment", "model: {backbone: {objective: {spaceing: leading}}}", "spaceing"),
    "a choice": ("experiment", "model: {backbone: {objective: {spacing: led}}}", "led"),
    "a type": ("experiment", "trainer: {max_steps: many}", "many"),
    "of the trainer": ("experiment", "trainer: {max_step: 5}", "max_step"),
    "of a callback": ("experiment", "ema: {decai: 0.9}", "decai"),
    "of a task": ("experiment", "data: {tasks: {a: {include: ../task/keypoints.yaml, flipp: 1.0}}}", "flipp"),
    "of an entry": ("experiment", "data: {tasks: {a: {weigth: 2.0}}}", "weigth"),
    "of a stage": ("experiment", "stages: [{name: a, comand: data build}]", "comand"),
    "in a task file": ("task", "task: {class_path: Denoise, sise: 64}", "sise"),
    "of sampling": ("task", "sampling: {step: 4}", "step"),
    "of features": (
        "features",
        "{class_path: idiff.curation.quality.features.ColorStatistics, init_args: {bin: 8}}",
        "bin",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_refused(case, validators):
    schema, text, word = WRONG[case]
    found = [error.message for error in validators[schema].iter_errors(parse_yaml(text))]
    assert found and all(f"'{word}'" in message for message in found)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ("experiment", "model: {class_path: own.Offset, anything: 1}"),
        ("experiment", "data: {tasks: {rooms: {include: my_depth.yaml, near: 0.5}}}"),
        ("experiment", "data: {tasks: {rooms: configs/task/keypoints.yaml}}"),
        ("experiment", "model: {class_path: TaskTraining, init_args: {init_from: null, backbone: null}}"),
        ("task", "task: {class_path: my_depth.Depth, near: 0.5}"),
    ],
)
def test_code_of_ones_own_may_take_anything(schema, text, validators):
    assert list(validators[schema].iter_errors(parse_yaml(text))) == []


def test_settings_are_described(written):
    stage = json.loads(written["experiment.json"])["$defs"]["Stage"]["else"]["properties"]
    assert stage["lr"]["type"] == "number" and len(stage["lr"]["description"]) > 5
    assert stage["decay"]["enum"] == ["constant", "cosine"]


def test_the_command_writes_them(tmp_path, written, monkeypatch, capsys):
    monkeypatch.setattr("idiff.cli.schema.schemas", lambda: written)
    assert main(["schema", "--out", str(tmp_path / "new")]) == 0
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "new").iterdir()} == written
    assert str(tmp_path / "new" / "task.json") in capsys.readouterr().out


def test_files_that_are_old_or_missing_are_named(tmp_path, written, monkeypatch, capsys):
    monkeypatch.setattr("idiff.cli.schema.schemas", lambda: written)
    for name, text in written.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["schema", "--out", str(tmp_path), "--check"]) == 0
    (tmp_path / "task.json").write_text("{}", encoding="utf-8")
    (tmp_path / "features.json").unlink()
    capsys.readouterr()
    assert main(["schema", "--out", str(tmp_path), "--check"]) == 1
    said = capsys.readouterr().out
    assert "task.json" in said and "features.json" in said and "experiment.json" not in said
    assert (tmp_path / "task.json").read_text(encoding="utf-8") == "{}"


def test_a_folder_that_cannot_be_made_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["schema", "--out", str(tmp_path / "file" / "x")]) == 2
    assert "cannot be made" in capsys.readouterr().err
