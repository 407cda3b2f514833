"""The source of `idiff data inpaint`: pairs before and after an object is removed, added or replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from idiff.curation.inpainting.fill import Inpainter
from idiff.curation.inpainting.inpaintable import Thing, mask_of, things_of
from idiff.curation.inpainting.paste import fits, paste
from idiff.curation.inpainting.wording import place_of, sentences, with_article
from idiff.data.shards.reader import ShardSet
from idiff.data.sources.base import RawSample, Source
from idiff.data.sources.pictures import make_keys
from idiff.errors import BadSampleError, ConfigError, unknown
from idiff.utils.masks import encode_mask
from idiff.utils.seeds import numpy_rng
from idiff.utils.strings import name_words

if TYPE_CHECKING:
    from idiff.types import Sample

OPERATIONS = ("remove", "add", "replace")
LEAST_CHANGE = 8.0
"""Mean change inside of the mask, in gray levels of 255, below which a pair teaches nothing."""

_DONOR_SHARE = 0.005
_DONOR_TRIES = 12
_MARGIN = 0.012  # of the shorter side: edges and shadows of an object that its mask leaves out

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filled:
    """An image with one object taken out."""

    thing: Thing
    sample: Sample
    before: bytes
    hole: Mask
    picture: Picture


class Inpainting(Source):
    """One sample an object and operation, in the order of the shards.

    - `remove`: the source is the image, the target the image with the object's hole filled.
    - `add`: the other way round.
    - `replace`: the target is the filled image with an object of another class of the same set pasted into the hole.

    Original files pass through unchanged. Each pair is checked: nothing outside of the mask differs, and inside the mean
    change is at least `LEAST_CHANGE` gray levels; others are bad samples, named with the reason.
    `annotation`: `instruction`, `instructions` (several ways to ask), `region` (the mask), `of` (the key of the image),
    `edit` (`operation`, `object`, `category`, and `thing`, `place` or `from` where they apply), `inpainted` (how).

    Args:
        shards: a set with masks or label maps.
        inpainter: fills the holes.
        operations: of `OPERATIONS`.
        per_picture: objects taken of an image at most, chosen by the seed.
        shares: least and largest share of the image that an object covers.
        classes: only objects of these classes, in words; None: all. Give those that can be counted, since names get an
            article: a coat, but not a hair.
        seed: of all choices.

    Attributes:
        options: what the pairs depend on, as plain values for the manifest.

    Raises:
        ConfigError: an unknown operation, or numbers out of range.
        BadSampleError: a sample cannot be read.
    """

    tasks = ("editing",)

    def __init__(
        self, shards: ShardSet, inpainter: Inpainter, *, operations: Sequence[str] = OPERATIONS, per_picture: int = 2,
        shares: tuple[float, float] = (0.005, 0.25), classes: Sequence[str] | None = None, seed: int = 0,
    ) -> None:  # fmt: skip
        for operation in operations:
            if operation not in OPERATIONS:
                raise unknown("operation", operation, OPERATIONS)
        if per_picture < 1 or not operations or not 0 < shares[0] <= shares[1] <= 1:
            raise ConfigError(
                f"inpaint: {per_picture=}, {shares=}, {operations=}: expected 1 or more objects an image, shares in order "
                "within (0, 1], and at least one operation."
            )
        known = {name_words(name) for name in shards.meta.get("classes", [])}
        for name in classes or () if known else ():
            if name not in known:
                raise unknown("class", name, known)
        self.shards, self.inpainter, self.seed = shards, inpainter, seed
        self.options: dict[str, Any] = {
            "of": shards.fingerprint, "operations": list(operations), "per_picture": per_picture, "shares": list(shares),
            "classes": classes, "seed": seed, "inpainter": dict(inpainter.facts),
        }  # fmt: skip
        self.steps = {"images": len(shards), "objects": 0, "of a fitting size": 0, "taken": 0}
        self.things: list[Thing] = []
        self.donors: list[Thing] = []
        names: list[str] = []
        for place in range(len(shards)):
            found = [t for t in things_of(shards, place) if classes is None or t.category in classes]
            fitting = [thing for thing in found if shares[0] <= thing.share <= shares[1]]
            rng = numpy_rng(seed, "inpaint", shards.key(place))
            chosen = sorted(rng.permutation(len(fitting))[:per_picture].tolist())
            self.things += [fitting[index] for index in chosen]
            names += [f"{shards.key(place)}/{count}" for count in range(len(chosen))]
            self.donors += [t for t in found if t.category and t.whole and t.solid and t.share >= _DONOR_SHARE]
            self.steps["objects"] += len(found)
            self.steps["of a fitting size"] += len(fitting)
        self.steps["taken"] = len(self.things)
        self.pairs = [(number, operation) for number in range(len(self.things)) for operation in operations]
        self.names = [f"{names[number]}-{operation}" for number, operation in self.pairs]
        self.keys = make_keys(self.names)
        self._last: tuple[int, Filled] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_last": None}

    def meta(self) -> dict[str, Any]:
        """Nothing is shared by the set."""
        return {}

    def __len__(self) -> int:
        return len(self.pairs)

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """None: the set that this is made from is an option of the build, by its fingerprint."""
        return ()

    def funnel(self) -> dict[str, int]:
        """Images, objects that words single out, those of a fitting size, those taken, and their pairs."""
        return self.steps | {"pairs": len(self)}

    def operation(self, index: int) -> str:
        """What a sample's edit is."""
        return self.pairs[index][1]

    def sample(self, index: int) -> RawSample:
        """Make one pair."""
        number, operation = self.pairs[index]
        name = self.names[index]
        filled = self._filled(number, name)
        thing, hole = filled.thing, filled.hole
        rng = numpy_rng(self.seed, "pair", name)
        words = {"object": thing.names[int(rng.integers(len(thing.names)))]}
        edit: dict[str, Any] = {"operation": operation, "object": words["object"], "category": thing.category}
        after, region = filled.picture, hole
        if operation == "add":
            words = {"thing": with_article(thing.category or words["object"]), "place": place_of(hole)}
            edit |= words
        elif operation == "replace":
            donor, after, region = self._replaced(filled, rng, name)
            words |= {"thing": with_article(donor.category)}
            edit |= {"thing": donor.category, "from": self.shards.key(donor.place)}
        _check(filled.sample.image, after, region, where=name)
        told = sentences(operation, words, rng)
        facts = {
            "instruction": told[0], "instructions": told, "region": encode_mask(region), "edit": edit,
            "of": self.shards.key(thing.place), "inpainted": dict(self.inpainter.facts),
        }  # fmt: skip
        if operation == "add":
            return RawSample(self.keys[index], after, facts, target=filled.before)
        return RawSample(self.keys[index], filled.before, facts, target=after)

    def _filled(self, number: int, name: str) -> Filled:
        """Take an object out; the last one is kept for its other operations."""
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        thing = self.things[number]
        sample = self.shards.read(thing.place)
        members: Mapping[str, bytes] = self.shards.read_members(thing.place)
        before = next(data for member, data in members.items() if member.startswith("source."))
        mask = mask_of(thing, sample.annotation, sample.label)
        margin = max(1, round(_MARGIN * min(mask.shape)))
        shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
        hole = np.asarray(cv2.dilate(mask.astype(np.uint8), shape), bool)
        picture = self.inpainter(
            sample.image,
            hole,
            numpy_rng(self.seed, "fill", self.shards.key(thing.place), thing.value, thing.instance or 0),
            name=thing.names[0],
        )
        if picture.shape != sample.image.shape or picture.dtype != np.uint8:
            raise BadSampleError(
                name, "target", f"the inpainter made {picture.dtype} {picture.shape}, not an image as given"
            )
        self._last = (number, Filled(thing, sample, before, hole, picture))
        return self._last[1]

    def _replaced(self, filled: Filled, rng: np.random.Generator, name: str) -> tuple[Thing, Picture, Mask]:
        """Paste an object of another class into the hole: the object, the image, and all that may differ."""
        if not filled.thing.solid:
            raise BadSampleError(
                name, "object", f"{filled.thing.names[0]!r} lies in several pieces, expected one to replace"
            )
        own = {filled.thing.category, *filled.thing.names}
        tries = 0
        for place in rng.permutation(len(self.donors)).tolist():
            donor = self.donors[place]
            if donor.category in own or donor.place == filled.thing.place:
                continue
            tries += 1
            if tries > _DONOR_TRIES:
                break
            sample = self.shards.read(donor.place)
            mask = mask_of(donor, sample.annotation, sample.label)
            if fits(filled.hole, mask) is not None:
                picture, covered = paste(filled.picture, filled.hole, sample.image, mask)
                return donor, picture, filled.hole | covered
        raise BadSampleError(name, "thing", f"none of {tries} objects of other classes fits into the hole")


def _check(before: Picture, after: Picture, region: Mask, *, where: str) -> None:
    """Refuse a pair that differs outside of its region, or hardly differs inside.

    Raises:
        BadSampleError: says how much.
    """
    change = np.abs(before.astype(np.int16) - after.astype(np.int16)).max(axis=2)
    strays = int(np.count_nonzero(change[~region]))
    if strays:
        raise BadSampleError(where, "outside", f"{strays:,} pixels outside of the mask differ, expected none")
    inside = float(change[region].mean())
    if inside < LEAST_CHANGE:
        raise BadSampleError(
            where, "inside", f"changed by {inside:.1f} gray levels on average, expected at least {LEAST_CHANGE:g}"
        )
