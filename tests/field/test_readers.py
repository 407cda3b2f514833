"""Readers of files and entries that come from the field: nothing is lost, and what is left out is named."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from idiff.data.shards.annotation import parse_json
from idiff.data.sources.base import safe_keys
from idiff.data.sources.captions import CaptionedPictures
from idiff.data.sources.coco_entries import read_entries
from idiff.data.sources.converting import gray_levels, read_label, read_picture
from idiff.data.sources.keypoint_pictures import wrong_size
from idiff.data.sources.label_maps import check_names
from idiff.data.sources.pictures import list_pictures, notes_of_files, respell
from idiff.errors import BadSampleError, DataError
from idiff.utils.picture_files import decode_label, decode_picture


def test_prompts_that_differ_in_a_sign_keep_keys_of_their_own():
    keys = safe_keys(["a cat!-1", "a cat?-1", "a dog-1", "x" * 90, "x" * 91])
    assert len(set(keys)) == 5 and keys[2] == "a-dog-1"
    assert max(map(len, keys)) <= 80


@pytest.mark.parametrize("form", ["BMP", "TIFF", "GIF"])
def test_other_formats_lose_nothing(tmp_path, form):
    array = np.arange(48, dtype=np.uint8).reshape(6, 8)
    colors = np.stack([array, array * 5, 255 - array], -1)
    Image.fromarray(array if form == "GIF" else colors).save(tmp_path / "a", form)
    data = read_picture(tmp_path / "a", where="a", field="source")
    expected = np.stack([array] * 3, -1) if form == "GIF" else colors
    assert np.array_equal(decode_picture(data, where="a"), expected)
    Image.fromarray(array).save(tmp_path / "b", form)
    assert np.array_equal(decode_label(read_label(tmp_path / "b", where="b"), where="b"), array)
    (tmp_path / "c").write_bytes((tmp_path / "a").read_bytes()[:30])
    with pytest.raises(BadSampleError, match=f"cannot be decoded as {form}"):
        read_picture(tmp_path / "c", where="c", field="source")


def test_files_that_nothing_reads_are_named(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"x")
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "a.bmp")
    files = list_pictures(tmp_path)
    assert [path.name for path in files.values()] == ["a.png"]
    assert notes_of_files(files.values(), [str(tmp_path)]) == ["not read: 1 .heic. Convert them to PNG or JPEG"]


def test_a_folder_without_label_maps_says_what_is_there(tmp_path):
    (tmp_path / "a.npy").touch()
    with pytest.raises(DataError, match=r"has no label map \(PNG\): there are a\.npy"):
        check_names(tmp_path, {"a": "a.jpg"}, tmp_path, {})


def test_one_wrong_caption_is_left_out_by_name(tmp_path):
    value = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": "2", "file_name": "b.jpg"}],
        "annotations": [
            {"image_id": 1, "caption": None}, {"image_id": 1, "caption": "a chair"}, {"image_id": 2, "caption": "a door"},
            {"image_id": 9, "caption": "a lamp"},
        ],
    }  # fmt: skip
    (tmp_path / "captions.json").write_text(json.dumps(value))
    source = CaptionedPictures(str(tmp_path), "val", annotations=str(tmp_path / "captions.json"), images=str(tmp_path))
    assert source.captions == {"a.jpg": ["a chair"], "b.jpg": ["a door"]}
    (note,) = source.notes()
    assert "annotations[0]: " in note and "annotations[3]: " in note


@pytest.mark.parametrize("levels", [[0, 255], [0, 80, 160], [0, 1, 2]])
def test_palettes_whose_indices_are_the_classes_stay(levels):
    array = np.arange(len(levels), dtype=np.uint8).repeat(4).reshape(-1, 4)
    image = Image.fromarray(array, "P")
    image.putpalette([level for level in levels for _ in range(3)])
    stream = io.BytesIO()
    image.save(stream, "PNG")
    named = np.isin(np.arange(256), [0, 1, 2, 255])
    assert gray_levels(stream.getvalue(), array, named) is None


def test_partners_are_found_in_other_spellings():
    found = {"caf\u0065\u0301": 1, "A": 2, "b": 3, "C": 4, "c": 5}
    assert respell(found, ["caf\u00e9", "a", "b", "c"]) == {"caf\u00e9": 1, "a": 2, "b": 3, "C": 4, "c": 5}
    assert respell({"A": 1, "a": 2}, ["Á"]) == {"A": 1, "a": 2}
    assert respell({"X": 1, "x": 2}, ["x"]) == {"X": 1, "x": 2}


def test_a_number_that_json_lacks_is_named_with_its_line():
    text = b'{"name": "no NaN here",\n"b": [1,\n-Infinity]}'
    with pytest.raises(ValueError, match="-Infinity is not JSON, in line 3"):
        parse_json(text)
    assert parse_json(text, finite=False)["b"] == [1, -np.inf]


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ({"width": 9, "height": 6}, ""),
        ({"width": "9", "height": None}, ""),
        ({"width": 11, "height": 6}, ""),
        ({"width": 6, "height": 9}, "width and height are swapped"),
        ({"width": 3, "height": 2}, "the image was enlarged"),
    ],
)
def test_the_stated_size_gives_way_where_the_joints_fit(stated, reason):
    fault = wrong_size(stated, (6, 9), [{"keypoints": [[2, 1, 2], [20, 1, 0]]}])
    assert reason in fault and bool(fault) == bool(reason)
    assert "joints lie outside" in wrong_size({"width": 90, "height": 6}, (6, 9), [{"keypoints": [[20, 1, 2]]}])


@pytest.mark.parametrize(
    "entry",
    [
        {"keypoints": [10**400, 1, 2]},
        {"keypoints": "abc"},
        {"bbox": {"x": 1}},
        {"bbox": ["a", 1, 2, 3]},
        {"image_id": [1]},
        {"image_id": None},
        {"keypoints": [float("nan"), 1, 2]},
        {"keypoints": [[1, 1], [2]]},
    ],
)
def test_entries_of_any_form_cost_only_themselves(entry):
    good = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 1, 2], "bbox": [0, 0, 4, 4]}
    value = {
        "images": [{"id": 1, "file_name": "a.jpg"}, None, {"id": 2}, {"id": 3, "file_name": "../b.jpg"}],
        "annotations": [good, good | {"id": 2} | entry],
        "categories": [{"id": 1, "name": "x", "keypoints": ["tip"]}],
    }
    _, entries = read_entries(value)
    assert [one["id"] for one in entries.instances[1]] == [1]
    assert len(entries.faults) == 4 and sum(entries.left_out.values()) == 1
    assert "annotation 2" in entries.faults[-1]
