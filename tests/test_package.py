"""Wheel, sdist and editable install, each in a clean environment that has only the libraries."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from small_models import ROOT

from idiff import __version__

LEFT_OUT = (
    ".git",
    ".venv",
    "build",
    "dist",
    "runs",
    "data",
    "_generated",
    "__pycache__",
    ".*_cache",
    "*.egg-info",
    "tests",
)


def run(*words, cwd):
    """Run a program without the checkout on its path; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def made(kind, project, out):
    """Run one hook of the build backend, as pip does; return the file it wrote. setup.cfg decides what goes in."""
    out.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta as b; print(b.build_{kind}({str(out)!r}))"
    return out / run(sys.executable, "-c", code, cwd=project).splitlines()[-1]


def installed(wheel, folder):
    """A new environment with the libraries of this one and the wheel."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    [site] = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet")
    run(*pip, "--no-compile", "--no-deps", "--no-index", "--force-reinstall", wheel, cwd=folder.parent)
    assert any(site.glob("idiff-*.dist-info"))
    return folder / "bin"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the project in a folder that has the package's name, as after `git clone`."""
    folder = tmp_path_factory.mktemp("above") / "idiff"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    return folder


@pytest.fixture(scope="module")
def built(clone, tmp_path_factory):
    """The sdist, and the wheel that is built from what the sdist holds."""
    place = tmp_path_factory.mktemp("built")
    sdist = made("sdist", clone, place / "dist")
    with tarfile.open(sdist) as archive:
        archive.extractall(place, filter="data")
    return sdist, made("wheel", place / sdist.name.removesuffix(".tar.gz"), place / "dist")


def test_the_wheel_answers_in_a_clean_environment(built, tmp_path):
    programs = installed(built[1], tmp_path / "env")
    code = (
        "import sys, idiff; from idiff import Pipeline; from idiff.cli import main; print(idiff.__file__)\n"
        "sys.exit(main(['segment', 'example:objects', 'the red star', '--out', 'answers']))"
    )
    file = run(programs / "python", "-c", code, cwd=tmp_path).splitlines()[0]
    assert Path(file).is_relative_to(tmp_path / "env")
    assert run(programs / "idiff", "--version", cwd=tmp_path) == f"idiff {__version__}"
    assert sorted((tmp_path / "answers").glob("*.png"))


def test_the_wheel_of_the_sdist_has_every_file_of_the_package(built, clone):
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())
    files = {str(path.relative_to(clone)) for path in (clone / "idiff").rglob("*") if path.is_file()}
    assert files - names == set()
    assert len(files) > 300
    assert not any(name.startswith(("tests/", "tools/", "docs/")) for name in names)
    with tarfile.open(built[0]) as archive:
        beside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.cfg", "pyproject.toml", "README.md", "LICENSE"} <= beside


def test_a_script_in_the_folder_above_the_clone_imports_the_package(clone, tmp_path):
    """There the clone itself is a folder called idiff, which must not hide the package in it."""
    programs = installed(made("editable", clone, tmp_path / "dist"), tmp_path / "env")
    (clone.parent / "script.py").write_text("import idiff\nfrom idiff import Pipeline\nprint(idiff.__file__)\n")
    assert run(programs / "python", "script.py", cwd=clone.parent) == str(clone / "idiff" / "__init__.py")


def test_the_classifiers_name_the_pythons_of_the_gate():
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    named = {line.rpartition(" ")[2] for line in text.splitlines() if "Python :: 3." in line}
    gate = yaml.safe_load((ROOT / ".github" / "workflows" / "gate.yaml").read_text(encoding="utf-8"))
    assert named == set(gate["jobs"]["gate"]["strategy"]["matrix"]["python"])


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert (citation["version"], citation["license"]) == (__version__, "Apache-2.0")
