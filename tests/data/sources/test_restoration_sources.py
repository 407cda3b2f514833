"""GoPro, REDS, SIDD, CLWD and plain pairs in their own layouts: from folders to batches, and what is said where files lack."""

import pickle

import numpy as np
import pytest
from raw_sets import SIZE, damaged, made, put, serves, smooth

from idiff.cli import main
from idiff.data.sources import create, tiling
from idiff.data.sources.pictures import make_keys
from idiff.errors import ConfigError, DataError
from idiff.tasks import Deblur, Denoise, Dewatermark


def pair(source, target, seed, *, size=(40, 48)):
    """Write a damaged and a clean image; returns their bytes."""
    clean = smooth(seed, *size)
    return put(source, damaged(clean, seed)), put(target, clean)


def gopro(root):
    for sequence in ("GOPR0372_07_00", "GOPR0384_11_01"):
        for frame in ("000047", "000048"):
            base = root / "train" / sequence
            pair(base / f"blur/{frame}.png", base / f"sharp/{frame}.png", int(frame))
            put(base / f"blur_gamma/{frame}.png", damaged(smooth(int(frame)), 9))
    return (
        {},
        Deblur,
        ["GOPR0372_07_00-000047", "GOPR0372_07_00-000048", "GOPR0384_11_01-000047", "GOPR0384_11_01-000048"],
    )


def gopro_flat(root):
    for frame in ("1", "2"):
        pair(root / f"train/input/{frame}.png", root / f"train/target/{frame}.png", int(frame))
    return {}, Deblur, ["1", "2"]


def reds(root):
    for sequence in ("000", "001"):
        base = root / "train"
        pair(base / f"train_blur/{sequence}/00000000.png", base / f"train_sharp/{sequence}/00000000.png", int(sequence))
        put(base / f"train_blur_jpeg/{sequence}/00000000.jpg", smooth(int(sequence)))
    return {}, Deblur, ["000-00000000", "001-00000000"]


def reds_short(root):
    for frame in ("00000000", "00000001"):
        pair(root / f"train/blur/000/{frame}.png", root / f"train/sharp/000/{frame}.png", int(frame))
    return {}, Deblur, ["000-00000000", "000-00000001"]


def sidd(root):
    for scene in ("0001_001_S6_00100_00060_3200_L", "0002_001_S6_00100_00020_3200_N"):
        base, code = root / "Data" / scene, scene[:4]
        for number in ("010", "011"):
            pair(base / f"{code}_NOISY_SRGB_{number}.PNG", base / f"{code}_GT_SRGB_{number}.PNG", int(number))
    return {}, Denoise, None


def sidd_flat(root):
    for name in ("0010", "0011"):
        pair(root / f"train/input/{name}.png", root / f"train/gt/{name}.png", int(name))
    return {}, Denoise, ["0010", "0011"]


def clwd(root):
    for name in ("1", "10"):
        base = root / "train"
        pair(base / f"Watermarked_image/{name}.jpg", base / f"Watermark_free_image/{name}.jpg", int(name))
        put(base / f"Mask/{name}.png", smooth(0))
        put(base / f"Alpha/{name}.png", smooth(0))
    return {}, Dewatermark, ["1", "10"]


def paired(root):
    for name in ("a", "b"):
        pair(root / f"train/input/{name}.webp", root / f"train/gt/{name}.png", ord(name))
    return {"task": "denoise"}, Denoise, ["a", "b"]


LAYOUTS = {
    "gopro": [gopro, gopro_flat],
    "reds": [reds, reds_short],
    "sidd": [sidd, sidd_flat],
    "clwd": [clwd],
    "paired": [paired],
}


