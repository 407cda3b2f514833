"""`idiff validate` scores the weights that a model starts from, with no checkpoint of a training."""

from pathlib import Path

import pytest
import yaml
from fit_runs import CONFIGS

from idiff.cli import main


@pytest.fixture
def starting(config):
    """The experiment's YAML, its model started from the one that ships."""
    content = yaml.safe_load(Path(config).read_text())
    content["include"][1] = str(CONFIGS / "model" / "tiny.yaml")
    del content["model"]["init_args"]["backbone"]
    content["model"]["init_args"]["init_from"] = "tiny"
    Path(config).write_text(yaml.safe_dump(content))
    return config


def test_weights_are_scored_as_they_are(starting, capsys):
    assert main(["validate", "--config", starting]) == 0
    captured = capsys.readouterr()
    assert "no --ckpt_path: the weights of tiny as they are" in captured.err
    assert "segmentation" in captured.out
    assert not list(Path("run").rglob("*.ckpt"))


def test_new_weights_are_not_scored(config, capsys):
    assert main(["validate", "--config", config]) == 2
    assert "no weights were named" in capsys.readouterr().err
