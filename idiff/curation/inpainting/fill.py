"""Fill the hole that an object leaves: OpenCV's inpainting, or any inpainting pipeline of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from idiff.errors import ConfigError, missing, suggest
from idiff.utils.foreign import decoding, read_json, read_text
from idiff.utils.plain_yaml import parse_yaml

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_LIBRARIES = frozenset({"diffusers", "transformers", "stable_diffusion", None})


class Inpainter(Protocol):
    """Fills holes. `facts` say what it is (JSON-able); it goes to worker processes, so it pickles."""

    facts: Mapping[str, Any]

    def __call__(self, picture: Picture, hole: Mask, rng: np.random.Generator, *, name: str) -> Picture:
        """Fill a hole.

        Args:
            picture: uint8 (H, W, 3).
            hole: bool (H, W), what is to be painted anew.
            rng: draws what the method draws.
            name: what is taken out, in words.

        Returns:
            uint8 (H, W, 3); pixels outside of the hole are those of the image.
        """


class CvInpainter:
    """OpenCV's inpainting: continues what lies around the hole inwards. Quick, plain, needs no model.

    Source: Telea, "An image inpainting technique based on the fast marching method" (2004).

    Args:
        radius: of the neighbourhood that a pixel is made of, in pixels.
    """

    def __init__(self, radius: float = 4.0) -> None:
        self.radius = radius
        self.facts: Mapping[str, Any] = {"inpainter": "cv2", "radius": radius}

    def __call__(self, picture: Picture, hole: Mask, rng: np.random.Generator, *, name: str) -> Picture:
        """Fill a hole. See `Inpainter`."""
        return np.asarray(cv2.inpaint(picture, hole.astype(np.uint8), self.radius, cv2.INPAINT_TELEA), np.uint8)


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """How an inpainting pipeline is used.

    Attributes:
        path: its folder, in diffusers' format, with weights as safetensors.
        prompt: what is to be painted; `{object}` stands for what is taken out.
        negative_prompt: what is not to be painted.
        steps: of its sampler.
        guidance: its guidance scale.
        size: longest side in pixels at which it works; the image itself is not resized.
    """

    path: str
    prompt: str = "empty background"
    negative_prompt: str = "{object}, object, text"
    steps: int = 30
    guidance: float = 7.5
    size: int = 512


class PipelineInpainter:
    """Any inpainting pipeline of diffusers, from a local folder. Only what it paints inside of the hole is taken.

    Args:
        options: see `PipelineOptions`.

    Raises:
        ConfigError: the folder holds no inpainting pipeline, or one that needs code of its own.
        DataError: the folder is missing.
    """

    def __init__(self, options: PipelineOptions) -> None:
        self.options = options
        _check_pipeline(Path(options.path))
        facts = asdict(options)
        self.facts: Mapping[str, Any] = {"inpainter": Path(facts.pop("path")).name, **facts}
        self._pipeline: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"options": self.options, "facts": self.facts, "_pipeline": None}

    def __call__(self, picture: Picture, hole: Mask, rng: np.random.Generator, *, name: str) -> Picture:
        """Fill a hole. See `Inpainter`."""
        import torch

        if self._pipeline is None:
            self._pipeline = self._load()
        height, width = picture.shape[:2]
        scale = self.options.size / max(height, width)
        block = 8 if not hasattr(self._pipeline, "vae_scale_factor") else max(8, int(self._pipeline.vae_scale_factor))
        tall, wide = (max(block, round(side * scale / block) * block) for side in (height, width))
        shown = Image.fromarray(picture).resize((wide, tall), Image.Resampling.LANCZOS)
        covered = Image.fromarray(hole.astype(np.uint8) * 255).resize((wide, tall), Image.Resampling.NEAREST)
        painted = self._pipeline(
            prompt=self.options.prompt.replace("{object}", name), image=shown, mask_image=covered, height=tall, width=wide,
            negative_prompt=self.options.negative_prompt.replace("{object}", name), guidance_scale=self.options.guidance,
            num_inference_steps=self.options.steps,
            generator=torch.Generator("cpu").manual_seed(int(rng.integers(2**31))),
        ).images[0]  # fmt: skip
        back = np.asarray(painted.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), np.uint8)
        return np.where(hole[..., None], back, picture)

    def _load(self) -> Any:
        import torch
        from diffusers import AutoPipelineForInpainting

        pipeline = AutoPipelineForInpainting.from_pretrained(
            self.options.path, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to("cuda" if torch.cuda.is_available() else "cpu")


def create(spec: str) -> Inpainter:
    """Build an inpainter.

    Args:
        spec: `cv2`, the folder of a pipeline, or a YAML file with the fields of `PipelineOptions`.

    Raises:
        ConfigError: none of these, or fields that do not exist.
        DataError: a folder that is missing.
    """
    if spec == "cv2":
        return CvInpainter()
    path = Path(spec)
    if path.suffix not in {".yaml", ".yml"}:
        return PipelineInpainter(PipelineOptions(path=spec))
    try:
        value = parse_yaml(read_text(path))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--inpainter {spec} cannot be read: {error}. Expected cv2, a folder or a YAML file."
        ) from error
    fields = PipelineOptions.__dataclass_fields__
    if not isinstance(value, dict) or "path" not in value:
        raise ConfigError(f"--inpainter {spec}: expected `path` and any of {', '.join(fields)}.")
    for key, given in value.items():
        if key not in fields:
            raise ConfigError(
                f"--inpainter {spec}: no field '{key}'{suggest(str(key), fields) or '.'} Known: {', '.join(fields)}."
            )
        kinds = {"str": (str,), "int": (int,), "float": (int, float)}[str(fields[key].type)]
        if not isinstance(given, kinds) or isinstance(given, bool):
            raise ConfigError(f"--inpainter {spec}: {key} is {given!r}, expected {fields[key].type}.")
    return PipelineInpainter(PipelineOptions(**value))


def _check_pipeline(folder: Path) -> None:
    """Refuse a folder that is not an inpainting pipeline, or whose parts would bring their own code."""
    file = folder / "model_index.json"
    if not file.is_file():
        raise missing(
            file, what="an inpainting pipeline in diffusers' format", remedy="Pass --inpainter cv2, or such a folder."
        )
    with decoding(lambda reason: ConfigError(f"{file} cannot be read as the index of a pipeline: {reason}.")):
        index = read_json(file)
        kind = index["_class_name"]
        parts = {name: part[0] for name, part in index.items() if isinstance(part, list)}
        foreign = [f"{name} from {library!r}" for name, library in parts.items() if library not in _LIBRARIES]
    if not isinstance(kind, str) or "Inpaint" not in kind:
        raise ConfigError(f"{file}: its pipeline is {kind!r}, expected one for inpainting of diffusers.")
    if foreign:
        raise ConfigError(f"{file}: parts of other libraries are not loaded: {', '.join(foreign)}.")
