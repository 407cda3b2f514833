"""Say in a sentence what is in a scene: captions for text-to-image training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from idiff.synthetic.scenes.edits import PLACES
from idiff.utils.text import join_words

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
    "dots": "dotted", "bricks": "brick", "clouds": "cloudy", "blobs": "spotted",
}  # fmt: skip


def caption(scene: Mapping[str, Any], rng: np.random.Generator, *, size: int) -> tuple[str, dict[str, str]]:
    """Describe a scene.

    Args:
        scene: `annotation["scene"]`: `background`, `objects` with `kind`, `colour`, `centre` in pixels, `figures` with `facing`.
        rng: draws which things are named, their order and the wording.
        size: side of the picture in pixels.

    Returns:
        the caption, and what it tells: `background`, and each place that one named thing is in -> its colour and kind.
    """
    things = [
        (f"{thing['colour']} {thing['kind']}", place_of(thing["centre"], size=size)) for thing in scene["objects"]
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
    """The part of the picture that a point lies in: the nearest of `edits.PLACES`."""
    share = [(value + 0.5) / size for value in centre]
    return min(PLACES, key=lambda name: sum((a - b) ** 2 for a, b in zip(PLACES[name], share, strict=True)))


def _phrase(name: str, place: str) -> str:
    article = "an" if name[0] in "aeiou" else "a"
    return f"{article} {name} in the {place}" if place else f"{article} {name}"
