"""Phrases about drawn scenes: each is true and names nothing else, judged from the annotation by other code."""

import hashlib
import json
import re
from collections import Counter
from itertools import pairwise

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco

from idiff.data.shards.annotation import validate
from idiff.synthetic.drawing.palette import COLORS
from idiff.synthetic.phrases.grammar import FORMS, NO_TARGET, Seen, held_out, phrases
from idiff.synthetic.scenes import difficulty
from idiff.synthetic.source import SyntheticSource
from idiff.utils.silhouettes import KINDS

cv2.setNumThreads(0)
COUNT = 250
GOLDEN = "405ad94b24e3ffad4e1585a15fae00a82bf7cf818d9d7159a6ebe4a9f55e64b8"


@pytest.fixture(scope="module", params=[("train", 64), ("val", 64), ("train", 128)], ids=lambda p: f"{p[0]}-{p[1]}")
def drawn(request):
    split, size = request.param
    source = SyntheticSource("referring", split=split, count=COUNT, seed=5, size=size)
    return split, [source.sample(index) for index in range(COUNT)]


class Judge:
    """Works out what a phrase names, by brute force over the objects of one image."""

    def __init__(self, annotation):
        self.objects = []
        for number, entry in enumerate(annotation["instances"]):
            mask = coco.decode(entry["mask"]).astype(bool)
            y, x = (
                np.average(np.arange(side), weights=mask.sum(axis=1 - axis)) for axis, side in enumerate(mask.shape)
            )
            self.objects.append((number, entry["category"], entry["colour"], mask.sum(), x, y))
        self.side = mask.shape[0]

    def fit(self, words, *, plural=False):
        color, noun = ([None, *words.split()])[-2:]
        if plural:
            noun = {"crosses": "cross", "fish": "fish"}.get(noun, noun[:-1] if noun.endswith("s") else "?")
        assert noun in {*KINDS, "object"} and color in {None, *COLORS}, words
        return [o for o in self.objects if noun in {"object", o[1]} and color in {None, o[2]}]

    def one(self, words):
        (found,) = self.fit(words)
        return found

    def named(self, text):
        """The set of named objects; fails where the phrase leaves a doubt."""
        if match := re.fullmatch(r"the (.+) and the (.+)", text):
            return {self.one(match[1])[0], self.one(match[2])[0]}
        if match := re.fullmatch(r"(all|every) (.+)", text):
            found = self.fit(match[2], plural=match[1] == "all")
            assert len(found) > 1
            return {o[0] for o in found}
        if match := re.fullmatch(r"the (largest|smallest) (.+)", text):
            first, second = sorted(self.fit(match[2]), key=lambda o: -o[3] if match[1] == "largest" else o[3])[:2]
            assert max(first[3], second[3]) > 1.25 * min(first[3], second[3])
            return {first[0]}
        if match := re.fullmatch(r"the (leftmost|rightmost) (.+)", text) or re.fullmatch(
            r"the (.+) at the (top|bottom)", text
        ):
            where, words = match.groups() if match[1] in {"leftmost", "rightmost"} else match.groups()[::-1]
            key = {
                "leftmost": lambda o: o[4], "rightmost": lambda o: -o[4], "top": lambda o: o[5], "bottom": lambda o: -o[5]
            }[where]  # fmt: skip
            first, second = sorted(self.fit(words), key=key)[:2]
            assert key(second) - key(first) > 0.09 * self.side
            if where in {"top", "bottom"}:
                assert (first[5] < self.side / 2) == (where == "top")
            return {first[0]}
        if match := re.fullmatch(r"the (.+) (to the left of|to the right of|above|below) the (.+)", text):
            mark = self.one(match[3])
            side = {
                "to the left of": lambda o: mark[4] - o[4], "to the right of": lambda o: o[4] - mark[4],
                "above": lambda o: mark[5] - o[5], "below": lambda o: o[5] - mark[5],
            }[match[2]]  # fmt: skip
            others = [o for o in self.fit(match[1]) if o[0] != mark[0]]
            assert others
            there = [o for o in others if side(o) > 0]
            assert all(side(o) > 0.09 * self.side for o in there)
            if not there:
                assert all(side(o) < -0.09 * self.side for o in others)
            return {o[0] for o in there}
        found = self.fit(re.fullmatch(r"the (.+)", text)[1])
        assert len(found) < 2
        return {o[0] for o in found}


