import numpy as np
import pytest

from idiff.errors import ConfigError
from idiff.transforms.frames import PersonDraw, frame_box, frame_crop, frame_keeping, frame_person, frame_whole
from idiff.transforms.geometry import invert, mirrors, move_points
from idiff.utils.seeds import numpy_rng

CORNERS = np.array([[-0.5, -0.5], [63.5, -0.5], [63.5, 63.5], [-0.5, 63.5]])
COCO = ["nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow"]
COCO += ["right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee"]
COCO += ["left ankle", "right ankle"]


def seen(matrix):
    """The corners of the model's square in the original, pixel edges."""
    return move_points(CORNERS, invert(matrix))


@pytest.mark.parametrize("shape", [(100, 100), (60, 120), (321, 77), (1, 1)])
def test_whole_touches_both_ends_of_the_longer_side(shape):
    corners = seen(frame_whole(shape, 64))
    height, width = shape
    assert np.ptp(corners[:, 0]) == pytest.approx(max(shape))
    assert corners.mean(axis=0) == pytest.approx([(width - 1) / 2, (height - 1) / 2])


@pytest.mark.parametrize("shape", [(60, 120), (240, 100)])
def test_crops_lie_between_the_whole_and_the_shorter_side(shape):
    sides, centres = [], []
    for number in range(200):
        corners = seen(frame_crop(shape, 64, numpy_rng(0, number)))
        side = np.ptp(corners[:, 0])
        sides.append(side)
        centres.append(corners.mean(axis=0))
        along = 1 if shape[0] > shape[1] else 0
        assert min(shape) - 1e-6 <= side <= max(shape) + 1e-6
        assert corners[:, along].min() >= -0.5 - 1e-6 and corners[:, along].max() <= max(shape) - 0.5 + 1e-6
        assert corners.mean(axis=0)[1 - along] == pytest.approx((min(shape) - 1) / 2)
    assert min(sides) < min(shape) * 1.05 and max(sides) > max(shape) * 0.95
    assert np.ptp(np.array(centres)[:, along]) > 0.4 * (max(shape) - min(shape))


def test_a_square_picture_is_always_whole():
    for number in range(5):
        assert np.allclose(frame_crop((80, 80), 64, numpy_rng(0, number)), frame_whole((80, 80), 64))


@pytest.mark.parametrize("shape", [(60, 180), (180, 60), (61, 97)])
@pytest.mark.parametrize("reach", [(0.0, 0.1), (0.9, 1.0), (0.3, 0.5), (0.05, 0.95), (0.0, 1.0)])
def test_a_crop_keeps_a_region_whole(shape, reach):
    long, short = max(shape), min(shape)
    first, end = int(reach[0] * long), max(int(reach[1] * long), int(reach[0] * long) + 1)
    region = np.zeros(shape, bool)
    along = 1 if shape[1] > shape[0] else 0
    if along:
        region[5:9, first:end] = True
    else:
        region[first:end, 5:9] = True
    sides, starts = [], []
    for number in range(100):
        corners = seen(frame_keeping(region, 64, numpy_rng(1, number)))
        start, stop = corners[:, 1 - along].min(), corners[:, 1 - along].max()
        assert start <= first - 0.5 + 1e-6 and stop >= end - 0.5 - 1e-6  # all of the region
        assert start >= -0.5 - 1e-6 and stop <= long - 0.5 + 1e-6  # nothing beyond the image
        across = corners[:, along]
        assert across.min() <= -0.5 + 1e-6 and across.max() >= short - 0.5 - 1e-6  # all of the shorter side
        sides.append(stop - start)
        starts.append(start)
    assert min(sides) >= max(short, end - first) - 1e-6
    if end - first < 0.6 * long:
        assert max(sides) - min(sides) > 0.25 * long and np.ptp(starts) + np.ptp(np.add(starts, sides)) > 0.2 * long


def test_a_square_picture_is_kept_whole_and_nothing_is_drawn():
    rng, region = numpy_rng(0), np.eye(50, dtype=bool)
    assert np.allclose(frame_keeping(region, 64, rng), frame_whole((50, 50), 64))
    assert rng.random() == numpy_rng(0).random()


def test_box_is_padded_around_its_centre():
    corners = seen(frame_box((10.0, 20.0, 40.0, 80.0), 64))
    assert np.ptp(corners[:, 1]) == pytest.approx(100)
    assert corners.mean(axis=0) == pytest.approx([29.5, 59.5])


def body():
    """A standing person with 17 visible joints."""
    y = {"nose": 0.05, "eye": 0.03, "ear": 0.04, "shoulder": 0.2, "elbow": 0.35, "wrist": 0.5, "hip": 0.55}
    y |= {"knee": 0.75, "ankle": 0.95}
    x = {"left": 60.0, "right": 40.0}
    return np.array([[x.get(n.split()[0], 50.0), 200 * y[n.split()[-1]], 2] for n in COCO])


