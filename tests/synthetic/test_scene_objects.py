"""Scenes of objects: shapes, colors, layout, drawing."""

from dataclasses import replace
from itertools import combinations

import cv2
import numpy as np
import pytest
from skimage.draw import polygon2mask

from idiff.synthetic.drawing.backgrounds import FAMILIES, draw_background, paint_background
from idiff.synthetic.drawing.description import Background, Scene, SceneObject
from idiff.synthetic.drawing.palette import COLORS, distance, shade
from idiff.synthetic.drawing.raster import outline, silhouette
from idiff.synthetic.drawing.render import render
from idiff.synthetic.scenes.layout import MIN_VISIBLE, draw_object, draw_objects_scene, inside, visible_shares
from idiff.synthetic.scenes.samples import CLASSES, label_map, scene_facts
from idiff.utils.silhouettes import KINDS, SHAPES, area

cv2.setNumThreads(0)
PURE = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)]
PLAIN = Background("flat", ((128, 140, 150), (128, 140, 150)), period=0.1, angle=0, seed=1, noise=0)


def an_object(kind: str = "square", **changes) -> SceneObject:
    thing = SceneObject(
        kind, "red", (200, 50, 40), (0.5, 0.5), share=0.1, angle=0, mirrored=False, light=(0, 0.1), stripes=0
    )
    return replace(thing, **changes)


def scene_of(index: int) -> Scene:
    return draw_objects_scene(np.random.default_rng(index))


@pytest.mark.parametrize("kind", KINDS)
def test_a_shape_has_area_one_around_the_origin(kind):
    contours = SHAPES[kind].contours
    assert area(contours) == pytest.approx(1)
    assert contours[0].min(axis=0) == pytest.approx(-contours[0].max(axis=0))
    drawn = silhouette(an_object(kind, share=0.09), 512)
    assert drawn.mean() == pytest.approx(0.09, rel=0.03)


def test_no_two_kinds_look_alike():
    masks = {kind: silhouette(an_object(kind, share=0.2), 128) for kind in KINDS}
    for one, other in combinations(KINDS, 2):
        overlap = (masks[one] & masks[other]).sum() / (masks[one] | masks[other]).sum()
        assert overlap < 0.86, (one, other, overlap)


def test_shades_stay_near_their_name_and_off_the_colours_of_answers():
    rng = np.random.default_rng(0)
    shades = {name: [shade(name, rng) for _ in range(60)] for name in COLORS}
    centres = {name: tuple(np.mean(drawn, axis=0)) for name, drawn in shades.items()}
    right = [
        min(centres, key=lambda name: distance(rgb, centres[name])) == name for name in COLORS for rgb in shades[name]
    ]
    assert np.mean(right) > 0.97
    assert min(distance(rgb, pure) for drawn in shades.values() for rgb in drawn for pure in PURE) > 45


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_backgrounds_is_a_muted_pattern_of_its_own(family):
    background = replace(draw_background(np.random.default_rng(3)), family=family)
    picture = paint_background(background, 128)
    assert picture.shape == (128, 128, 3)
    assert picture.dtype == np.uint8
    assert picture.std(axis=(0, 1)).max() > 1
    others = [paint_background(replace(background, family=other), 128) for other in FAMILIES if other != family]
    assert min(np.abs(picture.astype(int) - other).mean() for other in others) > 1


def test_every_object_is_inside_and_keeps_half_in_sight():
    for index in range(60):
        scene = scene_of(index)
        assert 2 <= len(scene.things) <= 6
        assert all(inside(thing) for thing in scene.things)
        assert min(render(scene, 64).visible) >= MIN_VISIBLE


def test_objects_stand_out_from_their_background():
    rng = np.random.default_rng(5)
    gaps = []
    for _ in range(200):
        background = draw_background(rng)
        gaps.append(min(distance(draw_object(rng, background).rgb, other) for other in background.colors))
    assert np.quantile(gaps, 0.02) > 60


