"""The settings of the paper (InstructDiffusion, section 4.1) are the defaults of stage 2, and accumulation is a larger batch."""

import lightning.pytorch as pl
import pytest
import torch
import yaml
from small_models import ROOT
from stage_fakes import Rows
from torch import optim

from idiff.callbacks import WeightAverage
from idiff.config.compose import compose
from idiff.stages import TaskTraining


def settings(*files):
    return compose([str(ROOT / "configs" / file) for file in files])


def test_stage_2_trains_as_the_paper_does(backbone):
    config = settings("stage/tasks.yaml")
    stage = TaskTraining(backbone=backbone, **config["model"]["init_args"])
    built = stage.configure_optimizers()
    optimizer = built["optimizer"]
    assert type(optimizer) is optim.AdamW
    (group,) = optimizer.param_groups
    assert (group["lr"], tuple(group["betas"]), group["weight_decay"]) == (1e-4, (0.9, 0.999), 0.01)
    assert [stage.rate(step) for step in (0, 1, 62_000)] == [1.0, 1.0, 1.0]
    assert WeightAverage(**config["ema"]).decay == 0.9999
    assert "gradient_clip_val" not in config["trainer"]


def test_conditions_are_dropped_as_in_the_paper_and_pictures_have_256_pixels():
    config = settings("stage/tasks.yaml", "model/sd15.yaml")
    objective = config["model"]["init_args"]["backbone"]["init_args"]["objective"]
    assert (objective["dropout_text"], objective["dropout_image"], objective.get("dropout_both", 0.0)) == (
        0.075,
        0.075,
        0.0,
    )
    assert (objective["prediction"], objective["zero_terminal_snr"], objective["rule"]) == (
        "epsilon",
        False,
        "instructdiffusion",
    )
    tasks = settings("experiment/full.yaml")["data"]["init_args"]["tasks"]
    sizes = {name: entry["task"]["init_args"]["size"] for name, entry in tasks.items()}
    assert sizes and set(sizes.values()) == {256}, sizes


def test_the_yaml_says_so_itself():
    """Defaults that a reader sees, not ones that come from elsewhere."""
    written = yaml.safe_load((ROOT / "configs" / "stage" / "tasks.yaml").read_text())
    named = {"lr": 1e-4, "betas": [0.9, 0.999], "weight_decay": 0.01, "warmup_steps": 0, "decay": "constant"}
    assert {key: written["model"][key] for key in named} == named
    assert written["ema"] == {"decay": 0.9999}


class Gradients(pl.Callback):
    """Gradients as the first optimizer step gets them."""

    def __init__(self):
        self.first = {}

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if not self.first:
            self.first = {name: p.grad.clone() for name, p in pl_module.named_parameters() if p.grad is not None}


def gradients(backbone, folder, *, rows, accumulation):
    seen = Gradients()
    trainer = pl.Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_progress_bar=False, limit_val_batches=0, callbacks=[seen],
        enable_model_summary=False, enable_checkpointing=False, default_root_dir=folder, use_distributed_sampler=False,
        accumulate_grad_batches=accumulation,
    )  # fmt: skip
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    trainer.fit(TaskTraining(backbone=backbone), datamodule=Rows(batch=rows))
    backbone.load_state_dict(before)
    return seen.first


@pytest.mark.parametrize("gamma", [None, 5.0])
def test_two_micro_batches_are_a_batch_of_twice_the_size(backbone, tmp_path, gamma):
    backbone.objective.min_snr_gamma = gamma
    one = gradients(backbone, tmp_path, rows=4, accumulation=1)
    two = gradients(backbone, tmp_path, rows=2, accumulation=2)
    assert one.keys() == two.keys() and one
    largest = max(float(value.abs().max()) for value in one.values())
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=1e-3, atol=1e-5 * largest), name
