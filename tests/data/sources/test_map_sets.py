"""NYUv2, KITTI's depth, DIODE and BSDS500 in small folders of their authors' layouts, and what is wrong with an entry."""

import re
import sys

import cv2
import h5py
import numpy as np
import pytest
from raw_sets import made, smooth
from scipy.io import savemat

from idiff.data.sources import create
from idiff.data.sources.hdf5_mat import open_hdf5
from idiff.data.sources.mat_files import load_mat
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.tasks.depth import DepthEstimation
from idiff.tasks.normals import SurfaceNormals
from idiff.types import Sample

HEIGHT, WIDTH = 40, 48
SCENES = ["kitchen", "office", "kitchen", "study"]
NAMES = ["wall", "dishwasher", "sofa bed"]
SPLIT = {"trainNdxs": np.array([[1], [3]]), "testNdxs": np.array([[2], [4]])}


def far(seed, height=HEIGHT, width=WIDTH):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    return (2 + seed + 3 * x / width + 2 * y / height + 0.01 * rng.random((height, width))).astype(np.float32)


def put(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        assert cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values)


def cell(file, name, texts):
    """A cell array of texts as MATLAB 7.3 writes it: references to arrays of characters."""
    held = file.create_dataset(name, (1, len(texts)), dtype=h5py.ref_dtype)
    held.attrs["MATLAB_class"] = np.bytes_("cell")
    for number, text in enumerate(texts):
        one = file.create_dataset(f"#refs#/{name}{number}", data=np.array([[ord(c)] for c in text], np.uint16))
        one.attrs["MATLAB_class"] = np.bytes_("char")
        held[0, number] = one.ref


def nyu_labeled(root, count=4, height=HEIGHT, width=WIDTH):
    """The labeled file with MATLAB's header before HDF5, axes reversed, and the split beside it as MATLAB 5."""
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file["images"] = np.stack([smooth(n, height, width).transpose(2, 1, 0) for n in range(count)])
        file["depths"] = np.stack([far(n, height, width).T for n in range(count)])
        raw = np.stack([far(n, height, width).T for n in range(count)])
        raw[:, :3] = 0  # the first three columns were not measured
        file["rawDepths"] = raw
        labels = np.zeros((count, width, height), np.uint16)
        labels[:, 5:, 2:] = 1 + np.arange(count)[:, None, None] % 3
        file["labels"] = labels
        cell(file, "names", NAMES)
        cell(file, "sceneTypes", SCENES[:count])
    with (root / "nyu_depth_v2_labeled.mat").open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128))
    savemat(root / "splits.mat", SPLIT)
    savemat(root / "classMapping40.mat", {"mapClass": np.array([[1, 40, 6]]), "className": np.array(["wall"], object)})
    to_13 = np.full((1, 40), 7)
    to_13[0, [0, 5]] = 12, 9
    savemat(
        root / "class13Mapping.mat", {"classMapping13": {"labels13": to_13, "className": np.array(["bed"], object)}}
    )


def nyu_bts(root, split="test", height=HEIGHT, width=WIDTH):
    for number, scene in ((1, "bathroom"), (7, "office")):
        folder = root / "official_splits" / split / scene
        put(folder / f"rgb_{number:05d}.jpg", smooth(number, height, width))
        put(folder / f"sync_depth_{number:05d}.png", (far(number, height, width) * 1000).astype(np.uint16))


