"""COCO's instances and Cityscapes: folders as their authors publish them."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle
from set_making import build, save_picture

from idiff.data.sources import create
from idiff.data.sources.cityscapes import CLASSES, THINGS
from idiff.errors import BadSampleError, DataError
from idiff.tasks import ObjectDetection, SemanticSegmentation
from idiff.utils.masks import decode_mask
from idiff.utils.picture_files import encode_png

WIDTH, HEIGHT = 72, 60


# --- COCO ---


def corners(x, y, width, height):
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def runs(mask):
    """COCO's uncompressed runs, as crowds have them."""
    flat = mask.ravel(order="F").astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, len(flat)]).tolist()
    return {"size": list(mask.shape), "counts": counts if flat[0] == 0 else [0, *counts]}


def crowd_mask():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[40:60, 0:30] = True
    return mask


def objects():
    person = {"segmentation": [corners(2, 2, 30, 50), corners(20, 30, 20, 10)], "category_id": 1, "area": 1700.0}
    dog = {"segmentation": [corners(10, 30, 12, 10)], "category_id": 18, "bbox": [10, 30, 12, 10], "area": 120.0}
    other = {"segmentation": [corners(50, 4, 16, 20)], "category_id": 1, "bbox": [50, 4, 16, 20], "area": 320.0}
    crowd = {"segmentation": runs(crowd_mask()), "category_id": 1, "iscrowd": 1, "bbox": [0, 40, 30, 20], "area": 600}
    found = [dog, person, other, crowd]
    return [{"id": 100 + n, "image_id": 7, "iscrowd": 0} | one for n, one in enumerate(found)]


def coco(root, annotations=None, *, split="val2017"):
    for number in (7, 8):
        save_picture(root / split / f"{number:012d}.jpg", WIDTH, HEIGHT, seed=number)
    images = [{"id": n, "file_name": f"{n:012d}.jpg", "width": WIDTH, "height": HEIGHT} for n in (8, 7)]
    categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 90, "name": "toothbrush"}]
    value = {"info": {}, "licenses": [], "images": images, "categories": categories}
    value["annotations"] = objects() if annotations is None else annotations
    (root / "annotations").mkdir(exist_ok=True)
    (root / f"annotations/instances_{split}.json").write_text(json.dumps(value))
    return root


def test_coco_instances_as_published(tmp_path):
    source = create("coco-instances", {"root": str(coco(tmp_path)), "split": "val"})
    assert source.tasks == ("instances", "detection", "segmentation")
    meta = source.meta()
    assert meta["classes"] == ["background", "person", "dog", "toothbrush"] and meta["category_ids"] == [1, 18, 90]
    first, second = source.sample(0), source.sample(1)
    assert first.key == f"{7:012d}" and second.annotation["instances"] == [] and not second.label.any()
    instances = first.annotation["instances"]
    assert [one["category"] for one in instances] == ["person", "person", "dog"]  # the largest first
    ids, label = first.maps["instance_ids"], first.label
    for entry in objects()[:3]:  # as the official API draws them
        mask = rle.decode(rle.merge(rle.frPyObjects(entry["segmentation"], HEIGHT, WIDTH))).astype(bool)
        [place] = [n for n, one in enumerate(instances) if one["id"] == entry["id"]]
        assert np.array_equal(decode_mask(instances[place]["mask"]), mask)
        front = mask if entry["category_id"] == 18 else mask & (ids != 3)
        assert np.array_equal(ids == 1 + place, front)
    assert set(label[ids == 3]) == {2} and set(label[ids == 1]) == {1}
    crowd = crowd_mask() & (ids == 0)
    assert crowd.any() and set(label[crowd]) == {255} and set(label[(ids == 0) & ~crowd]) == {0}
    [told] = first.annotation["crowds"]
    assert np.array_equal(decode_mask(told["mask"]), crowd_mask()) and told["id"] == 103
    assert source.notes()[:2] == ["images without an object: 1", "crowds, which are void and no instances: 1"]