@pytest.mark.parametrize(
    ("name", "write"),
    [(name, write) for name, writers in LAYOUTS.items() for write in writers],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_set_in_its_own_layout_becomes_batches(tmp_path, name, write):
    options, task, keys = write(tmp_path / "raw")
    options |= {"root": str(tmp_path / "raw"), "split": "train"}
    shards, rejected = made(tmp_path, name, **options)
    assert rejected == []
    read = [shards.read(place) for place in range(len(shards))]
    if keys:
        assert [sample.key for sample in read] == keys
    for sample in read:
        assert sample.image.shape == sample.target.shape == (40, 48, 3)
        gone = np.abs(sample.image.astype(int) - sample.target).mean()
        assert 15 < gone < 50, "the damaged image is the source, the clean one the target"
        assert np.abs(sample.target.astype(int)[:, 1:] - sample.target[:, :-1]).mean() < 25
    serves(shards, task(size=SIZE))


def test_lossless_bytes_pass_through(tmp_path):
    source, target = pair(tmp_path / "train/input/a.png", tmp_path / "train/target/a.png", 0)
    sample = create("paired", {"root": str(tmp_path), "split": "train", "task": "deblur"}).sample(0)
    assert sample.image == source and sample.target == target


def test_a_variant_is_another_folder_of_damaged_pictures(tmp_path):
    gopro(tmp_path / "gopro")
    reds(tmp_path / "reds")
    for name, variant in (("gopro", "blur_gamma"), ("reds", "blur_jpeg")):
        options = {"root": str(tmp_path / name), "split": "train"}
        plain, other = create(name, options), create(name, options | {"variant": variant})
        assert len(plain) == len(other) > 0
        assert plain.sample(0).image != other.sample(0).image and plain.sample(0).target == other.sample(0).target
    with pytest.raises(DataError, match=r"no pair: 0 images under .*blr"):
        create("gopro", {"root": str(tmp_path / "gopro"), "split": "train", "variant": "blr"})


def test_pictures_without_a_partner_are_named_and_the_rest_is_kept(tmp_path):
    pair(tmp_path / "val/input/a.png", tmp_path / "val/gt/a.png", 0)
    put(tmp_path / "val/input/b.png", smooth(1))
    put(tmp_path / "val/gt/c.png", smooth(2))
    shards, rejected = made(tmp_path, "paired", root=str(tmp_path), split="val", task="denoise")
    assert len(shards) == 1 and shards.manifest.funnel == {"found": 3, "usable": 1}
    assert [(line["where"], line["field"]) for line in rejected] == [("b", "target"), ("c", "source")]
    assert rejected[0]["reason"] == f"no image of this name under {tmp_path}/val/gt, only under {tmp_path}/val/input"


def test_targets_of_another_size_are_resized_within_one_percent_and_counted(tmp_path, capsys):
    for name, size in (("same", (40, 48)), ("near", (80, 96)), ("far", (40, 40))):
        put(tmp_path / f"val/input/{name}.png", damaged(smooth(0)))
        put(tmp_path / f"val/gt/{name}.png", smooth(0, *size))
    words = ["--root", str(tmp_path), "--split", "val", "--task", "denoise", "--out", str(tmp_path / "set")]
    assert main(["data", "build", "paired", *words]) == 0
    said = capsys.readouterr().out
    assert "3 found -> 2 usable" in said and "1 target resized to the source" in said
    shards, rejected = made(tmp_path, "paired", root=str(tmp_path), split="val", task="denoise")
    assert [line["where"] for line in rejected] == ["far"]
    assert rejected[0]["reason"] == "40x40 pixels, expected 48x40 as the source, or the same aspect within 1 %"
    near, same = (shards.read(place) for place in range(2))
    assert near.annotation["target_resized_from"] == [80, 96] and near.target.shape == (40, 48, 3)
    assert "target_resized_from" not in same.annotation
    assert main(["data", "stats", str(tmp_path / "set")]) == 0
    assert "targets_resized: source 1" in capsys.readouterr().out


def test_large_pictures_are_cut_into_tiles_that_fit_together(tmp_path, monkeypatch):
    monkeypatch.setattr(tiling, "MAX_PIXELS", 2000)
    monkeypatch.setattr(tiling, "SIDE", 30)
    pair(tmp_path / "val/input/big.png", tmp_path / "val/gt/big.png", 0, size=(70, 50))
    pair(tmp_path / "val/input/small.png", tmp_path / "val/gt/small.png", 1, size=(40, 50))
    whole = (damaged(smooth(0, 70, 50)), smooth(0, 70, 50))
    source = create("paired", {"root": str(tmp_path), "split": "val", "task": "denoise"})
    assert source.funnel() == {"found": 2, "in tiles of at most 2 MP": 7}
    shards, rejected = made(tmp_path, "paired", root=str(tmp_path), split="val", task="denoise")
    assert len(shards) == 7 and rejected == []
    seen = np.zeros((70, 50), int)
    for sample in (shards.read(place) for place in range(6)):
        top, left, height, width = sample.annotation["tile"]
        assert max(height, width) <= 30 and sample.annotation["size"] == [70, 50]
        for stored, full in zip((sample.image, sample.target), whole, strict=True):
            assert np.array_equal(stored, full[top : top + height, left : left + width])
        seen[top : top + height, left : left + width] += 1
    assert (seen == 1).all()
    assert [shards.read(place).key for place in (0, 5, 6)] == ["big-r0c0", "big-r2c1", "small"]
    again = pickle.loads(pickle.dumps(source))
    assert np.array_equal(again.sample(3).image, source.sample(3).image)


def test_the_limit_is_two_million_pixels():
    assert tiling.cut((1000, 2000)) == [None] == tiling.cut(None)
    cut = tiling.cut((1080, 1920))
    assert cut[0].slices == (slice(0, 540), slice(0, 960)) and len(cut) == 4
    assert max(tile.height * tile.width for tile in tiling.cut((3000, 5328))) <= 1024**2


@pytest.mark.parametrize("keep", [0, 60, -40], ids=["empty", "header alone", "cut"])
def test_a_damaged_file_is_named_by_its_pair(tmp_path, keep):
    pair(tmp_path / "val/input/a.png", tmp_path / "val/gt/a.png", 0)
    _, clean = pair(tmp_path / "val/input/b.png", tmp_path / "val/gt/b.png", 1)
    (tmp_path / "val/gt/b.png").write_bytes(clean[:keep])
    shards, rejected = made(tmp_path, "paired", root=str(tmp_path), split="val", task="denoise")
    assert len(shards) == 1
    assert [(line["where"], line["field"]) for line in rejected] == [("b", "target")]


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("gopro", {"split": "val"}, r"val is missing: expected GoPro's sequences.* has the folders train"),
        ("reds", {"split": "val"}, r"REDS' blurred images.*Also looked for"),
        ("sidd", {"split": "val"}, r"SIDD's training images, got split 'val'"),
        ("clwd", {"split": "val"}, r"Watermarked_image is missing: expected CLWD's images with a watermark"),
        (
            "paired",
            {"split": "val", "task": "denoise"},
            r"val/input is missing: .* give --images DIR and --targets DIR",
        ),
    ],
)
def test_missing_places_are_named(tmp_path, name, options, reason):
    LAYOUTS[name][0](tmp_path)
    with pytest.raises(DataError, match=reason):
        create(name, {"root": str(tmp_path)} | options)


