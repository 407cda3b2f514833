"""Say in a sentence what is in a drawn scene, from its description: captions for text-to-image training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from idiff.utils.strings import join_words

PLACES: Mapping[str, tuple[float, float]] = {
    f"{row} {column}" if (row, column) != ("middle", "middle") else "centre": (x, y)
    for row, y in (("upper", 0.2), ("middle", 0.5), ("lower", 0.8))
    for column, x in (("left", 0.2), ("middle", 0.5), ("right", 0.8))
}
"""A part of the image -> where an object that is put there has its centre."""

MOST = 4
"""Things a caption names: more do not fit the text encoder."""

WAYS = (
    "{things}",
    "a picture of {things}",
    "{things} on a {background} background",
    "a {background} background with {things}",
    "this scene shows {things}",
    "an image with {things}, drawn on a {background} background",
    "{background} background: {things}",
)
"""How captions are worded."""

_BACKGROUNDS = {
    "flat": "plain", "gradient": "shaded", "stripes": "striped", "waves": "wavy", "checker": "checkered",
    "dots": "dotted", "bricks": "brick", "clouds": "cloudy", "blobs": "spotted", "plane": "outdoor",
}  # fmt: skip


def caption(scene: Mapping[str, Any], rng: np.random.Generator, *, size: int) -> tuple[str, dict[str, str]]:
    """Describe a scene.

    Args:
        scene: `annotation["scene"]`: `background`, `objects` with `kind`, `color` and, of flat scenes, `centre` in
            pixels, `figures` with `facing`.
        rng: draws which things are named, their order and the wording.
        size: side of the image in pixels.

    Returns:
        the caption, and what it tells: `background`, and each place that one named thing is in -> its color and kind.
    """
    things = [
        (f"{thing['colour']} {thing['kind']}", place_of(thing["centre"], size=size) if "centre" in thing else "")
        for thing in scene["objects"]
    ]
    things += [(f"person seen from the {figure['facing']}", "") for figure in scene["figures"]]
    chosen = [things[index] for index in rng.permutation(len(things))[:MOST].tolist()]
    background = _BACKGROUNDS.get(scene["background"], scene["background"])
    way = WAYS[int(rng.integers(len(WAYS)))]
    text = way.format(things=join_words([_phrase(*thing) for thing in chosen]), background=background)
    places = [place for _, place in chosen]
    facts = {place: name for name, place in chosen if place and places.count(place) == 1}
    return text, facts | ({"background": background} if "{background}" in way else {})


def place_of(centre: Sequence[float], *, size: int) -> str:
    """The part of a square image of `size` pixels a side that a point in pixels lies in."""
    return place_at([(value + 0.5) / size for value in centre])


def place_at(share: Sequence[float]) -> str:
    """The nearest of `PLACES` to a point (x, y) in shares of width and height."""
    return min(PLACES, key=lambda name: sum((a - b) ** 2 for a, b in zip(PLACES[name], share, strict=True)))


def _phrase(name: str, place: str) -> str:
    article = "an" if name[0] in "aeiou" else "a"
    return f"{article} {name} in the {place}" if place else f"{article} {name}"