def nyu_normals(root, split="test", height=HEIGHT, width=WIDTH):
    """DSINE's files: x left, y up, z to the viewer, black where unknown."""
    for number in range(3):
        vectors = np.stack([np.full((height, width), v, float) for v in (0.6, 0.0, 0.8)], axis=2)
        vectors[height // 2 :] = 0, 0.6, 0.8
        colors = np.rint((vectors + 1) * 127.5).astype(np.uint8)
        colors[:4] = 0
        put(root / split / f"{number:06d}_img.png", smooth(number, height, width))
        put(root / split / f"{number:06d}_normal.png", colors)


DRIVE = "2011_09_26_drive_0002_sync"
EIGEN = [f"2011_09_26/{DRIVE}/image_02/data/{frame:010d}.png" for frame in (5, 6, 7)]


def sparse(seed, height=HEIGHT, width=WIDTH):
    measured = np.random.default_rng(seed).random((height, width)) < 0.3
    return np.where(measured, 4 * far(seed, height, width) * 256, 0).astype(np.uint16)


def kitti(root, split="val", height=HEIGHT, width=WIDTH):
    """Two frames with depth; a third of the list has none, as 45 of the 697 have none."""
    for frame in (5, 6, 7):
        put(root / "2011_09_26" / DRIVE / "image_02" / "data" / f"{frame:010d}.png", smooth(frame, height, width))
        if frame < 7:
            folder = root / split / DRIVE / "proj_depth" / "groundtruth" / "image_02"
            put(folder / f"{frame:010d}.png", sparse(frame, height, width))
    lines = [f"{one} {DRIVE}/proj_depth/groundtruth/image_02/{one[-14:]} 721.5377" for one in EIGEN[:2]]
    (root / "eigen_test_files_with_gt.txt").write_text("\n".join([*lines, f"{EIGEN[2]} None 721.5377"]) + "\n")


def diode(root, split="val"):
    for kind, scene in (("indoors", "scene_00019/scan_00183"), ("outdoor", "scene_00022/scan_00193")):
        base = root / split / kind / scene / f"{scene[6:11]}_{scene[17:]}_{kind}_000_010"
        mask = np.ones((HEIGHT, WIDTH))
        mask[:5] = 0
        down = np.tile(np.array([0.0, -0.6, -0.8]), (HEIGHT, WIDTH, 1))  # x right, y down, z forward
        down[:2] = 0
        put(base.with_name(f"{base.name}.png"), smooth(1))
        put(base.with_name(f"{base.name}_depth.npy"), far(1)[..., None])
        put(base.with_name(f"{base.name}_depth_mask.npy"), mask)
        put(base.with_name(f"{base.name}_normal.npy"), down)


def drawn(count, height=HEIGHT, width=WIDTH):
    """A cell array of what annotators drew: a box whose right side moves with the annotator."""
    cells = np.empty((1, count), object)
    for number in range(count):
        edges = np.zeros((height, width), np.uint8)
        edges[8:30, 10] = edges[8, 10:30] = edges[29, 10:30] = 1
        edges[8:30, 30 + number] = 1
        cells[0, number] = {"Segmentation": np.ones((height, width), np.uint16), "Boundaries": edges}
    return {"groundTruth": cells}


def bsds(root, split="test", height=HEIGHT, width=WIDTH):
    base = root / "BSR" / "BSDS500" / "data"
    for number, count in ((2018, 4), (3063, 5), (5096, 1)):
        put(base / "images" / split / f"{number}.jpg", smooth(number, height, width))
        (base / "groundTruth" / split).mkdir(parents=True, exist_ok=True)
        savemat(base / "groundTruth" / split / f"{number}.mat", drawn(count, height, width))


# --- what is read


@pytest.mark.parametrize("depth", ["raw", "filled"])
def test_nyu_of_the_labeled_file(tmp_path, depth):
    nyu_labeled(tmp_path / "raw")
    shards, rejected = made(tmp_path, "nyuv2", root=str(tmp_path / "raw"), split="test", depth=depth)
    assert not rejected and len(shards) == 2
    for place, number in enumerate((1, 3)):
        sample, true = shards.read(place), far(number)
        if depth == "raw":
            true[:, :3] = 0
        assert np.array_equal(sample.image, smooth(number)) and sample.annotation["scene"] == SCENES[number]
        assert np.allclose(DepthEstimation().known(sample), true, atol=0.00051)
        assert (sample.maps["depth"] == 0).any() == (depth == "raw")


@pytest.mark.parametrize(
    ("labels", "found", "void", "names"),
    [("894", [0, 2], 65535, NAMES), ("40", [0, 5], 255, 40), ("13", [11, 8], 255, 13)],
)
def test_nyu_labels(tmp_path, labels, found, void, names):
    nyu_labeled(tmp_path / "raw")
    source = create("nyuv2", {"root": str(tmp_path / "raw"), "split": "train", "labels": labels})
    classes = source.meta()["classes"]
    assert classes == names if labels == "894" else len(classes) == names
    assert source.tasks == ("depth", "segmentation")
    for index, value in enumerate(found):
        label = source.sample(index).label
        assert (label[2:, 5:] == value).all() and (label[:2] == void).all() and (label[:, :5] == void).all()


def test_nyu_of_folders(tmp_path):
    nyu_bts(tmp_path / "bts")
    shards, _ = made(tmp_path, "nyuv2", root=str(tmp_path / "bts"), split="test")
    assert len(shards) == 2 and shards.manifest.tasks == ["depth"]
    assert np.allclose(DepthEstimation().known(shards.read(0)), far(1), atol=0.0011)
    root = tmp_path / "toolkit"
    put(root / "image" / "train" / "00003.png", smooth(3))
    put(root / "depth" / "train" / "00003.png", (far(3) * 1000).astype(np.uint16))
    put(root / "seg13" / "train" / "00003.png", np.full((HEIGHT, WIDTH), 12, np.uint8))
    sample = create("nyuv2", {"root": str(root), "split": "train", "labels": "13"}).sample(0)
    assert sample.label == (root / "seg13" / "train" / "00003.png").read_bytes()
    assert sample.maps["depth"] == (root / "depth" / "train" / "00003.png").read_bytes()


def test_nyu_normals_come_into_our_axes(tmp_path):
    nyu_normals(tmp_path / "raw")
    shards, _ = made(tmp_path, "nyuv2", root=str(tmp_path / "raw"), split="test")
    assert shards.manifest.tasks == ["normals"]
    known = SurfaceNormals().known(shards.read(0))
    assert (known[:4] == 0).all()
    assert np.allclose(known[5, 5], (-0.6, 0, 0.8), atol=0.01)  # left there is right here
    assert np.allclose(known[-1, 5], (0, 0.6, 0.8), atol=0.01)


def test_kitti_of_a_split_and_of_a_list(tmp_path):
    root = tmp_path / "raw"
    kitti(root)
    shards, rejected = made(tmp_path, "kitti-depth", root=str(root), split="val")
    assert len(shards) == 2 and not rejected
    stored = shards.read(0).maps["depth"]
    assert stored.dtype == np.float32 and np.array_equal(stored, sparse(5) / np.float32(256))
    listed = root / "eigen_test_files_with_gt.txt"
    source = create("kitti-depth", {"root": str(root), "split": "eigen", "annotations": str(listed)})
    assert source.funnel() == {"listed": 3, "with depth": 2}
    assert source.notes() == ["1 of 3 listed images have no depth map: left out"]
    short = root / "test_files.txt"
    short.write_text(f"2011_09_26/{DRIVE} 0000000006 l\n2011_09_26/{DRIVE} 6 r\n")
    source = create("kitti-depth", {"root": str(root), "split": "eigen", "annotations": str(short)})
    assert len(source) == 1 and source.sample(0).annotation["file_name"] == "0000000006.png"


def test_kitti_selection(tmp_path):
    base = tmp_path / "depth_selection" / "val_selection_cropped"
    for camera in ("02", "03"):
        put(base / "image" / f"{DRIVE}_image_0000000005_image_{camera}.png", smooth(5))
        put(base / "groundtruth_depth" / f"{DRIVE}_groundtruth_depth_0000000005_image_{camera}.png", sparse(5))
    options = {"root": str(tmp_path), "split": "val_selection_cropped"}
    assert len(create("kitti-depth", options)) == 1
    both = create("kitti-depth", {**options, "camera": "both"})
    assert len(both) == 2 and np.array_equal(both.sample(1).maps["depth"], sparse(5) / np.float32(256))


@pytest.mark.parametrize("side", [13, 32, 64])
def test_sparse_depth_is_never_mixed_with_unknown(tmp_path, side):
    """What is painted at any size is a measured value, or nothing."""
    kitti(tmp_path)
    sample = create("kitti-depth", {"root": str(tmp_path), "split": "val"}).sample(0)
    task = DepthEstimation(size=side)
    (triplet,) = task.queries(Sample("a", smooth(5), {}, maps=sample.maps), 0)
    (found,) = task.decode(triplet.target[None], triplet.source[None], [triplet.query])
    painted = triplet.answer[0] > 0
    measured = np.unique(sample.maps["depth"][sample.maps["depth"] > 0])
    got = found.values[painted].numpy()
    nearest = measured[np.abs(measured[None] - got[:, None]).argmin(axis=1)]
    assert painted.any() and not painted.all() and np.allclose(got, nearest, rtol=2e-3)


def test_diode_depth_and_normals(tmp_path):
    root = tmp_path / "raw"
    diode(root)
    shards, rejected = made(tmp_path, "diode", root=str(root), split="val")
    assert len(shards) == 2 and not rejected
    known = DepthEstimation().known(shards.read(0))
    assert (known[:5] == 0).all() and np.array_equal(known[5:], far(1)[5:])
    assert len(create("diode", {"root": str(root), "split": "val", "scenes": "outdoor"})) == 1
    options = {"root": str(root), "split": "val", "task": "normals"}
    vectors = create("diode", {**options, "axes": "x,-y,-z"}).sample(0).maps["normals"]
    assert (vectors[:2] == 0).all() and np.allclose(vectors[2:], (0, 0.6, 0.8))
    with pytest.raises(BadSampleError, match="100% of the normals look away from the viewer: --axes"):
        create("diode", {**options, "axes": "x,y,z"}).sample(0)
    for axes, reason in ((None, "give --axes"), ("x,y", "expected x, y and z"), ("x,x,z", "expected x, y and z")):
        with pytest.raises(ConfigError, match=reason):
            create("diode", {**options, "axes": axes})


def test_bsds_edges_are_those_of_each_annotator(tmp_path):
    bsds(tmp_path / "raw")
    shards, rejected = made(tmp_path, "bsds", root=str(tmp_path / "raw"), split="test")
    assert len(shards) == 3 and not rejected and shards.manifest.tasks == ["edges"]
    edges = shards.read(0).maps["edges"]
    cells = drawn(4)["groundTruth"][0]
    assert edges.dtype == np.uint8 and edges.shape == (HEIGHT, WIDTH, 4)
    assert all(np.array_equal(edges[..., a] == 255, cells[a]["Boundaries"] == 1) for a in range(4))
    assert set(np.unique(edges)) == {0, 255} and shards.read(2).maps["edges"].shape == (HEIGHT, WIDTH, 1)


def test_a_file_of_version_7_3_is_read_as_one_of_version_5(tmp_path):
    values = {"numbers": np.arange(12.0).reshape(3, 4), "one": 5.0, "words": "a b"}
    savemat(tmp_path / "old.mat", values | {"inside": {"field": np.arange(6).reshape(2, 3)}})
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["numbers"], file["one"] = values["numbers"].T, np.array([[5.0]])
        file["words"] = np.array([[ord(c)] for c in "a b"], np.uint16)
        file["words"].attrs["MATLAB_class"] = np.bytes_("char")
        file["inside/field"] = np.arange(6).reshape(2, 3).T
        cell(file, "texts", ["x", "yz"])
    old, new = load_mat(tmp_path / "old.mat"), load_mat(tmp_path / "new.mat")
    assert np.array_equal(old["numbers"], new["numbers"]) and old["one"] == new["one"] and old["words"] == new["words"]
    assert np.array_equal(old["inside"].field, new["inside"].field)
    assert new["texts"].tolist() == ["x", "yz"]


# --- what is wrong


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    nyu_labeled(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"version 7\.3, which needs h5py: pip install 'idiff\[mat73\]'"):
        load_mat(tmp_path / "nyu_depth_v2_labeled.mat")
    with pytest.raises(ConfigError, match=r"idiff\[mat73\]"):
        create("nyuv2", {"root": str(tmp_path), "split": "test"})


def test_a_damaged_file_of_version_7_3_is_one_sentence(tmp_path):
    nyu_labeled(tmp_path)
    file = tmp_path / "nyu_depth_v2_labeled.mat"
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
        open_hdf5(file)


def test_broken_entries_are_left_out_by_name(tmp_path):
    roots = {name: tmp_path / name for name in ("bts", "dsine", "kitti", "diode", "bsds")}
    nyu_bts(roots["bts"])
    next(roots["bts"].rglob("sync_depth_00007.png")).unlink()
    nyu_normals(roots["dsine"])
    put(roots["dsine"] / "test" / "000001_normal.png", np.zeros((9, 9, 3), np.uint8))
    kitti(roots["kitti"])
    next((roots["kitti"] / "val").rglob("0000000006.png")).write_bytes(b"no image")
    diode(roots["diode"])
    next(roots["diode"].rglob("*_outdoor_*_depth_mask.npy")).unlink()
    bsds(roots["bsds"])
    drawings = roots["bsds"] / "BSR/BSDS500/data/groundTruth/test"
    (drawings / "2018.mat").unlink()
    savemat(drawings / "3063.mat", {"groundTruth": np.zeros((1, 2))})
    expected = {
        "bts": ("nyuv2", "test", ["office/00007"], "cannot be read"),
        "dsine": ("nyuv2", "test", ["000001"], "has 9x9 pixels, expected 48x40"),
        "kitti": ("kitti-depth", "val", [f"{DRIVE}/02/0000000006"], "expected an NPY, or a gray PNG"),
        "diode": ("diode", "val", ["outdoor/scene_00022/scan_00193/00022_00193_outdoor_000_010"], "depth_mask"),
        "bsds": ("bsds", "test", ["2018", "3063"], "2018.mat is missing|no cell array 'groundTruth'"),
    }
    for place, (name, split, keys, reason) in expected.items():
        shards, rejected = made(tmp_path / place, name, root=str(roots[place]), split=split)
        assert len(shards) >= 1 and len(rejected) == len(keys)
        for line, key in zip(rejected, keys, strict=True):
            assert key in str(line), line
            assert re.search(reason, str(line)), line


@pytest.mark.parametrize(
    ("name", "write", "options", "reason"),
    [
        ("nyuv2", nyu_labeled, {"split": "dev"}, "has the splits train and test, got 'dev'"),
        ("nyuv2", nyu_bts, {"split": "dev"}, "no NYUv2 of the split dev: expected nyu_depth_v2_labeled.mat"),
        ("nyuv2", nyu_bts, {"split": "test", "labels": "40"}, "the layout bts has none"),
        ("nyuv2", nyu_bts, {"split": "test", "layout": "bt"}, "did you mean 'bts'"),
        ("kitti-depth", kitti, {"split": "tset"}, "has no ./tset"),
        ("kitti-depth", kitti, {"split": "val", "camera": "03"}, "image_03"),
        ("kitti-depth", kitti, {"split": "e", "annotations": "missing.txt"}, "missing.txt"),
        ("kitti-depth", kitti, {"split": "val", "images": "."}, "Give --images DIR"),
        ("diode", diode, {"split": "test"}, "has no test"),
        ("diode", diode, {"split": "val", "scenes": "outdoors"}, "did you mean 'outdoor'"),
        ("bsds", bsds, {"split": "dev"}, "check --split: train, val or test"),
    ],
)
def test_wrong_folders_and_words_are_one_sentence(tmp_path, monkeypatch, name, write, options, reason):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "raw")
    with pytest.raises((DataError, ConfigError), match=reason):
        create(name, {"root": str(tmp_path / "raw"), **options})


