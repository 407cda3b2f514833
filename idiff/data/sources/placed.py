"""Whether joints and boxes lie where their images are: coordinates of another kind are of the right form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from idiff.data.sources.entries import number

SLACK = 1.0
"""So many pixels a joint may lie outside of its image without a word."""
REACH = 1.1
"""A box that ends beyond so many times the image's size may be one of two corners."""

Instances = Mapping[Any, Sequence[Mapping[str, Any]]]


def are_shares(instances: Iterable[Sequence[Mapping[str, Any]]]) -> bool:
    """Whether every labelled joint lies within 0 and 1: a share of the image's size, and no place in pixels."""
    return all(
        0 <= x <= 1 and 0 <= y <= 1 for each in instances for one in each for x, y, seen in one["keypoints"] if seen
    )


def notes_of_places(pictures: Mapping[Any, Mapping[str, Any]], instances: Instances) -> list[str]:
    """Labelled joints outside of their images, and boxes that most often end outside, by the sizes that the lists state."""
    joints: list[Any] = []
    boxes = reaching = 0
    for identity, each in instances.items():
        width, height = (number(pictures[identity].get(side)) or 0.0 for side in ("width", "height"))
        if min(width, height) <= 1:
            continue
        for one in each:
            boxes += 1
            x, y, across, down = one["box"]
            reaching += x + across > REACH * width or y + down > REACH * height
            joints += [
                identity
                for x, y, seen in one["keypoints"]
                if seen and not (-SLACK <= x <= width + SLACK and -SLACK <= y <= height + SLACK)
            ]
    told = []
    if joints:
        told.append(f"{len(joints):,} labelled joints lie outside of their images, such as in image {joints[0]}")
    if reaching * 2 > boxes:
        told.append(
            f"{reaching:,} of {boxes:,} boxes end outside of their images: expected x, y, width, height, not two corners"
        )
    return told
