"""A source of one's own: built by its class path or entry point, with the options of its constructor."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from small_models import ROOT

from idiff.cli import main
from idiff.data.shards.reader import ShardSet
from idiff.data.sources import Source, create, installed
from idiff.data.sources.constructor_options import options_of
from idiff.errors import ConfigError

CODE = '''
from pathlib import Path
from typing import Literal

import numpy as np

from idiff.data.sources import RawSample, Source


class Plain(Source):
    """Images of one grey.

    Args:
        root: a folder
            of the set.
        count: how many, 100 % of them.
        bright: light grey.
    """

    tasks = ("denoise",)

    def __init__(
        self, root: Path, *, count: int, bright: bool = False, way: Literal["up", "down"] = "up",
        levels: list[float] | None = None,
    ) -> None:
        self.facts = {"root": type(root).__name__, "way": way, "levels": levels}
        self.count, self.grey = count, 200 if bright else 50

    def meta(self):
        return {}

    def __len__(self):
        return self.count

    def sample(self, index):
        image = np.full((20, 24, 3), self.grey, np.uint8)
        return RawSample(f"{index:03d}", image, self.facts, target=image)


class Half(Source):
    tasks = ("denoise",)


class NoTasks(Plain):
    tasks = ()


class Strange(Plain):
    def __init__(self, table: dict) -> None: ...


class Clash(Plain):
    def __init__(self, limit: int) -> None: ...


class NoSource: ...
'''
WORDS = ["--root", "raw", "--split", "train", "--count", "4"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a module `own_set`, found as the console script finds it."""
    (tmp_path / "own_set.py").write_text(CODE)
    (tmp_path / "own_broken.py").write_text("import own_missing_module\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("own_set", "own_broken"):
        sys.modules.pop(name, None)


def test_a_file_in_the_working_folder_is_built_by_worker_processes(folder):
    words = [
        "data",
        "build",
        "own_set.Plain",
        *WORDS,
        "--bright",
        "--way",
        "down",
        "--levels",
        "1",
        "2.5",
        "--out",
        "set",
    ]
    more = ["--workers", "2", "--shard-size", "2"]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    script = "from idiff.cli import console; console()"
    done = subprocess.run(
        [sys.executable, "-c", script, *words, *more], capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shards = ShardSet.open(folder / "set", verify=True)
    assert (shards.manifest.source, shards.manifest.split, len(shards)) == ("own_set.Plain", "train", 4)
    sample = shards.read(3)
    assert sample.image.shape == (20, 24, 3) and (sample.image == 200).all()
    assert {key: sample.annotation[key] for key in ("way", "levels")} == {"way": "down", "levels": [1.0, 2.5]}
    assert sample.annotation["root"].endswith("Path")
    assert str(folder / "raw") in (folder / "set/build.json").read_text()


def test_both_ways_to_write_the_class_are_one_build(folder, capsys):
    assert main(["data", "build", "own_set:Plain", *WORDS, "--out", "set"]) == 0
    assert main(["data", "build", *WORDS, "--out=set", "own_set.Plain"]) == 0
    assert "already there, nothing to do" in capsys.readouterr().out
    assert main(["data", "build", "own_set.Plain", *WORDS, "--bright", "--out", "set"]) == 2
    assert "bright was None, now True" in capsys.readouterr().err


def test_an_entry_point_is_a_name(folder, capsys):
    info = folder / "own_set-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-set\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[idiff.sources]\nplain-grey = own_set:Plain\n")
    assert installed()["plain-grey"] == "own_set:Plain"
    assert main(["data", "sources"]) == 0
    assert "plain-grey\n    own_set:Plain" in capsys.readouterr().out
    assert main(["data", "build", "plain-grey", *WORDS, "--out", "set"]) == 0
    assert ShardSet.open(folder / "set").manifest.source == "plain-grey"
    with pytest.raises(ConfigError, match="did you mean 'plain-grey'"):
        create("plain-gray", {})


def test_help_tells_the_options_of_the_constructor(folder, capsys):
    assert main(["data", "build", "own_set.Plain", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in ("--root ROOT a folder of the set. (required)", "how many, 100 % of them. (required)", "--no-bright"):
        assert part in text
    assert "--way {up,down}" in text
    assert main(["data", "build", "coco-stuff", "--help"]) == 0
    assert "--fold FOLD" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "words", "reason"),
    [
        (
            "own_sat.Plain",
            WORDS,
            "there is no module own_sat in the working folder or installed; did you mean 'own_set'",
        ),
        ("idiff.data.nothing.Plain", WORDS, "there is no module nothing in idiff.data."),
        ("own_broken.Plain", WORDS, "own_broken needs the module own_missing_module, which is not installed"),
        ("own_set.Plane", WORDS, "own_set has no class or function Plane; did you mean 'Plain'"),
        ("own_set.NoSource", WORDS, "NoSource is not a subclass of idiff.data.sources.Source"),
        ("own_set.Half", WORDS[2:4], "Half does not define __len__, meta, sample"),
        ("own_set.NoTasks", WORDS, "sets no `tasks`"),
        ("own_set.Strange", WORDS[2:4], "its argument table is a <class 'dict'>, which no option can give"),
        ("own_set.Clash", WORDS[2:4], "its argument limit has the name of an option of `idiff data build`"),
        ("own_set:", WORDS, "expected MODULE.NAME or MODULE:NAME"),
        ("own_set.Plain", WORDS[2:], "needs --root. `idiff data build own_set.Plain --help` lists its options"),
        ("own_set.Plain", [*WORDS, "--brigth"], "takes no --brigth; did you mean '--bright'? It takes --root, --count"),
        ("own_set.Plain", [*WORDS, "--way", "left"], "--way: invalid choice: 'left'"),
        ("own_set.Plain", [*WORDS, "--levels", "x"], "--levels: invalid float value: 'x'"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(folder, source, words, reason, capsys):
    assert main(["data", "build", source, *words, "--out", "set"]) == 2
    said = capsys.readouterr().err
    assert reason in said and said.count("\n") == 1
    assert not Path("set").exists()


def test_types_become_kinds_of_options():
    class Typed(Source):
        def __init__(
            self, files: tuple[Path, ...], seed: Annotated[int, "a mark"], name="x", scale=0.5, where: str | Path = "",
            grid: Literal[1, 2] = 1, table: dict[str, int] | None = None,
        ) -> None: ...  # fmt: skip

    found = options_of(Typed, name="typed")
    assert [(one.name, one.kind, one.many, one.required) for one in found.values()] == [
        ("files", Path, True, True), ("seed", int, False, True), ("name", str, False, False),
        ("scale", float, False, False), ("where", Path, False, False), ("grid", int, False, False),
    ]  # fmt: skip
    assert found["grid"].choices == (1, 2)
    assert found["files"].stored([Path("a"), Path("b")]) == [str(Path("a").resolve()), str(Path("b").resolve())]
