"""One GPU: training steps a second and peak memory, a query at the presets, and diffusers' own loop and pipeline beside them.

    python benchmarks/gpu.py --checkpoint weights/sd15
    python benchmarks/gpu.py --checkpoint weights/sd15 --sides 256 --batch 16 --out gpu.json
    python benchmarks/gpu.py --device cpu --tiny          # rehearses every line with a small model, without a GPU

`full` trains every weight of the U-Net, `lora` adapters of rank 8; `cached` starts from latents and text states as a latent cache
holds them. The peer of training is the loop of diffusers' InstructPix2Pix script: encode, add noise, predict, AdamW. The peer of a
query is its StableDiffusionInstructPix2PixPipeline, with 3 branches a step as InstructDiffusion's rule has. All rows run in one
process on the same random images and sentences. Without a GPU, and without --device cpu, it says so and ends with exit code 2.
"""

import argparse
import copy
import gc
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import DDPMScheduler, StableDiffusionInstructPix2PixPipeline
from torch.nn import functional as F

from idiff.errors import IdiffError
from idiff.models.backbone import LatentDiffusion
from idiff.models.io.checkpoint import load
from idiff.models.lora import Lora, adapt
from idiff.sampling import named_preset
from idiff.types import Batch, LatentBatch

ROUNDS = 3
PRESETS = ("quick", "paper")


def batch_of(size: int, side: int) -> Batch:
    rng = torch.Generator().manual_seed(0)
    source, target = (torch.rand(size, 3, side, side, generator=rng) * 2 - 1 for _ in range(2))
    return Batch(
        keys=[str(row) for row in range(size)], instruction=[f"mark number {row} in red" for row in range(size)], source=source,
        target=target, query=[{}] * size, annotation=[{}] * size, position=torch.arange(size), task=["benchmark"] * size,
    )  # fmt: skip


@torch.no_grad()
def latents_of(backbone: LatentDiffusion, batch: Batch) -> LatentBatch:
    """The batch as a latent cache holds it."""
    mean, std = backbone.autoencoder.moments(batch.target)
    references = (backbone.autoencoder.reference, backbone.text.reference)
    made_by = tuple("trained" if each is None else each["sha256"] for each in references)
    return LatentBatch(
        keys=batch.keys, instruction=batch.instruction, position=batch.position, task=batch.task, mean=mean, std=std,
        source=backbone.autoencoder.encode_source(batch.source), states=backbone.text(["", *batch.instruction]),
        prompt=torch.arange(1, len(batch) + 1, device=mean.device), changed=torch.ones(len(batch), 1, *mean.shape[2:]).bool(),
        made_by=made_by, query=batch.query, labels=None, names=[None] * len(batch),
    )  # fmt: skip


class Meter:
    """Seconds of a call, the best of some rounds, and the peak of memory where the device says it."""

    def __init__(self, device: str) -> None:
        self.cuda = device.startswith("cuda")

    def __call__(self, run) -> dict:
        run()
        seconds = []
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        for _ in range(ROUNDS):
            self.wait()
            began = time.perf_counter()
            run()
            self.wait()
            seconds.append(time.perf_counter() - began)
        peak = torch.cuda.max_memory_allocated() / 1e9 if self.cuda else None
        return {"seconds": min(seconds), "peak_gb": peak}

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()


def steps(model: torch.nn.Module, loss, device: str):
    """A training step: forward in bfloat16 on CUDA, backward, fused AdamW."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6, fused=True)
    kind = torch.device(device).type

    def run() -> None:
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda"):
            value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return run


def peer_loss(backbone: LatentDiffusion, batch: Batch):
    """The loop of diffusers' train_instruct_pix2pix.py."""
    scheduler = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000
    )
    vae, text, unet = backbone.autoencoder.net, backbone.text, backbone.unet

    def loss() -> torch.Tensor:
        with torch.no_grad():
            latents = vae.encode(batch.target).latent_dist.sample() * vae.config.scaling_factor
            source = vae.encode(batch.source).latent_dist.mode()
            states = text.net(text.tokenize(batch.instruction).to(latents.device)).last_hidden_state
        noise, t = torch.randn_like(latents), torch.randint(1000, (len(latents),), device=latents.device)
        noisy = scheduler.add_noise(latents, noise, t)
        return F.mse_loss(
            unet(torch.cat([noisy, source], dim=1), t, encoder_hidden_states=states).sample.float(), noise.float()
        )

    return loss