BOX = (30.0, 0.0, 40.0, 200.0)


def draws(joints, names=COCO, count=600, **how):
    return [frame_person(BOX, joints, 64, numpy_rng(7, n), names=names, **how) for n in range(count)]


def test_person_views_follow_the_stated_figures():
    few = body()
    few[8:, 2] = 0  # 8 visible: never half a body
    views = draws(few)
    sides = np.array([np.linalg.norm(seen(m)[1] - seen(m)[0]) for m in views]) / 250
    assert sides.min() >= 0.65 - 1e-6 and sides.max() <= 1.35 + 1e-6
    assert np.median(sides) == pytest.approx(1.0, abs=0.06)
    assert np.mean(np.isclose(sides, 0.65)) == pytest.approx(0.16, abs=0.05)
    mirrored = np.array([mirrors(m) for m in views])
    assert mirrored.mean() == pytest.approx(0.5, abs=0.07)
    angles = np.array([np.degrees(np.arctan2(m[1, 0], m[1, 1])) for m in views])
    assert np.mean(np.isclose(angles, 0)) == pytest.approx(0.4, abs=0.06)
    turned = angles[~np.isclose(angles, 0)]
    assert np.abs(turned).max() <= 90 + 1e-6 and np.std(turned) == pytest.approx(42, abs=5)
    for matrix in views:
        assert move_points(np.array([[49.5, 99.5]]), matrix)[0] == pytest.approx([31.5, 31.5])


def test_half_bodies():
    middles = [move_points(CORNERS.mean(axis=0, keepdims=True), invert(m))[0, 1] for m in draws(body())]
    joints = body()
    upper, lower = joints[:11, 1].mean(), joints[11:, 1].mean()
    shares = [np.mean(np.isclose(middles, middle)) for middle in (upper, lower, 99.5)]
    assert shares == pytest.approx([0.15, 0.15, 0.7], abs=0.06)


def test_no_half_of_a_skeleton_without_legs():
    names = [f"point {n}" for n in range(17)]
    middles = [move_points(CORNERS.mean(axis=0, keepdims=True), invert(m))[0, 1] for m in draws(body(), names, 50)]
    assert np.allclose(middles, 99.5)


def test_nothing_varies_where_all_is_zero():
    still = PersonDraw(scale_sigma=0, rotation_sigma=0, rotation_share=0, half_body_share=0, flip=0)
    for matrix in draws(body(), count=20, draw=still):
        assert np.allclose(matrix, frame_box(BOX, 64))


def test_each_figure_changes_what_it_names():
    few = body()
    few[8:, 2] = 0
    still = {"scale_sigma": 0, "rotation_sigma": 10, "rotation_share": 0, "half_body_share": 0, "flip": 0}

    def views(joints=few, **change):
        return draws(joints, count=200, draw=PersonDraw(**still | change))

    sides = np.array([np.linalg.norm(seen(m)[1] - seen(m)[0]) for m in views(scale_sigma=0.1)]) / 250
    assert sides.min() == pytest.approx(0.9) and sides.max() == pytest.approx(1.1)
    angles = np.degrees([np.arctan2(m[1, 0], m[1, 1]) for m in views(rotation_share=1)])
    assert np.std(angles) == pytest.approx(9.5, abs=1.5) and np.abs(angles).max() <= 20 + 1e-6
    assert all(mirrors(m) for m in views(flip=1)) and not any(mirrors(m) for m in views(flip=0))
    middles = [
        move_points(CORNERS.mean(axis=0, keepdims=True), invert(m))[0, 1] for m in views(body(), half_body_share=1)
    ]
    assert not np.isclose(middles, 99.5).any()


@pytest.mark.parametrize(
    "wrong",
    [{"flip": 1.1}, {"rotation_share": -0.1}, {"half_body_share": 2}, {"scale_sigma": 1.0}, {"rotation_sigma": 200}],
)
def test_wrong_figures_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}=.* must lie in"):
        PersonDraw(**wrong)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("original", [(48, 65), (65, 48), (50, 50)])
def test_a_crop_without_zoom_begins_and_ends_between_pixels(original, mirror):
    short = min(original)
    for seed in range(20):
        matrix = frame_crop(original, 64, numpy_rng(seed, "crop"), mirror=mirror, zoom=False)
        edges = seen(matrix) + 0.5
        assert np.allclose(edges, np.rint(edges))
        low, high = edges.min(axis=0), edges.max(axis=0)
        assert np.allclose(high - low, short) and (low > -0.01).all() and (high < np.array(original[::-1]) + 0.01).all()
