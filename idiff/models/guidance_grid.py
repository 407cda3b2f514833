"""Paint one prompt several times under different guidance settings; what does not depend on them is computed once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from idiff.diffusion import Branch, per_sample_noise
from idiff.models.backbone import LatentDiffusion
from idiff.models.denoising import Denoiser, sample_rows
from idiff.sampling import Sampling
from idiff.utils.seeds import torch_rng


@torch.no_grad()
def paint_variants(
    backbone: LatentDiffusion,
    source: Tensor,
    instruction: str,
    *,
    settings: Sequence[Sampling],
    seeds: Sequence[int],
    max_rows: int = 64,
) -> Tensor:
    """What `LatentDiffusion.edit` paints, once for each setting; source and prompt are encoded once.

    Settings that need the same branches of guidance share U-Net batches. Which examples share one depends on the arguments
    alone, so the same call gives the same bits on the same machine.

    Args:
        backbone: a model that takes a source.
        source: (3, H, W) in [-1, 1].
        instruction: the prompt.
        settings: N settings, in any mixture.
        seeds: N numbers, of the images' noise.
        max_rows: U-Net examples (images times branches) at a time, to bound memory.

    Returns:
        (N, 3, H, W) in [-1, 1], in the order of the settings.
    """
    device = next(backbone.unet.parameters()).device
    latent = backbone.autoencoder.encode_source(source[None].to(device))
    states = backbone.text.states([instruction, ""])
    groups: dict[tuple[object, ...], list[int]] = {}
    parts = [backbone.objective.branches(one) for one in settings]
    for number, (one, needed) in enumerate(zip(settings, parts, strict=True)):
        shape = tuple((branch.use_image, branch.use_text) for branch in needed)
        groups.setdefault((one.steps, one.sampler, one.stop_unchanged, shape), []).append(number)
    painted: list[Tensor | None] = [None] * len(settings)
    for numbers in groups.values():
        size = max(1, max_rows // len(parts[numbers[0]]))
        for start in range(0, len(numbers), size):
            rows = numbers[start : start + size]
            pictures = _paint(
                backbone, latent, states, [settings[row] for row in rows], [parts[row] for row in rows],
                [seeds[row] for row in rows],
            )  # fmt: skip
            for row, picture in zip(rows, pictures, strict=True):
                painted[row] = picture
    return torch.stack([picture for picture in painted if picture is not None])


def _paint(
    backbone: LatentDiffusion,
    latent: Tensor,
    states: Tensor,
    settings: Sequence[Sampling],
    parts: Sequence[Sequence[Branch]],
    seeds: Sequence[int],
) -> Tensor:
    """Examples that share steps, sampler and branches; only the branches' weights and the seeds differ."""
    shared, first = parts[0], settings[0]
    weights = [
        torch.tensor([own[place].weight for own in parts]).to(latent)[:, None, None, None]
        for place in range(len(shared))
    ]
    rows = len(settings)
    denoiser = Denoiser(
        backbone.predict,
        states=states[:1].expand(rows, -1, -1),
        empty=states[1:],
        source=latent.expand(rows, -1, -1, -1),
        scale=backbone.autoencoder.scale,
        parts=shared,
        weights=weights,
        schedule=backbone.schedule,
        prediction=backbone.objective.prediction,
        stop=first.stop_unchanged,
    )
    rngs = [torch_rng(backbone.sample_seed, "sample", int(seed)) for seed in seeds]
    noise = per_sample_noise(rngs, latent.shape[1:]).to(states)
    timesteps = backbone.schedule.timesteps(first.steps, spacing=backbone.objective.spacing)
    found = sample_rows(denoiser, sampler=first.sampler, noise=noise, timesteps=timesteps, rngs=rngs)
    return backbone.autoencoder.decode(found.pictures)
