"""Webdatasets of images and captions, as img2dataset writes them: `00000.tar` with `KEY.jpg`, `KEY.txt` and `KEY.json`.

Source: img2dataset (https://github.com/rom1504/img2dataset), output format "webdataset".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from idiff.data.shards.index import Member, scan
from idiff.data.sources.base import RawSample, Source
from idiff.data.sources.converting import decode_foreign, foreign_format
from idiff.data.sources.entries import first_faults
from idiff.data.sources.pictures import SUFFIXES, make_keys
from idiff.errors import BadSampleError, DataError, missing
from idiff.utils.foreign import decoding, open_regular, parse_json
from idiff.utils.strings import normalise_prompt

MAX_BYTES = 256 << 20
"""Larger members are not read."""

_CAPTIONS = ("caption", "text", "captions")
_READ = (".txt", ".json")


class WebdatasetTars(Source):
    """One sample an image that has a caption: in `KEY.txt`, or in the field `caption` (or `text`) of `KEY.json`.

    `annotation`: `file_name`, such as `00000.tar/000000012.jpg`; `captions`; and `url`, where the JSON has it. A tar that is
    cut or damaged is left out by name.

    Args:
        root: folder of the tar files, in `root/{split}` where that is there.
        split: any name, such as `train`.

    Raises:
        DataError: there is no tar file, or none holds an image with a text or JSON file beside it.
    """

    tasks = ("captioned",)

    def __init__(self, root: str, split: str) -> None:
        places = (Path(root) / split, Path(root))
        tars = next((found for place in places if (found := sorted(place.glob("*.tar")))), [])
        if not tars:
            raise missing(places[0] / "00000.tar", what=f"tar files, here or in {root}", remedy="Check --root.")
        self._faults: list[str] = []
        self._others: Counter[str] = Counter()
        self._entries: list[tuple[Path, str, list[Member]]] = []
        self._found = 0
        for tar in tars:
            try:
                self._entries += self._listed(tar)
            except DataError as error:
                self._faults.append(str(error))
        if not self._entries:
            reason = first_faults(self._faults) or f"they hold {_counted(self._others) or 'images alone'}"
            raise DataError(
                f"no image with a caption in {len(tars):,} tar files of {tars[0].parent}, expected KEY.jpg with KEY.txt or "
                f"KEY.json: {reason.rstrip('.')}."
            )
        count = Counter(key for _, key, _ in self._entries)
        self.keys = make_keys(
            key if count[key] == 1 else f"{tar.stem}/{key}" for tar, key, _ in self._entries
        )  # fmt: skip

    def meta(self) -> dict[str, Any]:
        """Nothing is shared by the set."""
        return {}

    def __len__(self) -> int:
        return len(self._entries)

    def funnel(self) -> dict[str, int]:
        """All images, then those with a text or JSON file."""
        return {"found": self._found, "with a text or JSON file": len(self)}

    def notes(self) -> list[str]:
        """Tar files that are left out, and members that are not read."""
        told = [f"left out: {first_faults(self._faults)}"] if self._faults else []
        return told + ([f"not read: {_counted(self._others)}"] if self._others else [])

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The tar file."""
        return [self._entries[index][0]]

    def sample(self, index: int) -> RawSample:
        """Read one image and its captions."""
        tar, key, members = self._entries[index]
        where = f"{tar.name}/{key}"
        images = [member for member in members if _suffix(member.name) in SUFFIXES]
        plain = [member for member in images if member.name.rpartition("/")[2].count(".") == 1]
        if len(plain or images) != 1:
            names = ", ".join(member.name for member in images[:5])
            raise BadSampleError(where, "source", f"several images have this key: {names}")
        image = (plain or images)[0]
        texts = {_suffix(member.name): member for member in members if _suffix(member.name) in _READ}
        facts = _facts(_read(tar, texts[".json"], where=where)) if ".json" in texts else {}
        told = [_text(_read(tar, texts[".txt"], where=where), where=where)] if ".txt" in texts else []
        captions = [text for text in dict.fromkeys([*told, *_captions(facts)]) if normalise_prompt(text)]
        if not captions:
            raise BadSampleError(
                where, "captions", f"no caption in {', '.join(sorted(one.name for one in texts.values()))}"
            )
        data = _read(tar, image, where=where)
        form = foreign_format(data)
        if form is not None:
            data = decode_foreign(data, form, where=where, field="source", gray=False)
        url = {"url": facts["url"]} if isinstance(facts.get("url"), str) else {}
        return RawSample(
            self.keys[index], data, {"file_name": f"{tar.name}/{image.name}", "captions": captions} | url
        )  # fmt: skip

    def _listed(self, tar: Path) -> list[tuple[Path, str, list[Member]]]:
        """The samples of one tar: those with an image and a text or JSON file. Members of other kinds are counted."""
        groups: dict[str, list[Member]] = defaultdict(list)
        others: Counter[str] = Counter()
        for member in scan(tar):
            if _suffix(member.name) in (*SUFFIXES, *_READ):
                folder, _, name = member.name.rpartition("/")
                groups[f"{folder}/{name.partition('.')[0]}".lstrip("/")].append(member)
            else:
                others[_suffix(member.name) or "without a suffix"] += 1
        with_image = {
            key: members for key, members in groups.items() if any(_suffix(one.name) in SUFFIXES for one in members)
        }
        self._found += len(with_image)
        self._others += others
        return [
            (tar, key, members)
            for key, members in with_image.items()
            if any(_suffix(one.name) in _READ for one in members)
        ]


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _read(tar: Path, member: Member, *, where: str) -> bytes:
    """A member's bytes.

    Raises:
        BadSampleError: it is too large, or the tar has changed.
    """
    field = _suffix(member.name).lstrip(".")
    if member.size > MAX_BYTES:
        raise BadSampleError(where, field, f"{member.size:,} bytes, expected at most {MAX_BYTES:,}")
    refusal = partial(_refused, where, field, f"{tar} cannot be read")
    with decoding(refusal), open_regular(tar) as stream:
        stream.seek(member.offset)
        data = stream.read(member.size)
    if len(data) != member.size:
        raise BadSampleError(where, field, f"{tar} ends after {len(data):,} of its {member.size:,} bytes")
    return data


def _text(data: bytes, *, where: str) -> str:
    with decoding(partial(_refused, where, "txt", "is no UTF-8")):
        return data.decode("utf-8-sig").strip()


def _refused(where: str, field: str, what: str, reason: str) -> BadSampleError:
    return BadSampleError(where, field, f"{what}: {reason}")


def _facts(data: bytes) -> Mapping[str, Any]:
    """What the JSON file says; nothing where it is none."""
    try:
        value = parse_json(data, finite=False)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _captions(facts: Mapping[str, Any]) -> list[str]:
    """The captions of a JSON file: text, or a list of it."""
    value: Any = next((facts[name] for name in _CAPTIONS if facts.get(name)), [])
    return [text.strip() for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(counts.items()))