def test_wrong_options_are_one_sentence(tmp_path):
    paired(tmp_path)
    root = {"root": str(tmp_path), "split": "train"}
    with pytest.raises(ConfigError, match="needs --task"):
        create("paired", root)
    with pytest.raises(ConfigError, match="task 'editing': expected denoise, deblur or dewatermark"):
        create("paired", root | {"task": "editing"})
    with pytest.raises(ConfigError, match="give both --images DIR"):
        create("paired", root | {"task": "denoise", "images": str(tmp_path)})
    put(tmp_path / "other/x.png", smooth(0))
    elsewhere = {"images": str(tmp_path / "train/input"), "targets": str(tmp_path / "other")}
    with pytest.raises(DataError, match="none share a name \\(such as 'a' and 'x'\\)"):
        create("paired", root | {"task": "denoise"} | elsewhere)
    put(tmp_path / "train/input/a.png", smooth(0))
    with pytest.raises(DataError, match=r"a\.png and a\.webp have one name"):
        create("paired", root | {"task": "denoise"})


def test_folders_elsewhere(tmp_path):
    pair(tmp_path / "x/s/a.png", tmp_path / "y/s/a.png", 0)
    for name in ("gopro", "reds", "sidd", "clwd"):
        places = {"images": str(tmp_path / "x"), "targets": str(tmp_path / "y")}
        assert create(name, {"root": str(tmp_path), "split": "any", **places}).sample(0).key == "s-a"


def test_folders_without_a_split_are_found(tmp_path):
    pair(tmp_path / "a/input/1.png", tmp_path / "a/target/1.png", 0)
    pair(tmp_path / "b/Watermarked_image/1.png", tmp_path / "b/Watermark_free_image/1.png", 0)
    pair(tmp_path / "c/blur/000/1.png", tmp_path / "c/sharp/000/1.png", 0)
    for name, folder in (("gopro", "a"), ("sidd", "a"), ("clwd", "b"), ("reds", "c")):
        assert len(create(name, {"root": str(tmp_path / folder), "split": "val"})) == 1


def test_linked_folders_are_entered_once(tmp_path):
    pair(tmp_path / "disk/000/a.png", tmp_path / "clean/000/a.png", 0)
    (tmp_path / "val").mkdir()
    (tmp_path / "val/input").mkdir()
    (tmp_path / "val/input/000").symlink_to(tmp_path / "disk/000")
    (tmp_path / "disk/000/loop").symlink_to(tmp_path / "val/input")
    (tmp_path / "val/gt").symlink_to(tmp_path / "clean")
    source = create("paired", {"root": str(tmp_path), "split": "val", "task": "denoise"})
    assert source.keys == ["000-a"]


def test_keys_are_unique_and_safe():
    names = ["a/b", "a-b", "été/1", "x" * 100 + "1", "x" * 100 + "2", "plain"]
    keys = make_keys(names)
    assert len(set(keys)) == len(names) and keys[-1] == "plain"
    assert all(len(key) <= 64 and key.replace("-", "").replace("_", "").isascii() for key in keys)
    assert make_keys(reversed(names)) == keys[::-1]
