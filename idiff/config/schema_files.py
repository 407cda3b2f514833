"""The JSON Schemas of whole files: experiments, tasks, feature extractors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from idiff.config.schema import FOREIGN, INCLUDE, Definitions, Schema, class_is, concrete, entry_class, ours
from idiff.config.sections import RESUME_ALLOW, classes, sections
from idiff.utils.docstrings import summary
from idiff.utils.settings import ARGUMENTS, CLASS

CHAIN: Mapping[str, Schema] = {
    "name": {"type": "string", "description": "Of the stage; later ones write {NAME} for what it leaves behind."},
    "config": {**INCLUDE, "description": "YAML files of a training; the settings beside it go over them."},
    "command": {"type": ["string", "array"], "description": "Words after `idiff`, in place of a training."},
    "done": {"type": "string", "description": "What a command writes last: where it is there, the stage is done."},
    "result": {"type": "string", "description": "What {NAME} stands for: last, best or a path."},
    "needs": {"type": "array", "items": {"type": "string"}, "description": "Former stages that no setting names."},
}
"""Keys of a stage of a chain, beside settings of a training."""


def experiment_schema() -> Schema:
    """The schema of a file of settings: an experiment, a part that others include, or a chain of stages."""
    classes()  # imports them all
    made = Definitions()
    properties: dict[str, Schema] = {"include": INCLUDE, "$schema": {"type": "string"}}
    for name, kind in sections().items():
        if name in {"model", "data"}:
            properties[name] = made.reference(kind)
        else:
            properties[name] = {
                "type": "object", "properties": {"include": INCLUDE, **made.settings([kind])}, "additionalProperties": False,
                "description": summary(kind) if ours(kind) else "Settings of Lightning's Trainer.",
            }  # fmt: skip
    asked = set(inspect.signature(vars(sections()["trainer"])["fit"]).parameters) - {
        "self",
        "model",
        "datamodule",
        "train_dataloaders",
        "val_dataloaders",
    }
    properties |= {name: {} for name in sorted(asked)}
    section, _, setting = RESUME_ALLOW.partition(".")
    properties[section] = {"type": "object", "properties": {setting: {"type": "string"}}, "additionalProperties": False}
    properties["seed_everything"] = {"type": ["integer", "boolean"], "description": "Seed of all that is random."}
    stage = {
        "type": "object",
        "properties": {**properties, **CHAIN},
        "additionalProperties": False,
        "required": ["name"],
    }
    properties["stages"] = {"type": "array", "items": stage, "description": "A chain for `idiff run`, in this order."}
    properties["folder"] = {"type": "string", "description": "Where a chain keeps its records and its runs."}
    return _document(
        "A configuration of idiff", {"type": "object", "properties": properties, "additionalProperties": False}, made
    )


def task_schema() -> Schema:
    """The schema of a task file: an entry of a mixture."""
    classes()
    made = Definitions()
    return _document("A task file of idiff", made.reference(entry_class()), made)


def object_schema(kind: type, title: str) -> Schema:
    """The schema of a file that holds one object in the long form: `class_path` and `init_args`."""
    made = Definitions()
    inside = {"type": "object", "properties": made.settings(concrete(kind))}
    body = {
        "type": "object", "required": [CLASS], "properties": {CLASS: {"type": "string", "pattern": r"\."}, ARGUMENTS: inside},
        "additionalProperties": False,
    }  # fmt: skip
    body |= {
        "if": class_is(FOREIGN),
        "then": {},
        "else": {"properties": {ARGUMENTS: {"additionalProperties": False, **inside}}},
    }
    return _document(title, body, made)


def _document(title: str, body: Schema, made: Definitions) -> Schema:
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": title}
    beside = {"allOf": [body]} if "$ref" in body else body  # draft 7 reads nothing beside a reference
    return {**head, **beside, "$defs": dict(sorted(made.found.items()))}
