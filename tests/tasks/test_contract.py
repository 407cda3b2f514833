"""What every task promises, checked for each YAML under configs/task without naming one."""

import importlib

import pytest
from contract import PROMISES
from small_models import ROOT

from idiff.config.compose import compose

CONFIGS = sorted((ROOT / "configs" / "task").glob("*.yaml"))
NATIVE = {"frame": "native64", "size": 192}
"""The examples have sides in the ratio of 3 to 4: nothing of them is cut away."""

OPTIONS = {
    "segmentation": [
        {"classes_per_prompt": 3}, {"classes_per_prompt": 10, "palette": "paper", "decoder_args": {}}, NATIVE,
        {"palette": "official-masks"},
    ],
    "keypoints": [{"palette": "official-joints"}],
    "generate": [{"source": "edges"}, {"source": "depth"}],
}  # fmt: skip
"""Arguments that change what a task paints and asks, beside those of its YAML."""

CASES = [(path, change) for path in CONFIGS for change in ({}, *OPTIONS.get(path.stem, []))]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join([case[0].stem, *map(str, case[1].values())]))
def task(request):
    path, change = request.param
    entry = compose([str(path)])["task"]
    module, _, name = entry["class_path"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**entry.get("init_args", {}) | change)


def test_there_are_tasks():
    assert {path.stem for path in CONFIGS} >= {"segmentation", "keypoints"}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_promise(task, promise):
    promise(task)
