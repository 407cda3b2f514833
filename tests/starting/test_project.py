"""`idiff init` writes what a project needs, out of the package alone, and never over a file."""

import json
import re
import shutil
import subprocess
import sys
import zipfile

import jsonschema
import pytest
from small_models import ROOT

from idiff.chains.experiment import read_experiment
from idiff.cli import COMMANDS, main
from idiff.config.compose import compose
from idiff.starting.project import configs_folder
from idiff.utils.plain_yaml import parse_yaml


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    assert main(["init", str(tmp_path / "mine")]) == 0
    capsys.readouterr()
    monkeypatch.chdir(tmp_path / "mine")
    return tmp_path / "mine"


def test_every_file_is_one_of_the_package(project):
    written = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert {"first.yaml", "configs/model/tiny.yaml", "configs/schema/task.json"} <= written
    assert not [name for name in written if "base_" in name or "ablation" in name]
    for name in written - {"first.yaml"}:
        assert (project / name).read_bytes() == (ROOT / name).read_bytes()


def test_all_of_them_compose(project):
    for path in sorted(project.rglob("*.yaml")):
        config = compose([str(path)])
        assert config
        if "stages" in config:
            assert read_experiment(str(path), commands=list(COMMANDS)).entries


def test_the_first_experiment_fits_the_schema_and_names_its_commands(project):
    text = (project / "first.yaml").read_text()
    schema = re.match(r"# yaml-language-server: \$schema=(\S+)", text)[1]
    validator = jsonschema.Draft7Validator(json.loads((project / schema).read_text()))
    assert list(validator.iter_errors(parse_yaml(text))) == []
    config = compose(["first.yaml"])
    built = re.findall(r"idiff data build .* --out (\S+)", text)
    entry = config["data"]["init_args"]["tasks"]["first"]
    assert built == [entry["train"], entry["val"]]


def test_all_also_has_what_trained_the_models(tmp_path):
    assert main(["init", str(tmp_path), "--all"]) == 0
    here = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*") if path.is_file()}
    assert {
        path.relative_to(tmp_path / "configs") for path in (tmp_path / "configs").rglob("*") if path.is_file()
    } == here


def test_nothing_is_overwritten(project, capsys):
    assert main(["init", str(project)]) == 0
    assert "all files are there already" in capsys.readouterr().out
    (project / "configs" / "model" / "tiny.yaml").write_text("mine")
    (project / "first.yaml").unlink()
    assert main(["init", str(project)]) == 2
    assert "tiny.yaml: there already, with other content. Nothing was written" in capsys.readouterr().err
    assert (project / "configs" / "model" / "tiny.yaml").read_text() == "mine"
    assert not (project / "first.yaml").exists()


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "a").write_text("")
    assert main(["init", str(tmp_path / "a")]) == 2
    assert "is a file: expected a folder" in capsys.readouterr().err


def test_the_package_holds_the_configurations():
    assert configs_folder().samefile(ROOT / "configs")


def test_the_wheel_holds_them(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(ROOT / "idiff", source / "idiff", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "configs", source / "configs")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    words = ["pip", "wheel", str(source), "--no-deps", "--no-build-isolation", "-q", "-w", str(tmp_path)]
    subprocess.run([sys.executable, "-m", *words], check=True, timeout=250)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name.removeprefix("idiff/assets/") for name in zipfile.ZipFile(wheel).namelist()}
    files = [path for path in (ROOT / "configs").rglob("*") if path.is_file()]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= inside
    assert {"templates/task/module.txt", "templates/project/first.yaml.txt"} <= inside
