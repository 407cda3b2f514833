import pickle

import numpy as np
import pytest

from idiff.errors import ConfigError
from idiff.transforms.augment import DEFAULT, Augment
from idiff.transforms.geometry import mirrors, move_points
from idiff.utils.seeds import numpy_rng

POINTS = np.array([[3.0, 4.0], [50.0, 20.0], [-9.0, 70.0]])


def picture(side=64):
    return np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)


def run(specs, *seed, side=64):
    labels = np.zeros((side, side), np.uint8)
    labels[10:20, 30:50] = 3
    return Augment(specs)(picture(side), numpy_rng(0, *seed), labels=labels, points=POINTS), labels


def test_nothing_configured_nothing_changed():
    made, labels = run([])
    assert np.array_equal(made.picture, picture()) and made.labels is labels
    assert np.array_equal(made.points, POINTS) and np.array_equal(made.matrix, np.eye(2, 3))


def test_default_changes_colors_alone():
    changed = 0
    for number in range(10):
        made, labels = run(DEFAULT, number)
        changed += not np.array_equal(made.picture, picture())
        assert np.array_equal(made.labels, labels) and np.array_equal(made.points, POINTS)
        assert np.abs(made.picture.astype(int) - picture()).mean() < 50
    assert changed >= 5


@pytest.mark.parametrize("specs", [DEFAULT, [{"name": "Affine", "rotate": (-30, 30), "p": 1.0}, *DEFAULT]])
def test_the_rng_alone_decides(specs):
    np.random.seed(0)
    one, _ = run(specs, "a")
    np.random.seed(1)
    two, _ = run(specs, "a")
    other, _ = run(specs, "b")
    assert np.array_equal(one.picture, two.picture) and np.array_equal(one.points, two.points)
    assert not np.array_equal(one.picture, other.picture)


def test_one_object_draws_by_its_rng_too():
    augment = Augment(DEFAULT)
    pictures = [augment(picture(), numpy_rng(0, seed)).picture for seed in ("a", "b", "a")]
    assert np.array_equal(pictures[0], pictures[2]) and not np.array_equal(pictures[0], pictures[1])


def test_mirror_is_noticed():
    made, labels = run([{"name": "HorizontalFlip", "p": 1.0}])
    assert mirrors(made.matrix)
    assert np.array_equal(made.picture, picture()[:, ::-1]) and np.array_equal(made.labels, labels[:, ::-1])
    assert np.allclose(made.points[:, 0], 63 - POINTS[:, 0])  # pixel centres at whole numbers; outside points stay
    assert np.allclose(move_points(POINTS, made.matrix), made.points, atol=1e-3)


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "Affine", "rotate": (-40, 40), "scale": (0.7, 1.3), "translate_percent": (-0.2, 0.2), "p": 1.0},
        {"name": "Rotate", "limit": 60, "p": 1.0},
        {"name": "RandomRotate90", "p": 1.0},
        {"name": "Transpose", "p": 1.0},
    ],
)
def test_the_matrix_says_how_points_moved(spec):
    for number in range(5):
        made, _ = run([spec], number)
        assert np.allclose(move_points(POINTS, made.matrix), made.points, atol=0.02)
        assert mirrors(made.matrix) == (spec["name"] == "Transpose")


def test_labels_beyond_the_picture_are_void():
    made, _ = run([{"name": "Affine", "translate_px": {"x": 20, "y": 0}, "p": 1.0}])
    assert (made.labels[:, :19] == 255).all() and set(np.unique(made.labels)) == {0, 3, 255}


def test_it_travels_to_workers():
    specs = [{"name": "HorizontalFlip", "p": 0.5}, *DEFAULT]
    augment = pickle.loads(pickle.dumps(Augment(specs)))
    assert np.array_equal(
        augment(picture(), numpy_rng(0, "a")).picture, Augment(specs)(picture(), numpy_rng(0, "a")).picture
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "HorisontalFlip"}, "did you mean 'HorizontalFlip'"),
        ({}, "unknown albumentations transform"),
        ({"name": "HorizontalFlip", "prob": 1}, "takes no .'prob'."),
        ({"name": "ColorJitter", "brightness": "much"}, "refuses"),
        ({"name": "Compose"}, "unknown albumentations transform"),
    ],
)
def test_bad_specs_are_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        Augment([spec])
