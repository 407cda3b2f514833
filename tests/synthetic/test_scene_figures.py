"""Scenes of people: poses, left and right, hidden joints."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from idiff.synthetic.drawing.backgrounds import draw_background
from idiff.synthetic.drawing.body import HAIRS, JOINTS, PAIRS, SKINS, draw_figure, extent, head_only, placed
from idiff.synthetic.drawing.description import Figure, Scene, SceneObject
from idiff.synthetic.drawing.pose import draw_pose, project
from idiff.synthetic.drawing.raster import silhouette
from idiff.synthetic.drawing.render import render
from idiff.synthetic.scenes.people import MIN_FIGURE_VISIBLE, MIN_HEAD_VISIBLE, draw_figures_scene
from idiff.synthetic.scenes.samples import figure_facts, label_map

cv2.setNumThreads(0)


def figure_of(index: int, height: float = 0.8) -> tuple[Scene, Figure]:
    """A lone figure in the middle."""
    rng = np.random.default_rng(index)
    background = draw_background(rng)
    figure = draw_figure(rng, background)
    left, top, right, bottom = extent(figure)
    scale = height / max(bottom - top, right - left)
    shift = (0.5 - scale * (left + right) / 2, 0.5 - scale * (top + bottom) / 2)
    figure = placed(figure, scale=scale, shift=shift)
    return Scene(background, (figure,)), figure


def joint(figure: Figure, name: str) -> np.ndarray:
    return np.array(figure.joints[JOINTS.index(name)])


def test_pairs_name_left_before_right():
    assert len(JOINTS) == 14
    assert len(PAIRS) == 6
    for left, right in PAIRS:
        assert JOINTS[left].replace("left", "right") == JOINTS[right]


@pytest.mark.parametrize("index", range(8))
def test_limbs_keep_their_length_in_every_pose(index):
    pose = draw_pose(np.random.default_rng(index))
    lengths = {
        "elbow": ("shoulder", 0.165),
        "wrist": ("elbow", 0.150),
        "knee": ("hip", 0.230),
        "ankle": ("knee", 0.225),
    }
    for side in ("left", "right"):
        for end, (start, length) in lengths.items():
            assert np.linalg.norm(pose[f"{side} {end}"] - pose[f"{side} {start}"]) == pytest.approx(length)


def test_a_camera_sees_the_left_of_who_faces_it_on_its_right():
    left = {"left": np.array([1.0, 0.0, 0.0]), "up": np.array([0.0, 1.0, 0.0]), "front": np.array([0.0, 0.0, 1.0])}
    front = project(left, yaw=0, roll=0, pitch=0)
    back = project(left, yaw=180, roll=0, pitch=0)
    assert front["left"] == pytest.approx([1, 0, 0])
    assert front["up"] == pytest.approx([0, -1, 0])
    assert front["front"] == pytest.approx([0, 0, 1])
    assert back["left"] == pytest.approx([-1, 0, 0])
    assert back["front"] == pytest.approx([0, 0, -1])
    assert (
        project(left, yaw=0, roll=0, pitch=10)["front"][1] > 0
    )  # what is nearer looks lower to a camera that looks down


def test_facing_decides_which_side_left_is_on_and_shows_on_the_head():
    seen = {"front": 0, "back": 0}
    for index in range(60):
        _, figure = figure_of(index)
        seen[figure.facing] += 1
        leftward = joint(figure, "left shoulder")[0] - joint(figure, "right shoulder")[0]
        assert (leftward > 0) == (figure.facing == "front")
        middle = joint(figure, "neck") + (joint(figure, "head top") - joint(figure, "neck")) * (0.105 / 0.205)
        covering = [part for part in head_only(figure).parts if np.linalg.norm(middle - part.points[0]) < part.radius]
        color = covering[-1].rgb
        assert (color in HAIRS) == (figure.facing == "back"), (index, color)
        if figure.facing == "front":
            assert any(part.rgb in SKINS for part in covering)
    assert seen["back"] >= 12
    assert seen["front"] >= 30


def test_nothing_but_the_facing_tells_left_from_right():
    for index in range(10):
        _, figure = figure_of(index)
        looks = {}
        for side in ("left", "right"):
            own = [part for part in figure.parts if any(JOINTS[j].startswith(side) for j in part.joints)]
            looks[side] = sorted((part.radius, part.rgb) for part in own)
        assert looks["left"] == looks["right"]


@pytest.mark.parametrize("index", range(6))
def test_joints_lie_on_the_figure(index):
    scene, figure = figure_of(index)
    whole = render(scene, 128).silhouettes[0]
    for x, y in figure.joints:
        assert whole[int(y * 128), int(x * 128)]


def test_an_object_in_front_hides_the_joint_and_one_behind_does_not():
    scene, figure = figure_of(2)
    index = JOINTS.index("left ankle")
    assert render(scene, 64).seen[0][index]
    ball = SceneObject("circle", "red", (200, 50, 40), figure.joints[index], 0.02, 0, False, (0, 0.1), 0)
    front = figure_facts(replace(scene, things=(figure, ball)), render(replace(scene, things=(figure, ball)), 64))
    behind = figure_facts(replace(scene, things=(ball, figure)), render(replace(scene, things=(ball, figure)), 64))
    assert front["instances"][0]["keypoints"][index][2] == 1
    assert behind["instances"][0]["keypoints"][index][2] == 2
    assert front["instances"][0]["box"] == behind["instances"][0]["box"]


def test_a_limb_behind_the_body_is_hidden():
    hidden = 0
    for index in range(40):
        scene, _ = figure_of(index)
        hidden += sum(not seen for seen in render(scene, 64).seen[0])
    assert 0 < hidden < 0.12 * 40 * len(JOINTS)


def test_scenes_keep_the_figures_and_their_heads_in_sight():
    for index in range(60):
        scene = draw_figures_scene(np.random.default_rng(index))
        drawn = render(scene, 64)
        for order, thing in enumerate(scene.things):
            assert drawn.visible[order] >= (0.5 if isinstance(thing, SceneObject) else MIN_FIGURE_VISIBLE)
            if isinstance(thing, Figure):
                head = silhouette(head_only(thing), 64)
                assert (head & drawn.mask(order)).sum() >= (MIN_HEAD_VISIBLE - 0.1) * head.sum()


def test_instances_tell_the_joints_in_the_pixels_of_the_picture():
    scene, figure = figure_of(4)
    for size in (64, 128):
        drawn = render(scene, size)
        facts = figure_facts(scene, drawn)
        (instance,) = facts["instances"]
        x, y, width, height = instance["box"]
        points = np.array(instance["keypoints"])
        assert points[:, :2] == pytest.approx(np.array(figure.joints) * size - 0.5, abs=0.01)
        assert (points[:, 0] >= x - 0.5).all()
        assert (points[:, 0] <= x + width - 0.5).all()
        assert (points[:, 1] >= y - 0.5).all()
        assert (points[:, 1] <= y + height - 0.5).all()
        assert instance["area"] == drawn.silhouettes[0].sum()
        assert facts["scene"]["figures"][0]["height"] == pytest.approx(height / size, abs=1e-4)
        assert not label_map(scene, drawn).any()
