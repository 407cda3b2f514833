"""Which settings may differ when a run goes on."""

import json
import re

import pytest

from idiff.config.resume import config_changes, refuse_changes
from idiff.errors import ConfigError

OLD = {
    "model": {
        "class_path": "A",
        "init_args": {"lr": 1e-3, "init_from": None, "backbone": {"unet": {"layers": [1, 2]}}},
    },
    "data": {
        "init_args": {"tasks": {"faces": {"train": "a", "task": {"init_args": {"size": 64, "decoder": "color"}}}}}
    },
    "ema": {"decay": 0.9},
    "trainer": {"max_steps": 6, "gradient_clip_val": 1.0},
}


@pytest.mark.parametrize(
    ("path", "value", "seen"),
    [
        ("model.init_args.lr", 1e-2, True),
        ("model.class_path", "B", True),
        ("model.init_args.backbone.unet.layers", [1, 3], True),
        ("model.init_args.backbone.unet.new", 1, True),
        ("data.init_args.tasks.faces.task.init_args.size", 32, True),
        ("data.init_args.tasks.birds", {"train": "b"}, True),
        ("ema.decay", 0.99, True),
        ("trainer.gradient_clip_val", None, True),
        ("trainer.max_steps", 12, False),
        ("trainer.default_root_dir", "elsewhere", False),
        ("data.init_args.tasks.faces.train", "moved", False),
        ("data.init_args.tasks.faces.task.init_args.decoder", "learned", False),
        ("data.init_args.batch_size", 4, False),
        ("model.init_args.init_from", "x.ckpt", False),
        ("evaluate.table", False, False),
    ],
)
def test_what_counts_as_another_configuration(path, value, seen):
    new = json.loads(json.dumps(OLD))
    place = new
    *way, leaf = path.split(".")
    for part in way:
        place = place.setdefault(part, {})
    before = place.get(leaf, "not set")
    place[leaf] = value
    short = path.replace(".init_args", "")
    assert config_changes(OLD, new) == ({short: (before, value)} if seen else {})
    refuse_changes(OLD, new, allow=[short])
    refuse_changes(OLD, new, allow=[path])
    refuse_changes(OLD, new, allow=[path.split(".")[0]])
    if seen:
        with pytest.raises(ConfigError, match=re.escape(f"{short}: {before} -> {value}")):
            refuse_changes(OLD, new, allow=["model.init_args.l", "other"])


@pytest.mark.parametrize(("value", "seen"), [(0.0, False), (0.5, True)])
def test_an_option_that_came_later_changes_nothing_at_its_default(value, seen):
    def run(**objective):
        arguments = {
            "backbone": {"class_path": "idiff.models.backbone.LatentDiffusion", "init_args": {"objective": objective}}
        }
        return {"model": {"class_path": "idiff.stages.TaskTraining", "init_args": arguments}}

    old = run(prediction="sample")
    new = run(prediction="sample", scheduled_sampling=value)
    path = "model.backbone.objective.scheduled_sampling"
    assert config_changes(old, new) == ({path: ("not set", value)} if seen else {})
