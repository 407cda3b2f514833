"""The peer of loading: webdataset's streaming pipeline with the same work as a training example of segmentation.

Shards are read in order, samples shuffled in a buffer, decoded with Pillow as `decode("pil")` does, and turned into examples: a
random square crop and mirror, resizing, the same light color changes by the same transform of albumentations, one class drawn and
painted, a sentence about it. Batches are stacked tensors.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterable, Sequence
from typing import Any

import albumentations
import cv2
import numpy as np
import torch
import webdataset
from PIL import Image

from idiff.transforms.augment import DEFAULT

COLORS = {
    "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
}  # fmt: skip


class Example:
    """One segmentation example of a decoded sample.

    Args:
        side: of the images in pixels.
        classes: names by label.
        sentences: templates with {object} and {color}.
        transparency: share of the image that shows through.
        negatives: share of prompts about a class that is not there.
    """

    def __init__(
        self,
        side: int,
        classes: Sequence[str],
        sentences: Sequence[str],
        *,
        transparency: float = 0.3,
        negatives: float = 0.2,
    ) -> None:
        self.side, self.classes, self.sentences = side, list(classes), list(sentences)
        self.transparency, self.negatives = transparency, negatives
        known = dict(DEFAULT[0])
        self.colors = getattr(albumentations, known.pop("name"))(**known)

    def __call__(self, sample: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, str]:
        """Source and target (3, side, side) in [-1, 1], and the sentence."""
        image = sample["source.jpg"]
        labels = sample["label.png"]
        width, height = image.size
        edge = min(width, height)
        left, top = random.randint(0, width - edge), random.randint(0, height - edge)
        size = (self.side, self.side)
        pixels = np.asarray(image.crop((left, top, left + edge, top + edge)).resize(size, Image.Resampling.LANCZOS))
        labels = cv2.resize(labels[top : top + edge, left : left + edge], size, interpolation=cv2.INTER_NEAREST)
        if random.random() < 0.5:
            pixels, labels = pixels[:, ::-1], labels[:, ::-1]
        pixels = self.colors(image=np.array(pixels))["image"]
        counts = np.bincount(labels.ravel(), minlength=256)
        present = [index for index in range(1, len(self.classes)) if counts[index] >= 16]
        absent = [index for index in range(1, len(self.classes)) if not counts[index]]
        chosen = random.choice(absent if absent and (not present or random.random() < self.negatives) else present)
        name, rgb = random.choice(list(COLORS.items()))
        source = torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1
        mask = torch.from_numpy(np.ascontiguousarray(labels)) == chosen
        painted = self.transparency * source + (1 - self.transparency) * (torch.tensor(rgb) / 127.5 - 1)[:, None, None]
        target = torch.where(mask, painted, source)
        return source, target, random.choice(self.sentences).format(object=self.classes[chosen], color=name)


def label_map(data: bytes) -> np.ndarray:
    """A label map as it is, which `decode("pil")` would turn into RGB."""
    return np.asarray(Image.open(io.BytesIO(data)))


def stacked(examples: Sequence[tuple[torch.Tensor, torch.Tensor, str]]) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """A batch of examples."""
    sources, targets, words = zip(*examples, strict=True)
    return torch.stack(sources), torch.stack(targets), list(words)


def peer_loader(shards: Sequence[str], example: Example, *, batch: int, workers: int, samples: int) -> Iterable[Any]:
    """Batches of one pass over some samples."""
    dataset = (
        webdataset.WebDataset(list(shards), shardshuffle=100, nodesplitter=None, empty_check=False)
        .shuffle(100)
        .decode(webdataset.handle_extension("label.png", label_map), "pil")
        .map(example)
        .batched(batch, collation_fn=stacked)
    )
    loader = webdataset.WebLoader(dataset, batch_size=None, num_workers=workers)
    return loader.with_epoch(samples // batch)
