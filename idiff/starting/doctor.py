"""`idiff doctor`: what a run needs of this machine, each with what mends it, and facts for a report of a bug."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from idiff._version import __version__

GIB = 1 << 30
LEAST_DISK, LEAST_MEMORY, LEAST_SHARED = 2 * GIB, 2 * GIB, 256 << 20
"""Free bytes below which a first training is likely to fail: of a disk, of memory, of `/dev/shm` for worker processes."""

SHOWN = ("torch", "lightning", "diffusers", "transformers", "torchmetrics", "numpy", "opencv-python-headless", "pillow")
"""Packages whose versions a report of a bug names."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined.

    Attributes:
        what: its name.
        state: `OK`, `FAIL`, or `--` for what may be missing.
        said: what was found.
        remedy: what to do about it, for FAIL and `--`.
    """

    what: str
    state: str
    said: str
    remedy: str = ""

    def line(self) -> str:
        """The finding as a line."""
        return f"{self.state:<4} {self.what}: {self.said}" + (f". {self.remedy}" if self.remedy else "")


def examine(folder: Path) -> Iterator[Finding]:
    """Look at the installation and the machine; nothing is left behind.

    Args:
        folder: where runs are going to be written.
    """
    yield Finding("Python", "OK", platform.python_version())
    yield from _packages()
    yield _tried("weights that ship", _weights)
    yield _tried("processor", _processor)
    yield _tried("graphics card", _graphics)
    yield _amount("memory", _available_memory(), LEAST_MEMORY, "Close other programs, or use smaller batches.")
    yield from _disk("disk of this folder", folder, "Free some space, or start idiff in another folder.")
    yield from _disk("temporary folder", Path(tempfile.gettempdir()), "Set TMPDIR to a folder that can be written.")
    shared = Path("/dev/shm")
    if shared.is_dir():
        remedy = "Set data.num_workers: 0, or start the container with --shm-size=1g."
        yield _amount("shared memory of worker processes", shutil.disk_usage(shared).free, LEAST_SHARED, remedy)


def report(findings: list[Finding]) -> str:
    """The facts that a report of a bug needs, as a block of Markdown without names of people or folders."""
    extras = [
        each.what.removeprefix("extra ") for each in findings if each.what.startswith("extra ") and each.state == "OK"
    ]
    versions = [f"{name} {_version(name) or 'absent'}" for name in SHOWN]
    lines = [
        f"idiff {__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()} {platform.machine()}",
        ", ".join(versions),
        "extras: " + (", ".join(extras) or "none"),
        *(
            each.line()
            for each in findings
            if each.state != "OK" or each.what in {"processor", "graphics card", "memory"}
        ),
    ]
    return "\n".join(["```", *lines, "```"])


def _tried(what: str, examined: Callable[[], Finding]) -> Finding:
    """A finding of what has to be imported first."""
    try:
        return examined()
    except (ImportError, OSError) as error:  # OSError: a library that its loader cannot read
        said = f"cannot be examined: {str(error).splitlines()[0][:200]}"
        return Finding(what, "FAIL", said, "Install what is missing above.")


def _packages() -> Iterator[Finding]:
    """What idiff needs, and its extras, against what is installed."""
    from packaging.requirements import Requirement

    try:
        listed = [Requirement(text) for text in metadata.requires("idiff") or ()]
        extras = metadata.metadata("idiff").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        yield Finding(
            "packages", "FAIL", "idiff itself is not installed", "`pip install -e .` in its folder, or `make setup`."
        )
        return
    bad = _lacking([one for one in listed if one.marker is None or one.marker.evaluate({"extra": ""})])
    if bad:
        yield Finding(
            "packages",
            "FAIL",
            ", ".join(bad),
            "`pip install -c constraints.txt -e .` in idiff's folder, or `pip install idiff`.",
        )
    else:
        yield Finding("packages", "OK", f"idiff {__version__} and all that it needs")
    for extra in sorted(extras):
        own = [one for one in listed if one.marker is not None and one.marker.evaluate({"extra": extra})]
        own = [one for one in own if not one.marker.evaluate({"extra": ""})]  # type: ignore[union-attr]
        lacks = _lacking(own)
        if lacks:
            yield Finding(
                f"extra {extra}",
                "--",
                f"without {', '.join(lacks)}",
                f"`pip install 'idiff[{extra}]'` where it is wanted.",
            )
        else:
            yield Finding(f"extra {extra}", "OK", "installed")


def _lacking(requirements: Sequence[object]) -> list[str]:
    found = []
    for one in requirements:
        name, wanted = str(getattr(one, "name", one)), getattr(one, "specifier", None)
        version = _version(name)
        if version is None:
            found.append(name)
        elif wanted is not None and not wanted.contains(version, prereleases=True):
            found.append(f"{name} {version} (needs {wanted})")
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _weights() -> Finding:
    """The models that ship, each file against the checksum that was written beside it."""
    from idiff.models.io.folders import DESCRIPTION
    from idiff.models.io.pretrained import models_folder, names
    from idiff.utils.files import sha256_file
    from idiff.utils.foreign import read_json

    remedy = "Install idiff again; in a clone, `git checkout -- idiff/assets`."
    wrong, files = [], set()
    for folder in sorted(set(names().values())):
        try:
            known = read_json(models_folder() / folder / DESCRIPTION)["sha256"]
            for name, digest in known.items():
                path = (models_folder() / folder / name).resolve()
                files.add(path)
                if sha256_file(path) != digest:
                    wrong.append(f"{folder}/{name}")
        except Exception as error:  # a damaged file may fail in any way
            wrong.append(f"{folder} ({type(error).__name__})")
    if wrong or not files:
        return Finding(
            "weights that ship", "FAIL", f"not what they were: {', '.join(wrong) or 'none is there'}", remedy
        )
    return Finding(
        "weights that ship", "OK", f"{len(files)} files of {len(set(names().values()))} models have their SHA-256"
    )


def _processor() -> Finding:
    from idiff.utils.hardware import fast_bfloat16

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fast = "with bfloat16" if fast_bfloat16() else "without bfloat16 of its own: use trainer.precision 32-true"
    return Finding("processor", "OK", f"{cores} cores for this process, {fast}")


def _graphics() -> Finding:
    import torch

    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        return Finding(
            "graphics card", "OK", ", ".join(f"{card.name}, {card.total_memory / GIB:.0f} GiB" for card in cards)
        )
    if torch.backends.mps.is_available():
        return Finding("graphics card", "OK", "Apple's (mps)")
    if Path("/proc/driver/nvidia/version").exists():
        said = f"there is an NVIDIA driver, and torch {torch.__version__} cannot use it"
        return Finding("graphics card", "FAIL", said, "Install the torch of pytorch.org for the driver's CUDA version.")
    return Finding("graphics card", "--", "none", "The tiny models need none; Stable Diffusion 1.5 does.")


def _disk(what: str, folder: Path, remedy: str) -> Iterator[Finding]:
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as stream:
            stream.write(b"idiff")
            stream.flush()
    except OSError as error:
        yield Finding(what, "FAIL", f"cannot be written ({error.strerror})", remedy)
        return
    yield _amount(what, shutil.disk_usage(folder).free, LEAST_DISK, remedy)


def _amount(what: str, free: int | None, least: int, remedy: str) -> Finding:
    if free is None:
        return Finding(what, "--", "not known on this system")
    said = f"{free / GIB:.1f} GiB free"
    return (
        Finding(what, "OK", said)
        if free >= least
        else Finding(what, "FAIL", f"{said}, {least / GIB:.2g} are needed", remedy)
    )


def _available_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), None)
