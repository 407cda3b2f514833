"""Damaged scenes: how strong the damage is, that it is what it says, and that it never changes unnoticed."""

import hashlib
import json

import cv2
import numpy as np
import pytest
from scipy import ndimage

from idiff.metrics.restoration import psnr
from idiff.synthetic.scenes import SCENE_TASKS, VERSION, difficulty
from idiff.synthetic.source import SyntheticSource
from idiff.transforms.degradations.common import NOISE, OPACITY, add_noise, identity_psnr
from idiff.transforms.degradations.kernels import filtered, gaussian_kernel, motion_kernel
from idiff.transforms.degradations.scenes import BLUR, DEGRADATIONS, add_blur, add_mark
from idiff.transforms.degradations.strokes import SHARE, draw_mark
from idiff.utils.images import to_tensor

cv2.setNumThreads(0)
GOLDEN = {
    "denoise": "1a0d1335a7d8b1ed86538de7c55eeccfcdec5d356a0b6ad88d7932dd0f443a2d",
    "deblur": "535d1f70cecb24ac984d0c1c410d6035d429c0d5be6dcc547d5af4c0e1f22b97",
    "dewatermark": "21d101b8f4e8674e9ff503c19f77358ec0e1eee319a22a11099d1830f7956d9b",
}


@pytest.fixture(scope="module", params=DEGRADATIONS)
def drawn(request):
    source = SyntheticSource(request.param, split="train", count=200, seed=0)
    return request.param, [source.sample(index) for index in range(len(source))]


def test_a_set_is_as_hard_as_stated(drawn):
    task, samples = drawn
    found = difficulty(samples)
    assert 18 <= found["identity_psnr"] <= 26
    measured = [float(psnr(to_tensor(sample.image), to_tensor(sample.target))) for sample in samples]
    assert found["identity_psnr"] == pytest.approx(np.mean(measured), abs=0.01)
    ranges = {"denoise": ("sigma", NOISE), "deblur": ("sigma", BLUR), "dewatermark": ("opacity", OPACITY)}
    name, (least, most) = ranges[task]
    low, high = found[name]
    assert least <= low < least + 0.1 * (most - least) and most - 0.1 * (most - least) < high <= most
    kinds = {"denoise": {"noise"}, "deblur": {"gaussian", "motion"}, "dewatermark": {"mark"}}
    assert set(found["degradations"]) == kinds[task]
    assert sum(found["degradations"].values()) == pytest.approx(1)
    if task == "dewatermark":
        low, high = found["share"]
        assert SHARE[0] <= low < 0.2 and 0.3 < high <= SHARE[1]
    assert "operations" not in found


def test_samples_hold_the_damaged_picture_and_the_clean_one(drawn):
    _, samples = drawn
    for sample in samples[:20]:
        assert sample.image.shape == sample.target.shape == (64, 64, 3)
        assert sample.image.dtype == sample.target.dtype == np.uint8
        assert sample.label is None and json.loads(json.dumps(sample.annotation)) == sample.annotation


def test_scenes_are_those_of_segmentation(drawn):
    task, samples = drawn
    assert SCENE_TASKS[task].layout == SCENE_TASKS["segmentation"].layout
    plain = SyntheticSource("segmentation", split="train", count=3, seed=0)
    for index in range(3):
        other = plain.sample(index)
        assert samples[index].annotation["scene"] == other.annotation["scene"]
        # but for the camera noise, which nobody could restore
        change = samples[index].target.astype(float) - other.image
        assert np.abs(change).mean() < 7 and 1 < change.std() < 8


@pytest.mark.parametrize("task", DEGRADATIONS)
def test_the_first_samples_are_golden(task):
    """If this fails on purpose, raise VERSION and write down the new hash."""
    source = SyntheticSource(task, split="train", count=8, seed=0)
    hashed = hashlib.sha256()
    for index in range(8):
        sample = source.sample(index)
        hashed.update(sample.image.tobytes() + sample.target.tobytes())
        hashed.update(json.dumps(sample.annotation, sort_keys=True).encode())
    assert (VERSION, hashed.hexdigest()) == (2, GOLDEN[task])


