"""Blocks that are computed a second time on the way back: the same loss and gradients, less kept in memory."""

import pytest
import torch
from small_models import TEXT, UNET

from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion, Objective
from idiff.models.text import TextEncoder
from idiff.types import Parts

UNET_2 = {**UNET, "layers_per_block": 2, "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]}


def loss_and_gradients(folder, batch, *, checkpointing, objective):
    """Loss, gradients by name, and how many numbers were kept for the way back."""
    torch.manual_seed(0)
    model = LatentDiffusion(
        autoencoder=Autoencoder(weights=folder), text=TextEncoder(config=TEXT), unet=UNET_2, objective=objective,
        gradient_checkpointing=checkpointing,
    ).train()  # fmt: skip
    kept = 0

    def keep(tensor):
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.loss(batch, seed=0)
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}, kept


@pytest.mark.parametrize("recognition", [0.0, 0.5])
def test_same_loss_and_gradients_with_less_kept(autoencoder_folder, batch, recognition):
    labels = torch.zeros(64, 64, dtype=torch.uint8)
    labels[:20] = 1
    batch.parts = [Parts(labels=labels, names=["background", "star"]) for _ in range(4)]
    objective = Objective(auxiliary_loss_weight=recognition)
    plain, again = (
        loss_and_gradients(autoencoder_folder, batch, checkpointing=on, objective=objective) for on in (False, True)
    )
    assert torch.allclose(plain[0], again[0], rtol=1e-5)
    assert plain[1].keys() == again[1].keys()
    for name, gradient in plain[1].items():
        assert torch.allclose(gradient, again[1][name], rtol=1e-3, atol=1e-6), name
    assert again[2] < 0.5 * plain[2], (again[2], plain[2])
