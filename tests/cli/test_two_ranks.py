"""`predict`, `validate` and `evaluate` on two ranks: each item once, and the files and figures of one rank."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_models import ROOT

from idiff.cli.trainer import scoring_trainer
from idiff.errors import ConfigError

TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


def idiff(*words):
    """Run the command as a user does: further ranks are the same command again."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "idiff", *map(str, words)], env=environment, capture_output=True, text=True, check=False, timeout=200
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def table(text):
    return [line for line in text.splitlines() if "segmentation" in line or "keypoints" in line or "val/score" in line]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("items", [3, 4], ids=["does-not-divide", "divides"])
def test_two_ranks_predict_and_validate_as_one(config, uncut, items):
    words = ["--config", config, "--ckpt_path", uncut / "checkpoints/last.ckpt"]
    words += ["--data.init_args.val_samples", items, "--data.init_args.val_groups", 1]
    idiff("predict", *words, "--predictions.out", "one")
    idiff("predict", *words, "--predictions.out", "two", *TWO)
    one, two = files_of("one"), files_of("two")
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
    assert len({json.loads(line)["query"]["group"] for line in one["keypoints/queries.jsonl"].splitlines()}) == items
    assert len(one["keypoints/queries.jsonl"].splitlines()) == len(set(one["keypoints/queries.jsonl"].splitlines()))
    words += ["--evaluate.table", "true"]
    shown = table(idiff("validate", *words))
    assert shown and shown == table(idiff("validate", *words, *TWO))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("task", ["segmentation", "keypoints"])
def test_two_ranks_write_the_card_of_one(config, uncut, shards, task):
    words = [
        "evaluate",
        "--checkpoint",
        uncut / "checkpoints/last.ckpt",
        "--data",
        shards / task / "val",
        "--task",
        task,
    ]
    words += ["--device", "cpu", "--bootstrap", 50, "--limit", 3]
    for name, ranks in (("one", 1), ("two", 2)):
        idiff(*words, "--ranks", ranks, "--out", f"{name}.json", "--predictions", name)
    one, two = (json.loads(Path(f"{name}.json").read_text()) for name in ("one", "two"))
    for key in ("minutes", "seconds_per_query"):
        del one[key], two[key]
    assert one["samples"] == 3
    for key, value in one.items():
        if isinstance(value, dict) and key in {"metrics", "ceiling", "painted", "identity"}:
            assert two[key] == pytest.approx(value, rel=1e-5), key
        else:
            assert two[key] == value, key
    assert files_of("one").keys() == files_of("two").keys()
    assert Path("one", task, "queries.jsonl").read_bytes() == Path("two", task, "queries.jsonl").read_bytes()
    for file in Path("one", task).rglob("*.png"):  # batches of other sizes round differently
        a, b = (np.asarray(Image.open(each)).astype(int) for each in (file, Path("two", file.relative_to("one"))))
        assert np.abs(a - b).max() <= 1, file


def test_one_device_for_several_ranks_is_refused(monkeypatch):
    monkeypatch.setattr("idiff.cli.trainer.usable_device", lambda name, **_: __import__("torch").device(name))
    with pytest.raises(ConfigError, match="--ranks 2 needs a device each, and --device names cuda:1 alone: give cuda"):
        scoring_trainer("cuda:1", ranks=2)
