"""The main job on drawn scenes: shards and all three stages from the base that comes with the package, scored beside `tiny`.

    python tools/demo.py --out runs/demo

Runs `idiff run configs/experiment/demo.yaml`, and goes on where it was cut. Writes OUT/card.json (`before`, `after` and `tiny`:
metrics by task; `stage_2`: those before alignment; `minutes`), OUT/grid.png and TensorBoard logs. Further words go to `idiff run`.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml
from PIL import Image

from idiff.callbacks.records import read_results
from idiff.utils.hardware import fast_bfloat16

EXPERIMENT = Path(__file__).resolve().parents[1] / "configs" / "experiment" / "demo.yaml"
TASKS = ("segmentation", "keypoints")
TRAININGS = ("adaptation", "tasks", "alignment")


def idiff(*words: str) -> None:
    """Run one command of the package in a process of its own and show it."""
    print(f"\n$ idiff {' '.join(words)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "idiff", *words], check=False).returncode
    if code:
        sys.exit(code)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder; emptied where a demo is complete")
    parser.add_argument(
        "--tiny", type=int, default=48, help="validation scenes of each task that `tiny` is asked about"
    )
    options, others = parser.parse_known_args(words)
    out = options.out.resolve()
    if (out / "card.json").exists():
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    clock = out / ".began"
    if not clock.exists():
        clock.write_text(str(time.time()))
    began = float(clock.read_text())

    over = out / "precision.yaml"
    half = {"trainer": {"precision": "bf16-mixed"}} if fast_bfloat16() else {}
    over.write_text(yaml.safe_dump(dict.fromkeys(TRAININGS, half)))
    idiff("run", str(EXPERIMENT), "--set", f"folder={out}", "--over", str(over), *others)
    for task in TASKS:
        card = out / f"tiny_{task}.json"
        idiff("evaluate", "--checkpoint", "tiny", "--data", str(out / "data" / task / "val"), "--task", task,
              "--steps", "1", "--limit", str(options.tiny), "--bootstrap", "0", "--out", str(card))  # fmt: skip
    minutes = (time.time() - began) / 60

    second, third = read_results(out / "tasks"), read_results(out / "alignment")
    steps = sorted({int(row["step"]) for row in second})
    tiny = {task: json.loads((out / f"tiny_{task}.json").read_text())["metrics"] for task in TASKS}
    before, stage_2 = scores(second, steps[0]), scores(second, steps[-1])
    last = max(int(row["step"]) for row in third)
    after = scores(third, last)
    card = {"before": before, "after": after, "stage_2": stage_2, "tiny": tiny, "steps": steps[-1], "minutes": minutes}
    (out / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    sheets = [Image.open(out / "alignment" / "samples" / f"{task}_{last:07d}.png") for task in TASKS]
    page = Image.new("RGB", (sum(s.width for s in sheets), max(s.height for s in sheets)), "white")
    left = 0
    for sheet in sheets:
        page.paste(sheet, (left, 0))
        left += sheet.width
    page.save(out / "grid.png")
    print(f"\n{'task':<14}{'metric':<8}{'before':>9}{'stage 2':>9}{'stage 3':>9}{'tiny':>9}")
    for task in TASKS:
        for metric, value in after[task].items():
            row = (before[task][metric], stage_2[task][metric], value, tiny[task][metric] or 0)
            print(f"{task:<14}{metric:<8}{''.join(f'{number:>9.3f}' for number in row)}")
    print(f"\n{minutes:.1f} minutes. Images: {out / 'grid.png'}. Curves: tensorboard --logdir {out}")


def scores(rows: list[dict[str, str]], step: int) -> dict[str, dict[str, float]]:
    """Metrics by task at one step."""
    table: dict[str, dict[str, float]] = {}
    for row in rows:
        if int(row["step"]) == step:
            table.setdefault(row["task"], {})[row["metric"]] = float(row["score"] or 0)
    return table


if __name__ == "__main__":
    main()
