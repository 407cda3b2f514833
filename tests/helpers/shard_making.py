"""A small source and small files for the tests of shards. Worker processes import it, so it is a module."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from idiff.data.build.builder import build
from idiff.data.shards.annotation import canonical_json
from idiff.data.sources.base import RawSample, Source
from idiff.errors import BadSampleError
from idiff.utils.picture_files import encode_png

SKELETONS = {"face": {"joints": ["nose", "chin"], "pairs": [], "sigmas": [0.05, 0.05]}}


def picture(seed: int, height: int = 6, width: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def file_bytes(array: np.ndarray, form: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, form, **options)
    return stream.getvalue()


def instance(number: int) -> dict:
    points = [[1.5, 2.0, 2], [3.0, 4.0, 1]]
    return {"category": "face", "keypoints": points, "box": [0, 0, 5, 5], "area": 10.0, "id": number}


class ToySource(Source):
    """Images of noise with 0, 1, 2, 0, 1, 2, ... instances, and a label map; `bad` indices cannot be used."""

    tasks = ("keypoints", "segmentation")
    unit = "instances"

    def __init__(self, count: int = 7, bad: tuple[int, ...] = (), fail_at: int | None = None, same_key: bool = False):
        self.count, self.bad, self.fail_at, self.same_key = count, bad, fail_at, same_key

    def meta(self):
        return {"classes": ["background", "thing"], "skeletons": SKELETONS}

    def __len__(self):
        return self.count

    def sample(self, index):
        if index == self.fail_at:
            raise KeyboardInterrupt
        if index in self.bad:
            raise BadSampleError(f"file{index}.jpg", "source", "cannot be decoded")
        label = (picture(index)[..., 0] > 128).astype(np.uint8)
        facts = {"instances": [instance(number) for number in range(index % 3)], "note": "été ☃"}
        key = "same" if self.same_key else f"k{index:04d}"
        return RawSample(key=key, image=encode_png(picture(index)), annotation=facts, label=label)


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    """A foreign tar: any names, any order."""
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def members(key: str, seed: int = 0, **facts) -> list[tuple[str, bytes]]:
    return [(f"{key}.annotation.json", canonical_json(facts)), (f"{key}.source.png", encode_png(picture(seed)))]


def build_toy(folder, source=None, **options):
    """Build a source, or nine samples of which one is bad, into shards of two samples."""
    source = ToySource(9, bad=(4,)) if source is None else source
    return build(source, folder, name="toy", split="val", shard_size=2, **options)


def bytes_of(folder):
    """File name -> content, of every file of a folder."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
