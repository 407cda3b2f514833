"""A file of stages in a row: what each is, what it starts from, what it leaves behind. Nothing here runs or writes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from idiff.config.compose import compose
from idiff.config.merge import merge
from idiff.config.sections import settings_in
from idiff.config.short_form import ROOT_HINT, completed, lengthened
from idiff.errors import CheckpointError, ConfigError, unknown
from idiff.models.io.pretrained import located, names
from idiff.utils.settings import WEIGHTS

OWN = ("name", "config", "command", "done", "result", "needs")
"""Keys of an entry that are about the chain; all others are settings that go over its configuration files."""

PLACE = re.compile(r"\{([\w-]+)\}")
NAME = re.compile(r"[\w-]+")

RESULTS = {"last": "checkpoints/last.ckpt", "best": "checkpoints/best.ckpt"}


@dataclass(slots=True)
class Entry:
    """One stage of a chain: a training, or a command.

    Attributes:
        name: letters, digits, `_` and `-`.
        result: what `{name}` stands for in later stages: a checkpoint, or a path.
        needs: former stages whose results it uses -> the results.
        config: a training's whole configuration; None for a command.
        folder: a training's run folder.
        words: a command's words after `idiff`.
        done: what a command leaves behind.
    """

    name: str
    result: str
    needs: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    folder: Path = Path()
    words: list[str] = field(default_factory=list)
    done: str = ""

    @property
    def out(self) -> Path:
        """Where it writes: the run folder, what follows `--out`, or else what it leaves behind."""
        if self.config is not None:
            return self.folder
        return Path(dict(zip(self.words, self.words[1:], strict=False)).get("--out", self.done))

    def bases(self) -> dict[str, str]:
        """Weights it starts from: the setting or option that names them -> their path or name."""
        if self.config is None:
            options = {"--checkpoint", "--model"} if self.words[:2] == ["data", "cache"] else {"--checkpoint"}
            pairs = zip(self.words, self.words[1:], strict=False)
            return {word: value for word, value in pairs if word in options}
        found = settings_in(self.config, "model")
        return {each.path: str(each.value) for each in found if WEIGHTS in each.marks and each.value}

    def origins(self) -> dict[str, str]:
        """What it is made from: its weights, results of former stages and training shards; label -> path."""
        data = _at(self.config or {}, ("data", "init_args")) or {}
        tasks = data.get("tasks")
        parts = {"data": data} | {
            f"data.{name}": task for name, task in (tasks if isinstance(tasks, Mapping) else {}).items()
        }
        shards = {f"{label}.train": part["train"] for label, part in parts.items()
                  if isinstance(part, Mapping) and isinstance(part.get("train"), str)}  # fmt: skip
        used = {*self.bases().values(), *shards.values()}
        others = {f"{{{name}}}": path for name, path in self.needs.items() if path not in used}
        return self.bases() | shards | others


@dataclass(slots=True)
class Experiment:
    """A chain: `folder` keeps its records, and the run folders that its stages do not name themselves."""

    folder: Path
    entries: list[Entry]


def read_experiment(
    file: str, *, sets: Sequence[str] = (), over: Sequence[str] = (), commands: Sequence[str] = ()
) -> Experiment:
    """Read a file of stages.

    Args:
        file: a YAML with `stages`, a list; and `folder` (default `runs/` and the file's name).
        sets: `STAGE.SETTING=VALUE` or `folder=DIR`, the value as YAML.
        over: YAML files, `STAGE: settings` each, that go over the stages in their order, before `sets`.
        commands: words that a command may begin with.

    Raises:
        ConfigError: the file or an entry cannot be used, or a change names no stage; says which and why.
    """
    content = compose([file])
    stages = content.get("stages")
    if not isinstance(stages, list) or not stages:
        raise ConfigError(
            f"{file} holds no stages: expected `stages:`, a list of {{name, config}} or {{name, command, done}}"
        )
    strange = set(content) - {"stages", "folder"}
    if strange:
        raise ConfigError(f"{file} holds {', '.join(sorted(strange))}: expected stages and folder alone")
    changes: dict[str, Any] = {}
    for path in over:
        changes = merge(changes, compose([path]))
    for text in sets:
        changes = merge(changes, _setting(text))
    folder = Path(str(changes.pop("folder", None) or content.get("folder") or Path("runs") / Path(file).stem))
    raws: dict[str, dict[str, Any]] = {}
    for number, raw in enumerate(stages, start=1):
        name = raw.get("name") if isinstance(raw, dict) else None
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in {"folder", *raws}:
            raise ConfigError(
                f"{file}: stage {number} has the name {name!r}: expected one of its own, of letters, digits, '_' and '-'"
            )
        raws[name] = raw
    for name, change in changes.items():
        if name not in raws:
            raise unknown("stage", name, raws)
        raws[name] = merge(raws[name], lengthened(change, ROOT_HINT))
    results = {"folder": str(folder)}
    entries: list[Entry] = []
    for name, raw in raws.items():
        entry = _entry(name, raw, file=file, folder=folder, results=results, commands=commands)
        if any(entry.out == other.out for other in entries):
            raise ConfigError(
                f"{file}: stage '{name}' writes to {entry.out}, as one before it: give it a folder of its own"
            )
        results[name] = entry.result
        entries.append(entry)
    return Experiment(folder=folder, entries=entries)


def _entry(
    name: str, raw: dict[str, Any], *, file: str, folder: Path, results: Mapping[str, str], commands: Sequence[str]
) -> Entry:
    where = f"{file}: stage '{name}'"
    needs: dict[str, str] = {}

    def fill(value: Any) -> Any:
        return _filled(value, results, needs=needs, where=where)

    for other in raw.get("needs", []):  # used without being named in a setting or word
        fill(f"{{{other}}}")
    own = {key: value for key, value in raw.items() if key not in OWN}
    if ("config" in raw or bool(own)) == ("command" in raw):
        raise ConfigError(f"{where} needs either config (with settings over it) or command, got {', '.join(raw)}")
    if "command" not in raw:
        files = raw.get("config", [])
        paths = [str(Path(file).parent / path) for path in ([files] if isinstance(files, str) else files)]
        config = completed(merge(compose(paths), fill(own)))
        trainer = config.setdefault("trainer", {})
        root = Path(str(trainer.setdefault("default_root_dir", str(folder / name))))
        result = str(fill(raw.get("result", "last")))
        return Entry(name, str(root / RESULTS.get(result, result)), needs, config=config, folder=root)
    words = raw["command"]
    words = [str(word) for word in (shlex.split(words) if isinstance(words, str) else words)]
    if not words or words[0] not in commands:
        raise unknown(f"command of stage '{name}'", words[0] if words else "", commands)
    if not isinstance(raw.get("done"), str):
        raise ConfigError(f"{where} needs done: the path of what its command leaves behind, a file that it writes last")
    done = str(fill(raw["done"]))
    words = [str(fill(word)) for word in words]
    return Entry(name, str(fill(raw.get("result", done))), needs, words=words, done=done)


def check_bases(experiment: Experiment) -> None:
    """See that every stage has what it starts from: it is there, or a former stage leaves it behind.

    Raises:
        CheckpointError: weights are missing.
    """
    made: list[Path] = []
    for entry in experiment.entries:
        for setting, value in entry.bases().items():
            path = Path(value)
            if not located(value).exists() and not any(path == one or one in path.parents for one in made):
                raise CheckpointError(
                    f"stage '{entry.name}' starts from {value} ({setting}), which is missing: expected a checkpoint, a folder, the "
                    f"name of a pretrained model ({', '.join(names()) or 'this package has none'}) or what a former stage leaves "
                    "behind. Nothing was run."
                )
        made += [Path(entry.result), entry.out]


def _filled(value: Any, results: Mapping[str, str], *, needs: dict[str, str], where: str) -> Any:
    """Put results in place of `{stage}` in every string of a value; note whose."""
    if isinstance(value, dict):
        return {key: _filled(item, results, needs=needs, where=where) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, results, needs=needs, where=where) for item in value]
    if not isinstance(value, str):
        return value
    for name in PLACE.findall(value):
        if name not in results:
            raise ConfigError(f"{where}: {unknown('former stage', name, results)}")
        if name != "folder":
            needs[name] = results[name]
    return PLACE.sub(lambda found: results[found.group(1)], value)


def _at(config: Mapping[str, Any], way: Sequence[str]) -> Any:
    value: Any = config
    for key in way:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _setting(text: str) -> dict[str, Any]:
    path, found, value = text.partition("=")
    if not found or not all(path.split(".")):
        raise ConfigError(f"--set {text}: expected STAGE.SETTING=VALUE, such as tasks.trainer.max_steps=20")
    try:
        nested = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text}: the value is no YAML: {' '.join(str(error).split())}") from None
    for key in reversed(path.split(".")):
        nested = {key: nested}
    assert isinstance(nested, dict)
    return nested
