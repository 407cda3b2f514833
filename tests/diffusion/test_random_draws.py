import pytest
import torch

from idiff.diffusion import draw_dropout, draw_timesteps, per_sample_noise
from idiff.errors import ConfigError


def rngs(count, *, offset=0):
    return [torch.Generator().manual_seed(offset + i) for i in range(count)]


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: per_sample_noise(g, (4, 3, 3)),
        lambda g: draw_timesteps(g, 1000, terminal_share=0.3),
        lambda g: torch.stack(draw_dropout(g, text=0.3, image=0.3, both=0.3), dim=1),
    ],
    ids=["noise", "timesteps", "dropout"],
)
def test_a_row_does_not_depend_on_its_batch(draw):
    whole = draw(rngs(12))
    parts = torch.cat([draw(rngs(5)), draw(rngs(7, offset=5))])
    assert torch.equal(whole, parts)
    assert torch.equal(whole.flip(0), draw(rngs(12)[::-1]))


def test_settings_do_not_shift_the_stream():
    """A later draw of the same generator is the same whatever the shares are."""
    after = []
    for share in (0.0, 1.0):
        generators = rngs(3)
        draw_timesteps(generators, 1000, terminal_share=share)
        draw_dropout(generators, text=share, image=0.0)
        after.append(per_sample_noise(generators, (2,)))
    assert torch.equal(after[0], after[1])


def test_noise_is_standard_normal_and_has_the_asked_form():
    noise = per_sample_noise(rngs(8), (4, 32, 32))
    assert noise.shape == (8, 4, 32, 32) and noise.dtype == torch.float32
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02
    assert per_sample_noise(rngs(2), (3,), dtype=torch.float64).dtype == torch.float64
    assert per_sample_noise(rngs(2), (3,), device="meta").device.type == "meta"


def test_uniform_timesteps_cover_the_range():
    t = draw_timesteps(rngs(4000), 10)
    counts = torch.bincount(t, minlength=10)
    assert t.dtype == torch.int64 and len(counts) == 10
    chi_squared = ((counts - 400) ** 2 / 400).sum()
    assert chi_squared < 27.9  # 9 degrees of freedom, p = 0.001


def test_terminal_share():
    t = draw_timesteps(rngs(4000), 1000, terminal_share=0.25)
    assert abs((t == 999).float().mean() - 0.25) < 0.03
    others = t[t != 999].float()
    assert abs(others.mean() - 499) < 20
    assert (draw_timesteps(rngs(5), 1000, terminal_share=1.0) == 999).all()


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_terminal_share_out_of_range(share):
    with pytest.raises(ConfigError, match="terminal_share"):
        draw_timesteps(rngs(1), 1000, terminal_share=share)


@pytest.mark.parametrize("shares", [(0.075, 0.075, 0.0), (0.05, 0.05, 0.05), (0.3, 0.1, 0.2), (0.0, 0.0, 0.0)])
def test_dropout_frequencies(shares):
    text, image, both = shares
    drop_text, drop_image = draw_dropout(rngs(6000), text=text, image=image, both=both)
    assert drop_text.dtype == drop_image.dtype == torch.bool
    found = [(drop_text & ~drop_image), (drop_image & ~drop_text), (drop_text & drop_image)]
    for events, share in zip(found, shares, strict=True):
        assert abs(events.float().mean().item() - share) < 4 * (share * (1 - share) / 6000) ** 0.5 + 1e-9


def test_instructdiffusion_never_drops_both():
    drop_text, drop_image = draw_dropout(rngs(3000), text=0.5, image=0.5)
    assert not (drop_text & drop_image).any() and (drop_text | drop_image).all()


@pytest.mark.parametrize("shares", [{"text": 0.6, "image": 0.6}, {"text": -0.1, "image": 0.1}])
def test_impossible_dropout(shares):
    with pytest.raises(ConfigError, match="condition dropout"):
        draw_dropout(rngs(1), **shares)
