"""The search, its file and its images, without a model."""

import json
import math

import pytest
from PIL import Image

from idiff.cli.arguments import counts, number_from
from idiff.errors import ConfigError
from idiff.evaluation.measured_points import Point, PointFile
from idiff.evaluation.tuning import choose, search
from idiff.evaluation.tuning_plots import draw_front, table
from idiff.models.objective import Objective
from idiff.types import Sampling

IDENTITY = {
    "task": "a",
    "checkpoint": {"name": "x", "sha256": "1" * 64},
    "data": {"path": "d", "fingerprint": "2" * 64},
}


def cost(sampling):
    return sampling.steps * len(Objective().branches(sampling))


def point(sampling, score):
    return Point(sampling, {"miou": score}, cost(sampling), 0.1, samples=2, queries=6, device="cpu")


class World:
    """Scores a setting by a rule and counts how often it was asked."""

    def __init__(self, rule):
        self.rule, self.asked = rule, []

    def __call__(self, sampling):
        self.asked.append(sampling)
        return point(sampling, self.rule(sampling))


GRID = [Sampling(steps=4, guidance_text=text).under("instructdiffusion") for text in (0.5, 1.0, 2.0)]


def test_guidance_comes_first_then_steps_and_samplers_at_the_best():
    world = World(lambda one: 0.1 * one.guidance_text + 0.01 * one.steps)
    found = search(world, grid=GRID, steps=[8, 1, 2, 2], samplers=["ddim", "euler"], metric="miou", tolerance=0.01)
    assert found == GRID[2]
    assert world.asked[:3] == GRID
    assert [(one.steps, one.sampler) for one in world.asked[3:]] == [
        (1, "ddim"), (2, "ddim"), (2, "euler"), (8, "ddim"), (8, "euler"),
    ]  # fmt: skip
    assert {(one.guidance_text, one.guidance_image) for one in world.asked[3:]} == {(2.0, 0.5)}


def test_guidance_that_brings_nothing_is_left_off():
    world = World(lambda one: 0.5 + 0.004 * one.guidance_text)
    assert search(world, grid=GRID, steps=[1], samplers=["ddim"], metric="miou", tolerance=0.01) == GRID[0]


def test_settings_that_cost_too_much_are_not_measured():
    world = World(lambda one: one.guidance_text)
    search(
        world,
        grid=GRID,
        steps=[1, 4, 8],
        samplers=["ddim"],
        metric="miou",
        tolerance=0.01,
        affordable=lambda one: cost(one) <= 4,
    )
    assert world.asked == [GRID[0], *(Sampling(steps=steps).under("instructdiffusion") for steps in (1, 4))]


def test_without_a_score_nothing_more_is_measured():
    world = World(lambda one: None)
    assert search(world, grid=GRID, steps=[1], samplers=["ddim"], metric="miou", tolerance=0.01) is None
    assert world.asked == GRID


def test_the_choice_obeys_tolerance_and_budget():
    points = [
        point(Sampling(steps=steps).under("instructdiffusion"), score)
        for steps, score in ((1, 0.5), (4, 0.6), (8, 0.605), (16, None))
    ]
    assert choose(points, "miou", tolerance=0.01) == 1
    assert choose(points, "miou", tolerance=0.0) == 2
    assert choose(points, "miou", tolerance=0.0, budget=3) == 0
    assert choose(points, "miou", tolerance=0.0, budget=0) is None
    assert choose(points, "psnr", tolerance=0.0) is None


# --- the file


def test_a_file_brings_its_points_back(tmp_path):
    path = tmp_path / "t.json"
    first = PointFile.open(path, IDENTITY)
    assert not path.exists()
    points = [point(GRID[0], 0.5), point(GRID[1], None)]
    for one in points:
        first.add(one)
    assert PointFile.open(path, IDENTITY).points == points  # as after a kill
    first.write({"preset": {"steps": 4}})
    again = PointFile.open(path, IDENTITY | {"data": {"path": "moved", "fingerprint": "2" * 64}})
    assert again.points == points
    assert again.measured(GRID[1]) == points[1] and again.measured(GRID[2]) is None
    assert [file.name for file in tmp_path.iterdir()] == ["t.json"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"checkpoint": {"name": "x", "sha256": "3" * 64}}, "checkpoint was 111111111111, is 333333333333"),
        ({"data": {"path": "d", "fingerprint": "4" * 64}}, "data was 222222222222, is 444444444444"),
        ({"task": "b"}, "task was a, is b"),
    ],
)
def test_points_of_something_else_are_refused_and_kept(tmp_path, change, says):
    path = tmp_path / "t.json"
    PointFile.open(path, IDENTITY).add(point(GRID[0], 0.5))
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=f"points of another measurement: {says}"):
        PointFile.open(path, IDENTITY | change)
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"points": [{"sampling": {}}]}'])
def test_a_file_of_another_kind_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="holds no points of this command"):
        PointFile.open(path, IDENTITY)
    assert path.read_text() == text


# --- words, tables and images


@pytest.mark.parametrize("words", ["", "0", "1,-2", "1,x", "1.5"])
def test_step_counts_are_whole_numbers(words):
    with pytest.raises(Exception, match="whole numbers of 1 or more"):
        counts(words)
    assert counts("1,2,50") == [1, 2, 50]


@pytest.mark.parametrize("word", ["-0.1", "nan", "inf"])
def test_tolerances_are_finite(word):
    with pytest.raises(Exception, match="expected a number of 0 or more"):
        number_from(0)(word)


def test_picture_and_table_are_drawn_with_points_that_have_no_score(tmp_path):
    points = [
        point(Sampling(steps=steps).under("instructdiffusion"), score)
        for steps, score in ((1, 0.5), (4, 0.6), (8, math.nan), (16, None))
    ]
    draw_front(points, tmp_path / "t.png", metric="miou", front=[0, 1], preset=1, title="t")
    with Image.open(tmp_path / "t.png") as picture:
        assert picture.size[0] > 300 and len(set(picture.convert("L").getdata())) > 10
    shown = table(points, metric="miou", front=[0, 1], preset=1, title="t")
    assert list(shown.columns[-1].cells) == ["front", "preset", "", ""]
    assert list(shown.columns[5].cells) == ["0.5000", "0.6000", "-", "-"]


def test_a_picture_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        draw_front([point(GRID[0], 0.5)], tmp_path / "gone" / "t.png", metric="miou", front=[0], preset=0, title="t")


def test_the_file_is_plain_json(tmp_path):
    PointFile.open(tmp_path / "t.json", IDENTITY).add(point(GRID[0], 0.5))
    content = json.loads((tmp_path / "t.json").read_text())
    assert content["task"] == "a" and content["points"][0]["sampling"]["steps"] == 4
    assert content["points"][0]["metrics"] == {"miou": 0.5}
