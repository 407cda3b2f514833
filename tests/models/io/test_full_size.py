"""The architecture of Stable Diffusion 1.5 at its own size, 860 M random weights, as one file: in, asked, trained a step, checked.

pytest tests/models/io/test_full_size.py -m slow -n 0 -s
"""

import json
import resource
import subprocess
import sys
import time

import pytest
from small_models import ROOT

LIMIT = 20e9
"""Bytes of memory that no step may pass."""

WRITE = """
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from idiff.models.io.compvis_keys import text_keys, unet_keys, vae_keys
from idiff.models.text import builtin_tokenizer

torch.manual_seed(0)
tokenizer = CLIPTokenizer.from_pretrained(builtin_tokenizer())
tokenizer.save_pretrained("clip")
unet = UNet2DConditionModel(in_channels=4, cross_attention_dim=768, attention_head_dim=8, sample_size=64)
state = unet_keys(unet.state_dict(), unet.config)
vae = AutoencoderKL(
    block_out_channels=[128, 256, 512, 512], down_block_types=["DownEncoderBlock2D"] * 4, layers_per_block=2,
    up_block_types=["UpDecoderBlock2D"] * 4, latent_channels=4, sample_size=512,
)
state |= vae_keys(vae.state_dict(), vae.config)
text = CLIPTextConfig(
    vocab_size=len(tokenizer), hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
    bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
)
state |= text_keys(CLIPTextModel(text).state_dict())
torch.save({"state_dict": state}, "sd15.ckpt")
print(sum(p.numel() for p in unet.parameters()))
"""

TRAIN = {
    "include": [str(ROOT / "configs/stage/tasks.yaml"), str(ROOT / "configs/model/sd15.yaml")],
    "model": {"lora": {"rank": 4}, "backbone": {"pretrained": "weights", "gradient_checkpointing": True}},
    "data": {
        "class_path": "MixtureDataModule",
        "defaults": {"size": 256},
        "tasks": {"segmentation": {"include": str(ROOT / "configs/task/segmentation.yaml"), "train": "shards"}},
        "batch_size": 1,
    },
    "trainer": {"max_steps": 1, "accelerator": "cpu", "default_root_dir": "run", "limit_val_batches": 0},
}


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_file_of_its_size_comes_in_answers_and_trains(tmp_path):
    peaks = {}

    def run(name, *words):
        """One process; keeps its peak of memory and its seconds."""
        began = time.monotonic()
        script = (
            "import resource, sys; from idiff.cli import main; code = main(sys.argv[1:]); "
            "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
        )
        words = ["-c", WRITE] if not words else ["-c", script, *map(str, words)]
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        peak = [line for line in done.stdout.splitlines() if line.startswith("peak ")]
        if peak:
            peaks[name] = (1024 * int(peak[-1].split()[1]), time.monotonic() - began)
        return done.stdout

    (tmp_path / "lora.yaml").write_text(json.dumps(TRAIN))
    assert int(run("write").split()[-1]) > 859_000_000
    assert (tmp_path / "sd15.ckpt").stat().st_size > 4e9
    run(
        "shards",
        "data",
        "build",
        "synthetic",
        "--task",
        "segmentation",
        "--split",
        "train",
        "--count",
        4,
        "--out",
        "shards",
    )
    run("import", "import", "sd15.ckpt", "--family", "sd15", "--tokenizer", "clip", "--out", "weights")
    (tmp_path / "sd15.ckpt").unlink()
    run("one query at 512 px, 2 steps", "edit", "example:objects", "make the star blue", "--checkpoint", "weights", "--size", 512,
        "--steps", 2, "--out", "answer")  # fmt: skip
    assert list((tmp_path / "answer").glob("*.png"))
    said = run("fit --check", "fit", "--config", "lora.yaml", "--check")
    assert "adapters" in said and "GB computed for one device" in said
    run("one LoRA step at 256 px", "fit", "--config", "lora.yaml")
    for name, (peak, seconds) in peaks.items():
        sys.stdout.write(f"{name:<32}{peak / 1e9:6.1f} GB {seconds:6.0f} s\n")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < LIMIT
