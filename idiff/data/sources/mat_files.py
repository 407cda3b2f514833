"""MATLAB files (.mat): their variables, MPII's people, and SIDD's validation blocks.

Sources: MPII Human Pose, `mpii_human_pose_v1_u12_1.mat`; SIDD, `ValidationNoisyBlocksSrgb.mat` and `ValidationGtBlocksSrgb.mat`.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from idiff.data.sources.base import Stored
from idiff.data.sources.hdf5_mat import is_hdf5, read_hdf5
from idiff.errors import BadSampleError, DataError, missing
from idiff.utils.foreign import decoding, open_regular
from idiff.utils.picture_files import encode_png

HIDDEN = "hidden"
"""Flag of a joint that is labelled and not visible."""

_JOINTS = 16
_RELEASE = "RELEASE"


_MEMORY = 4 << 30
_LOAD = """
import pickle, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
from scipy.io import loadmat
found = loadmat(sys.argv[1], squeeze_me=True, struct_as_record=False)
pickle.dump(found, sys.stdout.buffer, protocol=5)
"""
"""Run by a process of its own: scipy's reader is compiled, and a damaged file can end the process that it runs in."""


def load_mat(file: Path) -> dict[str, Any]:
    """The variables of a file of MATLAB 5 to 7.3: numbers as arrays, structures as objects with fields.

    Raises:
        DataError: it cannot be read.
        ConfigError: it is of version 7.3, and h5py is not installed.
    """
    if not file.exists():
        raise missing(file, what="a MATLAB file", remedy="Check that the set is whole.")
    with decoding(lambda reason: DataError(f"{file} cannot be read as a MATLAB file: {reason}. Download it again.")):
        if is_hdf5(file):
            return read_hdf5(file)
        with open_regular(file) as stream:
            size = os.fstat(stream.fileno()).st_size
        command = [sys.executable, "-I", "-c", _LOAD, str(file.absolute()), str(_MEMORY + 8 * size)]
        done = subprocess.run(command, capture_output=True, check=False)
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        if done.returncode:
            raise ValueError(said.partition(": ")[2] or f"its reader ended by signal {-done.returncode}")
        found: dict[str, Any] = pickle.loads(done.stdout)
    return found


def mpii_people(file: Path, split: str) -> list[dict[str, Any]]:
    """MPII's people of the training images, in the form of the JSON lists; a hidden joint has the flag `HIDDEN`.

    Raises:
        DataError: another file, or a split that it does not have.
    """
    release = load_mat(file).get(_RELEASE)
    images = elements(getattr(release, "annolist", None))
    training = np.atleast_1d(getattr(release, "img_train", np.zeros(0)))
    if not images or len(training) != len(images):
        raise DataError(f"{file} is no MPII file: expected {_RELEASE} with annolist and img_train.")
    if split != "train":
        raise DataError(
            f"{file} has the people of the split train, got '{split}': those of val are a part of them that a list names. "
            f"Give --split train, or --annotations mpii_{split}.json."
        )
    return [
        person
        for image, in_train in zip(images, training.tolist(), strict=True)
        if in_train
        for person in _people(image)
    ]


def _people(image: Any) -> Iterator[dict[str, Any]]:
    """The people of one image, those without joints too; what cannot be used is None, for the reader to name."""
    name = getattr(getattr(image, "image", None), "name", None)
    for person in elements(getattr(image, "annorect", None)):
        center = getattr(person, "objpos", None)
        joints: list[Any] = [[0.0, 0.0] for _ in range(_JOINTS)]
        flags: list[Any] = [0] * _JOINTS
        points = elements(getattr(getattr(person, "annopoints", None), "point", None))
        for point in points:
            place = _plain(getattr(point, "id", None))
            if type(place) is not int or not 0 <= place < _JOINTS:
                joints = []
                break
            joints[place] = [_plain(getattr(point, axis, None)) for axis in ("x", "y")]
            flags[place] = HIDDEN if str(_plain(getattr(point, "is_visible", 1))) == "0" else 1
        yield {
            "image": name, "joints": joints if points else [], "joints_vis": flags if points else [],
            "center": [_plain(getattr(center, axis, None)) for axis in ("x", "y")],
            "scale": _plain(getattr(person, "scale", None)),
        }  # fmt: skip


def elements(value: Any) -> list[Any]:
    """The structures of a field: MATLAB writes one as it is, several as an array, none as an empty array."""
    return [
        one for one in np.atleast_1d(np.asarray(value, dtype=object)).ravel().tolist() if hasattr(one, "_fieldnames")
    ]


def _plain(value: Any) -> Any:
    """A number as Python's own; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True, slots=True)
class Block(Stored):
    """One image of an array (..., height, width, 3) of uint8.

    Attributes:
        path: the MATLAB file.
        name: of the image.
        variable: the array.
        place: the image's number, counted over the first axes.
    """

    path: Path
    name: str
    variable: str
    place: int

    def read(self, *, where: str, field: str) -> bytes:
        """The image as PNG. See `Stored`."""
        try:
            blocks = read_blocks(self.path, self.variable)
        except DataError as error:
            raise BadSampleError(where, field, str(error)) from error
        if self.place >= len(blocks):
            raise BadSampleError(where, field, f"{self.path} has {len(blocks):,} images now")
        return encode_png(blocks[self.place])


def list_blocks(file: Path, variable: str) -> dict[str, Stored]:
    """The images of an array by name, such as `0003`.

    Raises:
        DataError: see `read_blocks`.
    """
    return {
        f"{place:04d}": Block(file, f"{place:04d}.png", variable, place)
        for place in range(len(read_blocks(file, variable)))
    }


def read_blocks(file: Path, variable: str) -> Any:
    """An array of images as uint8 (number, height, width, 3). Two files stay in memory, so that a pair is read once.

    Raises:
        DataError: the file cannot be read, or holds no such array.
    """
    try:
        changed = file.stat().st_mtime_ns
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    return _blocks(file, variable, changed)


@lru_cache(maxsize=2)
def _blocks(file: Path, variable: str, _changed: int) -> Any:
    array = load_mat(file).get(variable)
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim < 4 or array.shape[-1] != 3:
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(f"{file}: '{variable}' is {got}, expected images as uint8 (scenes, blocks, height, width, 3).")
    return array.reshape(-1, *array.shape[-3:])
