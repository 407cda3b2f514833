"""The folder of candidates: what one model painted for each prompt under several guidance settings, for a choice among them.

    align.json                       what was asked of which model, see `CandidateFolder.settings`
    samples/000012/source.png        the model's view of the image
    samples/000012/rendered.png      the same through the autoencoder, which decoders compare with
    samples/000012/candidate_00.png  what the model painted, uint8 RGB at the model's size
    samples/000012/target.png        the painted truth, where there is one
    samples/000012/sample.json       written last: a sample that has it is whole
    picks/ANNOTATOR.jsonl            decisions, see `idiff.alignment.picks`

Reading runs nothing, and no name in these files leads out of the folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from idiff.errors import ConfigError, DataError, missing
from idiff.utils.files import own_folder, write_atomic
from idiff.utils.foreign import MAX_TEXT, decoding, parse_json, read_regular

SCHEMA = 1
NAME = "align.json"
SAMPLES = "samples"
SAMPLE = "sample.json"
_MAX_BYTES = 64 << 20
_ID = re.compile(r"[0-9]{1,12}")
_FILE = re.compile(r"[A-Za-z0-9_-]{1,80}\.png")
_KNOWN_BY = {"checkpoint": "sha256", "data": "fingerprint"}
"""Parts of align.json that count as the same where this one value is, wherever the files have moved."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One painted image.

    Attributes:
        file: its name in the sample's folder.
        seed: of its noise.
        sampling: how it was sampled, the fields of `idiff.types.Sampling`.
        sha256: of the file's bytes.
    """

    file: str
    seed: int
    sampling: dict[str, Any]
    sha256: str


@dataclass(frozen=True, slots=True)
class CandidateSample:
    """One prompt and what was painted for it.

    Attributes:
        sample: its number in the folder, such as `000012`.
        key: key of the image in the shards. item: which item of the image was asked for.
        instruction: the prompt.
        caption: what the wanted result shows, where the data says so; else the instruction.
        query: see `Triplet.query`.
        candidates: in the order of their numbers.
        truth: `{"file": name}` of the painted truth, or None.
        source: `{"file": name, "sha256": digest}`. rendered: the same of the source through the autoencoder, or None.
    """

    sample: str
    key: str
    item: int
    instruction: str
    caption: str
    query: dict[str, Any]
    candidates: tuple[Candidate, ...]
    truth: dict[str, str] | None
    source: dict[str, str]
    rendered: dict[str, str] | None = None


class CandidateFolder:
    """A folder of candidates. Use `open` to read one, `begin` to make one or go on with it.

    Attributes:
        path: the folder.
        settings: `task`: name in the training; `entry`: class and arguments of the task; `checkpoint`: name and SHA-256;
            `data`: path and fingerprint; `candidates`: how many a sample; `grid`: their guidance settings; `seed`; `samples`:
            how many there are once it is finished.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path, self.settings = path, settings

    @classmethod
    def open(cls, where: Path | str) -> CandidateFolder:
        """Read what a folder holds.

        Raises:
            DataError: it is missing, no folder of candidates, damaged, or of another schema.
        """
        file = Path(where) / NAME
        if not file.is_file():
            raise missing(file, what="a folder of candidates", remedy="`idiff align generate` makes one.")
        return cls(Path(where), _settings(file))

    @classmethod
    @contextlib.contextmanager
    def begin(cls, where: Path | str, settings: Mapping[str, Any]) -> Iterator[CandidateFolder]:
        """Make the folder, or go on with one of the same settings; nobody else writes to it meanwhile.

        Raises:
            ConfigError: it holds candidates of other settings (says which), other files, or another process is writing to it.
            DataError: it cannot be written.
        """
        folder, settings = Path(where), {"schema": SCHEMA, **json.loads(json.dumps(dict(settings)))}
        with own_folder(folder):
            file = folder / NAME
            if file.is_file():
                _check_same(folder, _settings(file), settings)
            elif any(entry.name != ".lock" for entry in folder.iterdir()):
                raise ConfigError(f"{folder} holds other files and no {NAME}. Give another --out.")
            else:
                write_atomic(file, json.dumps(settings, indent=1).encode() + b"\n")
            (folder / SAMPLES).mkdir(exist_ok=True)
            yield cls(folder, settings)

    def samples(self) -> list[str]:
        """The numbers of the samples that are whole, in order."""
        folder = self.path / SAMPLES
        found = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        return sorted(name for name in found if _ID.fullmatch(name) and (folder / name / SAMPLE).is_file())

    def has(self, sample: str) -> bool:
        """Whether a sample is whole."""
        return (self.path / SAMPLES / sample / SAMPLE).is_file()

    def read(self, sample: str) -> CandidateSample:
        """Read one sample's facts.

        Raises:
            DataError: there is no such sample, or its file is damaged.
        """
        file = self.path / SAMPLES / sample / SAMPLE
        if not _ID.fullmatch(sample) or not file.is_file():
            raise DataError(f"{self.path} has no sample '{sample[:40]}': expected one of those under {SAMPLES}/.")
        remedy = "Delete its folder and run `idiff align generate` again."
        with decoding(lambda reason: DataError(f"{file} is damaged: {reason}. {remedy}")):
            return _sample(sample, parse_json(self._bytes(sample, SAMPLE)))

    def picture(self, sample: CandidateSample, file: str, sha256: str | None = None) -> bytes:
        """The bytes of one of a sample's images.

        Args:
            sample: which.
            file: its name.
            sha256: what its bytes must be; None: unknown.

        Raises:
            DataError: it is missing, or another image than was written.
        """
        path = self.path / SAMPLES / sample.sample / file
        remedy = "Delete the sample's folder and run `idiff align generate` again."
        try:
            data = self._bytes(sample.sample, file)
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise missing(path, what="an image of this sample", remedy=remedy) from None
            raise DataError(f"{path} cannot be read: {error.strerror}. {remedy}") from None
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise DataError(f"{path} is not the image that was written: its SHA-256 differs. {remedy}")
        return data

    def _bytes(self, sample: str, file: str) -> bytes:
        """A file of a sample. Links are not followed: what they lead to is not of this folder."""
        return read_regular(Path(SAMPLES) / sample / file, most=_MAX_BYTES, inside=self.path)

    def write(self, sample: CandidateSample, pictures: Mapping[str, bytes]) -> None:
        """Write a sample: its images first, then `sample.json`.

        Args:
            sample: its facts.
            pictures: file name -> bytes.

        Raises:
            DataError: the folder cannot be written.
        """
        folder = self.path / SAMPLES / sample.sample
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, data in pictures.items():
                write_atomic(folder / name, data)
        except OSError as error:
            raise DataError(
                f"{folder} cannot be written: {error.strerror}. Free space there; what is done is kept."
            ) from error
        write_atomic(folder / SAMPLE, json.dumps(asdict(sample), indent=1).encode() + b"\n")


