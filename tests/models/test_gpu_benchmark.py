"""benchmarks/gpu.py: it says that there is no GPU, and its rehearsal runs every row."""

import json
import os
import subprocess
import sys

from small_models import ROOT


def run(*words):
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), *words], capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_without_a_gpu_it_is_one_sentence_and_exit_2():
    done = run("--checkpoint", "tiny")
    assert done.returncode == 2
    assert "There is no GPU here" in done.stderr and "--device cpu --tiny" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_rehearsal_prints_every_row(tmp_path):
    done = run("--device", "cpu", "--tiny", "--out", str(tmp_path / "gpu.json"))
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    names = [row["what"] for row in rows]
    assert [name.split(": ")[1] for name in names[:5]] == [
        "diffusers' script, full",
        "full",
        "full, cached",
        "lora",
        "lora, cached",
    ]
    assert all(row["per_second"] > 0 for row in rows) and len(rows) >= 7
    assert "on the processor" in done.stdout
