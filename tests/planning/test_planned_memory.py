"""The memory of a step is counted without values; a real step of the same model allocates as much."""

import gc

import pytest
import torch
from compvis_models import write_parts

from idiff.errors import CheckpointError
from idiff.models.backbone import LatentDiffusion
from idiff.models.lora import Lora, adapt
from idiff.models.outline import emptied, weights_left_out
from idiff.planning.memory import StepSettings, changed, step_flops, step_memory
from idiff.planning.tracking import MemoryTracker, norms_in_float32

SETTINGS = StepSettings(batch=4, accumulation=1, side=128, average=False)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return str(write_parts(tmp_path_factory.mktemp("parts") / "model"))


def outlined(parts, *, lora=False):
    """The model without values."""
    with weights_left_out():
        backbone = LatentDiffusion(pretrained=parts)
    if lora:
        adapt(backbone, Lora(rank=4))
    return emptied(backbone)


@pytest.fixture(scope="module")
def empty(parts):
    return outlined(parts)


def allocated(backbone, settings):
    """Bytes that a real step with its optimizer has alive at its peak, weights included."""
    if settings.checkpointing:
        backbone.unet.enable_gradient_checkpointing()
    backbone.train()
    trained = [p for p in backbone.parameters() if p.requires_grad]
    known = [*backbone.parameters(), *backbone.buffers()]
    optimizer = torch.optim.AdamW(trained, fused=True)
    cells = settings.side // backbone.autoencoder.factor
    size = (settings.batch, 4, cells, cells)
    with MemoryTracker(known) as tracker:
        for _ in range(2):
            pixels = torch.rand(settings.batch, 3, settings.side, settings.side)
            with torch.no_grad():
                latent, source = (backbone.autoencoder.moments(pixels)[0] for _ in range(2))
                states = backbone.text.net(torch.zeros(settings.batch, 77, dtype=torch.long)).last_hidden_state
            prediction = backbone.predict(latent, torch.zeros(settings.batch, dtype=torch.long), states, source)
            (prediction - torch.zeros(size)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            gc.collect()
    return tracker.peak + sum(p.numel() * p.element_size() for p in known)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("lora", [False, True])
def test_a_real_step_allocates_what_was_computed(parts, checkpointing, lora):
    settings = changed(SETTINGS, checkpointing=checkpointing)
    computed = step_memory(outlined(parts, lora=lora), settings).total
    backbone = LatentDiffusion(pretrained=parts)
    if lora:
        adapt(backbone, Lora(rank=4))
    real = allocated(backbone, settings)
    assert abs(computed / real - 1) < 0.05, f"computed {computed:,}, allocated {real:,}"


def test_weights_gradients_and_states_are_counted_by_hand(empty):
    trained = sum(p.numel() for p in empty.unet.parameters())
    every = sum(p.numel() for p in empty.parameters())
    found = step_memory(empty, changed(SETTINGS, average=True))
    assert (found.trained, found.parameters) == (trained, every)
    assert (found.gradients, found.states, found.average) == (4 * trained, 8 * trained, 4 * trained)
    assert found.weights >= 4 * every
    assert found.total == found.weights + 16 * trained + found.activations


def test_every_change_takes_less_than_what_it_changes(empty):
    plain = step_memory(empty, SETTINGS)
    assert step_memory(empty, changed(SETTINGS, checkpointing=True)).activations < 0.7 * plain.activations
    assert step_memory(empty, changed(SETTINGS, batch=2)).activations < 0.6 * plain.activations
    assert step_memory(empty, changed(SETTINGS, optimizer="adamw8bit")).states == plain.states / 4
    assert step_memory(empty, changed(SETTINGS, precision="bf16-mixed")).activations < plain.activations
    assert step_memory(empty, changed(SETTINGS, accumulation=4)).total >= plain.total
    assert step_memory(empty, changed(SETTINGS, cached=True)).activations <= plain.activations


def test_adapters_have_few_gradients(parts, empty):
    full, lora = step_memory(empty, SETTINGS), step_memory(outlined(parts, lora=True), SETTINGS)
    assert lora.trained < 0.2 * full.trained
    assert lora.gradients == 4 * lora.trained and lora.total < full.total


def test_operations_are_counted(empty):
    one = step_flops(empty, SETTINGS)
    assert step_flops(empty, changed(SETTINGS, batch=8)) == pytest.approx(2 * one, rel=0.01)
    assert step_flops(empty, changed(SETTINGS, accumulation=3)) == pytest.approx(3 * one)
    assert (
        step_flops(empty, changed(SETTINGS, cached=True))
        < one
        < step_flops(empty, changed(SETTINGS, checkpointing=True))
    )


def test_no_weights_are_read_and_missing_ones_are_named(parts, tmp_path):
    folder = write_parts(tmp_path / "model")
    (weights,) = (folder / "unet").glob("*.safetensors")
    weights.write_bytes(b"no weights at all")
    step_memory(outlined(str(folder)), SETTINGS)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"the U-Net in .* has no weights beside its config\.json"):
        outlined(str(folder))


def test_outside_everything_is_as_before(parts):
    outlined(parts)
    backbone = LatentDiffusion(pretrained=parts)
    assert type(next(backbone.unet.parameters()).data) is torch.Tensor


def test_storages_are_counted_once_and_until_they_go():
    known = torch.zeros(100)
    with MemoryTracker([known]) as tracker:
        view = known[:10]
        made = known + 1
        assert tracker.live == 400
        other = made * 2
        del made, view
        assert (tracker.live, tracker.peak) == (400, 800)
        del other
    assert tracker.live == 0


def test_norms_are_in_float32_inside_alone():
    x = torch.ones(1, 4, 2, 2, dtype=torch.bfloat16)
    norm = torch.nn.GroupNorm(2, 4)
    with norms_in_float32():
        assert norm(x).dtype == torch.float32
    with pytest.raises(RuntimeError):
        norm(x.double())
