"""COCO-Stuff, ADE20K and Pascal VOC: folders as their authors publish them."""

import numpy as np
import pytest
from PIL import Image
from set_making import build, save_picture, trains_and_keeps_promises

from idiff.data.build import builder
from idiff.data.sources import create
from idiff.data.sources.ade20k import read_names
from idiff.data.sources.voc import CLASSES
from idiff.errors import BadSampleError, DataError
from idiff.tasks import SemanticSegmentation
from idiff.utils.picture_files import decode_label, encode_png

WIDTH, HEIGHT = 72, 60


def blocks(*values):
    """A label map of four blocks."""
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    for place, value in enumerate(values):
        label[HEIGHT // 2 * (place // 2) :, WIDTH // 2 * (place % 2) :] = value
    return label


def save_label(path, label, *, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    if palette:
        image = Image.fromarray(label, mode="P")
        image.putpalette([(37 * place) % 256 for place in range(768)])
        image.save(path)
    else:
        path.write_bytes(encode_png(label))


def label_of(source, index=0):
    label = source.sample(index).label
    return decode_label(label, where="x") if isinstance(label, bytes) else label


# --- COCO-Stuff ---

UNUSED = {12: "street sign", 26: "hat", 29: "shoe", 30: "eye glasses", 45: "plate", 66: "mirror", 68: "window"}
UNUSED |= {69: "desk", 71: "door", 83: "blender", 91: "hair brush"}


def official_names():
    return "0: unlabeled\n" + "".join(f"{n}: {UNUSED.get(n, f'thing {n}')}\n" for n in range(1, 183))


def stuff(root, values=(0, 92, 181, 255), *, images="images/val2017", labels="annotations/val2017", names=None):
    for number in (1, 2):
        save_picture(root / images / f"{number:012d}.jpg", WIDTH, HEIGHT, seed=number)
        save_label(root / labels / f"{number:012d}.png", blocks(*values))
    (root / "labels.txt").write_text(names or official_names())
    return root


def test_label_maps_that_are_void_everywhere_are_said_each_time(tmp_path):
    source = create("coco-stuff", {"root": str(stuff(tmp_path, (255, 255, 255, 255))), "split": "val"})
    for _ in range(2):
        (note,) = builder.build(source, tmp_path / "out", name="coco-stuff", split="val").notes
        assert note.startswith("all pixels of all label maps are void")


def test_official_coco_stuff_has_171_classes_and_its_values_are_the_id_less_one(tmp_path):
    source = create("coco-stuff", {"root": str(stuff(tmp_path)), "split": "val"})
    classes = source.meta()["classes"]
    assert len(classes) == 171 and not set(classes) & set(UNUSED.values())
    label = label_of(source)
    seen = [classes[value] for value in (label[0, 0], label[0, -1], label[-1, 0])]
    assert seen == ["thing 1", "thing 93", "thing 182"] and label[-1, -1] == 255


def test_without_unlabeled_first_the_values_are_the_ids(tmp_path):
    names = official_names().replace("0: unlabeled\n", "")
    source = create("coco-stuff", {"root": str(stuff(tmp_path, (1, 93, 182, 255), names=names)), "split": "val"})
    classes = source.meta()["classes"]
    assert len(classes) == 171
    label = label_of(source)
    assert [classes[value] for value in (label[0, 0], label[0, -1], label[-1, 0])] == [
        "thing 1",
        "thing 93",
        "thing 182",
    ]


def test_an_unused_id_in_a_label_map_is_void(tmp_path):
    source = create("coco-stuff", {"root": str(stuff(tmp_path, (11, 92, 181, 255))), "split": "val"})
    assert label_of(source)[0, 0] == 255  # `street sign` has the id 12


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("images/val", "annotations/val"),
        ("val2017", "annotations/val2017"),
        ("images/val2017", "stuffthingmaps_trainval2017/val2017"),
    ],
)
def test_coco_stuff_in_other_folders_trains(tmp_path, images, labels):
    shards = build("coco-stuff", stuff(tmp_path / "raw", images=images, labels=labels), tmp_path / "out")
    assert len(shards) == 2
    if images == "images/val":
        trains_and_keeps_promises(SemanticSegmentation(size=64, augment=[], ask="present"), shards)


def test_coco_stuff_that_lies_elsewhere(tmp_path):
    root = stuff(tmp_path, images="photos", labels="maps")
    with pytest.raises(DataError, match=r"images/val is missing: .*there or in val, images/val2017.* --images DIR"):
        create("coco-stuff", {"root": str(root), "split": "val"})
    options = {"root": str(root), "split": "val", "images": str(root / "photos"), "annotations": str(root / "maps")}
    assert len(create("coco-stuff", options)) == 2


