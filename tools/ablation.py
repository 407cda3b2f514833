"""What each part brings, on drawn scenes: one shared baseline, and arms that differ from it in one thing each.

    python tools/ablation.py                     three seeds an arm, two runs at a time; writes runs/ablation/table.md
    python tools/ablation.py --seeds 1 --steps 40 --scenes 200 --test 20    a try-out

Runs the same commands a user would, and goes on where it was cut. The arms: stage 1 off, bare task names instead of instructions,
a single task, alignment off. Every arm sees equally many rows of keypoints, by which all but alignment are judged; alignment is
judged by editing. Segmentation is trained beside them, and not judged: it learns slowest, and is near its floor at this length.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from idiff.utils.hardware import fast_bfloat16

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENT = "configs/experiment/ablation.yaml"
OUT = Path("runs/ablation")
TASKS = ("segmentation", "keypoints", "editing")
SEED = {"train": 1, "val": 2, "asked": 3, "test": 1_000_000_007}
ARMS = {
    "baseline": None,
    "stage 1 off": "no_stage_1",
    "bare names": "bare_names",
    "single task": "single_task",
}
"""Arm of stage 2 -> the file that goes over the baseline's."""
JUDGED = {"keypoints": ("pck05", "pck"), "editing": ("mse_ratio", "psnr_outside")}
ALIGNED = "alignment on"