def test_missing_parts_of_nyu_say_where_they_come_from(tmp_path):
    nyu_labeled(tmp_path)
    options = {"root": str(tmp_path), "split": "test"}
    (tmp_path / "classMapping40.mat").unlink()
    with pytest.raises(DataError, match=r"classMapping40\.mat .*nyuv2-meta-data"):
        create("nyuv2", {**options, "labels": "40"})
    savemat(tmp_path / "splits.mat", {"trainNdxs": [[1]], "testNdxs": [[9]]})
    with pytest.raises(DataError, match="expected numbers from 1 to 4"):
        create("nyuv2", options)
    (tmp_path / "splits.mat").unlink()
    with pytest.raises(DataError, match=r"splits\.mat .*official split"):
        create("nyuv2", options)


def test_a_list_of_another_form_names_its_line(tmp_path):
    kitti(tmp_path)
    (tmp_path / "list.txt").write_text("0000000005.png\n")
    with pytest.raises(DataError, match=r"list\.txt: got the line '0000000005\.png'"):
        create("kitti-depth", {"root": str(tmp_path), "split": "e", "annotations": str(tmp_path / "list.txt")})


def test_the_split_val_of_the_labeled_file_is_said_to_be_its_test(tmp_path):
    nyu_labeled(tmp_path)
    notes = {split: create("nyuv2", {"root": str(tmp_path), "split": split}).notes() for split in ("val", "test")}
    assert "NYUv2 has no split val: these are the images of its split test" in notes["val"]
    assert not any("split val" in note for note in notes["test"])


def test_a_root_that_is_missing_is_said_to_be(tmp_path):
    with pytest.raises(DataError, match=r"nowhere is missing: expected a folder with"):
        create("kitti-depth", {"root": str(tmp_path / "nowhere"), "split": "val"})
