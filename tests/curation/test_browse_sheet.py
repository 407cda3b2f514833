"""The sheet of `idiff data browse` names what it shows, and shows what the model sees."""

import numpy as np
import pytest
from PIL import Image

from idiff.cli import main
from idiff.curation.browse import GAP, LINE, PANEL, builtin_task
from idiff.curation.drawn_facts import draw_facts, joint_color, legend_of
from idiff.tasks import KeypointDetection
from idiff.types import Sample
from idiff.utils.masks import encode_mask

GRAY = np.full((50, 50, 3), 100, np.uint8)


def test_boxes_are_framed_and_named():
    mask = np.zeros((50, 50), bool)
    mask[30:40, 5:25] = True
    things = [{"category": "cat", "box": [10.0, 5.0, 20.0, 10.0]}, {"category": "dog", "mask": encode_mask(mask)}]
    cell = np.array(draw_facts(Sample("a", GRAY, {"instances": things}), 100))
    for left, top, right, bottom in ((20, 10, 59, 29), (10, 60, 49, 79)):
        assert (cell[bottom, left + 5 : right - 5] == 255).all() and (cell[top + 10 : bottom - 5, right] == 255).all()
    bare = np.array(draw_facts(Sample("a", GRAY, {"instances": [{"box": thing["box"]} for thing in things[:1]]}), 100))
    assert (bare != cell).any(axis=2)[:35, :60].sum() > 30  # the name


def test_an_object_of_one_pixel_is_framed():
    assert draw_facts(Sample("a", GRAY, {"instances": [{"box": [5, 5, 1, 1]}, {"box": [0, 0, 0.2, 9]}]}), 20)


def test_joints_have_the_colors_of_the_legend():
    points = [[10.0, 10.0, 2], [30.0, 10.0, 1], [30.0, 40.0, 0]]
    meta = {"skeletons": {"person": {"joints": ["nose", "hand", "foot"]}}}
    sample = Sample("a", GRAY, {"instances": [{"category": "person", "keypoints": points}]}, meta=meta)
    legend = legend_of([sample])
    assert legend == {name: joint_color(place, 3) for place, name in enumerate(["nose", "hand", "foot"])}
    cell = np.array(draw_facts(sample, 100))
    assert tuple(cell[20, 20]) == legend["nose"]
    assert tuple(cell[20, 60]) == (100, 100, 100)  # hidden: a ring
    assert (cell[16:26, 56:66] == legend["hand"]).all(axis=2).any()
    assert not (cell == legend["foot"]).all(axis=2).any()  # not labelled


def test_the_legend_has_the_classes_that_are_there():
    label = np.zeros((50, 50), np.uint8)
    label[:10], label[10:20] = 2, 255
    sample = Sample("a", GRAY, {}, label=label, meta={"classes": ["background", "cat", "dog"]})
    legend = legend_of([sample])
    assert list(legend) == ["dog"]
    cell = np.array(draw_facts(sample, 50)).astype(int)
    assert np.abs(cell[5, 25] - (50 + np.array(legend["dog"]) // 2)).max() <= 1
    assert (cell[15, 25] == 100).all() and (cell[30, 25] == 100).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("figures") / "val"
    words = ["--task", "keypoints", "--split", "val", "--count", "4", "--seed", "3", "--out", str(out)]
    assert main(["data", "build", "synthetic", *words]) == 0
    return out


def model_panels(sheet):
    return np.asarray(Image.open(sheet))[LINE : LINE + PANEL, PANEL + GAP : 3 * (PANEL + GAP)]


def test_a_task_file_says_what_the_model_sees(folder, tmp_path):
    (tmp_path / "big.yaml").write_text("task: {class_path: KeypointDetection, size: 64, radius_share: 0.2}")
    for name, more in {"plain": [], "big": ["--task", str(tmp_path / "big.yaml")]}.items():
        assert main(["data", "browse", str(folder), "--out", str(tmp_path / f"{name}.png"), *more]) == 0
    assert (model_panels(tmp_path / "plain.png") != model_panels(tmp_path / "big.png")).any()


def test_what_the_task_cannot_use_is_told(folder, tmp_path):
    (tmp_path / "other.yaml").write_text("task: {class_path: SemanticSegmentation}")
    words = ["--out", str(tmp_path / "x.png"), "--task", str(tmp_path / "other.yaml")]
    assert main(["data", "browse", str(folder), *words]) == 0
    assert (model_panels(tmp_path / "x.png") == 255).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [("model: {lr: 1.0}", "holds no `task`"), ("task: {class_path: KeypointDetektion}", "line 1: there is no class"),
     ("task: {class_path: KeypointDetection, siez: 3}", "did you mean 'size'")],
)  # fmt: skip
def test_a_wrong_task_file_is_said(folder, tmp_path, capsys, text, said):
    (tmp_path / "t.yaml").write_text(text)
    assert (
        main(["data", "browse", str(folder), "--out", str(tmp_path / "x.png"), "--task", str(tmp_path / "t.yaml")]) == 2
    )
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


def test_the_task_of_a_kind():
    assert isinstance(builtin_task("keypoints"), KeypointDetection)
    assert builtin_task("depth_of_mine") is None
