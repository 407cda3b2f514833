import dataclasses
import math

import pytest
import torch
from small_models import UNET

from idiff.models.auxiliary_loss import AuxiliaryLoss, _shares
from idiff.models.backbone import LatentDiffusion, Objective
from idiff.types import VOID, Parts


def halves(names=("background", "star")):
    """The right half shows the second name."""
    labels = torch.zeros(64, 64, dtype=torch.uint8)
    labels[:, 32:] = 1
    return Parts(labels, list(names))


@pytest.fixture
def taught(backbone):
    net = LatentDiffusion(
        autoencoder=backbone.autoencoder,
        text=backbone.text,
        unet=UNET,
        objective=Objective(auxiliary_loss_weight=1.0),
    )
    return net.train()


def test_shares_are_areas_of_names_and_leave_the_unknown_out():
    parts = halves()
    parts.labels[:, 48:] = VOID
    shares = _shares(parts.labels[None], len(parts.names), (4, 4))
    assert shares.shape == (1, 2, 4, 4)
    assert shares[0, 0, 0].tolist() == [1, 1, 0, 0] and shares[0, 1, 0].tolist() == [0, 0, 1, 0]


def test_the_loss_falls_where_names_can_be_learnt(taught, batch):
    parts = [halves()] * len(batch)
    batch.target[:, :, :, 32:] = 1.0
    source = batch.target.clone()
    known = dataclasses.replace(batch, source=source, parts=parts)
    optimizer = torch.optim.AdamW([p for p in taught.parameters() if p.requires_grad], lr=3e-3)
    errors = []
    for _ in range(25):
        taught.loss(known, seed=0)  # keeps features
        taught.predict(*_inputs(taught, source))
        error = taught.recognition.loss(parts, taught.text.pooled)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.5 * errors[0]
    assert taught.recognition.accuracy > 0.9


def _inputs(net, source):
    latent = net.autoencoder.encode_source(source)
    return latent, torch.full((len(source),), 5), net.text(["x"] * len(source)), latent


def test_rows_that_know_nothing_add_nothing_but_every_weight_has_a_gradient(taught, batch):
    plain = dataclasses.replace(batch, parts=[None] * len(batch))
    with_names = dataclasses.replace(batch, parts=[halves(), None, halves(("background", "tree")), None])
    without = taught.loss(plain, seed=0)
    without.backward()
    assert all(p.grad is not None for p in taught.recognition.parameters())
    assert float(sum(p.grad.abs().sum() for p in taught.recognition.parameters())) == 0
    assert math.isnan(taught.recognition.accuracy)
    taught.zero_grad()
    more = taught.loss(with_names, seed=0)
    assert float(more.detach()) > float(without.detach())
    more.backward()
    assert float(taught.recognition.warp_sample.weight.grad.abs().sum()) > 0


def test_it_is_a_lesson_for_training_alone(taught, batch):
    taught.eval()
    known = dataclasses.replace(batch, parts=[halves()] * len(batch))
    plain = dataclasses.replace(batch, parts=[None] * len(batch))
    assert torch.equal(taught.loss(known, seed=0, dropout=False), taught.loss(plain, seed=0, dropout=False))


def test_a_model_without_it_has_no_further_weights(backbone):
    assert backbone.recognition is None
    assert not [key for key in backbone.state_dict() if key.startswith("recognition")]
    assert isinstance(AuxiliaryLoss(backbone.unet, width=backbone.text.width), torch.nn.Module)
