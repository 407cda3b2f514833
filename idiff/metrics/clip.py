"""Edits and painted images as CLIP sees them: `clip_sim clip_dir aesthetic`. The models come in from outside.

Images are float32 (3, H, W) in [-1, 1]; CLIP gets them as uint8, through the pre-processing of its own folder.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Protocol

from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from idiff.metrics.base import RatioMetric
from idiff.predictions import EditTruth, ImagePrediction, ImageTruth, expect
from idiff.types import Picture, Prediction, Truth
from idiff.utils.images import to_picture

KEPT = 64
"""How many of the last images and sentences are remembered: several metrics and baselines ask for the same ones."""


class Embedder(Protocol):
    """Puts images and sentences into one space, as CLIP does."""

    def __call__(self, pictures: Sequence[Picture]) -> Tensor:
        """Images uint8 (H, W, 3) to float32 (N, D)."""

    def texts(self, sentences: Sequence[str]) -> Tensor:
        """Sentences to float32 (N, D)."""


class Remembered:
    """An embedder that asks once for an image or a sentence that comes again. Copies of metrics share it.

    Args:
        embedder: CLIP.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._known: OrderedDict[tuple[str, bytes], Tensor] = OrderedDict()

    def __deepcopy__(self, memo: dict[int, Any]) -> Remembered:
        return self

    def picture(self, picture: Tensor) -> Tensor:
        """Embed one image, float32 (3, H, W) in [-1, 1]: float32 (D,)."""
        drawn = to_picture(picture)
        key = blake2b(drawn.tobytes(), digest_size=16, person=str(drawn.shape).encode()[:16]).digest()
        return self._ask("picture", key, lambda: self.embedder([drawn])[0])

    def text(self, sentence: str) -> Tensor:
        """Embed one sentence: float32 (D,)."""
        return self._ask("text", sentence.encode(), lambda: self.embedder.texts([sentence])[0])

    def _ask(self, kind: str, key: bytes, embed: Callable[[], Tensor]) -> Tensor:
        found = self._known.pop((kind, key), None)
        self._known[kind, key] = embed() if found is None else found
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return self._known[kind, key]


class CLIPSimilarity(RatioMetric):
    """`clip_sim`: mean cosine of a painted image and a caption of the wanted result (CLIP-Sim in InstructDiffusion).

    In [-1, 1]; papers print it times 100. Images without such a caption are left out.

    Args:
        clip: the model that compares.
    """

    def __init__(self, clip: Remembered) -> None:
        super().__init__("clip_sim")
        self.clip = clip

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image: `prediction.picture` and `truth.caption`. Errors as in `ItemMetric.update`."""
        found, wanted = self.typed(prediction, truth, (ImagePrediction, ImageTruth))
        if wanted.caption:
            self.add(cosine_similarity(self.clip.picture(found.picture), self.clip.text(wanted.caption), dim=0))


class CLIPDirection(RatioMetric):
    """`clip_dir`: mean cosine of how the image changed and how its caption did (Gal et al., 2021).

    In [-1, 1]; an edit that changes nothing counts 0. Edits without captions of source and result are left out.

    Args:
        clip: the model that compares.
    """

    def __init__(self, clip: Remembered) -> None:
        super().__init__("clip_dir")
        self.clip = clip

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one edit: `prediction.picture`, `truth.source` and both captions. Errors as in `ItemMetric.update`."""
        found, wanted = self.typed(prediction, truth, (ImagePrediction, EditTruth))
        if wanted.caption and wanted.source_caption:
            seen = _unit(self.clip.picture(found.picture)) - _unit(self.clip.picture(wanted.source))
            said = _unit(self.clip.text(wanted.caption)) - _unit(self.clip.text(wanted.source_caption))
            self.add(cosine_similarity(seen, said, dim=0))


class Aesthetic(RatioMetric):
    """`aesthetic`: mean score of the edits by an aesthetic predictor on CLIP's features, about 1 to 10.

    Args:
        clip: the model whose features the predictor was trained on.
        head: features (N, D) to scores (N,).
    """

    def __init__(self, clip: Remembered, head: Callable[[Tensor], Tensor]) -> None:
        super().__init__("aesthetic")
        self.clip, self.head = clip, head

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one edit: `prediction.picture`. Errors as in `ItemMetric.update`, and those of the predictor."""
        picture = expect(prediction, ImagePrediction, by="Aesthetic", key=truth.key).picture
        self.add(self.head(self.clip.picture(picture)[None])[0])


def _unit(features: Tensor) -> Tensor:
    """Of unit length."""
    return normalize(features, dim=0)
