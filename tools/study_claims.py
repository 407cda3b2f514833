"""Few images, and what each idea of the paper brings, on photographs: one short training after the other, all scored alike.

    python tools/study_claims.py --data DIR --out DIR                the core-hours, then every arm that has not ended
    python tools/study_claims.py --data DIR --out DIR --plan         the core-hours alone
    python tools/study_claims.py --data DIR --out DIR --only few     arms whose names begin with this

DIR is the folder of `make study`, and OUT may be the same as well: shards and pace are shared. An arm trains on one core for
--minutes at most, from `tiny-all`, and is kept once it has ended: OUT/claims/ARM/SEED/SET.json. OUT/claims/results.json and
table.md are written after each. An arm that was cut goes on.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from claims_tables import tables
from study import fit_words, pace
from study_sets import build, command, experiment, planned, there, training_shards, write_tasks

from idiff.models.io.checkpoint import load
from idiff.utils.files import write_atomic

HERE = Path(__file__).resolve().parent
BARE = HERE.parent / "configs" / "experiment" / "ablation"
START = "tiny-all"
FEW = (50, 200, 1000)
MIXED = ("faces", "lsp", "clothing")
WEIGHTS = {"faces": 0.33, "lsp": 0.625, "clothing": 1.4}
"""Of the mixture: about as many examples of each set."""
HEADLINE = {"faces": "ap", "lsp": "pck", "fashion_pose": "ap", "clothing": "miou", "people": "miou", "camvid": "miou"}


@dataclass(frozen=True)
class Judged:
    """One score of an arm: which task of the training reads which set, and further words for `idiff evaluate`."""

    task: str
    on: str
    words: tuple[str, ...] = ()
    title: str = ""

    @property
    def name(self) -> str:
        """What the score is called."""
        return self.title or self.on


SEEN = tuple(Judged(name, name) for name in MIXED)
WORDS = (
    *SEEN,
    *(Judged(name, name, ("--phrasings", "unseen"), f"{name}, unseen phrasings") for name in ("lsp", "clothing")),
    Judged("lsp", "fashion_pose", title="fashion_pose, an unseen set"),
    Judged("clothing", "people", title="people, an unseen set"),
)
ASKED = tuple(
    Judged("clothing", "clothing", words, title)
    for title, words in {
        "clothing, 4 steps": ("--steps", "4"),
        "clothing, 20 steps": ("--steps", "20"),
        "clothing, learned decoder": ("--decoder", "unet"),
    }.items()
)


@dataclass(frozen=True)
class Arm:
    """A training that differs from the baseline in one thing."""

    name: str
    sets: tuple[str, ...]
    judged: tuple[Judged, ...]
    change: Callable[[dict], None] | None = None
    steps: float = 1.0
    images: int | None = None
    seeds: int = 3


def painted(transparency: float, settings: dict) -> None:
    """Another transparency of masks and discs."""
    for entry in settings["data"]["init_args"]["tasks"].values():
        entry["task"]["init_args"]["transparency"] = transparency


def started(name: str, settings: dict) -> None:
    """Another model to start from."""
    settings["model"]["init_args"]["init_from"] = name


def bare(settings: dict) -> None:
    """The names of joints and classes alone, instead of sentences."""
    for entry in settings["data"]["init_args"]["tasks"].values():
        kind = "keypoints" if "Keypoint" in entry["task"]["class_path"] else "segmentation"
        entry["task"]["init_args"]["instructions"] = str(BARE / f"bare_{kind}.txt")


def arms(names: list[str]) -> list[Arm]:
    """Those whose sets are there."""
    claims = [
        Arm("baseline", MIXED, WORDS + ASKED),
        Arm("bare names", MIXED, WORDS, bare),
        Arm("lsp alone, equal steps", ("lsp",), SEEN[1:2]),
        Arm("lsp alone, equal examples", ("lsp",), SEEN[1:2], steps=1 / 3),
        Arm("opaque masks", MIXED, SEEN, partial(painted, 0.0)),
        Arm("masks and discs half transparent", MIXED, SEEN, partial(painted, 0.5)),
        Arm("from tiny-adapted (after stage 1)", MIXED, SEEN, partial(started, "tiny-adapted")),
        Arm("from tiny-base (without stage 1)", MIXED, SEEN, partial(started, "tiny-base")),
    ]
    few = [
        Arm(f"few {name} {count}", (name,), (Judged(name, name),), images=count, steps=0.5, seeds=1)
        for name in MIXED
        for count in FEW
    ]
    return [arm for arm in few + claims if set(arm.sets) <= set(names)]


def few_images(raw: Path, folder: Path, count: int, val: Path) -> None:
    """The first images of a set, without those of its validation images, beside which these are found."""
    training_shards(raw, folder, "--limit", count, val=val)
    if not (folder / "val").is_symlink():
        (folder / "val").symlink_to(val.resolve(), target_is_directory=True)


def file_name(words: str) -> str:
    """The name of an arm or of a score as that of a file."""
    return words.replace(" ", "_").replace(",", "")


def run(data: Path, out: Path, arm: Arm, seed: int, steps: int, core: int) -> None:
    """Train and score one arm; of few images, a usual network beside it."""
    folder = out / "claims" / file_name(arm.name) / str(seed)
    source = out
    if arm.images is not None:
        (name,), source = arm.sets, out / "few" / str(arm.images)
        few_images(data / name, source / "data" / name, arm.images, out / "data" / name / "val")
    steps = max(round(arm.steps * steps), 1)
    settings = experiment(source, list(arm.sets), steps)
    for name, entry in settings["data"]["init_args"]["tasks"].items():
        entry["weight"] = WEIGHTS[name] if len(arm.sets) > 1 else 10.0
        if entry["task"]["init_args"].get("decoder") == "unet":  # it is judged beside the color decoder
            entry["task"]["init_args"] |= {"decoder": "color", "decoder_args": {"smooth": None}}
    if arm.change is not None:
        arm.change(settings)
    settings["model"]["init_args"]["seed"] = settings["data"]["init_args"]["seed"] = seed
    settings["trainer"] |= {"default_root_dir": str(folder), "limit_val_batches": 0}
    folder.mkdir(parents=True, exist_ok=True)
    words = fit_words(settings, folder / "arm.yaml")
    command(*words, "--ckpt_path", "last", done=folder / "trained", core=core)
    for judged in arm.judged:
        card, val = folder / f"{file_name(judged.name)}.json", out / "data" / judged.on / "val"
        if val.exists():
            command("-m", "idiff", "evaluate", "--checkpoint", folder / "checkpoints" / "last.ckpt", "--data", val, "--task",
                    judged.task, "--trust", "--bootstrap", 0, *judged.words, "--out", card, done=card, core=core)  # fmt: skip
    if arm.images is not None:
        write_tasks(source, settings)
        beside = folder / "specialist.json"
        command(HERE / "specialist.py", "--data", source / "data" / name / "train", "--val", out / "data" / name / "val",
                "--examples", steps * settings["data"]["init_args"]["batch_size"], "--seed", seed,
                "--task", source / "tasks" / f"{name}.yaml", "--out", beside, done=beside, core=core)  # fmt: skip


def collected(out: Path, chosen: list[Arm]) -> dict:
    """Arm -> what is judged -> the headline of every seed that has ended."""
    found: dict[str, dict] = {}
    for arm in chosen:
        folder = out / "claims" / file_name(arm.name)
        rows = {one.name: (f"{file_name(one.name)}.json", HEADLINE[one.on]) for one in arm.judged}
        if arm.images is not None:
            rows["specialist"] = ("specialist.json", HEADLINE[arm.sets[0]])
        for title, (file, key) in rows.items():
            cards = [card for seed in range(arm.seeds) if (card := folder / str(seed) / file).exists()]
            values = [json.loads(card.read_text())["metrics"][key] for card in cards]
            if values:
                found.setdefault(arm.name, {})[title] = {"metric": key, "values": values}
    return found


def hours(chosen: list[Arm], minutes: float) -> str:
    """Core-hours of training that the arms take, as Markdown."""
    lines = ["| arm | seeds | minutes of training each | core-hours |", "|---|---|---|---|"]
    total = 0.0
    for arm in chosen:
        each = minutes * arm.steps
        total += each * arm.seeds / 60
        lines.append(f"| {arm.name} | {arm.seeds} | {each:.1f} | {each * arm.seeds / 60:.2f} |")
    return "\n".join([*lines, f"| all | | | {total:.2f} |"]) + "\n"


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder that holds the sets")
    add("--out", type=Path, default=Path("runs/study"))
    add(
        "--minutes",
        type=float,
        default=12,
        help="of training for an arm of the mixture at the measured pace, 30 at most",
    )
    add("--only", default="", help="arms whose names begin with this")
    add("--core", type=int, default=0, help="the core that trains and scores, counted from 0")
    add("--plan", action="store_true", help="print the core-hours alone")
    options = parser.parse_args(words)
    if not 0 < options.minutes <= 30:
        parser.error(f"--minutes is {options.minutes:g}: expected more than 0, and 30 at most")
    data, out = options.data.resolve(), options.out.resolve()
    names = there(data)
    every = arms(names)
    chosen = [arm for arm in every if arm.name.startswith(options.only)]
    if not every:
        sys.exit(
            f"study_claims: {data} has none of the folders {', '.join(MIXED)}. DATA=DIR is the folder that holds them."
        )
    if not chosen:
        sys.exit(
            f"study_claims: no arm begins with '{options.only}'. There are: {'; '.join(arm.name for arm in every)}."
        )
    print(hours(chosen, options.minutes), flush=True)
    if options.plan:
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    out.mkdir(parents=True, exist_ok=True)
    build(data, out, names)
    kept = planned(
        out / "claims" / "plan.json",
        {"minutes": options.minutes, "start": load(START).sha256},
        lambda: round(options.minutes * 60 / pace(out, names)),
    )
    for arm in chosen:
        for seed in range(arm.seeds):
            run(data, out, arm, seed, kept["steps"], options.core)
            results = {"minutes": kept["minutes"], "steps": kept["steps"], "arms": collected(out, every)}
            write_atomic(out / "claims" / "results.json", json.dumps(results, indent=2) + "\n")
            write_atomic(out / "claims" / "table.md", tables(results))
    print(tables({"arms": collected(out, every)}))


if __name__ == "__main__":
    main()
