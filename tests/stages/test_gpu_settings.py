"""Settings that are for CUDA: where they cannot hold, a sentence says so and nothing else changes."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from idiff.errors import ConfigError
from idiff.stages import TaskTraining


@pytest.fixture
def no_bitsandbytes(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_an_8_bit_optimizer_without_its_package_names_both_ways_out(backbone, no_bitsandbytes):
    stage = TaskTraining(backbone=backbone, optimizer="adamw8bit")
    with pytest.raises(ConfigError, match=r"needs the package bitsandbytes.*idiff\[gpu\].*model.optimizer: adamw, "):
        stage.configure_optimizers()


def test_an_8_bit_optimizer_gets_the_stages_settings(backbone, monkeypatch):
    class AdamW8bit(torch.optim.AdamW):
        """Stands for bitsandbytes' class, which takes no `fused`."""

        def __init__(self, parameters, lr, betas, weight_decay):
            super().__init__(parameters, lr=lr, betas=betas, weight_decay=weight_decay)

    package, inside = ModuleType("bitsandbytes"), ModuleType("bitsandbytes.optim")
    inside.AdamW8bit = AdamW8bit
    monkeypatch.setitem(sys.modules, "bitsandbytes", package)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", inside)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    made = TaskTraining(backbone=backbone, optimizer="adamw8bit", lr=3e-4, weight_decay=0.1).configure_optimizers()
    optimizer = made["optimizer"]
    assert isinstance(optimizer, AdamW8bit)
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (3e-4, 0.1)
    assert len(optimizer.param_groups[0]["params"]) == sum(p.requires_grad for p in backbone.parameters())


@pytest.mark.parametrize(
    ("precision", "clip", "fused"),
    [("32-true", 1.0, True), ("bf16-mixed", None, True), ("bf16-mixed", 1.0, True), ("16-mixed", 1.0, False)],
)
def test_adamw_is_fused_unless_scaled_gradients_are_clipped(backbone, monkeypatch, precision, clip, fused):
    stage = TaskTraining(backbone=backbone)
    trainer = SimpleNamespace(precision=precision, gradient_clip_val=clip)
    monkeypatch.setattr(stage, "_trainer", trainer)
    monkeypatch.setattr(type(stage), "trainer", property(lambda self: trainer))
    assert stage.configure_optimizers()["optimizer"].defaults["fused"] is fused


@pytest.mark.parametrize(("precision", "last"), [("32-true", True), ("bf16-mixed", False)])
def test_weights_are_channels_last_but_in_bfloat16_on_a_cpu(backbone, monkeypatch, precision, last):
    stage, trainer = TaskTraining(backbone=backbone), SimpleNamespace(precision=precision)
    monkeypatch.setattr(type(stage), "trainer", property(lambda self: trainer))
    stage._lay_out()
    weights = [p for p in backbone.unet.parameters() if p.dim() == 4 and min(p.shape[:2]) > 1 and p.shape[2] > 1]
    assert weights and all(p.is_contiguous(memory_format=torch.channels_last) is last for p in weights)


def test_compile_is_left_out_without_cuda_and_says_so(backbone, monkeypatch):
    stage, said = TaskTraining(backbone=backbone, compile=True), []
    monkeypatch.setattr(stage, "print", said.append)
    stage._compile()
    assert said == ["model.compile is left out: it is for CUDA, and this is cpu"]
    assert TaskTraining(backbone=backbone).compile_wanted is False


def test_compile_on_cuda_keeps_the_weights_names(backbone, monkeypatch):
    stage, called = TaskTraining(backbone=backbone, compile=True), []
    monkeypatch.setattr(type(stage), "device", property(lambda self: torch.device("cuda")))
    monkeypatch.setattr(backbone.unet, "compile", lambda: called.append("unet"), raising=False)
    keys = list(stage.state_dict())
    stage._compile()
    assert called == ["unet"] and list(stage.state_dict()) == keys
