"""How far a chain of stages is: what is done, what goes on, what starts, and what was made of something that has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idiff.chains.experiment import Entry, Experiment
from idiff.config.resume import NOT_SET, config_changes, listed, without
from idiff.errors import ConfigError
from idiff.models.io.pretrained import located
from idiff.utils.files import sha256_file, write_atomic
from idiff.utils.foreign import read_json
from idiff.utils.strings import names_in

RECORDS = "chain"
"""Folder of a chain's records, in its folder."""

MARKS = ("manifest.json", "idiff.json", "align.json")
"""Files that tell what everything beside them is: checksums, or the settings it was made with."""


@dataclass(slots=True)
class Step:
    """What is to be done about a stage.

    Attributes:
        entry: the stage.
        action: `done`, `resume`, `start` or `redo`.
        why: in words.
        more: a finished training goes on, because it was given more steps.
    """

    entry: Entry
    action: str
    why: str
    more: bool = False


def plan(experiment: Experiment, redo: Sequence[str] = ()) -> list[Step]:
    """Say what a run of the chain would do.

    Args:
        experiment: the chain.
        redo: stages to do again; what was made from their results is done again, too.

    Raises:
        ConfigError: a stage was made from, or with, something that has changed since.
        CheckpointError: no checkpoint of a training is whole.
    """
    again: dict[str, str] = dict.fromkeys(redo, "as asked")
    steps: list[Step] = []
    for entry in experiment.entries:
        source = next((need for need in entry.needs if need in again), None)
        if entry.name not in again and source is not None:
            again[entry.name] = f"it is made from {source}"
        record = read_record(experiment, entry)
        if entry.name in again:
            steps.append(Step(entry, "redo", again[entry.name]))
            continue
        longer = next((step.entry.name for step in steps if step.more and step.entry.name in entry.needs), None)
        if longer is not None and record is not None:
            raise ConfigError(
                f"stage '{entry.name}' was made from '{longer}', which now goes on: do it again, too, with --redo {entry.name}, or "
                f"give '{longer}' the steps it had"
            )
        steps.append(state_of(experiment, entry))
    return steps


def state_of(experiment: Experiment, entry: Entry) -> Step:
    """How far one stage is.

    Raises:
        ConfigError: it was begun with another configuration, or from something that has changed since.
        CheckpointError: no checkpoint of a training is whole.
    """
    record = read_record(experiment, entry)
    if record is not None:
        _refuse_changes(entry, record)
    return _training(entry, record) if entry.config is not None else _command(entry, record)


def _training(entry: Entry, record: dict[str, Any] | None) -> Step:
    from idiff.callbacks.checkpoint_io import newest, verified

    path, _ = newest(entry.folder / "checkpoints")
    if path is None:
        return Step(entry, "start", "nothing is there" if record is None else "it was cut before its first checkpoint")
    limits = _limits(entry)
    whole = verified(path)
    step = whole["step"] if whole is not None else 0
    epochs = _epochs(path) if limits["max_epochs"] > 0 else 0
    if record is None:
        return Step(entry, "resume", f"{path} was not made by this chain; `fit` compares its configuration")
    of = f" of {limits['max_steps']:,}" if limits["max_steps"] > 0 else ""
    reached = 0 < limits["max_steps"] <= step or 0 < limits["max_epochs"] <= epochs
    if reached or (record["finished"] and record["limits"] == limits):
        return Step(entry, "done", f"step {step:,}{of}")
    return Step(entry, "resume", f"step {step:,}{of}", more=bool(record["finished"]))


def _limits(entry: Entry) -> dict[str, int]:
    """Steps and epochs that a training is given; -1 where it is given none."""
    trainer = (entry.config or {}).get("trainer", {})
    return {name: int(-1 if trainer.get(name) is None else trainer[name]) for name in ("max_steps", "max_epochs")}


def _epochs(path: Path) -> int:
    """Whole epochs that a checkpoint has done."""
    from idiff.models.io.checkpoint import read

    loop = read(path).get("loops", {}).get("fit_loop", {})
    return int(loop.get("epoch_progress", {}).get("current", {}).get("completed", 0))