def _settings(file: Path) -> dict[str, Any]:
    with decoding(lambda reason: DataError(f"{file} is damaged: {reason}. Generate the candidates again.")):
        value = parse_json(read_regular(file.name, most=MAX_TEXT, inside=file.parent))
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        got = value.get("schema") if isinstance(value, dict) else None
        raise DataError(f"{file} has schema {got!r}, this version reads {SCHEMA}. Generate the candidates again.")
    return value


def _check_same(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Refuse to go on with other settings."""

    def core(value: dict[str, Any], name: str) -> Any:
        part = value.get(name)
        return part.get(_KNOWN_BY[name]) if name in _KNOWN_BY and isinstance(part, dict) else part

    changes = [
        f"{name} was {_short(core(old, name))}, now {_short(core(new, name))}"
        for name in [*new, *(name for name in old if name not in new)]
        if core(old, name) != core(new, name)
    ]
    if changes:
        raise ConfigError(
            f"{folder} holds other candidates: {'; '.join(changes)}. Give another --out, or the settings it began with."
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 160 else f"{text[:157]}..."


def _sample(name: str, value: dict[str, Any]) -> CandidateSample:
    """Build a sample of its JSON.

    Raises:
        ValueError: a field of another type, or a file name that could lead elsewhere.
    """
    if value["sample"] != name:
        raise ValueError(f"it says it is sample {value['sample']!r}")
    candidates = tuple(
        Candidate(str(one["file"]), int(one["seed"]), dict(one["sampling"]), str(one["sha256"]))
        for one in value["candidates"]
    )
    truth, source, rendered = value.get("truth"), value.get("source") or {"file": "source.png"}, value.get("rendered")
    files = [one.file for one in candidates] + [part["file"] for part in (truth, source, rendered) if part]
    for file in files:
        if not _FILE.fullmatch(file):
            raise ValueError(f"{file[:80]!r} is not a plain name of a PNG file")
    instruction = value["instruction"]
    if not isinstance(instruction, str) or not candidates:
        raise ValueError(f"instruction {instruction!r}, {len(candidates)} candidates")
    return CandidateSample(
        sample=name, key=str(value["key"]), item=int(value.get("item", 0)), instruction=instruction,
        caption=str(value.get("caption") or instruction), query=dict(value["query"]), candidates=candidates, truth=truth,
        source=source, rendered=rendered,
    )  # fmt: skip
