"""Images with captions, in COCO's format and as a folder with a table."""

import json

import numpy as np
import pytest
from raw_sets import SIZE, made, put, put_json, serves, smooth

from idiff.data.sources import create
from idiff.errors import DataError
from idiff.tasks.captioned import Captioned


def table(root, text, name="metadata.jsonl"):
    for picture in ("a", "deep/b"):
        put(root / f"train/{picture}.jpg", smooth(len(picture)))
    (root / f"train/{name}").write_text(text)


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def coco(root):
    put(root / "images/train2017/000000000009.jpg", smooth(9))
    pictures = [{"id": 9, "file_name": "000000000009.jpg"}, {"id": 11, "file_name": "000000000011.jpg"}]
    captions = [{"id": n, "image_id": 9, "caption": f"A wave, told {n}."} for n in range(3)]
    put_json(root / "annotations/captions_train2017.json", {"images": pictures, "annotations": captions})


def test_a_table_beside_the_pictures(tmp_path):
    rows = lines({"file_name": "a.jpg", "text": "a wave"}, {"file_name": "deep/b.jpg", "caption": ["one", "two"]})
    table(
        tmp_path,
        rows + lines({"file_name": "c.jpg", "text": "it is not there"}, {"file_name": "a.jpg", "text": "again"}),
    )
    shards, rejected = made(tmp_path, "captioned", root=str(tmp_path), split="train")
    read = [shards.read(place) for place in range(2)]
    assert {sample.key: sample.annotation["captions"] for sample in read} == {
        "a": ["a wave", "again"], "deep-b": ["one", "two"]
    }  # fmt: skip
    assert [line["where"] for line in rejected] == ["c.jpg"]
    serves(shards, Captioned(size=SIZE), promises=False)
    told = {
        Captioned(size=SIZE).encode(read[1], 0, np.random.default_rng(n), train=True).instruction for n in range(20)
    }
    assert told == {"one", "two"}


def test_a_csv_table(tmp_path):
    table(tmp_path, 'file_name,caption\na.jpg,"a wave, quoted"\ndeep/b.jpg,\n', "metadata.csv")
    source = create("captioned", {"root": str(tmp_path), "split": "train"})
    assert source.funnel() == {"found": 2, "with a caption": 1}
    assert source.sample(0).annotation["captions"] == ["a wave, quoted"]
    assert source.sample(0).image == (tmp_path / "train/a.jpg").read_bytes()


@pytest.mark.parametrize("split", ["train2017", "train"])
def test_coco_captions(tmp_path, split):
    coco(tmp_path)
    shards, rejected = made(tmp_path, "captioned", root=str(tmp_path), split=split)
    assert rejected == [] and shards.manifest.funnel == {"found": 2, "with a caption": 1, "usable": 1}
    assert shards.read(0).annotation["captions"] == ["A wave, told 0.", "A wave, told 1.", "A wave, told 2."]
    assert shards.key(0) == "000000000009"


def test_files_elsewhere(tmp_path):
    coco(tmp_path / "x")
    places = {
        "annotations": str(tmp_path / "x/annotations/captions_train2017.json"), "images": str(tmp_path / "x/images/train2017")
    }  # fmt: skip
    assert len(create("captioned", {"root": str(tmp_path), "split": "any", **places})) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "line 1 is no JSON"),
        ("[1]\n", r"line 1 is \[1\], expected an object"),
        (lines({"text": "x"}), "line 1: got .* expected file_name and caption"),
        (lines({"file_name": "a.jpg", "text": 7}), "line 1: got"),
    ],
)
def test_wrong_tables_are_one_sentence(tmp_path, text, reason):
    table(tmp_path, text)
    with pytest.raises(DataError, match=reason):
        create("captioned", {"root": str(tmp_path), "split": "train"})


def test_missing_and_ambiguous_captions_are_named(tmp_path):
    with pytest.raises(DataError, match=r"metadata\.jsonl is missing: expected captions, here or in"):
        create("captioned", {"root": str(tmp_path), "split": "train"})
    coco(tmp_path)
    file = tmp_path / "annotations/captions_train2017.json"
    (tmp_path / "annotations/captions_train2014.json").write_bytes(file.read_bytes())
    with pytest.raises(DataError, match="several files for split 'train'"):
        create("captioned", {"root": str(tmp_path), "split": "train"})
    file.write_text('{"images": []}')
    with pytest.raises(
        DataError, match="not a COCO caption file: expected an object with the lists 'images' and 'annotations'"
    ):
        create("captioned", {"root": str(tmp_path), "split": "train2017"})


def test_names_that_lead_outside_are_bad_samples(tmp_path):
    table(tmp_path, lines({"file_name": "a.jpg", "text": "a"}, {"file_name": "../../x.jpg", "text": "b"}))
    shards, rejected = made(tmp_path, "captioned", root=str(tmp_path), split="train")
    assert len(shards) == 1
    assert "leads out of the folder" in rejected[0]["reason"]


def test_a_caption_with_a_comma_that_is_not_quoted_is_left_out_by_its_line(tmp_path):
    table(tmp_path, 'file_name,caption\na.jpg,"Red, and round."\na.jpg,red, and round\n', name="metadata.csv")
    source = create("captioned", {"root": str(tmp_path), "split": "train"})
    assert source.sample(0).annotation["captions"] == ["Red, and round."]
    assert any(
        "line 3 has more values than the header: put text with commas in quotes" in note for note in source.notes()
    )