def test_every_phrase_is_true_and_leaves_no_doubt(drawn):
    _, samples = drawn
    for sample in samples:
        judge = Judge(sample.annotation)
        for phrase in sample.annotation["phrases"]:
            assert judge.named(phrase["text"]) == set(phrase["instances"]), (sample.key, phrase)
            one = phrase["form"] in {"name", "size", "place", "relation"}
            assert len(phrase["instances"]) == 1 if one else (not phrase["instances"]) == (phrase["form"] in NO_TARGET)


def test_masks_are_the_visible_pixels_of_the_objects(drawn):
    _, samples = drawn
    for sample in samples[:60]:
        assert validate(sample.annotation, where="x", meta=sample.meta) is sample.annotation
        masks = [coco.decode(entry["mask"]) for entry in sample.annotation["instances"]]
        assert np.stack(masks).sum(axis=0).max() == 1
        assert {mask.shape for mask in masks} == {sample.image.shape[:2]}
        for mask, entry, told in zip(
            masks, sample.annotation["instances"], sample.annotation["scene"]["objects"], strict=True
        ):
            assert mask.sum() == entry["area"] == told["area"]
            assert coco.toBbox(entry["mask"]).tolist() == entry["box"]
            assert (entry["category"], entry["colour"]) == (told["kind"], told["colour"])


def test_how_many_phrases_and_of_which_form(drawn):
    split, samples = drawn
    counts = Counter(len(sample.annotation["phrases"]) for sample in samples)
    assert set(counts) == {4, 5, 6}
    for sample in samples:
        texts = [phrase["text"] for phrase in sample.annotation["phrases"]]
        assert len(set(texts)) == len(texts)
    found = difficulty(samples)
    assert found["no_target_phrases"] >= 0.15
    assert found["several_target_phrases"] > 0.15
    assert set(found["phrase_forms"]) == {*FORMS, *NO_TARGET}
    assert min(found["phrase_forms"].values()) > 0.02
    assert found["phrases_per_picture"] == pytest.approx(5, abs=0.2)
    assert "joints" not in found and found["objects_per_picture"] == [2, 6]
    assert (found["held_out_phrases"] > 0.02) if split == "val" else (found["held_out_phrases"] == 0)


def test_training_names_no_held_out_pair(drawn):
    split, samples = drawn
    seen = set()
    for sample in samples:
        for phrase in sample.annotation["phrases"]:
            words = phrase["text"].split()
            named = {
                (kind, one)
                for one, noun in pairwise(words)
                for kind in KINDS
                if one in COLORS and noun in {kind, f"{kind}s", f"{kind}es"}
            }
            assert phrase["held_out"] == any(held_out(*pair) for pair in named)
            seen |= named
    assert any(held_out(*pair) for pair in seen) == (split == "val")
    assert any(held_out(o["kind"], o["colour"]) for s in samples for o in s.annotation["scene"]["objects"])


def test_each_kind_lacks_one_colour_in_training():
    pairs = [(kind, color) for kind in KINDS for color in COLORS if held_out(kind, color)]
    assert Counter(kind for kind, _ in pairs) == dict.fromkeys(KINDS, 1)
    assert set(Counter(color for _, color in pairs).values()) == {1, 2}
    assert held_out("circle", "red") and not held_out("star", "blue")


@pytest.mark.parametrize(
    ("split", "tells"), [("train", False), ("mine", False), ("val", True), ("val2", True), ("test", True)]
)
def test_splits_that_tell_held_out_pairs(split, tells):
    source = SyntheticSource("referring", split=split, count=80, seed=0)
    told = [phrase["held_out"] for index in range(80) for phrase in source.sample(index).annotation["phrases"]]
    assert any(told) == tells