def test_coco_instances_serve_detection_and_segmentation(tmp_path):
    shards = build("coco-instances", coco(tmp_path / "raw"), tmp_path / "out", split="val2017")
    sample = shards.read(0)
    boxes = ObjectDetection(size=64).queries(sample, 0)[0].annotation["boxes"]
    assert sorted(map(tuple, boxes))[1][:4] == (10, 30, 12, 10)
    asked = [triplet.query["name"] for triplet in SemanticSegmentation(size=64, ask="present").queries(sample, 0)]
    assert {"person", "dog"} <= set(asked) and "background" not in asked


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"category_id": 5}, "annotation 100: 'category_id' is 5, expected one that the file lists"),
        ({"image_id": 99}, "annotation 100: 'image_id' is 99, expected one that the file lists"),
        ({"segmentation": "x"}, "annotation 100: 'segmentation' is 'x', expected polygons or runs"),
        ({"segmentation": []}, "annotation 100: 'segmentation' is"),
        ({"bbox": [1, 2]}, "annotation 100: 'bbox' is"),
        ({"bbox": [1, 2, -3, 4]}, "annotation 100: 'bbox' is"),
        ({"iscrowd": "x"}, "annotation 100: 'iscrowd' is 'x'"),
        ({"id": None}, "annotations[0]: 'id' is None"),
    ],
)
def test_broken_objects_are_left_out_by_name(tmp_path, change, told):
    found = objects()
    found[0] |= change
    source = create("coco-instances", {"root": str(coco(tmp_path, found)), "split": "val"})
    assert len(source.sample(0).annotation["instances"]) == 2
    assert any(note.startswith("1 entries left out") and told in note for note in source.notes())


@pytest.mark.parametrize(
    ("outline", "told"),
    [
        ([[1, 2, 3]], "object 100: a polygon is not a list of finite numbers"),
        ([[1, 2, 3, 4]], "object 100: the segmentation has no polygon of three corners"),
        ({"size": [3, 3], "counts": [9]}, r"object 100: the runs are of size \[3, 3\], expected \[60, 72\]"),
    ],
)
def test_an_outline_that_cannot_be_drawn_is_a_bad_sample(tmp_path, outline, told):
    """Without the object, the truth of its image would be wrong."""
    found = objects()
    found[0]["segmentation"] = outline
    with pytest.raises(BadSampleError, match=told):
        create("coco-instances", {"root": str(coco(tmp_path, found)), "split": "val"}).sample(0)


