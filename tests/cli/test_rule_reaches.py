"""`objective.rule` reaches `fit`, `evaluate` and `Pipeline`."""

import json
from pathlib import Path

import pytest
import yaml

from idiff import Pipeline
from idiff.cli import main

RULE = "--model.init_args.backbone.init_args.objective.init_args.rule"


@pytest.fixture
def ruled(config):
    """The experiment's YAML under InstructPix2Pix's rule, one step."""
    content = yaml.safe_load(Path(config).read_text())
    content["model"]["init_args"]["backbone"]["init_args"]["objective"] = {"rule": "instructpix2pix"}
    content["trainer"] |= {"max_steps": 1, "val_check_interval": 2, "accumulate_grad_batches": 1}
    Path(config).write_text(yaml.safe_dump(content))
    return config


def test_the_rule_of_the_objective_holds_from_fit_to_pipeline(ruled, shards):
    assert main(["fit", "--config", ruled]) == 0
    data = shards / "segmentation" / "val"
    words = ["--checkpoint", "run/checkpoints/last.ckpt", "--data", str(data), "--task", "segmentation", "--limit", "1"]
    assert main(["evaluate", *words, "--bootstrap", "0", "--out", "card.json"]) == 0
    card = json.loads(Path("card.json").read_text())
    assert card["guidance"]["rule"] == "instructpix2pix"
    assert (card["guidance"]["guidance_text"], card["guidance"]["guidance_image"]) == (1.0, 1.0)
    assert card["evaluations_per_query"] == 1
    assert Pipeline("run/checkpoints/last.ckpt").loaded.backbone.objective.rule == "instructpix2pix"


@pytest.mark.parametrize("place", ["data", "model"])
def test_a_sampling_of_another_rule_is_refused_before_training(ruled, capsys, place):
    content = yaml.safe_load(Path(ruled).read_text())
    if place == "data":
        content["data"]["init_args"]["tasks"]["keypoints"]["sampling"]["rule"] = "instructdiffusion"
    else:
        content["model"]["init_args"]["sampling"] = {"rule": "instructdiffusion"}
    Path(ruled).write_text(yaml.safe_dump(content))
    assert main(["fit", "--config", ruled]) == 2
    assert "leave sampling.rule out" in capsys.readouterr().err
    assert not list(Path("run").rglob("*.ckpt"))
