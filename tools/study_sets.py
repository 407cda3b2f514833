"""The sets of `make study`: how each folder is built into shards, and the training that has those that are there."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from idiff.config.compose import compose
from idiff.utils.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENT = ROOT / "configs" / "experiment" / "study.yaml"


@dataclass(frozen=True)
class Set:
    """A folder of DATA: its layout, and further words for `idiff data build`."""

    source: str
    words: tuple[str, ...] = ()
    fold: str | None = None


SETS = {
    "faces": Set("coco-keypoints"),
    "lsp": Set("coco-keypoints"),
    "fashion_pose": Set("coco-keypoints"),
    "clothing": Set("coco-stuff", fold="fold.txt"),
    "people": Set("coco-stuff"),
    "camvid": Set("coco-stuff"),
    "bsds": Set("folder", ("--task", "denoise")),
    "photos": Set("folder", ("--task", "deblur")),
}


def on_core(number, words):
    """The words of a process that stays on one core, counted from 0, where the system can say so and has as many."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    pinned = ["taskset", "-c", str(cores[number])] if number < len(cores) > 1 and shutil.which("taskset") else []
    return [*pinned, sys.executable, *map(str, words)]


def command(*words, done, log=None, core=1):
    """Run a command on one core, unless the file `done` says that it ended well before.

    Exits with 1 where the command fails.
    """
    if done.exists():
        return
    done.parent.mkdir(parents=True, exist_ok=True)
    print("$", *words, flush=True)
    with (log or done.with_suffix(".log")).open("a") as stream:
        code = subprocess.run(on_core(core, words), stdout=stream, stderr=stream, check=False).returncode
    if code:
        said = Path(stream.name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        sys.exit(
            f"{' '.join(map(str, words[:4]))} ended with {code}: {said[-1] if said else 'nothing said'} (see {stream.name})"
        )
    if not done.exists():
        done.touch()


def there(data, wanted=tuple(SETS)):
    """Names of the wanted sets that lie in the folder.

    Exits with 1 where there is none.
    """
    found = [name for name in wanted if (data / name).is_dir()]
    if not found:
        sys.exit(f"{data} has none of the folders {', '.join(wanted)}. DATA=DIR is the folder that holds them.")
    absent = [name for name in wanted if name not in found]
    if absent:
        print(f"{data} has no {', '.join(absent)}: the training goes without.")
    return found


def planned(file, asked, steps):
    """The plan of a folder that a run goes on in: what was asked for, and the training steps that `steps()` counts the first time.

    Exits with 1 where the folder is of other things, or its plan cannot be read.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, json.dumps({**asked, "steps": steps()}))
    try:
        plan = json.loads(file.read_text())
        held = {key: plan[key] for key in asked}
        int(plan["steps"])
    except (ValueError, TypeError, KeyError) as error:
        sys.exit(f"{file} is no plan ({type(error).__name__}: {error}). Give another OUT.")
    for key, value in asked.items():
        if held[key] != value:
            sys.exit(
                f"{file.parent} was begun with {key} {held[key]}, asked for is {value}. Give another OUT, or the same {key}."
            )
    return plan


def build(data, out, names):
    """Shards of every set, without training images that are among the validation images."""
    for name in names:
        folder = out / "data" / name
        shards(data / name, "val", folder / "val")
        training_shards(data / name, folder, val=folder / "val")


def shards(raw, split, out, *words):
    """Shards of one split of a set's folder; further words for `idiff data build`."""
    which = SETS[raw.name]
    if which.fold and (raw / which.fold).exists():
        words = (*words, "--fold", raw / which.fold)
    command("-m", "idiff", "data", "build", which.source, "--root", raw, "--split", split, "--out", out, *which.words, *words,
            done=out.with_name(f"{out.name}.built"))  # fmt: skip


def training_shards(raw, folder, *words, val):
    """FOLDER/all, and FOLDER/train without the images of some validation shards."""
    shards(raw, "train", folder / "all", *words)
    command("-m", "idiff", "data", "filter", folder / "all", "--without", val, "--out", folder / "train",
            done=folder / "train.built")  # fmt: skip


def experiment(out, names, steps, *, file=EXPERIMENT):
    """The training of a file as plain settings: the sets that are there, in OUT, for so many steps."""
    settings = compose([str(file)])
    tasks = settings["data"]["init_args"]["tasks"]
    settings["data"]["init_args"]["tasks"] = {
        name: tasks[name] | {split: str(out / "data" / name / split) for split in ("train", "val")} for name in names
    }
    settings["trainer"] |= {"default_root_dir": str(out / "generalist"), "max_steps": steps}
    settings["trainer"] |= {"val_check_interval": (steps + 1) // 2, "num_sanity_val_steps": 0}
    return settings


def write_tasks(out, settings):
    """A YAML of each task, for the specialists."""
    for name, entry in settings["data"]["init_args"]["tasks"].items():
        (out / "tasks").mkdir(exist_ok=True)
        write_atomic(out / "tasks" / f"{name}.yaml", yaml.safe_dump({"task": entry["task"]}, sort_keys=False))


def shares(out, settings):
    """Set -> which share of the training examples is drawn from it; the tasks' files have been written."""
    from idiff.data.shards.reader import ShardSet
    from idiff.tasks.saved import restore_task

    drawn = {}
    for name, entry in settings["data"]["init_args"]["tasks"].items():
        folder = out / "data" / name / "train"
        task = restore_task({}, str(out / "tasks" / f"{name}.yaml"), data=str(folder), changes={}, trust=True).task
        drawn[name] = ShardSet.open(folder).count(task.unit) * entry["weight"]
    return {name: count / sum(drawn.values()) for name, count in drawn.items()}