@pytest.mark.parametrize("task", DEGRADATIONS)
def test_damage_is_a_function_of_seed_split_and_index(task):
    one, longer = (SyntheticSource(task, split="train", count=count, seed=3) for count in (3, 30))
    assert one.sample(2).image.tobytes() == longer.sample(2).image.tobytes()
    others = [SyntheticSource(task, split=split, count=3, seed=seed) for split, seed in (("val", 3), ("train", 4))]
    assert len({source.sample(2).image.tobytes() for source in (one, *others)}) == 3


def grey(value=128, side=64):
    return np.full((side, side, 3), value, np.uint8)


def test_noise_has_the_strength_it_says():
    sigmas = []
    for seed in range(30):
        made = add_noise(grey(), np.random.default_rng(seed))
        change = made.picture.astype(float) - 128
        assert change.std() == pytest.approx(made.facts["sigma"], rel=0.04)
        assert abs(change.mean()) < 2
        sigmas.append(made.facts["sigma"])
    assert min(sigmas) < 20 and max(sigmas) > 42


@pytest.mark.parametrize("sigma", [1.0, 1.7, 2.5])
def test_a_gaussian_blur_is_that_of_scipy(sigma):
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    kernel = gaussian_kernel(sigma)
    reach = kernel.shape[0] // 2
    expected = np.stack(
        [ndimage.gaussian_filter(picture[..., c].astype(float), sigma, mode="nearest", radius=reach) for c in range(3)],
        axis=2,
    )
    assert np.abs(filtered(picture, kernel) - expected).max() <= 1.5


@pytest.mark.parametrize("sigma", [1.0, 2.5])
@pytest.mark.parametrize("angle", [0.0, 37.0, 90.0, 135.0])
def test_a_shake_spreads_along_its_direction_alone(sigma, angle):
    kernel = motion_kernel(sigma, angle).astype(float)
    kernel /= kernel.sum()
    reach = kernel.shape[0] // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    along, across = x * cos + y * sin, y * cos - x * sin
    assert (kernel * along).sum() == pytest.approx(0, abs=0.01)
    assert np.sqrt((kernel * along**2).sum()) == pytest.approx(sigma, abs=0.12)
    assert np.sqrt((kernel * across**2).sum()) < 0.5


def test_a_blur_leaves_flat_pictures_and_the_mean_alone():
    for seed in range(6):
        assert (add_blur(grey(77), np.random.default_rng(seed)).picture == 77).all()
    spot = grey(0)
    spot[32, 32] = 255
    for seed in range(6):
        made = add_blur(spot, np.random.default_rng(seed))
        assert made.picture.astype(float).sum() == pytest.approx(255 * 3, rel=0.15)
        assert ("angle" in made.facts) == (made.facts["kind"] == "motion")


def test_a_mark_covers_the_share_it_says_in_one_colour():
    shares = []
    for seed in range(60):
        made = add_mark(grey(), np.random.default_rng(seed))
        cover = (made.picture != 128).any(axis=2)
        shares.append(made.facts["share"])
        assert SHARE[0] <= made.facts["share"] <= SHARE[1]
        assert len(np.unique(made.picture[cover], axis=0)) < 40
    assert max(shares) - min(shares) > 0.15


def test_marks_are_see_through():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for seed in range(10):
        made = add_mark(picture, np.random.default_rng(seed))
        other = add_mark(np.zeros_like(picture), np.random.default_rng(seed))
        assert made.facts == other.facts
        share = 1 - (made.picture.astype(float) - other.picture) / np.maximum(picture, 1)
        bright = picture > 60
        assert share[bright].max() <= made.facts["opacity"] + 0.03
        assert np.mean(np.abs(share[bright]) < 0.03) > 0.4


@pytest.mark.parametrize("side", [32, 64, 200])
def test_marks_have_any_size(side):
    cover = draw_mark(side, np.random.default_rng(side))
    assert cover.shape == (side, side) and cover.min() >= 0 and cover.max() == 1
    assert SHARE[0] <= (cover >= 0.5).mean() <= SHARE[1]


def test_identity_psnr_of_known_errors():
    assert identity_psnr(grey(100), grey(100)) == 100
    assert identity_psnr(grey(100), grey(125)) == pytest.approx(20 * np.log10(255 / 25))
