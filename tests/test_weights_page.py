"""docs/weights.md, executed on small random models: every block, in its order."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from compvis_layouts import Models, averages, buffers, ordered
from safetensors.torch import save_file
from small_models import ROOT

from idiff.cli import main
from idiff.data.build import build
from idiff.synthetic.source import SyntheticSource

PAGE = (ROOT / "docs" / "weights.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the files that the page names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IDIFF_CACHE", str(tmp_path / "cache"))
    edits, base = Models(tmp_path), Models(tmp_path, channels=4)
    edits.tokenizer.rename("clip")
    edits.tokenizer = base.tokenizer = Path("clip")
    weights, plain = edits.compvis(), base.compvis()
    torch.save({"state_dict": ordered(weights)}, "v1-5-pruned-emaonly-adaption-task.ckpt")
    torch.save({"state_dict": ordered(weights | averages(weights))}, "instruct-pix2pix-00-22000.ckpt")
    torch.save({"model": weights, "model_ema": averages(weights, prefix=""), "optimizer": {}}, "state.pth")
    save_file({key: value.contiguous() for key, value in (plain | buffers()).items()}, "v1-5-pruned.safetensors")
    base.folder(Path("sd-folder"))
    Path("configs").symlink_to(ROOT / "configs")
    build(SyntheticSource("segmentation", split="val", count=3), "val", name="synthetic", split="val")
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
    assert "keys loaded" in capsys.readouterr().out