def idiff(*words: str, done: Path) -> None:
    """Run one command on one thread, unless it ended well before: a file `done` then says so."""
    if done.exists():
        return
    done.parent.mkdir(parents=True, exist_ok=True)
    print("$ idiff", *words, flush=True)
    log = done.with_name(f"{done.name}.log")
    with log.open("w") as stream:
        command = [sys.executable, "-m", "idiff", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        code = subprocess.run(command, check=False, stdout=stream, stderr=stream, env=environment).returncode
    if code:
        sys.exit(f"idiff {' '.join(words[:3])} ended with {code}; see {log}")
    if not done.exists():
        done.touch()


def data(scenes: int, test: int, asked: int) -> None:
    """Scenes of every task, and cached views: with instructions, and with bare names."""
    count = {"train": scenes, "val": 8, "test": test}
    for task in TASKS:
        for split in (*count, *(("asked",) if task == "editing" else ())):
            folder = OUT / "data" / task / split
            idiff("data", "build", "synthetic", "--task", task, "--split", split, "--count", str(count.get(split, asked)),
                  "--seed", str(SEED[split]), "--out", str(folder), done=folder / "manifest.json")  # fmt: skip
    for cache, over in {"cache": [], "cache_bare": [arm_file("bare_names")]}.items():
        files = [word for file in (EXPERIMENT, *over) for word in ("--config", file)]
        idiff("data", "cache", *files, "--model", "tiny-base", "--views", "2", "--out", str(OUT / cache),
              done=OUT / f"{cache}.done")  # fmt: skip


def arm_file(name: str) -> str:
    """Path of an arm's settings."""
    return f"configs/experiment/ablation/{name}.yaml"


def stage_2(arm: str, seed: int, steps: int) -> None:
    """Train and score one run of an arm."""
    folder, over = OUT / arm.replace(" ", "_") / str(seed), ARMS[arm]
    files = (EXPERIMENT, *([] if over is None else [arm_file(over)]))
    fit(files, folder, seed, "--trainer.max_steps", str(steps // 4 if arm == "single task" else steps))
    score(folder, tasks=("keypoints",) if arm == "single task" else tuple(JUDGED))


def stage_3(seed: int, epochs: int) -> None:
    """Align one baseline: candidates, picks by the metric, fine-tuning; and score it."""
    start, folder = OUT / "baseline" / str(seed) / "checkpoints" / "last.ckpt", OUT / "alignment_on" / str(seed)
    candidates, picked = folder / "candidates", folder / "picked"
    idiff("align", "generate", "--checkpoint", str(start), "--data", str(OUT / "data" / "editing" / "asked"), "--task", "editing",
          "--candidates", "8", "--seed", str(seed), "--out", str(candidates), done=folder / "generated")  # fmt: skip
    idiff(
        "align",
        "pick",
        str(candidates),
        "--auto",
        "headline",
        "--least",
        "1",
        "--annotator",
        "auto",
        done=folder / "picks",
    )
    idiff(
        "align", "build", str(candidates), "--annotators", "auto", "--out", str(picked), done=picked / "manifest.json"
    )
    fit(("configs/experiment/alignment_tiny.yaml", arm_file("alignment")), folder, seed,
        "--model.init_from", str(start), "--data.tasks.picked.train", str(picked),
        "--data.tasks.picked.val", str(OUT / "data" / "editing" / "val"), "--trainer.limit_val_batches", "0",
        "--trainer.max_steps", "-1", "--trainer.max_epochs", str(epochs))  # fmt: skip
    score(folder, tasks=tuple(JUDGED))


def fit(files: tuple[str, ...], folder: Path, seed: int, *words: str) -> None:
    """Train, or go on; bfloat16 where the processor is fast at it."""
    given = [word for file in files for word in ("--config", file)]
    precision = ["--trainer.precision", "bf16-mixed"] if fast_bfloat16() else []
    idiff("fit", *given, *precision, *words, "--model.seed", str(seed), "--data.seed", str(seed),
          "--ckpt_path", "last", "--trainer.default_root_dir", str(folder), done=folder / "trained")  # fmt: skip


def score(folder: Path, *, tasks: tuple[str, ...]) -> None:
    """Evaluate a run on held-out scenes."""
    for task in tasks:
        card = folder / f"{task}.json"
        idiff("evaluate", "--checkpoint", str(folder / "checkpoints" / "last.ckpt"), "--data", str(OUT / "data" / task / "test"),
              "--task", task, "--trust", "--steps", "1", "--bootstrap", "0", "--out", str(card), done=card)  # fmt: skip


def table(seeds: list[int]) -> str:
    """Mean and standard deviation over seeds of every arm, as Markdown; and the difference from the baseline, seed by seed."""
    cards = {
        arm: [
            {
                f"{task} {name}": value
                for task, names in JUDGED.items()
                if (file := OUT / arm.replace(" ", "_") / str(seed) / f"{task}.json").exists()
                for name, value in json.loads(file.read_text())["metrics"].items()
                if name in names and value is not None
            }
            for seed in seeds
        ]
        for arm in (*ARMS, ALIGNED)
    }
    names = [f"{task} {name}" for task, metrics in JUDGED.items() for name in metrics]
    lines = [f"| arm | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for arm, runs in cards.items():
        cells = []
        for name in names:
            values = [run[name] for run in runs if name in run]
            gaps = [run[name] - base[name] for run, base in zip(runs, cards["baseline"], strict=True) if name in run]
            text = f"{statistics.mean(values):.3f} ± {spread(values):.3f}" if values else "-"
            cells.append(
                text
                if not values or arm == "baseline"
                else f"{text} ({statistics.mean(gaps):+.3f} ± {spread(gaps):.3f})"
            )
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def spread(values: list[float]) -> float:
    """Standard deviation over seeds; 0 of a single one."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="runs of each arm")
    add("--steps", type=int, default=500, help="steps of stage 2, of 24 rows; a quarter of them for the single task")
    add("--scenes", type=int, default=4000, help="training scenes of each task")
    add("--test", type=int, default=200, help="held-out scenes of each task")
    add("--asked", type=int, default=60, help="edits that candidates are painted for")
    add("--epochs", type=int, default=10, help="of stage 3")
    add("--jobs", type=int, default=2, help="runs at a time, one core each")
    options = parser.parse_args(words)
    seeds = list(range(options.seeds))
    os.chdir(ROOT)
    data(options.scenes, options.test, options.asked)

    def one(seed: int) -> None:
        for arm in ARMS:
            stage_2(arm, seed, options.steps)
            if arm == "baseline":
                stage_3(seed, options.epochs)

    with ThreadPoolExecutor(options.jobs) as runs:
        for finished in [runs.submit(one, seed) for seed in seeds]:
            finished.result()
    text = table(seeds)
    (OUT / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
