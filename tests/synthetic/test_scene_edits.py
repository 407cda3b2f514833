"""Edited scenes: what the sentence says is what changed, and nothing else did."""

import hashlib
import json
import string
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

from idiff.errors import BadSampleError
from idiff.synthetic.drawing.description import SceneObject
from idiff.synthetic.drawing.palette import COLORS, SHADES
from idiff.synthetic.drawing.raster import silhouette
from idiff.synthetic.scenes import SCENE_TASKS, VERSION, difficulty
from idiff.synthetic.scenes.edits import SLOTS, draw_edit, name_of, sentence, templates, typical
from idiff.synthetic.scenes.layout import draw_objects_scene
from idiff.synthetic.scenes.pairs import edited
from idiff.synthetic.source import SyntheticSource
from idiff.tasks.common.scene_captions import PLACES
from idiff.tasks.instructions.bank import builtin
from idiff.utils.masks import decode_mask

cv2.setNumThreads(0)
GOLDEN = "b972b86389d889e35d3eff8f8701259c1c18716b663399f40b095f255759d4d6"


@pytest.fixture(scope="module")
def samples():
    source = SyntheticSource("editing", split="train", count=200, seed=0)
    return [source.sample(index) for index in range(200)]


@pytest.fixture(scope="module")
def edits():
    """Scenes with an edit of each, all operations among them."""
    scenes = [draw_objects_scene(np.random.default_rng(seed)) for seed in range(150)]
    return [(scene, draw_edit(scene, np.random.default_rng(seed))) for seed, scene in enumerate(scenes)]


def things_of(scene):
    return Counter(scene.things)


def test_all_operations_occur_and_are_told(samples):
    found = difficulty(samples)
    assert set(found["operations"]) == set(SLOTS)
    assert all(0.1 <= share <= 0.3 for share in found["operations"].values())
    assert 18 <= found["identity_psnr"] <= 26
    assert "degradations" not in found


def test_the_region_is_exactly_what_differs(samples):
    for sample in samples:
        differs = (sample.image != sample.target).any(axis=2)
        region = decode_mask(sample.annotation["region"])
        assert np.array_equal(region, differs)
        assert 16 <= region.sum() <= 0.3 * region.size


def test_sentences_name_one_object_alone(samples):
    for sample in samples:
        edit, words = dict(sample.annotation["edit"]), sample.annotation["instruction"]
        if "colour" in edit:  # the slot's name in shards
            edit["color"] = edit.pop("colour")
        names = Counter(f"{thing['colour']} {thing['kind']}" for thing in sample.annotation["scene"]["objects"])
        assert set(SLOTS[edit["operation"]]) == set(edit) - {"operation", "identity_psnr"}
        assert all(edit[slot] in words for slot in SLOTS[edit["operation"]])
        assert "{" not in words and len(words.split()) >= 4
        if "object" in edit:
            assert names[edit["object"]] == 1
        if "thing" in edit:
            article, _, name = edit["thing"].partition(" ")
            assert article == ("an" if name[0] in "aeiou" else "a")
            assert names[name] == 0
        if "color" in edit:
            assert names[f"{edit['color']} {edit['object'].partition(' ')[2]}"] == 0


def test_one_thing_changes_as_it_is_said(edits):
    for scene, edit in edits:
        gone = list((things_of(scene) - things_of(edit.scene)).elements())
        new = list((things_of(edit.scene) - things_of(scene)).elements())
        assert edit.scene.background == scene.background
        assert (len(gone), len(new)) == {"remove": (1, 0), "add": (0, 1)}.get(edit.operation, (1, 1))
        if gone:
            assert name_of(gone[0]) == edit.words["object"]
        if edit.operation == "recolour":
            assert new[0] == replace(gone[0], color=edit.words["colour"], rgb=typical(edit.words["colour"]))
        if edit.operation in {"add", "replace"}:
            assert edit.words["thing"].endswith(f" {name_of(new[0])}")
        if edit.operation == "replace":
            assert (new[0].centre, new[0].share) == (gone[0].centre, gone[0].share) and new[0].kind != gone[0].kind
            assert scene.things.index(gone[0]) == edit.scene.things.index(new[0])
        if edit.operation in {"add", "move"}:
            assert new[0].centre == PLACES[edit.words["place"]]
            around = [thing for thing in edit.scene.things if thing != new[0]]
            assert not any((silhouette(new[0], 96) & silhouette(thing, 96)).any() for thing in around)
        if edit.operation == "move":
            assert new[0] == replace(gone[0], centre=new[0].centre)
    assert {edit.operation for _, edit in edits} == set(SLOTS)