def _command(entry: Entry, record: dict[str, Any] | None) -> Step:
    there = Path(entry.done).exists()
    if record is None:
        return Step(
            entry, *(("done", f"{entry.done} is there") if there else ("start", f"{entry.done} is not there yet"))
        )
    if not record["finished"]:
        return Step(entry, "start", "it was cut: the command is given again")
    return Step(entry, *(("done", f"{entry.done} is there") if there else ("start", f"{entry.done} is gone")))


def _refuse_changes(entry: Entry, record: dict[str, Any]) -> None:
    changes: dict[str, tuple[Any, Any]] = {}
    if entry.config is not None:
        changes |= config_changes(record.get("config") or {}, entry.config)
    elif record["finished"]:
        changes |= _word_changes(record.get("words") or [], entry.words)
    then, now = dict(record["origins"]), origins(entry)
    gone = set(entry.origins()) - set(now)  # what was used may be thrown away once it was
    for label in [*now, *(label for label in then if label not in now and label not in gone)]:
        if then.get(label) != now.get(label):
            old, new = (f"SHA-256 {side[label][:12]}" if label in side else NOT_SET for side in (then, now))
            changes[label] = (old, new)
    allowed = (entry.config or {}).get("resume", {}).get("allow") or ""
    changes = without(changes, names_in(str(allowed)))
    if changes:
        state = "is finished" if record["finished"] else "was begun"
        raise ConfigError(
            f"stage '{entry.name}' {state} with other settings than it has now: {listed(changes)}. Set the old values, or do it "
            f"again with --redo {entry.name} (what is there is moved aside)."
        )


def _word_changes(old: Sequence[str], new: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Options that differ between two commands, by their names; words without one by their place."""

    def options(words: Sequence[str]) -> dict[str, str]:
        return {(last if last.startswith("--") else f"word {place}"): word
                for place, (last, word) in enumerate(zip(["", *words], words, strict=False), start=1)
                if not word.startswith("--")}  # fmt: skip

    before, now = options(old), options(new)
    found: dict[str, tuple[Any, Any]] = {
        key: (before.get(key, NOT_SET), now.get(key, NOT_SET))
        for key in now | before
        if before.get(key) != now.get(key)
    }
    return found or ({} if list(old) == list(new) else {"command": (" ".join(old), " ".join(new))})


def origins(entry: Entry) -> dict[str, str]:
    """What a stage starts from and is there: weights, results of former stages, training shards; label -> SHA-256."""
    return {label: identity(located(path)) for label, path in entry.origins().items() if located(path).exists()}


def identity(path: Path) -> str:
    """SHA-256 that tells a file or a folder from another one.

    A folder of shards, an exported model and a folder of candidates are told by one of `MARKS`; any other one by names, sizes, and
    the contents of its `.safetensors` and `.json` files.
    """
    if path.is_file():
        return sha256_file(path)
    mark = next((path / name for name in MARKS if (path / name).is_file()), None)
    if mark is not None:
        return sha256_file(mark)
    digest = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        content = sha256_file(file) if file.suffix in {".safetensors", ".json"} else str(file.stat().st_size)
        digest.update(f"{file.relative_to(path)}:{content};".encode())
    return digest.hexdigest()


def record_file(experiment: Experiment, entry: Entry) -> Path:
    """Where the record of a stage lies."""
    return experiment.folder / RECORDS / f"{entry.name}.json"


def read_record(experiment: Experiment, entry: Entry) -> dict[str, Any] | None:
    """What was noted when a stage began or ended; None where there is no readable record.

    A record of the other kind of stage under the same name counts as none.
    """
    try:
        content = read_json(record_file(experiment, entry))
        known = {"finished", "origins", "config" if entry.config is not None else "words"} <= set(content)
    except Exception:  # a damaged file is of any form
        return None
    return dict(content) if known else None


def write_record(experiment: Experiment, entry: Entry, *, finished: bool, started_from: Mapping[str, str]) -> None:
    """Note that a stage begins, or that it is finished."""
    content: dict[str, Any] = {"finished": finished, "origins": dict(started_from)}
    if entry.config is None:
        content["words"] = entry.words
    else:
        content |= {"config": entry.config, "limits": _limits(entry)}
    file = record_file(experiment, entry)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, json.dumps(content, indent=1) + "\n")
