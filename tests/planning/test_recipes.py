"""The heads of the recipes for Stable Diffusion 1.5 say what `idiff fit --check` computes, from its architecture alone."""

import json
import re
import shutil

import pytest
import yaml
from small_models import ROOT
from transformers import CLIPTextConfig

from idiff.chains.experiment import read_experiment
from idiff.cli import COMMANDS, main
from idiff.config.compose import compose
from idiff.models.text import builtin_tokenizer

CONFIGS = ROOT / "configs" / "experiment"
RECIPES = {"sd15_lora_12gb": 12, "sd15_full_24gb": 24, "sd15_full_80gb": 80}
CONTEXT = 0.5
"""GB that the libraries themselves take on CUDA."""


@pytest.fixture(scope="module")
def sd15(tmp_path_factory):
    """The architecture of Stable Diffusion 1.5 in the hub's layout, with empty files in the place of weights."""
    root = tmp_path_factory.mktemp("sd15")
    shapes = {
        "unet": {"_class_name": "UNet2DConditionModel", "sample_size": 64, "in_channels": 4, "out_channels": 4,
                 "cross_attention_dim": 768, "attention_head_dim": 8},
        "vae": {"_class_name": "AutoencoderKL", "block_out_channels": [128, 256, 512, 512], "latent_channels": 4,
                "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
                "layers_per_block": 2, "sample_size": 512},
    }  # fmt: skip
    for part, config in shapes.items():
        (root / part).mkdir()
        (root / part / "config.json").write_text(json.dumps(config))
        (root / part / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    text = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    CLIPTextConfig(vocab_size=49408, **text).save_pretrained(root / "text_encoder")
    (root / "text_encoder" / "model.safetensors").write_bytes(b"")
    shutil.copytree(builtin_tokenizer(), root / "tokenizer")
    return root


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A few scenes in the place of each set."""
    folder = tmp_path_factory.mktemp("sets")
    for name, task in {"coco_stuff": "segmentation", "refcoco": "referring", "magicbrush": "editing"}.items():
        words = ["--task", task, "--split", "train", "--count", "16", "--out", str(folder / name)]
        assert main(["data", "build", "synthetic", *words]) == 0
    return folder


def head(name):
    """Memory in GB and hours that a recipe's head states."""
    text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
    memory = re.search(r"^# Memory: (\d+\.\d) GB computed by --check", text, re.MULTILINE)
    hours = re.search(r"Hours: (\d+\.\d) computed at 50 TFLOP/s; not measured", text)
    assert "not measured on one" in text
    return float(memory[1]), float(hours[1])


@pytest.mark.parametrize("name", RECIPES)
def test_the_head_says_what_the_dry_run_computes(name, sd15, shards, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tasks = {entry: {"train": str(shards / entry), "val": None} for entry in ("coco_stuff", "refcoco", "magicbrush")}
    over = {"model": {"backbone": {"pretrained": str(sd15)}}, "data": {"tasks": tasks, "num_workers": 0}}
    (tmp_path / "over.yaml").write_text(yaml.safe_dump(over))
    files = ["--config", str(CONFIGS / f"{name}.yaml"), "--config", "over.yaml"]
    cache = compose([str(CONFIGS / f"{name}.yaml")])["data"]["init_args"].get("cache")
    if cache is not None:  # made with another model: the dry run looks at what there is, not into it
        assert main(["data", "cache", *files, "--model", "tiny", "--out", cache]) == 0
    code = main(["fit", *files, "--check", "--memory", f"{RECIPES[name]}GB"])
    assert code == 0, capsys.readouterr().err
    (written,) = tmp_path.glob("runs/*-check/check.yaml")
    found = yaml.safe_load(written.read_text())
    memory, hours = head(name)
    assert found["memory"]["total"] / 1e9 == pytest.approx(memory, abs=0.051)
    assert found["steps"] * found["flops"] / 50e12 / 3600 == pytest.approx(hours, abs=0.051)
    assert memory + CONTEXT < RECIPES[name]


def test_stage_2_of_the_chain_is_the_24_gb_recipe():
    experiment = read_experiment(str(CONFIGS / "three_stages_sd15.yaml"), commands=list(COMMANDS))
    (tasks,) = (entry for entry in experiment.entries if entry.name == "tasks")
    recipe = compose([str(CONFIGS / "sd15_full_24gb.yaml")])
    for section, names in {"model": ["optimizer"], "data": ["batch_size"]}.items():
        for name in names:
            assert tasks.config[section]["init_args"][name] == recipe[section]["init_args"][name]
    assert tasks.config["trainer"]["precision"] == recipe["trainer"]["precision"]
    assert tasks.config["trainer"]["accumulate_grad_batches"] == recipe["trainer"]["accumulate_grad_batches"]
    assert tasks.config["model"]["init_args"]["backbone"]["init_args"]["gradient_checkpointing"] is True
