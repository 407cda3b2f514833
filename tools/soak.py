"""Kill a chain of trainings again and again, and see that it ends with the bytes of one that nobody killed.

`make soak` runs it. Two runs of `configs/experiment/three_stages.yaml`, cut to a few steps, lie side by side in `--out`. `whole` is
left alone. The processes of `killed`, workers and ranks included, get SIGKILL at moments drawn from `--seed`, and the same command
goes on each time. Every training has data workers and gradient accumulation, stage 2 a mixture of sets. With `--ranks` each new
start draws one or two ranks, of one global batch: two micro-batches a step, in a row or side by side.

The SHA-256 of the last weights, their average and the optimizer's state are printed last. Exit code 0: they are equal; 1: they are
not, or a run failed; 2: `--out` holds another soak. Given again, the command goes on where it was ended.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from soak_chain import CHAIN, EVERY, PARTS, TRAININGS, Chain, Moment, digests, overrides


def moments(stages: list[str], *, kills: int, saves: int, seed: int) -> list[Moment]:
    """Draw the moments, in the order in which they come.

    Args:
        stages: names of the chain's stages.
        kills: how many.
        saves: saves of each training.
        seed: of the draw.
    """
    rng = random.Random(seed)
    drawn = []
    for _ in range(kills):
        kind = rng.choices(("step", "save", "stage"), (0.4, 0.35, 0.25))[0]
        if kind == "stage":
            drawn.append(Moment(rng.randrange(len(stages)), 0, kind, rng.uniform(0.0, 1.0)))
        else:
            longest = 1.0 if kind == "step" else 0.25
            stage = stages.index(rng.choice(TRAININGS))
            drawn.append(Moment(stage, rng.randrange(1, saves), kind, rng.uniform(0.0, longest)))
    return sorted(drawn)


def soak(out: Path, *, kills: int, seed: int, steps: int, ranks: bool) -> int:
    """Run both chains and compare them. Returns the exit code."""
    stages = [entry["name"] for entry in yaml.safe_load(CHAIN.read_text(encoding="utf-8"))["stages"]]
    drawn = moments(stages, kills=kills, saves=steps // EVERY, seed=seed)
    layouts = [random.Random(f"{seed} {number}").choice((1, 2)) if ranks else 1 for number in range(kills + 1)]
    for each in (1, 2):
        (out / f"{each}.yaml").write_text(yaml.safe_dump(overrides(steps, ranks=each)), encoding="utf-8")
    whole, killed = Chain(out, "whole"), Chain(out, "killed")
    left_alone, record = out / "whole.done", out / "kills.jsonl"
    landed = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    began = time.monotonic()
    try:
        if not left_alone.exists():
            shutil.rmtree(whole.folder, ignore_errors=True)  # it was not left alone to its end
            whole.start()
        for number in range(len(landed), kills):
            killed.start(layouts[number])
            if not killed.reach(drawn[number], stages):
                killed.wait()
                break
            name = killed.stage()[1]
            killed.kill()
            landed.append(
                {"stage": name, "in_save": name in TRAININGS and killed.saving(name), "ranks": layouts[number]}
            )
            with record.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(landed[-1]) + "\n")
            said = ", within a save" if landed[-1]["in_save"] else ""
            print(f"{time.monotonic() - began:6.0f} s  kill {len(landed)} of {kills}: {name}{said}", flush=True)
        killed.start(layouts[kills])
        killed.wait()
        if not left_alone.exists():
            whole.wait()
            left_alone.touch()
    finally:
        for chain in (whole, killed):
            if chain.process is not None and not chain.ended():
                chain.kill()
    return report(landed, digests(whole.folder), digests(killed.folder), seconds=time.monotonic() - began, kills=kills)


def report(
    landed: list[dict[str, Any]],
    whole: dict[tuple[str, str], str],
    killed: dict[tuple[str, str], str],
    *,
    seconds: float,
    kills: int,
) -> int:
    """Print where the kills landed and both digests; 0 where they are equal and no kill is missing."""
    counts = Counter(kill["stage"] for kill in landed)
    print(
        f"\n{len(landed)} of {kills} kills landed, {sum(kill['in_save'] for kill in landed)} within a save; {seconds:.0f} s"
    )
    for name, count in counts.items():
        in_save = sum(kill["in_save"] for kill in landed if kill["stage"] == name)
        print(f"  {name:18} {count:3}" + (f", {in_save} within a save" if name in TRAININGS else ""))
    if len({kill["ranks"] for kill in landed}) > 1:
        print("  starts with two ranks:", sum(kill["ranks"] == 2 for kill in landed), "of", len(landed))
    print("\nstage       part       equal  SHA-256: left alone, killed")
    for (name, part), digest in whole.items():
        other = killed[name, part]
        print(f"{name:11} {part:10} {'yes' if digest == other else 'NO':6} {digest[:16]} {other[:16]}")
    last = [(TRAININGS[-1], part) for part in PARTS]
    print("\nfinal weights, average and optimizer state:")
    for title, found in (("left alone", whole), (f"killed {len(landed)} times", killed)):
        print(f"{title:16}", " ".join(found[key] for key in last))
    return 0 if whole == killed and len(landed) == kills else 1


def main(words: list[str]) -> int:
    """Read the options."""
    options = argparse.ArgumentParser(description="Kill a chain of trainings, and compare it with one left alone.")
    options.add_argument("--kills", type=int, default=50, help="how many SIGKILLs")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    options.add_argument("--steps", type=int, default=40, help="optimizer steps of each training, an even number")
    options.add_argument("--ranks", action="store_true", help="one or two ranks, drawn anew at each start")
    options.add_argument("--out", type=Path, help="folder (runs/soak, with --ranks runs/soak-ranks)")
    chosen = options.parse_args(words)
    if chosen.kills < 1 or chosen.steps < 6 or chosen.steps % EVERY:
        options.error("expected --kills of at least 1, and --steps even and at least 6")
    out = chosen.out or Path("runs") / ("soak-ranks" if chosen.ranks else "soak")
    out.mkdir(parents=True, exist_ok=True)
    settings = {key: value for key, value in vars(chosen).items() if key != "out"}
    file = out / "soak.json"
    if file.exists() and json.loads(file.read_text()) != settings:
        print(
            f"{out} holds a soak with {file.read_text()}, not {json.dumps(settings)}: name another --out",
            file=sys.stderr,
        )
        return 2
    file.write_text(json.dumps(settings), encoding="utf-8")
    return soak(out.resolve(), **settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