# --- ADE20K ---

ADE = {
    1: "wall",
    2: "building, edifice",
    3: "person, individual, someone",
    4: "screen, silver screen",
    5: "screen, CRT",
}


def ade(root, *, tabs=True, rows=None):
    folder = root / "ADEChallengeData2016"
    for kind, split in (("train", "training"), ("val", "validation")):
        for number in (1, 2):
            stem = f"ADE_{kind}_{number:08d}"
            save_picture(folder / "images" / split / f"{stem}.jpg", WIDTH, HEIGHT, seed=number)
            save_label(folder / "annotations" / split / f"{stem}.png", blocks(1, 3, 0, 2))
    gap = "\t" if tabs else "     "
    lines = [gap.join(["Idx", "Ratio", "Train", "Val", "Stuff", "Name"])]
    lines += [gap.join([str(value), "0.1", "11664", "1172", "1", name]) for value, name in (rows or ADE).items()]
    (folder / "objectInfo150.txt").write_text("\n".join(lines) + "\n")
    (folder / "sceneCategories.txt").write_text("ADE_val_00000001 living_room\nADE_val_00000002 street\n")
    return folder


@pytest.mark.parametrize("split", ["val", "training"])
def test_ade20k_as_published_trains(tmp_path, split):
    shards = build("ade20k", ade(tmp_path), tmp_path / "out", split=split)
    assert shards.meta["classes"] == ["wall", "building", "person", "screen, silver screen", "screen, CRT"]
    sample = shards.read(0)
    assert np.array_equal(sample.label, blocks(0, 2, 255, 1))  # value v is class v; 0 is void
    assert sample.annotation.get("scene") == ("living room" if split == "val" else None)
    if split == "val":
        trains_and_keeps_promises(SemanticSegmentation(size=64, augment=[]), shards)


def test_ade20k_from_above_and_with_spaces(tmp_path):
    ade(tmp_path, tabs=False)
    source = create("ade20k", {"root": str(tmp_path), "split": "val"})
    assert source.meta()["classes"][:3] == ["wall", "building", "person"]
    (tmp_path / "fold.txt").write_text("things: person, wall\n")
    folded = create("ade20k", {"root": str(tmp_path), "split": "val", "fold": str(tmp_path / "fold.txt")})
    assert folded.meta()["classes"] == ["things"] and np.array_equal(label_of(folded), blocks(0, 0, 255, 255))


def test_ade20k_values_without_a_name_are_bad_samples(tmp_path):
    ade(tmp_path, rows={1: "wall", 2: "building"})
    with pytest.raises(BadSampleError, match=r"values \[3\] have no name in objectInfo150\.txt"):
        create("ade20k", {"root": str(tmp_path), "split": "val"}).sample(0)


@pytest.mark.parametrize(
    "text", ["", "Idx\tName\n", "x\twall\n", "0\twall\n", "1\twall\n1\tsky\n", "1\twall\n2\twall\n", "1\n"]
)
def test_wrong_tables_of_ade20k_are_one_sentence(tmp_path, text):
    (tmp_path / "objectInfo150.txt").write_text(text)
    with pytest.raises(DataError, match=r"objectInfo150\.txt: .*expected"):
        read_names(tmp_path / "objectInfo150.txt")


def test_what_ade20k_lacks_is_named(tmp_path):
    with pytest.raises(DataError, match=r"images/val is missing: .* ADEChallengeData2016"):
        create("ade20k", {"root": str(tmp_path), "split": "val"})
    (ade(tmp_path) / "objectInfo150.txt").unlink()
    with pytest.raises(DataError, match=r"objectInfo150\.txt is missing: expected the table"):
        create("ade20k", {"root": str(tmp_path), "split": "val"})


# --- Pascal VOC ---


def voc(root, stems=("2007_000033", "2007_000042")):
    folder = root / "VOCdevkit/VOC2012"
    for place, stem in enumerate(("2007_000033", "2007_000042", "2007_000061")):
        save_picture(folder / f"JPEGImages/{stem}.jpg", WIDTH, HEIGHT, seed=place)
        save_label(folder / f"SegmentationClass/{stem}.png", blocks(0, 15, 12, 255), palette=True)
    (folder / "ImageSets/Segmentation").mkdir(parents=True)
    (folder / "ImageSets/Segmentation/val.txt").write_text("\n".join(stems) + "\n")
    return folder


