"""What a training starts from, through the command line: a missing base, the list of weights, adapters and their export."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from fit_runs import state
from small_models import ROOT

from idiff.cli import main
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion
from idiff.models.io.checkpoint import load
from idiff.models.io.export import write_folder
from idiff.models.lora import ADAPTER
from idiff.models.text import TextEncoder


@pytest.fixture
def text_to_image(config, autoencoder_folder, tmp_path):
    """A text-to-image model of the experiment's shape, exported: what stage 1 leaves behind."""
    arguments = yaml.safe_load(Path(config).read_text())["model"]["init_args"]["backbone"]["init_args"]
    shape = yaml.safe_load((ROOT / "configs/model/tiny_new.yaml").read_text())
    unet = shape["model"]["backbone"]["unet"] | arguments["unet"]
    torch.manual_seed(0)
    text = TextEncoder(config=arguments["text"]["init_args"]["config"])
    net = LatentDiffusion(autoencoder=Autoencoder(weights=autoencoder_folder), text=text, unet=unet, with_source=False)
    return str(write_folder(net, tmp_path / "stage1", config={}, step=9, half=False))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("init_from", "nowhere is missing. Expected a .ckpt file"),
        ("backbone.init_args.unet_weights", "nowhere does not exist: expected a folder"),
        ("backbone.init_args.autoencoder.init_args.weights", "nowhere does not exist: expected a folder"),
    ],
)
def test_a_missing_base_is_one_sentence_and_leaves_no_run(config, capsys, setting, said):
    assert main(["fit", "--config", config, f"--model.init_args.{setting}", "nowhere"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("idiff:")]
    assert len(errors) == 1 and said in errors[0]
    assert not Path("run").exists()


def test_stage_2_from_a_text_to_image_model_lists_every_weight(config, text_to_image, capsys):
    words = ["fit", "--config", config, "--trainer.max_steps", "2", "--trainer.limit_val_batches", "0"]
    assert main([*words, "--model.init_args.init_from", text_to_image]) == 0
    said = capsys.readouterr().out
    assert "first convolution widened 4 -> 8 with zeros" in said and "starts as a copy of its source" in said
    listed = json.loads(Path("run/handover.json").read_text())
    keys = {key for part in ("loaded", "changed", "new", "kept") for key in listed[part]}
    assert keys == set(load("run/checkpoints/last.ckpt").backbone.state_dict())
    assert set(listed["changed"]) == {"unet.conv_in.weight", "unet.conv_out.weight", "unet.conv_out.bias"}
    assert listed["sources"] == [
        {"path": text_to_image, "kind": "model", "sha256": load(text_to_image).sha256, "step": 9}
    ]
    Path("run/handover.json").unlink()
    assert main([*words, "--model.init_args.init_from", text_to_image, "--ckpt_path", "last"]) == 0
    assert "widened" not in capsys.readouterr().out  # a run that goes on has its weights from its checkpoint
    assert not Path("run/handover.json").exists()


def test_adapters_are_trained_gone_on_with_and_exported_merged(config, text_to_image, capsys):
    words = [
        "fit",
        "--config",
        config,
        "--model.init_args.init_from",
        text_to_image,
        "--trainer.limit_val_batches",
        "0",
    ]
    words += ["--model.init_args.lora", "{rank: 2, alpha: 4, targets: [to_q, to_v]}"]
    assert main([*words, "--trainer.max_steps", "2"]) == 0
    assert "LoRA of rank 2 on" in capsys.readouterr().out
    assert main([*words, "--trainer.max_steps", "3", "--ckpt_path", "last"]) == 0
    saved = state("run")
    assert saved["global_step"] == 3
    others = {key for key in saved["state_dict"] if ADAPTER not in key}
    assert others == {f"backbone.unet.{key}" for key in ("conv_in.weight", "conv_out.weight", "conv_out.bias")}
    assert main(["export", "--checkpoint", "run/checkpoints/last.ckpt", "--out", "model"]) == 0
    merged = load("model").backbone.state_dict()
    assert not any(ADAPTER in key or "base_layer" in key for key in merged)
    for name, value in load("run/checkpoints/last.ckpt").backbone.state_dict().items():
        assert torch.allclose(merged[name], value, atol=2e-3, rtol=2e-3), name
