"""ADE20K with 847 classes and Pascal Context: folders as their authors publish them."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from set_making import build, save_picture, trains_and_keeps_promises

from idiff.data.sources import create
from idiff.data.sources.ade847 import read_list
from idiff.data.sources.pascal_context import frequent_names, read_numbered
from idiff.errors import BadSampleError, DataError
from idiff.tasks import SemanticSegmentation

WIDTH, HEIGHT = 72, 60


def blocks(*values):
    """A map of four blocks, 16 bits."""
    found = np.zeros((HEIGHT, WIDTH), np.uint16)
    for place, value in enumerate(values):
        found[HEIGHT // 2 * (place // 2) :, WIDTH // 2 * (place % 2) :] = value
    return found


# --- ADE20K ---

ROWS = [
    ("wall", 2978),
    ("building, edifice", 312),
    ("sky", 2420),
    ("screen, crt screen", 3109),
    ("screen, silver screen", 2254),
]
ROWS += [(f"thing {n}", n) for n in range(4, 300)]
"""Name and id of each class, in the order of `trainId`: more than 8 bits number."""


def classes(rows=ROWS):
    return [{"name": name, "id": number, "trainId": place} for place, (name, number) in enumerate(rows)]


def script(rows=ROWS):
    """As MaskFormer's script holds the list; it cannot be run here."""
    listed = json.dumps(classes(rows))
    return f"import nothing_that_is_here\n\nADE20K_SEM_SEG_FULL_CATEGORIES = {listed}\n\n\nraise SystemExit(3)\n"


def ade_folder(root):
    folder = root / "ADE20K_2021_17_01"
    folder.mkdir(parents=True)
    (folder / "prepare_ade20k_full_sem_seg.py").write_text(script())
    return folder


