"""InstructPix2Pix as its authors publish it: zip shards of prompts and seeds, read without unpacking, or unpacked.

Source: InstructPix2Pix (Brooks et al., CVPR 2023), `clip-filtered-dataset` and `random-sample-dataset`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from idiff.data.shards.annotation import parse_json
from idiff.data.sources.base import RawSample, Source, read_file, safe_keys
from idiff.data.sources.edit_pairs import fraction, json_list
from idiff.data.sources.entries import EntryError, first_faults, read_each
from idiff.data.sources.pictures import fitted_target
from idiff.data.sources.zips import ZipReader
from idiff.errors import BadSampleError, DataError, missing
from idiff.utils.picture_files import picture_size
from idiff.utils.strings import normalise_prompt

_PROMPT = "prompt.json"


class Home(NamedTuple):
    """Where a prompt's files lie: a zip file and a folder inside of it, or a plain folder (`folder` is then "")."""

    path: Path
    folder: str


class InstructPix2Pix(Source):
    """One sample a seed: `{prompt}/{seed}_0.jpg` before, `{seed}_1.jpg` after, `edit` of `{prompt}/prompt.json` asks for it.

    Prompts lie in `shard-NN.zip`, or unpacked in folders under `root`, with or without a folder `shard-NN` between. Their
    order is that of `seeds.json`; train, val and test are 90, 5 and 5 % of the prompts in this order, as in the authors'
    own code. `annotation`: `instruction`, `file_name`, and the captions `source_caption` and `target_caption`.

    Args:
        root: folder with the zip files or the unpacked folders.
        split: `train`, `val`, `test` or `all`.
        annotations: `seeds.json` where it lies elsewhere; or a filter, a JSON list of `"prompt/seed"`: only these are taken.

    Raises:
        DataError: nothing of this layout, a zip file that cannot be read, or a list of another form.
    """

    tasks = ("editing",)

    def __init__(self, root: str, split: str, annotations: str | None = None) -> None:
        folder = Path(root)
        self.zips = ZipReader()
        self.homes = _homes(folder, self.zips)
        if not self.homes:
            raise missing(
                folder / "shard-00.zip",
                what=f"zip files with {{prompt}}/{_PROMPT} in them, or folders {{prompt}} with {_PROMPT}",
                remedy="Check --root.",
            )
        listed = json_list(Path(annotations), what="seeds.json, or a list of 'prompt/seed'") if annotations else None
        wanted = {"/".join(text.split("/")[-2:]) for text in listed or () if isinstance(text, str)}
        own = listed if listed is not None and not wanted else None
        if own is None and (folder / "seeds.json").is_file():
            own = json_list(folder / "seeds.json", what="a list of [prompt, [seed, ...]]")
        self.lists = [path for path in (Path(annotations or ""), folder / "seeds.json") if path.is_file()]
        self.faults: list[str] = []
        prompts = (
            self._walk() if own is None else read_each(own, _prompt, name="seeds.json entries", faults=self.faults)
        )
        if self.faults and not prompts:
            raise DataError(f"no entry of seeds.json can be used: {first_faults(self.faults)}.")
        edits = [(prompt, seed) for prompt, seeds in fraction(prompts, split) for seed in seeds]
        self.edits = [edit for edit in edits if "/".join(edit) in wanted] if wanted else edits
        self.keys = safe_keys([f"{prompt}-{seed}" for prompt, seed in self.edits])
        self.steps = {"prompts": len(prompts), f"edits of the split {split}": len(edits)}
        if wanted:
            self.steps["in the filter"] = len(self.edits)

    def meta(self) -> dict[str, Any]:
        """Nothing is shared by the set."""
        return {}

    def __len__(self) -> int:
        return len(self.edits)

    def funnel(self) -> dict[str, int]:
        """Prompts, edits of the split, and those that the filter names, where there is one."""
        return dict(self.steps)

    def notes(self) -> list[str]:
        """Entries of the list that are left out."""
        return [f"left out, because of a wrong form: {first_faults(self.faults)}"] if self.faults else []

    def set_inputs(self) -> Sequence[Path | str]:
        """The lists of prompts and seeds, those that are read."""
        return self.lists

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The zip file of the prompt, or its three files; none where the prompt has no home."""
        prompt, seed = self.edits[index]
        home = self.homes.get(prompt)
        if home is None or home.path.suffix == ".zip":
            return [] if home is None else [home.path]
        return [home.path / name for name in (_PROMPT, f"{seed}_0.jpg", f"{seed}_1.jpg")]

    def sample(self, index: int) -> RawSample:
        """Read one edit."""
        prompt, seed = self.edits[index]
        name = f"{prompt}/{seed}"
        texts = self._texts(prompt, where=name)
        source = self._read(prompt, f"{seed}_0.jpg", where=name, field="source")
        after = self._read(prompt, f"{seed}_1.jpg", where=name, field="target")
        target, resized = fitted_target(picture_size(source, where=name), after, where=name)
        captions = {"source_caption": texts.get("input"), "target_caption": texts.get("output")}
        facts = {"instruction": texts["edit"], "file_name": f"{name}_0.jpg", **resized}
        facts |= {key: text for key, text in captions.items() if isinstance(text, str) and text}
        return RawSample(self.keys[index], source, facts, target=target)

    def _texts(self, prompt: str, *, where: str) -> Mapping[str, Any]:
        data = self._read(prompt, _PROMPT, where=where, field=_PROMPT)
        try:
            texts = parse_json(data)
        except ValueError as error:
            raise BadSampleError(where, _PROMPT, f"not JSON: {error}") from error
        edit = texts.get("edit") if isinstance(texts, dict) else None
        if not isinstance(edit, str) or not normalise_prompt(edit):
            raise BadSampleError(where, _PROMPT, f"'edit' is {edit!r}, expected a sentence")
        return dict(texts)

    def _read(self, prompt: str, name: str, *, where: str, field: str) -> bytes:
        home = self.homes.get(prompt)
        if home is None:
            raise BadSampleError(where, field, f"no zip file or folder has {prompt}/{_PROMPT}. Is a shard missing?")
        if home.path.suffix == ".zip":
            return self.zips.read(home.path, f"{home.folder}/{name}", where=where, field=field)
        return read_file(home.path / name, where=where, field=field)

    def _walk(self) -> list[tuple[str, list[str]]]:
        """The seeds of each prompt by its files, in the order of names, where no list gives them."""
        found: dict[str, list[str]] = {prompt: [] for prompt in sorted(self.homes)}
        for prompt, home in self.homes.items():
            if home.path.suffix != ".zip":
                found[prompt] = sorted(file.name[:-6] for file in home.path.glob("*_0.jpg"))
        for path in {home.path for home in self.homes.values() if home.path.suffix == ".zip"}:
            prompts = {home.folder: prompt for prompt, home in self.homes.items() if home.path == path}
            for member in sorted(self.zips.names(path)):
                place, _, file = member.rpartition("/")
                if file.endswith("_0.jpg") and place in prompts:
                    found[prompts[place]].append(file[:-6])
        return list(found.items())


def _homes(root: Path, zips: ZipReader) -> dict[str, Home]:
    """Where each prompt's files lie: prompt -> home. Unpacked folders come before zip files."""
    if not root.is_dir():
        raise missing(root, what="the folder of the set", remedy="Check --root.")
    found: dict[str, Home] = {}
    for path in sorted(root.glob("*.zip")):
        for member in zips.names(path):
            place, _, file = member.rpartition("/")
            if file == _PROMPT and place:
                found[place.rpartition("/")[2]] = Home(path, place)
    for pattern in (f"*/{_PROMPT}", f"*/*/{_PROMPT}"):
        for found_file in sorted(root.glob(pattern)):
            found[found_file.parent.name] = Home(found_file.parent, "")
    return found


def _prompt(_: int, where: str, entry: Any) -> tuple[str, list[str]]:
    """Check `[prompt, [seed, ...]]`; a prompt goes by the last part of its name, without its shard.

    Raises:
        EntryError: it is something else.
    """
    if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], list)):
        raise EntryError("of a wrong form", f"{where} is {entry!r:.80}, expected [prompt, [seed, ...]]")
    seeds = [str(seed)[:40] for seed in entry[1]]
    if not all(seed.isascii() and seed.isdigit() for seed in seeds):
        raise EntryError("of a wrong form", f"{where}: the seeds are {seeds!r:.80}, expected whole numbers")
    return entry[0].rpartition("/")[2], seeds
