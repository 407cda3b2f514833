"""Answers as people see them: large, with names, a legend that is never cut, one line of words."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.mask import decode

from idiff.pipeline import Answer, to_coco
from idiff.pipeline.files import answer_files
from idiff.pipeline.overlay import drawn, enlarged, marked
from idiff.utils.lettering import font, wrapped

SENTENCE = "the person in the red coat who stands behind the second bicycle from the left and looks at the camera " * 3


def answer(height=40, width=60, **changes):
    picture = np.full((height, width, 3), 120, np.uint8)
    fields = {"task": "referring", "prompts": ["p"], "picture": picture, "overlay": picture.copy(), "score": 0.5}
    return Answer(**fields | {"text": "the star"} | changes)


def masked(**changes):
    mask = np.zeros((40, 60), bool)
    mask[10:20, 5:25] = True
    made = answer(mask=mask, colors={"the star": (255, 0, 0)}, **changes)
    made.overlay[mask] = (255, 0, 0)
    return made


def joints(**changes):
    found = {"left wrist": (5.0, 7.0, 0.9), "nose": (50.0, 30.0, 0.25)}
    return answer(task="keypoints", keypoints=found, colors={"left wrist": (0, 255, 0), "nose": (0, 0, 255)}, **changes)


@pytest.mark.parametrize("shape", [(1, 1), (40, 60), (64, 64), (700, 300), (511, 20)])
def test_a_drawn_answer_has_512_pixels_or_more_and_whole_pixels(shape):
    made = answer(*shape)
    page = drawn(made)
    times = enlarged(made.picture).shape[0] // shape[0]
    assert max(page.shape[:2]) >= 512 and page.dtype == np.uint8
    assert np.array_equal(page[: shape[0] * times, : shape[1] * times], enlarged(made.overlay))
    assert enlarged(made.picture).shape[:2] == (shape[0] * times, shape[1] * times) == marked(made).shape[:2]
    assert drawn(made, compare=True).shape[1] > 2 * shape[1] * times


def test_a_region_has_its_color_a_contour_and_its_name():
    made = masked()
    shown, bare = marked(made), enlarged(made.overlay)
    inside = np.zeros(shown.shape[:2], bool)
    inside[10 * 9 + 4 : 20 * 9 - 4, 5 * 9 + 4 : 25 * 9 - 4] = True
    assert (shown[inside] == (255, 0, 0)).all(axis=1).mean() > 0.9
    changed = (shown != bare).any(axis=2)
    assert changed[88:92, 100].any() and changed[:, 25 * 9 + 8 :].any()  # the contour, the name beside it
    assert not np.array_equal(marked(masked(text="the moon")), shown)
    assert np.array_equal(made.overlay, masked().overlay)  # the answer itself stays as it is
    empty = answer(mask=np.zeros((40, 60), bool))
    assert np.array_equal(marked(empty), enlarged(empty.overlay))


def test_joints_are_dots_with_names_and_scores():
    shown = marked(joints())
    for (x, y), color in (((5, 7), (0, 255, 0)), ((50, 30), (0, 0, 255))):
        assert tuple(shown[round((y + 0.5) * 9 - 0.5), round((x + 0.5) * 9 - 0.5)]) == color
    assert not np.array_equal(marked(joints()), marked(answer(keypoints={"left wrist": (5.0, 7.0, 0.1)})))


def test_the_legend_says_all_of_it():
    short, long, warned = (drawn(masked(**more)) for more in ({}, {"text": SENTENCE}, {"notice": SENTENCE}))
    assert long.shape[0] > short.shape[0] + 60 and warned.shape[0] > short.shape[0] + 60
    legend = short[40 * 9 :]
    assert (legend == (255, 0, 0)).all(axis=2).sum() > 100  # the color that stands for the phrase
    red = (warned.astype(int)[..., 0] > 120) & (warned.astype(int)[..., 1:] < 60).all(axis=2)
    assert red[short.shape[0] :].any()


@pytest.mark.parametrize("text", [SENTENCE, "x" * 400, "красная звезда " * 20, "a", "", "two\nlines\tand\x00more"])
def test_lines_are_wrapped_and_nothing_is_lost(text):
    lines = wrapped(text, size=16, width=200)
    assert all(font(16).getlength(line) <= 200 for line in lines)
    kept = "".join(c if c.isprintable() else " " for c in text)
    assert "".join("".join(lines).split()) == "".join(kept.split())


def test_print_is_one_line_and_says_no_score_that_means_nothing():
    assert str(masked()) == "segment 'the star': 200 pixels (8.3%), score 0.50"
    assert str(joints(text="left hand, nose")) == "keypoints 'left hand, nose': 2 found, score 0.50"
    assert str(answer(mask=np.zeros((40, 60), bool))) == "segment 'the star': nothing in the image fits, score 0.50"
    assert str(answer(task="editing", score=None, text="Make\nit  blue.")) == (
        "edit 'Make it blue.': a new image of 60 x 40 pixels"
    )
    assert str(answer(task="denoise", score=None, text="denoise")) == "denoise: a new image of 60 x 40 pixels"
    assert "\n" not in repr(masked(text="a\nb"))


def test_a_notebook_gets_a_png_and_elsewhere_a_viewer_opens(monkeypatch):
    made = masked()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(made._repr_png_()))), drawn(made))
    opened = []
    monkeypatch.setattr(Image.Image, "show", lambda image: opened.append(np.asarray(image)))
    made.show(compare=True)
    assert np.array_equal(opened[0], drawn(made, compare=True))


def test_files_of_an_answer():
    made = masked()
    files = answer_files(made, image_id=3, compare=True)
    assert list(files) == [".png", "_mask.png", ".json", "_compare.png"]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(files["_mask.png"]))) > 0, made.mask)
    (entry,) = json.loads(files[".json"])
    assert (entry["image_id"], entry["bbox"], entry["area"]) == (3, [5, 10, 20, 10], 200)
    assert np.array_equal(decode(entry["segmentation"]) > 0, made.mask)
    edited = answer(task="editing", score=None)
    assert list(answer_files(edited)) == [".png"]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer_files(edited)[".png"]))), edited.overlay)
    assert to_coco(edited, image_id=0) == to_coco(answer(mask=np.zeros((40, 60), bool)), image_id=0) == []