def ade_published(root):
    """`_seg.png` says the class by red and green, the object by blue; 77 and 1000 are none of the classes."""
    folder = ade_folder(root)
    for kind, split in (("train", "training"), ("val", "validation")):
        place = folder / f"images/ADE/{split}/urban/street"
        for number in (1, 2):
            stem = f"ADE_{kind}_{number:08d}"
            save_picture(place / f"{stem}.jpg", WIDTH, HEIGHT, seed=number)
            ids = blocks(2978, 299, 3109, 1000)
            colors = np.stack([ids // 256 * 10, ids % 256, np.full(ids.shape, number)], axis=-1).astype(np.uint8)
            Image.fromarray(colors).save(place / f"{stem}_seg.png")
            Image.fromarray(colors).save(place / f"{stem}_parts_1.png")
    return folder


def ade_prepared(root):
    folder = ade_folder(root)
    for number in (1, 2):
        stem = f"ADE_val_{number:08d}"
        save_picture(folder / f"images_detectron2/validation/{stem}.jpg", WIDTH, HEIGHT, seed=number)
        (folder / "annotations_detectron2/validation").mkdir(parents=True, exist_ok=True)
        label = blocks(0, 300, 3, 65535)
        Image.fromarray(label).save(folder / f"annotations_detectron2/validation/{stem}.tif")
    return folder


@pytest.mark.parametrize("write", [ade_published, ade_prepared])
def test_both_forms_of_ade_give_the_same_label_maps(tmp_path, write):
    folder = write(tmp_path / "raw")
    shards = build("ade847", folder, tmp_path / "out")
    assert len(shards) == 2 and shards.key(0) == "ADE_val_00000001"
    assert shards.meta["classes"][:5] == ["wall", "building", "sky", "screen, crt screen", "screen, silver screen"]
    label = shards.read(0).label
    assert label.dtype == np.uint16 and np.array_equal(label, blocks(0, 300, 3, 65535))
    assert shards.meta["classes"][300] == "thing 299"
    assert ("values" in shards.meta) == (write is ade_published)
    trains_and_keeps_promises(SemanticSegmentation(size=64, augment=[], ask="present"), shards)


def test_ade_from_above_with_another_list_and_a_fold(tmp_path):
    folder = ade_published(tmp_path)
    (folder / "prepare_ade20k_full_sem_seg.py").unlink()
    with pytest.raises(
        DataError, match=r"sem_seg\.py is missing: expected the list of the 847 classes.* --classes FILE"
    ):
        create("ade847", {"root": str(tmp_path), "split": "val"})
    (tmp_path / "own.json").write_text(json.dumps(classes()))
    (tmp_path / "fold.txt").write_text("flat: wall, sky\nrest: thing 299\n")
    options = {
        "root": str(tmp_path),
        "split": "train",
        "classes": tmp_path / "own.json",
        "fold": str(tmp_path / "fold.txt"),
    }
    source = create("ade847", options)
    label = source.sample(0).label
    assert label.dtype == np.uint8 and set(np.unique(label)) == {0, 1, 255}
    assert source.meta()["classes"] == ["flat", "rest"]
    assert source.notes()[:2] == [
        "read from the published files, at their own size: papers score images of 512",
        "the list has 301 classes, ADE20K-847 has 847",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected"),
        ("x = [{", "no list of classes that can be read"),
        ("[{}]", "class 0: 'name' is None"),
        (json.dumps([*classes()[:2], 3]), "class 2 is 3, expected an object"),
        (json.dumps(classes([("wall", 1), ("wall", 2)])), "two classes have one 'name'"),
        (json.dumps(classes([("wall", 1), ("sky", 1)])), "two classes have one 'id'"),
        (json.dumps(classes()[1:]), "'trainId' does not count 0, 1, 2"),
        (json.dumps(classes([("wall", 70000)])), "'id' is 70000, expected 0 to 65534"),
    ],
)
def test_wrong_lists_of_ade_are_one_sentence(tmp_path, text, told):
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(DataError, match=told):
        read_list(tmp_path / "list.json", prepared=False)


def test_broken_files_of_ade_are_bad_samples(tmp_path):
    folder = ade_prepared(tmp_path)
    place = folder / "annotations_detectron2/validation"
    Image.fromarray(blocks(0, 301, 3, 65535)).save(place / "ADE_val_00000001.tif")
    Image.fromarray(blocks(0, 1, 2, 3).astype(np.uint8)).save(place / "ADE_val_00000002.tif")
    source = create("ade847", {"root": str(folder), "split": "val"})
    with pytest.raises(BadSampleError, match=r"the values \[301\] have no name in prepare_ade20k_full_sem_seg\.py"):
        source.sample(0)
    with pytest.raises(BadSampleError, match="an image of mode L, expected one channel of 16 bits"):
        source.sample(1)
    (place / "ADE_val_00000002.tif").unlink()
    with pytest.raises(BadSampleError, match=r"ADE_val_00000002\.tif cannot be read: No such file"):
        create("ade847", {"root": str(folder), "split": "val"}).sample(1)
    with pytest.raises(DataError, match=r"images_detectron2/train is missing: expected the prepared images"):
        create("ade847", {"root": str(folder), "split": "train"})
    for made in (folder / "annotations_detectron2", folder / "images_detectron2"):
        made.rename(made.with_name("x" + made.name))
    with pytest.raises(
        DataError, match=r"images/ADE/val is missing: expected the published images, or annotations_detectron2"
    ):
        create("ade847", {"root": str(folder), "split": "val"})


# --- Pascal Context ---

CONTEXT = {
    1: "accordion",
    2: "aeroplane",
    397: "table",
    59: "cat",
    424: "sky",
    459: "wood",
    44: "bedclothes",
    72: "cloth",
}
CONTEXT |= {n: f"thing {n}" for n in range(100, 360)}
FREQUENT = ["aeroplane", "cat", "dining table", "sky", "bedcloth", "clothes"]


def context(root, *, stems=("2008_000002", "2008_000003"), values=(2, 397, 459, 0)):
    folder = root / "VOCdevkit/VOC2010"
    (folder / "trainval").mkdir(parents=True)
    for place, stem in enumerate(("2008_000002", "2008_000003", "2008_000007")):
        save_picture(folder / f"JPEGImages/{stem}.jpg", WIDTH, HEIGHT, seed=place)
        savemat(folder / f"trainval/{stem}.mat", {"LabelMap": blocks(*values)})
    (folder / "ImageSets/Main").mkdir(parents=True)
    (folder / "ImageSets/Main/val.txt").write_text("\n".join(stems) + "\n")
    (folder / "labels.txt").write_text("".join(f"{value}: {name}\n" for value, name in sorted(CONTEXT.items())))
    (folder / "59_labels.txt").write_text("".join(f"{n}: {name}\n" for n, name in enumerate(FREQUENT, start=1)))
    return folder


def test_pascal_context_with_all_classes(tmp_path):
    folder = context(tmp_path / "raw")
    shards = build("pc459", folder, tmp_path / "out")
    assert len(shards) == 2 and shards.key(1) == "2008_000003"
    names = shards.meta["classes"]
    assert names == [CONTEXT[value] for value in sorted(CONTEXT)] and shards.meta["values"] == sorted(CONTEXT)
    label = shards.read(0).label
    assert label.dtype == np.uint16 and label[-1, -1] == 65535
    assert [names[value] for value in (label[0, 0], label[0, -1], label[-1, 0])] == ["aeroplane", "table", "wood"]
    trains_and_keeps_promises(SemanticSegmentation(size=64, augment=[], ask="present"), shards)


def test_the_frequent_classes_alone(tmp_path):
    shards = build("pc59", context(tmp_path / "raw").parent, tmp_path / "out")
    assert shards.meta["classes"] == FREQUENT and shards.meta["values"] == [2, 59, 397, 424, 44, 72]
    label = shards.read(0).label
    assert label.dtype == np.uint8 and np.array_equal(label, blocks(0, 2, 255, 255).astype(np.uint8))


def test_other_places_of_pascal_context(tmp_path):
    folder = context(tmp_path)
    (folder / "pascalcontext_val.txt").write_text("2008_000007\n")
    (folder / "ImageSets/SegmentationContext").mkdir()
    (folder / "ImageSets/SegmentationContext/train.txt").write_text("2008_000002\n")
    assert create("pc459", {"root": str(tmp_path), "split": "val"}).sample(0).key == "2008_000007"
    assert len(create("pc59", {"root": str(folder), "split": "train"})) == 1
    (folder / "trainval").rename(tmp_path / "maps")
    (folder / "labels.txt").rename(tmp_path / "maps/labels.txt")
    with pytest.raises(DataError, match=r"VOC2010/trainval is missing: .*Give --annotations DIR"):
        create("pc459", {"root": str(folder), "split": "val"})
    source = create("pc459", {"root": str(folder), "split": "val", "annotations": str(tmp_path / "maps")})
    assert len(source.sample(0).annotation) == 1


def test_what_pascal_context_lacks_is_named(tmp_path):
    folder = context(tmp_path, values=(2, 397, 458, 0))
    source = create("pc459", {"root": str(folder), "split": "val"})
    with pytest.raises(BadSampleError, match=r"2008_000002: label: the values \[458\] have no name in labels\.txt"):
        source.sample(0)
    for value, told in (
        (blocks(2).astype(float), "LabelMap is float64"),
        ({"x": 1}, "LabelMap is "),
        (blocks(2)[:9], "has shape"),
    ):
        savemat(folder / "trainval/2008_000002.mat", {"LabelMap": value})
        with pytest.raises(BadSampleError, match=told):
            source.sample(0)
    (folder / "trainval/2008_000002.mat").write_bytes(b"MATLAB 7.3")
    with pytest.raises(BadSampleError, match="cannot be read as a MATLAB file"):
        source.sample(0)
    with pytest.raises(DataError, match=r"pascalcontext_test\.txt is missing: expected the list of the split"):
        create("pc459", {"root": str(folder), "split": "test"})
    (folder / "ImageSets/Main/val.txt").write_text("../x\n")
    with pytest.raises(DataError, match="leads elsewhere"):
        create("pc459", {"root": str(folder), "split": "val"})
    (folder / "59_labels.txt").unlink()
    with pytest.raises(DataError, match=r"59_labels\.txt is missing: expected a list of the classes"):
        create("pc59", {"root": str(folder), "split": "val"})


def test_wrong_lists_of_pascal_context_are_one_sentence(tmp_path):
    file = tmp_path / "59_labels.txt"
    for text in ("", "x: sky\n", "1:\n", "1: sky\n1: sea\n", "1: sky\n2: sky\n", "70000: sky\n"):
        file.write_text(text)
        with pytest.raises(DataError, match=r"59_labels\.txt: .*expected"):
            read_numbered(file)
    values = {"sky": 1, "table": 2}
    file.write_text("0: background\n1: sky\n2: dining table\n")
    assert frequent_names(file, values) == {1: "sky", 2: "dining table"}
    for text, told in (
        ("1: skye\n", "which labels.txt lacks; did you mean 'sky'"),
        ("1: table\n2: diningtable\n", "it comes twice"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=told):
            frequent_names(file, values)
    file.write_text("0: background\n")
    with pytest.raises(DataError, match="no class besides the background"):
        frequent_names(file, values)
