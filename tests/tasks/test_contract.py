"""What every task promises, checked for each YAML under configs/task without naming one."""

import importlib
from pathlib import Path

import pytest
import torch
import yaml
from contract import PROMISES

torch.set_num_threads(1)

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs" / "task").glob("*.yaml"))


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda path: path.stem)
def task(request):
    entry = yaml.safe_load(request.param.read_text())["task"]
    module, _, name = entry["class_path"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**entry.get("init_args", {}))


def test_there_are_tasks():
    assert {path.stem for path in CONFIGS} >= {"segmentation", "keypoints"}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_promise(task, promise):
    promise(task)