def test_files_of_coco_instances_that_cannot_be_used(tmp_path):
    with pytest.raises(
        DataError, match=r"instances_val\.json is missing: expected COCO object annotations, there or in"
    ):
        create("coco-instances", {"root": str(tmp_path), "split": "val"})
    with pytest.raises(DataError, match="no object can be used: annotations is empty"):
        create("coco-instances", {"root": str(coco(tmp_path, [])), "split": "val"})
    file = tmp_path / "annotations/instances_val2017.json"
    for text, told in (
        ("[]", "expected an object with"),
        ("{", "cannot be read as JSON"),
        ('{"images": []}', "no 'categories'"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=told):
            create("coco-instances", {"root": str(tmp_path), "split": "val"})
    coco(tmp_path)
    (tmp_path / "val2017").rename(tmp_path / "photos")
    with pytest.raises(DataError, match=r"images/val is missing: expected the images.* --images DIR"):
        create("coco-instances", {"root": str(tmp_path), "split": "val"})
    save_picture(tmp_path / "photos" / f"{7:012d}.jpg", WIDTH + 1, HEIGHT)
    source = create("coco-instances", {"root": str(tmp_path), "split": "val", "images": str(tmp_path / "photos")})
    with pytest.raises(BadSampleError, match=r"73x60 pixels, expected 72x60 as in instances_val2017\.json"):
        source.sample(0)


# --- Cityscapes ---


def city_maps():
    """Road, sky, two cars apart, a group of cars, an unscored label; and what `instanceIds.png` says of it."""
    label = np.full((HEIGHT, WIDTH), 7, np.uint8)
    label[:20], label[55:] = 23, 1
    label[22:40, 5:20] = label[22:40, 20:35] = label[45:50, 40:60] = 26
    ids = label.astype(np.uint16)
    ids[22:40, 5:20], ids[22:40, 20:35] = 26000, 26001
    return label, ids


def cityscapes(root, *, objects=True):
    label, ids = city_maps()
    for place, city in enumerate(("frankfurt", "lindau")):
        name = f"{city}_{place:06d}_000294"
        save_picture(root / f"leftImg8bit/val/{city}/{name}_leftImg8bit.png", WIDTH, HEIGHT, seed=place)
        folder = root / f"gtFine/val/{city}"
        folder.mkdir(parents=True)
        (folder / f"{name}_gtFine_labelIds.png").write_bytes(encode_png(label))
        (folder / f"{name}_gtFine_color.png").write_bytes(encode_png(np.stack([label] * 3, axis=-1)))
        if objects:
            Image.fromarray(ids).save(folder / f"{name}_gtFine_instanceIds.png")
        (folder / f"{name}_gtFine_polygons.json").write_text("{}")
    return root


def test_cityscapes_as_published(tmp_path):
    shards = build("cityscapes", cityscapes(tmp_path / "raw"), tmp_path / "out")
    assert len(shards) == 2 and shards.key(0) == "frankfurt-frankfurt_000000_000294"
    meta = shards.meta
    assert (
        len(meta["classes"]) == 19 and meta["values"] == list(CLASSES) and meta["categories"] == list(THINGS.values())
    )
    sample, (_, ids) = shards.read(0), city_maps()
    names = np.array([*meta["classes"], *[""] * 236, "void"])
    drawn = names[sample.label]
    assert [drawn[30, 50], drawn[5, 5], drawn[30, 10], drawn[47, 50], drawn[57, 5]] == [
        "road",
        "sky",
        "car",
        "car",
        "void",
    ]
    assert [one["id"] for one in sample.annotation["instances"]] == [26000, 26001]
    assert sample.annotation["instances"][1] | {"mask": 0} == {
        "category": "car", "category_id": 26, "id": 26001, "box": [20, 22, 15, 18], "area": 270, "mask": 0
    }  # fmt: skip
    assert np.array_equal(sample.maps["instance_ids"], (ids == 26000) + 2 * (ids == 26001).astype(np.uint8))
    [crowd] = sample.annotation["crowds"]
    assert np.array_equal(decode_mask(crowd["mask"]), ids == 26) and crowd["category"] == "car"
    boxes = [triplet for triplet in ObjectDetection(size=64).queries(sample, 0) if triplet.query["name"] == "car"]
    assert len(boxes[0].annotation["boxes"]) == 2
    names = {triplet.query["name"] for triplet in SemanticSegmentation(size=64, ask="present").queries(sample, 0)}
    assert {"road", "sky", "car"} < names and len(names) == 4


def test_cityscapes_without_instances_is_segmentation_alone(tmp_path):
    source = create("cityscapes", {"root": str(cityscapes(tmp_path, objects=False)), "split": "val"})
    assert source.tasks == ("segmentation",) and "categories" not in source.meta()
    assert "instances" not in source.sample(0).annotation and "the set has no instances" in source.notes()[0]


def test_what_cityscapes_lacks_is_named(tmp_path):
    with pytest.raises(DataError, match=r"leftImg8bit/test is missing: .*--images DIR"):
        create("cityscapes", {"root": str(cityscapes(tmp_path)), "split": "test"})
    folder = tmp_path / "gtFine/val/frankfurt"
    label = folder / "frankfurt_000000_000294_gtFine_labelIds.png"
    label.write_bytes(encode_png(np.full((HEIGHT, WIDTH), 99, np.uint8)))
    source = create("cityscapes", {"root": str(tmp_path), "split": "val"})
    with pytest.raises(BadSampleError, match=r"the values \[99\] have no name in the labels of cityscapesScripts"):
        source.sample(0)
    label.write_bytes(encode_png(np.full((HEIGHT, 8), 7, np.uint8)))
    with pytest.raises(BadSampleError, match=r"has shape \(60, 8\), expected \(60, 72\) as the image"):
        source.sample(0)
    label.unlink()
    with pytest.raises(BadSampleError, match=r"labelIds\.png cannot be read: No such file"):
        source.sample(0)
    (tmp_path / "gtFine/val/lindau/lindau_000001_000294_gtFine_instanceIds.png").unlink()
    with pytest.raises(BadSampleError, match=r"instanceIds\.png cannot be read: No such file"):
        source.sample(1)
    for file in tmp_path.rglob("*labelIds.png"):
        file.unlink()
    with pytest.raises(DataError, match=r"has no label map CITY/NAME_gtFine_labelIds\.png of an image"):
        create("cityscapes", {"root": str(tmp_path), "split": "val"})
    (tmp_path / "gtFine/val").rename(tmp_path / "gtFine/v")
    (tmp_path / "leftImg8bit/val").rename(tmp_path / "leftImg8bit/v")
    with pytest.raises(DataError, match=r"has no image CITY/NAME_leftImg8bit\.png"):
        create("cityscapes", {"root": str(tmp_path), "split": "v", "images": str(tmp_path / "gtFine/v")})
