"""The samples that the picker shows: which there are, in which order a person sees the candidates, and their images."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from typing import Any

from fastapi import HTTPException

from idiff.alignment.candidates import SAMPLE, SAMPLES, CandidateFolder, CandidateSample
from idiff.errors import DataError

log = logging.getLogger(__name__)

_NAME = re.compile("[0-9]{1,12}")
_INDEX = re.compile("0|[1-9][0-9]{0,3}")


def shuffled(count: int, *, annotator: str, sample: str) -> list[int]:
    """Indices of candidates in the order in which a person sees them, so that no place in the grid favours a setting.

    Args:
        count: number of candidates.
        annotator: each person has another order,
        sample: and each sample; the same pair always has the same.
    """

    def key(index: int) -> bytes:
        return hashlib.blake2b(f"{annotator}/{sample}/{index}".encode(), digest_size=8).digest()

    return sorted(range(count), key=key)


class PickerSamples:
    """Reads a folder of candidates and keeps what it read; damaged samples are named in the log and left out.

    Args:
        folder: samples that are written to it later are found, too.

    Attributes:
        task: name of the task.
        identity: differs between folders of other settings, wherever they lie.
        damaged: samples left out.
    """

    def __init__(self, folder: CandidateFolder) -> None:
        self.folder = folder
        self.task = str(folder.settings.get("task", ""))
        settings = {name: value for name, value in folder.settings.items() if name != "samples"}
        self.identity = _digest(settings)
        self._read: dict[str, tuple[int, CandidateSample | None]] = {}

    @property
    def damaged(self) -> int:
        """Samples left out, of those read so far."""
        return sum(sample is None for _, sample in list(self._read.values()))

    def names(self) -> list[str]:
        """The samples that can be shown, in order."""
        return [name for name in self.folder.samples() if self._sample(name) is not None]

    def shown(self, name: str, *, annotator: str) -> dict[str, Any]:
        """What the page needs of a sample: `sample`, `version`, `instruction`, and `order`, see `shuffled`.

        Raises:
            HTTPException: 404, no such sample.
        """
        sample = self._known(name)
        return {
            "sample": name,
            "version": _version(sample),
            "instruction": sample.instruction,
            "order": shuffled(len(sample.candidates), annotator=annotator, sample=name),
        }

    def picture(self, name: str, which: str) -> tuple[bytes, str]:
        """The PNG of a sample's `source`, or of the candidate of an index; with the sample's version.

        Raises:
            HTTPException: 404, no such sample or candidate.
            DataError: the file is missing or another than was written.
        """
        sample = self._known(name)
        if which == "source":
            file, sha256 = sample.source["file"], sample.source.get("sha256")
        elif _INDEX.fullmatch(which) and int(which) < len(sample.candidates):
            candidate = sample.candidates[int(which)]
            file, sha256 = candidate.file, candidate.sha256
        else:
            raise HTTPException(404, f"sample {name} has no candidate {which[:20]!r}")
        return self.folder.picture(sample, file, sha256), _version(sample)

    def check(self, name: str, chosen: Sequence[int], *, version: Any) -> None:
        """Refuse a decision that is not about what lies in the folder.

        Raises:
            HTTPException: 404 no such sample, 409 its images are others now, 400 no such candidate.
        """
        sample = self._known(name)
        if version != _version(sample):
            raise HTTPException(409, f"the images of sample {name} have changed: load the page again")
        if any(index >= len(sample.candidates) for index in chosen):
            raise HTTPException(400, f"sample {name} has {len(sample.candidates)} candidates, got {list(chosen)}")

    def _known(self, name: str) -> CandidateSample:
        sample = self._sample(name) if _NAME.fullmatch(name) and self.folder.has(name) else None
        if sample is None:
            raise HTTPException(404, f"there is no sample {name[:20]!r}")
        return sample

    def _sample(self, name: str) -> CandidateSample | None:
        """Read a sample, once for each time that it is written; None: it is damaged."""
        changed = (self.folder.path / SAMPLES / name / SAMPLE).stat().st_mtime_ns
        if name not in self._read or self._read[name][0] != changed:
            try:
                sample = self.folder.read(name)
            except DataError as error:
                log.warning("left out: %s", error)
                sample = None
            self._read[name] = (changed, sample)
        return self._read[name][1]


def _version(sample: CandidateSample) -> str:
    """Another for other images or words."""
    return _digest([sample.instruction, sample.source, [candidate.sha256 for candidate in sample.candidates]])


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()
