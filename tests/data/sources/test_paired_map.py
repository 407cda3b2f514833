"""Images with maps of numbers in two folders: 16-bit PNG and NPY, scales, unknown values, and what is wrong with a pair."""

import cv2
import numpy as np
import pytest

from idiff.cli import main
from idiff.data.sources.paired_map import PairedMap
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.tasks.depth import DepthEstimation
from idiff.types import Sample

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (12, 16, 3)).astype(np.uint8)
DEPTH = RNG.integers(500, 9000, (12, 16)).astype(np.uint16)
DEPTH[0, :3] = 0


def write(root, maps, split="val", folder="maps"):
    for place in ("images", folder):
        (root / split / place).mkdir(parents=True, exist_ok=True)
    for name, values in maps.items():
        cv2.imwrite(str(root / split / "images" / f"{name.split('.')[0]}.png"), IMAGE)
        if name.endswith(".npy"):
            np.save(root / split / folder / name, values)
        else:
            cv2.imwrite(str(root / split / folder / name), values)
    return str(root)


def test_millimeters_pass_through_and_other_scales_become_meters(tmp_path):
    raw = PairedMap(write(tmp_path, {"a.png": DEPTH}), "val").sample(0)
    assert raw.maps["depth"] == (tmp_path / "val" / "maps" / "a.png").read_bytes()
    kitti = PairedMap(str(tmp_path), "val", scale=256).sample(0).maps["depth"]
    assert kitti.dtype == np.float32 and np.allclose(kitti, DEPTH / 256)
    holes = DEPTH.astype(np.float32) / 1000
    holes[1, :4] = np.nan, np.inf, -1, 99
    other = (
        PairedMap(write(tmp_path / "b", {"a.npy": holes}, folder="depth"), "val", scale=1, invalid=99)
        .sample(0)
        .maps["depth"]
    )
    assert (other[1, :4] == 0).all() and np.allclose(other[2:], holes[2:])


def test_a_built_set_is_read_by_the_task(tmp_path, capsys):
    root = write(tmp_path / "raw", {"a.png": DEPTH, "deep.npy": DEPTH.astype(np.float64)})
    assert (
        main(
            [
                "data",
                "build",
                "paired-map",
                "--root",
                root,
                "--split",
                "val",
                "--scale",
                "1000",
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    assert main(["data", "check", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    task, found = DepthEstimation(), PairedMap(root, "val")
    for index in range(2):
        raw = found.sample(index)
        values = DEPTH if isinstance(raw.maps["depth"], bytes) else raw.maps["depth"]
        assert np.allclose(task.known(Sample("a", IMAGE, {}, maps={"depth": values})), DEPTH / 1000, atol=1e-6)


def test_normals_are_arrays_of_vectors(tmp_path):
    normals = RNG.normal(size=(12, 16, 3)).astype(np.float32)
    normals[0, 0] = 0
    normals[0, 1, 2] = np.nan
    found = (
        PairedMap(write(tmp_path, {"a.npy": normals}, folder="normals"), "val", task="normals")
        .sample(0)
        .maps["normals"]
    )
    assert (found[0, :2] == 0).all() and np.array_equal(found[1:], normals[1:])


def test_depth_of_8_bits_needs_a_scale(tmp_path):
    near = np.full((12, 16), 200, np.uint8)
    root = write(tmp_path, {"a.png": near})
    with pytest.raises(BadSampleError, match=r"a.png has 8 bits, in which millimeters end at 0.255 m. Give --scale"):
        PairedMap(root, "val").sample(0)
    assert (PairedMap(root, "val", scale=50).sample(0).maps["depth"] == 4).all()


@pytest.mark.parametrize("task", ["depth", "normals"])
def test_a_map_without_a_value_is_left_out(tmp_path, task):
    values = np.full((12, 16, 3) if task == "normals" else (12, 16), np.nan, np.float32)
    with pytest.raises(BadSampleError, match=r"no pixel of a.npy has a value"):
        PairedMap(write(tmp_path, {"a.npy": values}), "val", task=task, scale=1).sample(0)


def test_what_is_wrong_is_said(tmp_path):
    root = write(tmp_path, {"a.png": DEPTH, "b.png": DEPTH[:5], "c.png": np.zeros((12, 16, 3), np.uint8)})
    (tmp_path / "val" / "maps" / "d.npy").write_bytes(b"no array")
    source = PairedMap(root, "val")
    for index, reason in (
        (1, r"b.png has shape \(5, 16\), expected \(12, 16\)"),
        (2, "expected a gray PNG"),
        (3, "no file of this name under .*images"),
    ):
        with pytest.raises(BadSampleError, match=reason):
            source.sample(index)
    (tmp_path / "val" / "images" / "d.png").write_bytes((tmp_path / "val" / "images" / "a.png").read_bytes())
    with pytest.raises(BadSampleError, match="d: depth"):
        PairedMap(root, "val").sample(3)
    for changes, error, reason in (
        ({"task": "dept"}, ConfigError, "did you mean 'depth'"),
        ({"scale": 0}, ConfigError, "scale"),
        ({"split": "train"}, DataError, "is missing"),
    ):
        with pytest.raises(error, match=reason):
            PairedMap(**{"root": root, "split": "val", **changes})
    (tmp_path / "val" / "maps" / "a.npy").write_bytes(b"")
    with pytest.raises(DataError, match="have one name"):
        PairedMap(root, "val")
    lonely = write(tmp_path / "e", {"a.png": DEPTH})
    maps = tmp_path / "e" / "val" / "maps"
    (maps / "a.png").rename(maps / "other.png")
    with pytest.raises(DataError, match="no pair: 1 images"):
        PairedMap(lonely, "val")