def test_pixels_away_from_the_edited_object_stay(edits):
    for seed, (scene, edit) in enumerate(edits[:40]):
        pair = edited(scene, 64, np.random.default_rng(seed))  # draws the same edit
        assert pair.facts["edit"]["operation"] == edit.operation
        changed = (things_of(scene) - things_of(edit.scene)) + (things_of(edit.scene) - things_of(scene))
        near = np.zeros((64, 64), np.uint8)
        for thing in changed:
            near |= silhouette(thing, 64).view(np.uint8)
        differs = (pair.picture != pair.target).any(axis=2)
        assert not (differs & (cv2.dilate(near, np.ones((3, 3), np.uint8)) == 0)).any()


def test_the_same_edit_is_drawn_at_any_size():
    small, large = (SyntheticSource("editing", split="val", count=6, seed=1, size=size) for size in (64, 128))
    for index in range(6):
        one, other = small.sample(index).annotation, large.sample(index).annotation
        assert one["instruction"] == other["instruction"]
        share, larger = (decode_mask(facts["region"]).mean() for facts in (one, other))
        assert share == pytest.approx(larger, rel=0.35)


def test_scenes_are_those_of_segmentation(samples):
    assert SCENE_TASKS["editing"].layout == SCENE_TASKS["segmentation"].layout
    plain = SyntheticSource("segmentation", split="train", count=3, seed=0)
    assert all(np.array_equal(samples[index].image, plain.sample(index).image) for index in range(3))


def test_the_first_samples_are_golden(samples):
    """If this fails on purpose, raise VERSION and write down the new hash."""
    hashed = hashlib.sha256()
    for sample in samples[:8]:
        hashed.update(sample.image.tobytes() + sample.target.tobytes())
        hashed.update(json.dumps(sample.annotation, sort_keys=True).encode())
    assert (VERSION, hashed.hexdigest()) == (2, GOLDEN)


@pytest.mark.parametrize("operation", SLOTS)
def test_each_operation_has_several_sentences(operation, edits):
    ways = templates()[operation]
    assert len(ways) == len(set(ways)) == 25
    edit = next(edit for _, edit in edits if edit.operation == operation)
    drawn = {sentence(edit, np.random.default_rng(seed)) for seed in range(400)}
    words = edit.words | {"color": edit.words.get("colour")}
    assert drawn == {way.format(**words) for way in ways}


def test_unseen_sentences_have_the_slots_and_share_no_line_with_those_of_training():
    lines = builtin("unseen/edits.txt").splitlines()
    pairs = [line.split(": ", 1) for line in lines if line and not line.startswith("#")]
    assert Counter(operation for operation, _ in pairs) == dict.fromkeys(SLOTS, 4)
    for operation, words in pairs:
        assert sorted(name for _, name, _, _ in string.Formatter().parse(words) if name) == sorted(SLOTS[operation])
        assert words.casefold() not in {way.casefold() for way in templates()[operation]}


def test_typical_shades_lie_within_their_names():
    assert len({typical(color) for color in COLORS}) == len(COLORS)
    for color in COLORS:
        value = max(typical(color)) / 255
        assert SHADES[color][2][0] - 0.01 <= value <= SHADES[color][2][1] + 0.01


def test_objects_that_share_their_name_are_never_named():
    """Nine equal stars: nothing has a name of its own; but something may be added where there is room."""
    star = SceneObject("star", "red", (200, 40, 40), (0.5, 0.5), 0.05, 0.0, False, (0.0, 0.1), 0)
    scene = draw_objects_scene(np.random.default_rng(0))
    scene = replace(scene, things=tuple(replace(star, centre=place) for place in PLACES.values()))
    assert draw_edit(scene, np.random.default_rng(0)) is None
    with pytest.raises(BadSampleError, match="no room"):
        edited(scene, 64, np.random.default_rng(0))
    some = replace(scene, things=scene.things[:4])
    assert {draw_edit(some, np.random.default_rng(seed)).operation for seed in range(20)} == {"add"}
