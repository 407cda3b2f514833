"""Images to feature vectors: what quality scores are computed from. A new extractor is one class, named in a YAML."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from idiff.errors import CheckpointError, ConfigError, missing
from idiff.utils.foreign import decoding

if TYPE_CHECKING:
    from idiff.types import Picture


class Features(ABC):
    """Turns images into vectors. The same images in the same batches give the same vectors.

    Attributes:
        batch_size: images at once, which bounds the memory.
    """

    batch_size: int = 32

    @abstractmethod
    def __call__(self, pictures: Sequence[Picture]) -> Tensor:
        """Extract features.

        Args:
            pictures: uint8 (H, W, 3), of any sizes, at least one.

        Returns:
            float32 (N, D) on the CPU, not normalised.
        """

    def fingerprint(self) -> str:
        """What identifies the extractor beside its configuration, such as a checksum of its weights."""
        return ""


class ColorStatistics(Features):
    """Color and sharpness, without any weights: for tests, and for finding images that are blank, dark or blurred.

    Args:
        bins: of each color channel's histogram.
    """

    def __init__(self, bins: int = 8) -> None:
        if not 2 <= bins <= 256:
            raise ConfigError(f"ColorStatistics: bins is {bins}, expected 2 to 256.")
        self.bins = bins

    def __call__(self, pictures: Sequence[Picture]) -> Tensor:
        """See `Features`. D = 3 * bins + 2: shares of the histograms, deviation of the gray values, mean gradient."""
        return torch.from_numpy(np.stack([self._one(picture) for picture in pictures]))

    def _one(self, picture: Picture) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        edges = np.linspace(0, 256, self.bins + 1)
        shares = [np.histogram(picture[..., channel], edges)[0] / picture[..., 0].size for channel in range(3)]
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        slope = np.mean([np.abs(np.diff(grey, axis=axis)).mean() if grey.shape[axis] > 1 else 0 for axis in (0, 1)])
        return np.array([*np.concatenate(shares), grey.std(), slope], np.float32)


class ClipFeatures(Features):
    """Image embeddings of CLIP, with the pre-processing that lies beside its weights.

    Args:
        folder: a CLIP model in the hub's format: `config.json`, `model.safetensors`, `preprocessor_config.json`.
        device: `cpu`, `cuda`, ...
        batch_size: images at once.
    """

    def __init__(self, folder: str, *, device: str = "cpu", batch_size: int = 32) -> None:
        if batch_size < 1:
            raise ConfigError(f"ClipFeatures: batch_size is {batch_size}, expected 1 or more.")
        self.folder, self.device, self.batch_size = Path(folder), device, batch_size
        for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
            if not (self.folder / name).is_file():
                remedy = "Download a CLIP model with safetensors weights; pickled weights are not read."
                raise missing(self.folder / name, what="a part of a CLIP model", remedy=remedy)
        from transformers import CLIPModel
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        with decoding(
            lambda reason: CheckpointError(f"{self.folder} cannot be used as a CLIP model on {device}: {reason}.")
        ):
            model, found = CLIPModel.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
            self._process = CLIPImageProcessorPil.from_pretrained(self.folder, local_files_only=True)
            self._model = model.to(device, torch.float32).eval().requires_grad_(False)
        lost = sorted(str(key) for key in found["missing_keys"])
        if lost:
            raise CheckpointError(
                f"{self.folder} lacks {len(lost)} weights of a CLIP model ({', '.join(lost[:3])}): get the whole folder again."
            )

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[Picture]) -> Tensor:
        """See `Features`. D = the model's projection_dim, 768 for ViT-L/14."""
        pixels = self._process(images=list(pictures), return_tensors="pt", input_data_format="channels_last")
        found = self._model.get_image_features(pixel_values=pixels["pixel_values"].to(self.device))
        return found.pooler_output.float().cpu()  # type: ignore[no-any-return]

    @torch.inference_mode()
    def texts(self, sentences: Sequence[str]) -> Tensor:
        """Embed sentences with the tokenizer that lies beside the weights; what is too long is cut.

        Returns:
            float32 (N, D) on the CPU, not normalised.

        Raises:
            CheckpointError: there is no tokenizer, or it cannot be used.
        """
        from transformers import CLIPTokenizer

        with decoding(lambda reason: CheckpointError(f"{self.folder} holds no tokenizer of a CLIP model: {reason}.")):
            tokenizer = CLIPTokenizer.from_pretrained(self.folder, local_files_only=True)
        length = self._model.config.text_config.max_position_embeddings
        tokens = tokenizer(list(sentences), padding=True, truncation=True, max_length=length, return_tensors="pt")
        found = self._model.get_text_features(**tokens.to(self.device))
        return found.pooler_output.float().cpu()  # type: ignore[no-any-return]

    def fingerprint(self) -> str:
        """SHA-256 of the weights."""
        from idiff.utils.files import sha256_file

        return sha256_file(self.folder / "model.safetensors")