def test_voc_as_published_trains(tmp_path):
    folder = voc(tmp_path / "raw")
    shards = build("voc", folder, tmp_path / "out")
    assert len(shards) == 2 and [shards.key(place) for place in range(2)] == ["2007_000033", "2007_000042"]
    assert shards.meta["classes"] == list(CLASSES) and len(CLASSES) == 21
    assert np.array_equal(shards.read(0).label, blocks(0, 15, 12, 255))  # the palette's indices, not its colors
    assert shards.read_members(0)["label.png"] == (folder / "SegmentationClass/2007_000033.png").read_bytes()
    assert [CLASSES[value] for value in (12, 15, 20)] == ["dog", "person", "tv monitor"]
    trains_and_keeps_promises(SemanticSegmentation(size=64, augment=[], ask="present"), shards)


@pytest.mark.parametrize("root", [".", "VOCdevkit"])
def test_voc_from_above_and_with_other_label_maps(tmp_path, root):
    folder = voc(tmp_path)
    options = {"root": str(tmp_path / root), "split": "val"}
    (folder / "SegmentationClass").rename(folder / "SegmentationClassAug")
    with pytest.raises(DataError, match=r"SegmentationClass is missing: .* Give --annotations DIR"):
        create("voc", options)
    source = create("voc", options | {"annotations": str(folder / "SegmentationClassAug")})
    assert np.array_equal(label_of(source), blocks(0, 15, 12, 255))


def test_what_voc_lacks_is_named(tmp_path):
    voc(tmp_path, stems=["2007_000033", "2007_999999"])
    with pytest.raises(DataError, match=r"Segmentation/test\.txt is missing: expected the list of the split"):
        create("voc", {"root": str(tmp_path), "split": "test"})
    with pytest.raises(BadSampleError, match=r"2007_999999: source: .*No such file"):
        create("voc", {"root": str(tmp_path), "split": "val"}).sample(1)


@pytest.mark.parametrize(
    ("stems", "reason"), [(["../../x"], "leads elsewhere"), (["a", "a"], "comes twice"), ([" "], "empty")]
)
def test_wrong_lists_of_voc_are_one_sentence(tmp_path, stems, reason):
    voc(tmp_path, stems=stems)
    with pytest.raises(DataError, match=reason):
        create("voc", {"root": str(tmp_path), "split": "val"})


def test_a_set_s_own_values_are_kept_where_they_are_not_the_indices(tmp_path):
    """What predictions are written with, so that the set's own evaluators can read them."""
    source = create("coco-stuff", {"root": str(stuff(tmp_path)), "split": "val"})
    meta = source.meta()
    assert len(meta["values"]) == len(meta["classes"]) == 171
    assert meta["values"][meta["classes"].index("thing 182")] == 181 and 11 not in meta["values"]
    (tmp_path / "plain/labels.txt").parent.mkdir()
    plain = stuff(tmp_path / "plain", (0, 1, 2, 255), names="0: sky\n1: road\n2: cat\n")
    assert "values" not in create("coco-stuff", {"root": str(plain), "split": "val"}).meta()
    fold = tmp_path / "fold.txt"
    fold.write_text("ground: road, sky\nanimal: cat\n")
    assert "values" not in create("coco-stuff", {"root": str(plain), "split": "val", "fold": str(fold)}).meta()


# --- values that mean two things ---


def masks(root, names, labels):
    (root / "labels.txt").parent.mkdir(parents=True, exist_ok=True)
    (root / "labels.txt").write_text(names)
    for place, label in enumerate(labels):
        save_picture(root / f"images/val/{place:03d}.jpg", WIDTH, HEIGHT)
        save_label(root / f"annotations/val/{place:03d}.png", label)
    return create("coco-stuff", {"root": str(root), "split": "val"})


def test_a_map_of_classes_among_masks_of_0_and_255_is_refused(tmp_path):
    source = masks(
        tmp_path, "0: background\n1: lesion\n", [blocks(0, 255, 0, 0)] * 65 + [blocks(0, 1, 0, 0), blocks(0, 1, 255, 0)]
    )
    assert set(np.unique(label_of(source, 64))) == {0, 1}
    for late in (65, 66):
        with pytest.raises(BadSampleError, match="the first label maps hold 0 and 255, this one 1"):
            source.sample(late)


@pytest.mark.parametrize("void", ["unlabeled", "Unlabelled", "VOID", "ignore"])
@pytest.mark.parametrize("value", [0, 255])
def test_what_is_called_void_is_no_class(tmp_path, void, value):
    source = masks(tmp_path, f"{value}: {void}\n1: road\n2: car\n", [blocks(value, 1, 2, 255)])
    assert source.meta()["classes"] == ["road", "car"]
    assert sorted(np.unique(label_of(source))) == [0, 1, 255]
