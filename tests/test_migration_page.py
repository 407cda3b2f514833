"""docs/migration.md, executed on small random models: every block, in its order."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from compvis_layouts import Models, buffers, ordered
from PIL import Image
from safetensors.torch import save_file
from small_models import ROOT

from idiff.cli import COMMANDS, main

PAGE = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the files that the page names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IDIFF_CACHE", str(tmp_path / "cache"))
    edits, base = Models(tmp_path), Models(tmp_path, channels=4)
    edits.tokenizer.rename("clip")
    edits.tokenizer = base.tokenizer = Path("clip")
    torch.save({"state_dict": ordered(edits.compvis())}, "v1-5-pruned-emaonly-adaption-task.ckpt")
    plain = base.compvis() | buffers()
    save_file({key: value.contiguous() for key, value in plain.items()}, "v1-5-pruned.safetensors")
    Path("configs").symlink_to(ROOT / "configs")
    rng = np.random.default_rng(0)
    for split, count in {"train": 4, "val": 2}.items():
        folder = Path("raw", split)
        folder.mkdir(parents=True)
        rows = []
        for number in range(count):
            names = [f"{number}_{kind}.png" for kind in ("in", "out")]
            for name in names:
                Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / name)
            rows.append({"input": names[0], "edited": names[1], "instruction": "make it blue"})
        (folder / "edits.json").write_text(json.dumps(rows))
    return tmp_path


def test_every_block_of_the_page_runs(here, capsys):
    assert {kind for kind, _ in BLOCKS} == {"bash", "python", "yaml"}
    for _, text in [block for block in BLOCKS if block[0] == "yaml"]:
        Path(re.match(r"# (\S+\.yaml)", text)[1]).write_text(text, encoding="utf-8")
    for kind, text in BLOCKS:
        if kind == "bash":
            for line in text.splitlines():
                words = shlex.split(line)
                assert words[0] == "idiff"
                assert main(words[1:]) == 0, f"{line}: {capsys.readouterr().err}"
        elif kind == "python":
            exec(text, {})
    assert Path("weights/back/model.ckpt").is_file()


def test_every_command_and_setting_of_the_tables_is_there():
    for command in re.findall(r"`idiff (\w+)", PAGE):
        assert command in COMMANDS
    from idiff.config.sections import known_words

    known = known_words()
    here = [line.split(" | ")[1] for line in PAGE.splitlines() if line.startswith("| `") and " | " in line]
    settings = [
        name for text in here for name in re.findall(r"`((?:model|data|trainer|ema|last|objective)\.[\w.]+)", text)
    ]
    assert len(settings) > 15
    for setting in settings:
        assert setting.rpartition(".")[2] in known | {"NAME"}, setting