def training_rows(backbone: LatentDiffusion, *, side: int, size: int, device: str) -> list[dict]:
    meter, batch, rows = Meter(device), batch_of(size, side).to(device), []
    cached = latents_of(backbone, batch).to(device)
    ways = {
        "diffusers' script, full": (False, None), "full": (False, batch), "full, cached": (False, cached), "lora": (True, batch),
        "lora, cached": (True, cached),
    }  # fmt: skip
    for name, (lora, given) in ways.items():
        model = copy.deepcopy(backbone).train()
        if lora:
            model.provenance.sources = [{"path": "", "kind": "model", "sha256": "", "step": 0}]
            adapt(model, Lora())
            model.to(device)
        loss = peer_loss(model, batch) if given is None else lambda model=model, given=given: model.loss(given, seed=0)
        found = meter(steps(model, loss, device))
        rows.append({"what": f"train {side} px, {size}: {name}", "per_second": 1 / found["seconds"], **found})
        del model, loss
        gc.collect()
        torch.cuda.empty_cache()
    return rows


@torch.no_grad()
def query_rows(backbone: LatentDiffusion, *, side: int, device: str, most: int | None) -> list[dict]:
    meter, rows = Meter(device), []
    source, backbone = batch_of(1, side).source.to(device), backbone.eval()
    for name in PRESETS:
        preset = named_preset(name, "segmentation", rule=backbone.objective.rule)
        count = min(preset.steps, most or preset.steps)
        sampling = replace(preset, steps=count)
        found = meter(lambda sampling=sampling: backbone.edit(source, ["mark it in red"], sampling=sampling, seeds=[0]))
        rows.append({"what": f"query {side} px: {name}, {count} steps", "per_second": 1 / found["seconds"], **found})
    if backbone.objective.prediction != "sample":
        rows.append(peer_query(backbone, meter, source, side=side, count=min(100, most or 100)))
    return rows


def peer_query(backbone: LatentDiffusion, meter: Meter, source: torch.Tensor, *, side: int, count: int) -> dict:
    from diffusers import EulerAncestralDiscreteScheduler

    scheduler = EulerAncestralDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=backbone.objective.prediction
    )
    pipe = StableDiffusionInstructPix2PixPipeline(
        vae=backbone.autoencoder.net, text_encoder=backbone.text.net, tokenizer=backbone.text.tokenizer, unet=backbone.unet,
        scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    shown = (source + 1) / 2
    found = meter(
        lambda: pipe(
            "mark it in red",
            image=shown,
            num_inference_steps=count,
            guidance_scale=7.5,
            image_guidance_scale=1.5,
            output_type="pt",
        )
    )
    return {"what": f"query {side} px: diffusers' pipeline, {count} steps", "per_second": 1 / found["seconds"], **found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--checkpoint", default="weights/sd15", metavar="CKPT", help="a model that takes a source (weights/sd15)")
    add("--device", default="cuda", help="cuda, or cpu to rehearse with --tiny (cuda)")
    add(
        "--tiny",
        action="store_true",
        help="the shipped tiny model at 64 px, 2 images and 2 steps: shows that every line runs",
    )
    add("--sides", type=int, nargs="+", default=[256, 512], metavar="N", help="pixels of an image's side (256 512)")
    add("--batch", type=int, default=8, metavar="N", help="images of a step (8)")
    add("--out", metavar="FILE", help="JSON of the table")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print(
            "There is no GPU here: run this on a machine with one, or rehearse it with --device cpu --tiny.",
            file=sys.stderr,
        )
        return 2
    sides, size, most = ([64], 2, 2) if options.tiny else (options.sides, options.batch, None)
    try:
        backbone = load("tiny" if options.tiny else options.checkpoint).backbone.to(options.device)
    except IdiffError as error:
        print(error, file=sys.stderr)
        return 2
    device = torch.cuda.get_device_name() if options.device.startswith("cuda") else "the processor"
    rows = [row for side in sides for row in training_rows(backbone, side=side, size=size, device=options.device)]
    rows += [row for side in sides for row in query_rows(backbone, side=side, device=options.device, most=most)]
    print(f"on {device}, torch {torch.__version__}\n{'':<52}{'a second':>10}{'peak GB':>10}")
    for row in rows:
        peak = "-" if row["peak_gb"] is None else f"{row['peak_gb']:.2f}"
        print(f"{row['what']:<52}{row['per_second']:>10.3f}{peak:>10}")
    if options.out:
        Path(options.out).write_text(json.dumps({"device": device, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
