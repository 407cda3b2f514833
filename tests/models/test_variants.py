import torch

from idiff.models.guidance_grid import paint_variants
from idiff.types import Sampling

SETTINGS = [
    Sampling(steps=2, guidance_text=0.5, guidance_image=0.5),
    Sampling(steps=2, guidance_text=3.0, guidance_image=0.5),
    Sampling(steps=2, guidance_text=0.5, guidance_image=1.5),
    Sampling(steps=2, guidance_text=3.0, guidance_image=1.5),
    Sampling(steps=2, guidance_text=5.0, guidance_image=1.25),
    Sampling(steps=3, guidance_text=3.0, guidance_image=1.5, sampler="euler_ancestral"),
    Sampling(steps=2, guidance_text=2.0, guidance_image=1.5, rule="instructdiffusion"),
]


def test_each_variant_is_what_edit_paints_under_its_setting(lively, batch):
    source, seeds = batch.source[0], range(10, 10 + len(SETTINGS))
    found = paint_variants(lively, source, "make it red", settings=SETTINGS, seeds=seeds)
    assert found.shape == (len(SETTINGS), 3, 64, 64)
    for setting, seed, picture in zip(SETTINGS, seeds, found, strict=True):
        alone = lively.edit(source[None], ["make it red"], sampling=setting, seeds=[seed])[0]
        torch.testing.assert_close(picture, alone, atol=1e-4, rtol=1e-3)
    differ = [(one - other).abs().mean() for place, one in enumerate(found) for other in found[:place]]
    assert min(differ) > 1e-4


def test_rows_are_bounded_and_the_same_call_gives_the_same_bits(lively, batch, monkeypatch):
    sizes, predict = [], lively.predict
    monkeypatch.setattr(lively, "predict", lambda noisy, *rest: sizes.append(len(noisy)) or predict(noisy, *rest))
    encoded, encode = [], lively.autoencoder.encode_source
    monkeypatch.setattr(
        lively.autoencoder, "encode_source", lambda pixels: encoded.append(len(pixels)) or encode(pixels)
    )
    call = {"settings": SETTINGS[3:5] * 4, "seeds": range(8)}
    one, other = (paint_variants(lively, batch.source[1], "a hat", max_rows=12, **call) for _ in range(2))
    assert torch.equal(one, other)
    assert set(sizes) == {12}
    assert encoded == [1, 1]
