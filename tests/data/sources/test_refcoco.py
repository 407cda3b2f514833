"""RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO: folders as their authors publish them."""

import json
import pickle

import numpy as np
import pytest
from set_making import build, save_picture, trains_and_keeps_promises

from idiff.data.sources import create
from idiff.errors import BadSampleError, DataError
from idiff.tasks import ReferringSegmentation
from idiff.tasks.common.referring_phrases import referred

WIDTH, HEIGHT = 64, 48
BOXES = {11: [4, 4, 20, 30], 12: [34, 10, 24, 28], 13: [6, 6, 30, 36]}


def corners(x, y, width, height):
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def objects():
    images = [
        {"id": n, "file_name": f"COCO_train2014_{n:012d}.jpg", "width": WIDTH, "height": HEIGHT}
        for n in (581857, 9, 30)
    ]
    annotations = [
        {"id": 11, "image_id": 581857, "category_id": 1, "segmentation": [corners(*BOXES[11])]},
        {"id": 12, "image_id": 581857, "category_id": 1, "segmentation": [corners(34, 10, 16, 28), corners(42, 10, 16, 28)]},
        {"id": 13, "image_id": 9, "category_id": 3, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}},
        {"id": 14, "image_id": 30, "category_id": 3, "segmentation": [corners(*BOXES[13])]},
    ]  # fmt: skip
    for entry in annotations:
        entry |= {"iscrowd": 0, "bbox": BOXES.get(entry["id"], BOXES[13]), "area": 600.5}
    categories = [{"id": 1, "name": "person", "supercategory": "person"}, {"id": 3, "name": "car"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def refer(number, image, named, split, *words, category=1):
    sentences = [
        {"tokens": text.split(), "raw": text.upper(), "sent_id": 10 * number + place, "sent": text}
        for place, text in enumerate(words)
    ]
    name = f"COCO_train2014_{image:012d}_{number}.jpg"
    return {
        "sent_ids": [one["sent_id"] for one in sentences], "file_name": name, "ann_id": named, "ref_id": number,
        "image_id": image, "split": split, "sentences": sentences, "category_id": category,
    }  # fmt: skip


REFERS = [
    refer(1, 581857, 11, "val", "the man in blue", "left guy"),
    refer(2, 581857, 12, "val", "woman sitting"),
    refer(3, 9, 13, "val", "red car", category=3),
    refer(4, 30, 14, "train", "the van", category=3),
]


def published(root, name="refcoco", *, refs="refs(unc).p", entries=REFERS):
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    if refs.endswith(".json"):
        (folder / refs).write_text(json.dumps(entries))
    else:
        (folder / refs).write_bytes(pickle.dumps(entries, protocol=0))
    (folder / "instances.json").write_text(json.dumps(objects()))
    for number in (581857, 9, 30):
        save_picture(
            root / f"images/mscoco/images/train2014/COCO_train2014_{number:012d}.jpg", WIDTH, HEIGHT, seed=number
        )
    return folder


def masks(sample, task="phrases"):
    return {phrase["text"]: referred(sample, place)[1] for place, phrase in enumerate(sample.annotation[task])}


def inside(x, y, width, height):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def test_refcoco_as_published_trains(tmp_path):
    shards = build("refcoco", published(tmp_path / "data"), tmp_path / "out")
    assert shards.manifest.tasks == ["referring"] and shards.manifest.items == 4 and len(shards) == 2
    samples = {sample.key: sample for sample in map(shards.read, range(len(shards)))}
    two = samples["000000581857"]
    assert two.annotation["phrases"] == [
        {"text": "the man in blue", "instances": [0], "ref_id": 1, "sent_id": 10, "split": "val"},
        {"text": "left guy", "instances": [0], "ref_id": 1, "sent_id": 11, "split": "val"},
        {"text": "woman sitting", "instances": [1], "ref_id": 2, "sent_id": 20, "split": "val"},
    ]
    first = two.annotation["instances"][0]
    assert (first["id"], first["category"], first["area"], first["box"]) == (11, "person", 600.5, BOXES[11])
    assert two.annotation["file_name"] == "COCO_train2014_000000581857.jpg"
    assert np.array_equal(masks(two)["left guy"], inside(*BOXES[11]))
    # Its two polygons overlap: the common part belongs to the object.
    assert np.array_equal(masks(two)["woman sitting"], inside(*BOXES[12]))
    assert masks(samples["000000000009"])["red car"].all()
    trains_and_keeps_promises(ReferringSegmentation(size=64), shards)


def test_grefcoco_names_one_several_or_nothing(tmp_path):
    entries = [
        refer(1, 581857, [11, 12], "val", "both people", category=[1, 1]),
        refer(2, 581857, [-1], "val", "the dog", category=[-1]),
        refer(3, 9, [13], "val", "the car", category=[3]),
    ]
    folder = published(tmp_path / "data", "grefcoco", refs="grefs(unc).json", entries=entries)
    shards = build("grefcoco", folder, tmp_path / "out")
    sample = next(sample for sample in map(shards.read, range(2)) if sample.key == "000000581857")
    assert [phrase["instances"] for phrase in sample.annotation["phrases"]] == [[0, 1], []]
    found = masks(sample)
    assert np.array_equal(found["both people"], inside(*BOXES[11]) | inside(*BOXES[12]))
    assert not found["the dog"].any()
    trains_and_keeps_promises(ReferringSegmentation(size=64), shards)


def test_lists_of_refcocog_are_chosen(tmp_path):
    folder = published(tmp_path / "data", "refcocog", refs="refs(google).p")
    published(tmp_path / "data", "refcocog", refs="refs(umd).p", entries=REFERS[2:])
    options = {"root": str(folder), "split": "val"}
    assert create("refcoco", options).funnel() == {"found in refs(umd).p": 1, "whose objects are known": 1}
    google = create("refcoco", options | {"annotations": str(folder / "refs(google).p")})
    assert google.funnel()["found in refs(google).p"] == 2
    pickle.loads(pickle.dumps(google)).sample(0)


def test_splits_that_do_not_exist_are_named(tmp_path):
    folder = published(tmp_path / "data")
    with pytest.raises(DataError, match=r"has no split 'testA'\. Its splits are train, val"):
        create("refcoco", {"root": str(folder), "split": "testA"})
    assert len(create("refcoco", {"root": str(folder), "split": "train"})) == 1


def test_an_evil_list_is_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    folder = published(tmp_path / "data", entries=[*REFERS, Evil()])
    with pytest.raises(DataError, match=r"refs\(unc\)\.p is not a pickle of plain"):
        create("refcoco", {"root": str(folder), "split": "val"})
    assert not (tmp_path / "touched").exists()


def test_what_is_missing_is_named(tmp_path):
    options = {"root": str(tmp_path / "data/refcoco"), "split": "val"}
    with pytest.raises(DataError, match=r"refs\(unc\)\.p is missing: .*refs\(umd\)\.p.* folder of one set"):
        create("refcoco", options)
    folder = published(tmp_path / "data")
    pictures = tmp_path / "data/images"
    pictures.rename(tmp_path / "aside")
    with pytest.raises(DataError, match=r"COCO's train2014 images, there or in .* Give --images DIR"):
        create("refcoco", options)
    moved = str(tmp_path / "aside/mscoco/images/train2014")
    assert len(create("refcoco", options | {"images": moved})) == 2
    (folder / "instances.json").unlink()
    with pytest.raises(DataError, match=r"instances\.json is missing: expected the objects"):
        create("refcoco", options | {"images": moved})


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({}, "expected a list of references"),
        ([{"ref_id": 1}], "'ann_id' is None, expected a whole number"),
        ([refer(1, 9, "x", "val", "a")], "'ann_id' is 'x', expected a whole number"),
        ([refer(1, 9, [-1, 13], "val", "a")], r"'ann_id' is \[-1, 13\], expected ids of objects, or -1 alone"),
        ([refer(1, 9, 13, "val") | {"sentences": [{"sent": "a"}]}], "'sent_id' is None, expected a whole number"),
    ],
)
def test_wrong_lists_are_one_sentence(tmp_path, entries, reason):
    folder = published(tmp_path / "data", entries=entries)
    with pytest.raises(DataError, match=reason):
        create("refcoco", {"root": str(folder), "split": "val"})


def test_references_that_cannot_be_used_are_counted(tmp_path):
    entries = [
        *REFERS,
        refer(5, 77, 11, "val", "a"),
        refer(6, 9, 11, "val", "b"),
        refer(7, 9, 99, "val", "c"),
        refer(8, 9, 13, "val", " "),
    ]
    source = create("refcoco", {"root": str(published(tmp_path / "data", entries=entries)), "split": "val"})
    assert len(source) == 2
    steps = str(source.funnel())
    for reason in ("2 whose object is not in", "1 whose image is not in", "1 without words"):
        assert reason in steps


def test_damaged_objects_and_pictures_are_bad_samples(tmp_path):
    folder = published(tmp_path / "data")
    value = objects()
    value["annotations"][2]["segmentation"] = [[1, 2]]
    value["images"][0]["width"] = 65
    (folder / "instances.json").write_text(json.dumps(value))
    source = create("refcoco", {"root": str(folder), "split": "val"})
    with pytest.raises(BadSampleError, match=r"object 13: .*no polygon"):
        source.sample(0)
    with pytest.raises(BadSampleError, match="64x48 pixels, expected 65x48 as in"):
        source.sample(1)
