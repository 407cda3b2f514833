"""Kill a chain of trainings again and again, and see that it ends with the bytes of one that nobody killed.

`make soak` runs it. Two runs of `configs/experiment/three_stages.yaml`, cut to a few steps, lie side by side in `--out`: `whole` is
left alone; the processes of `killed`, workers and ranks included, get SIGKILL at moments drawn from `--seed`, and the same command
goes on each time. Every training has data workers and gradient accumulation, stage 2 a mixture of sets. With `--ranks` each new start draws
one or two ranks, of one global batch. The SHA-256 of weights, their average and the optimizer's state are printed last. Exit code
0: they are equal; 1: they are not, or a run failed; 2: `--out` holds another soak. Given again, the command goes on where it was ended.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHAIN = ROOT / "configs" / "experiment" / "three_stages.yaml"
TRAININGS = ("adaptation", "tasks", "alignment")
PARTS = {"weights": "raw", "average": "state_dict", "optimizer": "optimizer_states"}
EVERY = 2
"""Optimizer steps between two saves."""
PATIENCE = 600.0
"""Seconds that a start may take to come to its moment."""
STAGE = re.compile(r"idiff: stage (\d+) of \d+, ([\w-]+):")

COUNTS = {"segmentation": 32, "segmentation-val": 4, "editing": 32, "editing-val": 4, "editing-asked": 8}
"""Scenes of each set."""


class Moment(NamedTuple):
    """When to kill: in a stage (its number in the chain), once it has saved `saves` times, `delay` seconds on.

    `kind`: `stage`, from the stage's start; `step`, from its last save; `save`, from the moment the next save begins.
    """

    stage: int
    saves: int
    kind: str
    delay: float


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


def overrides(steps: int, *, ranks: int) -> dict[str, Any]:
    """Settings over the chain's: few scenes, few steps of two examples each, workers, saves at every other step."""
    over: dict[str, Any] = {}
    for entry in yaml.safe_load(CHAIN.read_text(encoding="utf-8"))["stages"]:
        if entry["name"] in COUNTS:
            over[entry["name"]] = {
                "command": re.sub(r"--count \d+", f"--count {COUNTS[entry['name']]}", entry["command"])
            }
        if entry["name"] == "candidates":
            over["candidates"] = {
                "command": entry["command"].replace("--candidates 6 --steps 2", "--candidates 3 --steps 1")
            }
    for name in TRAININGS:
        trainer = {
            "max_steps": steps, "max_epochs": -1, "check_val_every_n_epoch": None, "val_check_interval": steps // ranks,
            "accumulate_grad_batches": 2 // ranks, "devices": ranks, "strategy": "ddp" if ranks > 1 else "auto",
        }  # fmt: skip
        data = {"batch_size": 1, "num_workers": 2, "val_samples": 2}
        over[name] = {"data": data, "last": {"every_n_steps": EVERY}, "trainer": trainer}
    return over


class Chain:
    """One run of the chain in a folder of its own.

    Args:
        out: what this program writes.
        name: of the folder.
    """

    def __init__(self, out: Path, name: str) -> None:
        self.out, self.folder, self.log = out, out / name, out / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._begin, self._began = 0, 0

    def start(self, ranks: int = 1) -> None:
        """Start the command, or go on with it, in a process group of its own."""
        words = ["run", str(CHAIN), "--over", str(self.out / f"{ranks}.yaml"), "--set", f"folder={self.folder}"]
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        with self.log.open("ab") as log:
            self._begin, self._began = log.tell(), time.time_ns()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "idiff", *words], stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def ended(self) -> bool:
        """Whether the command has ended."""
        assert self.process is not None
        return self.process.poll() is not None

    def kill(self) -> None:
        """SIGKILL to all of its processes at once."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self) -> None:
        """Let it end.

        Raises:
            SystemExit: it failed; with the end of its log.
        """
        assert self.process is not None
        if self.process.wait():
            tail = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
            sys.exit(
                f"the chain in {self.folder} ended with exit code {self.process.returncode}; the end of {self.log}:\n{tail}"
            )

    def stage(self) -> tuple[int, str]:
        """The stage that this start is in: number, from 0, and name; -1 before the first."""
        with self.log.open("rb") as log:
            log.seek(self._begin)
            found = STAGE.findall(log.read().decode("utf-8", errors="replace"))
        return (int(found[-1][0]) - 1, found[-1][1]) if found else (-1, "before the first stage")

    def saves(self, name: str) -> int:
        """How often a training has saved `last.ckpt`."""
        return max((record["step"] for record in self._records(name, "last")), default=0) // EVERY

    def saving(self, name: str) -> bool:
        """Whether a save of this start is begun and not done: its file is not whole yet, or its check file names two."""
        for path in (self.folder / name / "checkpoints").glob(".*.tmp"):
            try:
                if path.stat().st_mtime_ns >= self._began:
                    return True
            except FileNotFoundError:  # renamed since
                continue
        return any(len(self._records(name, which)) > 1 for which in ("last", "best"))

    def _records(self, name: str, which: str) -> list[dict[str, int]]:
        path = self.folder / name / "checkpoints" / f"{which}.ckpt.check.json"
        try:
            records: list[dict[str, int]] = json.loads(path.read_text(encoding="utf-8"))["whole"]
        except FileNotFoundError:
            return []
        return records

    def reach(self, moment: Moment, stages: list[str]) -> bool:
        """Wait for a moment; False where the command ended before it.

        Raises:
            SystemExit: it hangs.
        """
        name, patience = stages[moment.stage], time.monotonic() + PATIENCE

        def come() -> bool:
            number = self.stage()[0]
            if number != moment.stage:
                return number > moment.stage
            if self.saves(name) < moment.saves:
                return False
            return moment.kind != "save" or self.saving(name)

        while not come():
            if self.ended():
                return False
            if time.monotonic() > patience:
                self.kill()
                sys.exit(f"the chain in {self.folder} did not come to {moment} in {PATIENCE:.0f} s: see {self.log}")
            time.sleep(0.002)
        until = time.monotonic() + moment.delay
        while time.monotonic() < until and not self.ended():
            time.sleep(0.002)
        return not self.ended()


def digests(folder: Path) -> dict[tuple[str, str], str]:
    """SHA-256 of each part of the last checkpoint of each training."""
    import torch

    def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict | list | tuple):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in sorted(pairs, key=lambda pair: str(pair[0])):
                yield from leaves(item, f"{path}/{key}")
        else:
            yield path, value

    found = {}
    for name in TRAININGS:
        checkpoint = torch.load(folder / name / "checkpoints" / "last.ckpt", weights_only=True)
        for part, key in PARTS.items():
            digest = hashlib.sha256()
            for path, value in leaves(checkpoint[key]):
                tensor = isinstance(value, torch.Tensor)
                digest.update(f"{path} {f'{value.dtype} {tuple(value.shape)}' if tensor else repr(value)}\n".encode())
                if tensor:
                    digest.update(value.contiguous().numpy().tobytes())
            found[name, part] = digest.hexdigest()
    return found


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
