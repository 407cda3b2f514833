"""Less memory for large images: the same answers, up to rounding in slices and closely in tiles; weights of half precision."""

import numpy as np
import pytest
import torch

from idiff.errors import ConfigError
from idiff.models import memory
from idiff.models.io.checkpoint import load
from idiff.models.memory import check_side, spare_memory
from idiff.pipeline import Pipeline
from idiff.pipeline.image_input import read_picture
from idiff.sampling import Sampling
from idiff.utils.images import to_tensor

SAMPLING = Sampling(steps=2, sampler="euler_ancestral")


def smooth(height, width, count=1):
    """Images of even slopes and one square."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    picture = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    picture[height // 4 : height // 2, width // 4 : width // 2] = (200, 40, 40)
    return torch.stack([to_tensor(picture)] * count)


def test_small_images_are_painted_plainly(backbone):
    assert not spare_memory(backbone, (512, 768))
    assert not backbone.autoencoder.net.use_tiling and not backbone.autoencoder.net.use_slicing
    assert spare_memory(backbone, (1024, 1088))
    assert backbone.autoencoder.net.use_slicing and not backbone.autoencoder.net.use_tiling
    assert spare_memory(backbone, (1024, 2112)) and backbone.autoencoder.net.use_tiling
    assert not spare_memory(backbone, (64, 64))
    assert not backbone.autoencoder.net.use_slicing and not backbone.autoencoder.net.use_tiling


def test_slices_are_exact(lively, monkeypatch):
    """Attention in slices, and the autoencoder image by image."""
    monkeypatch.setattr(memory, "PLAIN", 0)
    source, words = smooth(64, 128, 2), ["paint it red", "paint it blue"]
    plain = lively.edit(source, words, sampling=SAMPLING, seeds=[0, 1])
    processors = {type(each).__name__ for each in lively.unet.attn_processors.values()}
    assert spare_memory(lively, (64, 128))
    assert {type(each).__name__ for each in lively.unet.attn_processors.values()} != processors
    torch.testing.assert_close(lively.edit(source, words, sampling=SAMPLING, seeds=[0, 1]), plain, rtol=0, atol=1e-4)
    monkeypatch.setattr(memory, "PLAIN", 1 << 20)
    assert not spare_memory(lively, (64, 128))
    assert {type(each).__name__ for each in lively.unet.attn_processors.values()} == processors
    assert torch.equal(lively.edit(source, words, sampling=SAMPLING, seeds=[0, 1]), plain)


def test_tiles_are_close(monkeypatch):
    """Where every tile shows much the same, so does the whole."""
    monkeypatch.setattr(memory, "WHOLE", 0)
    monkeypatch.setattr(memory, "TILE", 64)
    backbone = load("tiny").backbone
    shown = to_tensor(np.tile(read_picture("example:objects"), (2, 3, 1)))[None]
    with torch.no_grad():
        plain = backbone.autoencoder.render(shown)
        spare_memory(backbone, tuple(shown.shape[2:]))
        tiled = backbone.autoencoder.render(shown)
    assert not torch.equal(tiled, plain)
    assert float((tiled - plain).abs().mean()) < 0.02 and float((tiled - plain).abs().max()) < 0.35


@pytest.mark.parametrize(("name", "limit"), [("bfloat16", 0.05), ("float16", 0.02)])
def test_weights_of_half_precision_answer_nearly_the_same(name, limit):
    picture = ((smooth(64, 64)[0].permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
    whole, half = (
        Pipeline("tiny", steps=1, dtype=kind).edit(picture, "Remove the red square.") for kind in (None, name)
    )
    assert next(Pipeline("tiny", dtype=name).backbone.unet.parameters()).dtype == getattr(torch, name)
    difference = np.abs(whole.overlay.astype(float) - half.overlay).mean() / 255
    assert 0 < difference < limit


def test_a_side_that_the_networks_cannot_work_at_is_refused(backbone):
    check_side(backbone, 72)
    check_side(backbone, None)
    with pytest.raises(ConfigError, match="size 65 is no multiple of 8 pixels, as this model needs: take 64 or 72"):
        check_side(backbone, 65)