def test_visible_shares_count_from_the_front():
    low, middle, high = np.zeros((3, 4, 4), dtype=bool)
    low[:], middle[:2], high[0] = True, True, True
    assert visible_shares([low, middle, high]) == [0.5, 0.5, 1.0]
    assert visible_shares([high, middle, low]) == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_lies_where_its_outline_says(kind):
    """Against scikit-image's polygons on a finer grid."""
    thing = an_object(kind, angle=17, mirrored=True, centre=(0.47, 0.52), share=0.12)
    scene = Scene(PLAIN, (thing,))
    label = label_map(scene, render(scene, 64))
    side = 64 * 16
    cover = np.zeros((side, side), dtype=bool)
    for contour in outline(thing):
        cover ^= polygon2mask((side, side), contour[:, ::-1] * side - 0.5)
    share = cover.reshape(64, 16, 64, 16).mean(axis=(1, 3))
    assert (label > 0)[share > 0.55].all()
    assert not (label > 0)[share < 0.2].any()  # OpenCV fills every drawn pixel that the outline touches
    assert ((label > 0) == (share > 0.5)).mean() > 0.99
    assert set(np.unique(label)) == {0, CLASSES.index(kind)}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_the_majority_of_each_drawn_pixel(kind):
    """Read off the image: of white on black, a pixel at its edge has 127 (the gray rim) times the share."""
    black = replace(PLAIN, colors=((0, 0, 0), (0, 0, 0)))
    scene = Scene(black, (an_object(kind, angle=17, rgb=(255, 255, 255), light=(0, 0.0), share=0.12),))
    drawn = render(scene, 64)
    brightness = drawn.picture.mean(axis=2)
    assert drawn.mask(0)[brightness > 80].all()
    assert not drawn.mask(0)[brightness < 52].any()


def test_the_uppermost_object_owns_the_overlap():
    below, above = an_object("square", centre=(0.4, 0.5)), an_object("circle", centre=(0.55, 0.5))
    for things, kind in (((below, above), "circle"), ((above, below), "square")):
        scene = Scene(PLAIN, things)
        drawn = render(scene, 64)
        both = drawn.silhouettes[0] & drawn.silhouettes[1]
        inner = cv2.erode(both.astype(np.uint8), np.ones((3, 3))).astype(bool)
        assert both.any()
        assert (label_map(scene, drawn)[inner] == CLASSES.index(kind)).all()
        assert drawn.visible[1] == 1.0
        assert drawn.visible[0] < 1.0


def test_a_removed_object_leaves_every_other_pixel_as_it_was():
    scene = scene_of(6)
    before = render(scene, 64)
    after = render(replace(scene, things=scene.things[:-1]), 64)
    gone = before.silhouettes[-1]
    reach = cv2.dilate(gone.astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert (before.picture != after.picture)[gone].any()
    assert (before.picture == after.picture)[~reach].all()


def test_another_colour_changes_only_the_object():
    scene = Scene(
        replace(PLAIN, noise=5), (an_object("heart", stripes=2), an_object("star", centre=(0.2, 0.2), share=0.04))
    )
    before = render(scene, 64)
    blue = replace(scene, things=(replace(scene.things[0], color="blue", rgb=(40, 60, 190)), scene.things[1]))
    after = render(blue, 64)
    reach = cv2.dilate(before.mask(0).astype(np.uint8), np.ones((5, 5))).astype(bool)
    assert (before.owners == after.owners).all()
    assert (before.picture == after.picture)[~reach].all()
    assert np.abs(before.picture.astype(int) - after.picture)[before.mask(0)].mean() > 40


def test_a_scene_is_the_same_scene_at_another_size():
    for index in range(5):
        scene = scene_of(index)
        small, large = label_map(scene, render(scene, 64)), label_map(scene, render(scene, 192))
        assert (large[1::3, 1::3] == small).mean() > 0.98


def test_facts_are_those_of_the_drawn_pixels():
    scene = scene_of(8)
    drawn = render(scene, 64)
    facts = scene_facts(scene, drawn)["scene"]
    label = label_map(scene, drawn)
    assert [thing["kind"] for thing in facts["objects"]] == [thing.kind for thing in scene.things]
    assert sum(thing["area"] for thing in facts["objects"]) == (label > 0).sum()
    for order, thing in enumerate(facts["objects"]):
        x, y, width, height = thing["box"]
        mask = drawn.mask(order)
        assert mask[y : y + height, x : x + width].sum() == mask.sum() == thing["area"]
        assert mask[y].any()
        assert mask[:, x + width - 1].any()
        assert thing["visible"] == pytest.approx(mask.sum() / drawn.silhouettes[order].sum(), abs=0.06)
