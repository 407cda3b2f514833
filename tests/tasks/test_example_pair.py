import importlib

import contract
import pytest
from contract import PROMISES
from small_models import ROOT

from idiff.config.compose import compose
from idiff.tasks.example_pair import ExamplePair

PATHS = sorted((ROOT / "configs" / "task").glob("*.yaml"))
KEPT = [promise for promise in PROMISES if promise is not contract.queries_show_what_encode_shows]

def made(path, **change):
    entry = compose([str(path)])["task"]
    module, _, name = entry["class_path"].rpartition(".")
    return ExamplePair(getattr(importlib.import_module(module), name)(**entry.get("init_args", {}) | change))


@pytest.fixture(scope="module", params=PATHS, ids=lambda path: path.stem)
def task(request):
    return made(request.param)


@pytest.mark.parametrize("promise", KEPT, ids=lambda promise: promise.__name__)
def test_promise(task, promise):
    promise(task)
