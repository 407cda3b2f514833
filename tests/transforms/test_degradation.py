"""Damage for any image, and the folder of clean images that is built with it."""

import collections

import cv2
import numpy as np
import pytest
from raw_sets import SIZE, made, put, serves
from small_models import REAL_DATA

from idiff.data.datamodule import TaskDataModule
from idiff.data.sources import create, tiling
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.tasks import Deblur, Denoise, Dewatermark
from idiff.transforms.degradations import photographs as degradation
from idiff.transforms.degradations.common import OPACITY, identity_psnr
from idiff.transforms.degradations.photographs import (
    KINDS,
    defocus,
    degrade,
    gaussian_blur,
    motion_blur,
    sensor_noise,
    watermark,
)
from idiff.transforms.degradations.watermarks import SHARE, draw_cover
from idiff.utils.images import to_picture
from idiff.utils.seeds import numpy_rng

TASKS = {"denoise": Denoise, "deblur": Deblur, "dewatermark": Dewatermark}


def grainy(seed=0, height=60, width=90):
    """An image with detail that a blur takes away."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (40, 40), (37, 200)])
def test_any_shape_is_damaged_and_told(task, shape):
    picture, seen = grainy(0, *shape), collections.Counter()
    before = picture.copy()
    for number in range(12):
        made_of, again = (degrade(picture, task, numpy_rng(0, number)) for _ in range(2))
        assert np.array_equal(made_of.picture, again.picture) and made_of.facts == again.facts
        assert made_of.picture.shape == picture.shape and made_of.picture.dtype == np.uint8
        assert made_of.facts["identity_psnr"] == pytest.approx(identity_psnr(made_of.picture, picture), abs=1e-3)
        assert made_of.facts["identity_psnr"] < 45
        seen[made_of.facts["kind"]] += 1
    assert np.array_equal(picture, before)
    assert len(seen) >= 2


def spread(picture):
    """Standard deviations of light along the two main axes, in pixels, and the direction of the longer one in degrees."""
    light = picture[..., 0].astype(float)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]]
    places = np.stack([columns.ravel(), rows.ravel()])
    moments = np.cov(places, aweights=light.ravel(), ddof=0)
    values, vectors = np.linalg.eigh(moments)
    return np.sqrt(values[::-1]), np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180


def bright(size=61, side=5):
    picture = np.zeros((size, size, 3), np.uint8)
    low = (size - side) // 2
    picture[low : low + side, low : low + side] = 255
    return picture


def widened(way, seed):
    """Variance that a blur adds along each axis, longest first, its direction, and what it says of itself."""
    before, _ = spread(bright())
    made_of = way(bright(), numpy_rng(0, seed))
    after, angle = spread(made_of.picture)
    return np.sqrt(np.maximum(after**2 - before**2, 0)), angle, made_of.facts


@pytest.mark.parametrize("seed", range(4))
def test_blurs_are_as_wide_as_they_say(seed):
    (most, least), _, facts = widened(gaussian_blur, seed)
    assert most == pytest.approx(facts["sigma"], rel=0.15, abs=0.15)
    assert least == pytest.approx(facts["sigma_least"], rel=0.15, abs=0.25)
    (most, least), angle, facts = widened(motion_blur, seed)
    assert most == pytest.approx(facts["length"] / 12**0.5, rel=0.15) and least < 0.3 * most
    if facts["length"] > 8:
        assert abs((angle - facts["angle"] + 90) % 180 - 90) < 8
    (most, least), _, facts = widened(defocus, seed)
    assert facts["radius"] / 2 * 0.7 < least <= most < facts["radius"] / 2 * 1.5 + 0.5  # a disc: radius / 2 a side
    assert most < 1.2 * least


def test_sensor_noise_grows_with_light_as_its_formula_says():
    picture = np.full((100, 200, 3), 40, np.uint8)
    picture[:, 100:] = 140
    for seed in range(3):
        made_of = sensor_noise(picture, numpy_rng(0, seed))
        dark, light = (made_of.picture[:, part].astype(float) / 255 for part in (slice(0, 100), slice(100, 200)))
        gain, read = made_of.facts["gain"], made_of.facts["read"]
        expected = gain * 140 / 255 + read**2
        if gain < 0.02:  # nothing of it is clipped
            assert light.var() == pytest.approx(expected, rel=0.1)
        assert light.var() > dark.var()


def test_marks_cover_what_they_say_and_leave_the_rest():
    for seed in range(12):
        picture = np.full((70, 110, 3), 120, np.uint8)
        made_of = watermark(picture, numpy_rng(0, seed))
        changed = (made_of.picture != picture).any(axis=2)
        assert SHARE[0] <= made_of.facts["share"] <= SHARE[1]
        assert OPACITY[0] <= made_of.facts["opacity"] <= OPACITY[1]
        assert made_of.facts["share"] * 0.9 <= changed.mean() < made_of.facts["share"] * 3 + 0.05
    seen = {cover.facts["kind"] for cover in (draw_cover(64, 64, numpy_rng(1, n)) for n in range(20))}
    assert seen == {"text", "logo", "text and logo"}


def test_one_mark_lies_inside_of_the_picture():
    edges = []
    for seed in range(40):
        cover = draw_cover(120, 160, numpy_rng(2, seed))
        if not cover.facts["tiled"]:
            border = np.concatenate([cover.share[0], cover.share[-1], cover.share[:, 0], cover.share[:, -1]])
            edges.append(border.max() < 0.1)
    assert len(edges) > 15 and np.mean(edges) > 0.7


def test_what_cannot_be_damaged_is_a_bad_sample():
    with pytest.raises(BadSampleError, match="9x60 pixels, expected at least 16 a side"):
        degrade(grainy(0, 60, 9), "denoise", numpy_rng(0))
    with pytest.raises(BadSampleError, match=r"so flat that .* changes nothing"):
        degrade(np.full((40, 40, 3), 90, np.uint8), "deblur", numpy_rng(0))
    with pytest.raises(ConfigError, match="did you mean 'deblur'"):
        degrade(grainy(), "deblurr", numpy_rng(0))
    assert set(KINDS) == set(TASKS)


# --- the folder ---


@pytest.mark.parametrize("task", TASKS)
def test_a_folder_of_pictures_becomes_batches(tmp_path, task):
    for name in ("a", "deep/b"):
        put(tmp_path / f"raw/train/{name}.jpg", grainy(len(name)))
    put(tmp_path / "raw/train/flat.png", np.full((9, 9, 3), 7, np.uint8))
    options = {"root": str(tmp_path / "raw"), "split": "train", "task": task, "seed": 3}
    shards, rejected = made(tmp_path, "folder", **options)
    assert [line["where"] for line in rejected] == ["flat"]
    assert [shards.key(place) for place in range(2)] == ["a", "deep-b"]
    source = create("folder", options)
    assert source.sample(0).target == (tmp_path / "raw/train/a.jpg").read_bytes()
    read = shards.read(0)
    assert read.annotation["degradation"]["identity_psnr"] == pytest.approx(
        identity_psnr(read.image, read.target), abs=1e-3
    )
    serves(shards, TASKS[task](size=SIZE))
    other = create("folder", options | {"seed": 4})
    assert np.array_equal(source.sample(0).image, create("folder", options).sample(0).image)
    assert not np.array_equal(source.sample(0).image, other.sample(0).image)


def test_large_clean_pictures_are_cut_before_they_are_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(tiling, "MAX_PIXELS", 4000)
    monkeypatch.setattr(tiling, "SIDE", 50)
    whole = grainy(0, 80, 90)
    put(tmp_path / "val/big.png", whole)
    shards, _ = made(tmp_path, "folder", root=str(tmp_path), split="val", task="denoise")
    samples = [shards.read(place) for place in range(len(shards))]
    assert [sample.key for sample in samples] == ["big-r0c0", "big-r0c1", "big-r1c0", "big-r1c1"]
    for sample in samples:
        top, left, height, width = sample.annotation["tile"]
        assert np.array_equal(sample.target, whole[top : top + height, left : left + width])
    assert len({str(sample.annotation["degradation"]) for sample in samples}) == 4


def test_wrong_folders_are_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("no image")
    with pytest.raises(DataError, match="expected JPEG, PNG or WebP images"):
        create("folder", {"root": str(tmp_path), "split": "empty", "task": "denoise"})
    with pytest.raises(DataError, match="has the folders empty"):
        create("folder", {"root": str(tmp_path), "split": "train", "task": "denoise"})
    with pytest.raises(ConfigError, match="task 'x': expected denoise"):
        create("folder", {"root": str(tmp_path), "split": "empty", "task": "x"})


def test_crops_are_not_shrunk_first(tmp_path, monkeypatch):
    """Shrinking before cropping would shrink the blur: what the model is shown must be as blurred as the file."""
    monkeypatch.setitem(degradation.KINDS, "deblur", (motion_blur,))
    put(tmp_path / "train/a.png", cv2.resize(grainy(0, 180, 240), (480, 360), interpolation=cv2.INTER_CUBIC))
    shards, _ = made(tmp_path, "folder", root=str(tmp_path), split="train", task="deblur")
    stored = shards.read(0)
    small = [cv2.resize(picture, (120, 90), interpolation=cv2.INTER_AREA) for picture in (stored.image, stored.target)]
    data = TaskDataModule(Deblur(size=96), train=str(shards.folder), batch_size=1)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    shown = identity_psnr(to_picture(batch.source[0]), to_picture(batch.target[0]))
    assert shown == pytest.approx(stored.annotation["degradation"]["identity_psnr"], abs=1.0)
    assert identity_psnr(*small) > shown + 2


def test_real_photographs(tmp_path):
    if not (REAL_DATA / "bsds").is_dir():
        pytest.skip(f"no bsds in {REAL_DATA}")
    source = create("folder", {"root": str(REAL_DATA / "bsds"), "split": "val", "task": "dewatermark"})
    assert len(source) == 100
    assert 15 < np.mean([source.sample(place).annotation["degradation"]["identity_psnr"] for place in range(8)]) < 35
