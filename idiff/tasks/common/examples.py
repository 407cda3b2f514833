"""Simple drawn samples with exact truth, so that a task can be tested without any data."""

from __future__ import annotations

import cv2
import numpy as np

from idiff.types import Sample
from idiff.utils.masks import encode_mask

_JOINTS = {
    "head top": (0.5, 0.02),
    "neck": (0.5, 0.2),
    "left shoulder": (0.66, 0.24),
    "right shoulder": (0.34, 0.24),
    "left elbow": (0.82, 0.38),
    "right elbow": (0.18, 0.38),
    "left wrist": (0.9, 0.54),
    "right wrist": (0.1, 0.54),
    "left hip": (0.62, 0.56),
    "right hip": (0.38, 0.56),
    "left knee": (0.66, 0.76),
    "right knee": (0.34, 0.76),
    "left ankle": (0.7, 0.97),
    "right ankle": (0.3, 0.97),
}
_LIMBS = (
    *((0, 1), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),
    *((2, 8), (3, 9), (8, 9), (8, 10), (9, 11), (10, 12), (11, 13)),
)


def shapes(rng: np.random.Generator) -> Sample:
    """Two or three filled shapes on a noisy background; of the five classes at least one is absent."""
    height, width = int(rng.integers(72, 100)), int(rng.integers(72, 100))
    image = rng.integers(90, 166, (height, width, 3)).astype(np.uint8)
    labels = np.zeros((height, width), np.uint8)
    for place, index in enumerate((rng.permutation(4)[: int(rng.integers(2, 4))] + 1).tolist()):
        x, y, r = 18 + place * 24, int(rng.integers(20, height - 20)), int(rng.integers(8, 12))
        shape = np.zeros_like(labels)
        if index == 1:
            cv2.circle(shape, (x, y), r, 1, -1)
        else:
            wide = r if index != 3 else r // 2
            top = wide if index != 4 else 0
            corners = [(x - top, y - r), (x + top, y - r), (x + wide, y + r), (x - wide, y + r)]
            cv2.fillPoly(shape, [np.array(corners, np.int32)], 1)
        labels[shape > 0] = index
        image[shape > 0] = rng.integers(60, 196, 3)
    classes = ["background", "disc", "square", "bar", "wedge"]
    return Sample(key="example", image=image, annotation={}, meta={"classes": classes}, label=labels)


def named_shapes(rng: np.random.Generator) -> Sample:
    """The image of `shapes` with its shapes as instances, and phrases that name one of them, all, and an absent one."""
    drawn = shapes(rng)
    assert drawn.label is not None
    names: list[str] = list(drawn.meta["classes"])
    present = [index for index in np.unique(drawn.label).tolist() if index]
    absent = next(index for index in range(1, len(names)) if index not in present)
    instances = [{"category": names[index], "mask": encode_mask(drawn.label == index)} for index in present]
    phrases = [
        {"text": f"the {names[present[0]]}", "instances": [0]},
        {"text": " and ".join(f"the {names[index]}" for index in present), "instances": list(range(len(present)))},
        {"text": f"the {names[absent]}", "instances": []},
    ]
    return Sample(key="example", image=drawn.image, annotation={"instances": instances, "phrases": phrases})


def object_shapes(rng: np.random.Generator) -> Sample:
    """The image of `shapes` with its shapes as instances of a set of four classes."""
    drawn = named_shapes(rng)
    facts = {"instances": drawn.annotation["instances"]}
    return Sample("example", drawn.image, facts, meta={"categories": ["disc", "square", "bar", "wedge"]})


def several_shapes(rng: np.random.Generator) -> Sample:
    """Four discs and squares on a noisy background, one in each quarter, as instances of a set of three classes."""
    height, width = int(rng.integers(76, 92)), int(rng.integers(76, 92))
    image, instances = rng.integers(90, 166, (height, width, 3)).astype(np.uint8), []
    for quarter, square in enumerate(rng.integers(0, 2, 4).tolist()):
        r = int(rng.integers(14, 18))
        x, y = ((1 + 2 * place) * side // 4 for place, side in ((quarter % 2, width), (quarter // 2, height)))
        shape = np.zeros((height, width), np.uint8)
        if square:
            cv2.rectangle(shape, (x - r, y - r), (x + r, y + r), 1, -1)
        else:
            cv2.circle(shape, (x, y), r, 1, -1)
        image[shape > 0] = rng.integers(60, 196, 3)
        box = [float(value) for value in cv2.boundingRect(shape)]
        instances.append({"category": "square" if square else "disc", "mask": encode_mask(shape > 0), "box": box})
    return Sample("example", image, {"instances": instances}, meta={"categories": ["disc", "square", "star"]})


def figure(rng: np.random.Generator) -> Sample:
    """One stick figure of 14 joints, all visible, on a noisy background."""
    height, width = int(rng.integers(150, 200)), int(rng.integers(110, 150))
    tall, left, top = rng.uniform(0.6, 0.85) * height, rng.uniform(0.2, 0.3) * width, rng.uniform(0.05, 0.12) * height
    wide = 0.5 * width
    image = rng.integers(100, 156, (height, width, 3)).astype(np.uint8)
    places = np.array(list(_JOINTS.values())) + rng.uniform(-0.06, 0.06, (len(_JOINTS), 2))
    joints = places * (wide, tall) + (left, top)
    for start, end in _LIMBS:
        ends = [tuple(int(v) for v in joints[index].round()) for index in (start, end)]
        cv2.line(image, ends[0], ends[1], (70, 80, 90), 3)
    low, high = joints.min(axis=0), joints.max(axis=0)
    box = [float(v) for v in (*low, *(high - low))]
    instance = {
        "category": "person",
        "keypoints": [[float(x), float(y), 2] for x, y in joints],
        "box": box,
        "area": box[2] * box[3],
        "id": 1,
    }
    skeleton = {
        "joints": list(_JOINTS),
        "pairs": [[index, index + 1] for index in range(2, len(_JOINTS), 2)],
        "sigmas": [0.05] * len(_JOINTS),
    }
    return Sample(
        key="example", image=image, annotation={"instances": [instance]}, meta={"skeletons": {"person": skeleton}}
    )
