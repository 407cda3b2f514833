"""The main job on drawn scenes: shards, stage 2 from the base that comes with the package, scores before, after, and beside `tiny`.

    python tools/demo.py --out runs/demo

Runs the same commands a user would, one after the other, and goes on where it was cut. Writes OUT/card.json (`before`, `after` and
`tiny`: metrics by task; `minutes`), OUT/grid.png and TensorBoard logs.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from idiff.callbacks.records import read_results
from idiff.utils.hardware import fast_bfloat16

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "configs" / "experiment"
VALIDATION = 64
TASKS = ("segmentation", "keypoints")
SEED = {"train": 1, "val": 1_000_000_007}


def idiff(*words: str) -> None:
    """Run one command of the package in a process of its own (training starts a second rank by itself) and show it."""
    print(f"\n$ idiff {' '.join(words)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "idiff", *words], check=False).returncode
    if code:
        sys.exit(code)


def write(path: Path, settings: dict[str, Any]) -> str:
    """Write settings as a configuration that goes over the ones before it."""
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="run folder; emptied where a demo is complete"
    )
    parser.add_argument("--scenes", type=int, default=4000, help="training scenes of each task")
    parser.add_argument(
        "--tiny", type=int, default=48, help="validation scenes of each task that `tiny` is asked about"
    )
    options, overrides = parser.parse_known_args(words)  # the rest goes to the training
    out = options.out.resolve()
    if (out / "card.json").exists():
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    clock = out / ".began"
    if not clock.exists():
        clock.write_text(str(time.time()))
    began = float(clock.read_text())

    for task in TASKS:
        for split, count in {"train": options.scenes, "val": VALIDATION}.items():
            folder = out / "data" / task / split
            idiff("data", "build", "synthetic", "--task", task, "--split", split, "--count", str(count),
                  "--seed", str(SEED[split]), "--out", str(folder), "--workers", "2")  # fmt: skip
    places = {task: {split: str(out / "data" / task / split) for split in SEED} for task in TASKS}
    data = write(out / "data.yaml", {"data": {"init_args": {"tasks": places}}})
    precision = ["--trainer.precision", "bf16-mixed"] if fast_bfloat16() else []
    idiff("fit", "--config", str(EXPERIMENTS / "demo.yaml"), "--config", data, *precision,
          "--ckpt_path", "last", "--trainer.default_root_dir", str(out), *overrides)  # fmt: skip
    for task in TASKS:
        idiff("evaluate", "--checkpoint", "tiny", "--data", places[task]["val"], "--task", task,
              "--limit", str(options.tiny), "--out", str(out / f"tiny_{task}.json"))  # fmt: skip
    minutes = (time.time() - began) / 60

    rows = read_results(out)
    steps = sorted({int(row["step"]) for row in rows})
    tiny = {task: json.loads((out / f"tiny_{task}.json").read_text())["metrics"] for task in TASKS}
    before, after = scores(rows, steps[0]), scores(rows, steps[-1])
    card = {"before": before, "after": after, "tiny": tiny, "steps": steps[-1], "minutes": minutes}
    (out / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    sheets = [Image.open(out / "samples" / f"{task}_{steps[-1]:07d}.png") for task in TASKS]
    page = Image.new("RGB", (sum(s.width for s in sheets), max(s.height for s in sheets)), "white")
    left = 0
    for sheet in sheets:
        page.paste(sheet, (left, 0))
        left += sheet.width
    page.save(out / "grid.png")
    print(f"\n{'task':<14}{'metric':<8}{'before':>8}{'after':>8}{'tiny':>8}")
    for task in TASKS:
        for metric, value in after[task].items():
            print(f"{task:<14}{metric:<8}{before[task][metric]:>8.3f}{value:>8.3f}{tiny[task][metric] or 0:>8.3f}")
    print(f"\n{minutes:.1f} minutes. Pictures: {out / 'grid.png'}. Curves: tensorboard --logdir {out}")


def scores(rows: list[dict[str, str]], step: int) -> dict[str, dict[str, float]]:
    """Metrics by task at one step."""
    table: dict[str, dict[str, float]] = {}
    for row in rows:
        if int(row["step"]) == step:
            table.setdefault(row["task"], {})[row["metric"]] = float(row["score"] or 0)
    return table


if __name__ == "__main__":
    main()