def test_pictures_are_those_of_segmentation():
    for index in range(5):
        one, other = (
            SyntheticSource(task, split="train", count=9, seed=2).sample(index)
            for task in ("segmentation", "referring")
        )
        assert np.array_equal(one.image, other.image)
        assert one.annotation["scene"] == other.annotation["scene"]
        present = {entry["category"]: coco.decode(entry["mask"]) for entry in other.annotation["instances"]}
        for kind, mask in present.items():
            assert (one.label[mask > 0] == one.meta["classes"].index(kind)).all()


def test_the_first_phrases_are_golden():
    """If this fails on purpose, raise VERSION and write down the new hash."""
    parts = []
    for split in ("train", "val"):
        source = SyntheticSource("referring", split=split, count=8, seed=0)
        for sample in map(source.sample, range(8)):
            facts = json.dumps(sample.annotation, sort_keys=True, separators=(",", ":")).encode()
            parts.append(hashlib.sha256(sample.image.tobytes() + b"\0" + facts).digest())
    assert hashlib.sha256(b"".join(parts)).hexdigest() == GOLDEN


LEFT, RIGHT = Seen("star", "red", 100, (0.2, 0.5)), Seen("star", "blue", 200, (0.8, 0.52))


@pytest.mark.parametrize(
    ("form", "things", "texts"),
    [
        ("name", [LEFT, RIGHT], {"the red star", "the blue star"}),
        ("name", [LEFT, LEFT], set()),
        ("size", [LEFT, RIGHT], {f"the {w} {n}" for w in ("largest", "smallest") for n in ("star", "object")}),
        ("size", [LEFT, Seen("star", "blue", 120, (0.8, 0.5))], set()),
        ("place", [LEFT, RIGHT], {f"the {w} {n}" for w in ("leftmost", "rightmost") for n in ("star", "object")}),
        ("place", [LEFT, Seen("star", "blue", 100, (0.25, 0.5))], set()),
        ("place", [LEFT, Seen("fish", "red", 100, (0.2, 0.8))],
         {f"the {n} at the {w}" for w in ("bottom",) for n in ("red object", "object")}),
        ("all", [LEFT, RIGHT], {"all stars", "every star"}),
        ("all", [Seen("cross", "red", 9, (0, 0)), Seen("fish", "red", 9, (0, 0))], {"all red objects", "every red object"}),
        ("both", [LEFT, RIGHT], {"the red star and the blue star"}),
        ("both", [LEFT], set()),
        ("swapped", [LEFT, RIGHT], set()),
        ("swapped", [LEFT, Seen("fish", "blue", 9, (0, 0))], {"the blue star", "the red fish"}),
        ("relation", [LEFT, LEFT], set()),
    ],
)  # fmt: skip
def test_what_can_be_said(form, things, texts):
    assert {phrase.text for phrase in phrases(things, form)} == texts


def test_relations_need_a_clear_margin():
    far = {phrase.text: phrase.targets for phrase in phrases([LEFT, RIGHT], "relation")}
    assert far["the red star to the left of the blue star"] == (0,)
    assert not any("above" in text or "below" in text for text in far)
    false = {phrase.text: phrase.targets for phrase in phrases([LEFT, RIGHT], "false relation")}
    assert false["the red star to the right of the blue star"] == () and not set(far) & set(false)
    near = [LEFT, Seen("fish", "blue", 9, (0.26, 0.5))]
    assert phrases(near, "relation") == phrases(near, "false relation") == []
    doubtful = [LEFT, RIGHT, Seen("star", "green", 9, (0.75, 0.5))]
    texts = {phrase.text for phrase in phrases(doubtful, "relation")}
    assert "the star to the left of the blue star" not in texts and "the red star to the left of the blue star" in texts
