"""The chain that `tools/soak.py` kills: what it trains, how far it is, what it ends with."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHAIN = ROOT / "configs" / "experiment" / "three_stages.yaml"
TRAININGS = ("adaptation", "tasks", "alignment")
PARTS = {"weights": "raw", "average": "state_dict", "optimizer": "optimizer_states"}
"""What is compared -> its key in a checkpoint."""

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
        records = self._records(self.folder / name / "checkpoints" / "last.ckpt.check.json")
        return max((record["step"] for record in records), default=0) // EVERY

    def saving(self, name: str) -> bool:
        """Whether this start has begun a save that is not done: its file is not whole yet, or its check file names two."""
        checkpoints = self.folder / name / "checkpoints"
        halves = [*checkpoints.glob(".*.tmp")]
        halves += [path for path in checkpoints.glob("*.check.json") if len(self._records(path)) > 1]
        for path in halves:
            with suppress(FileNotFoundError):  # renamed since
                if path.stat().st_mtime_ns >= self._began:
                    return True
        return False

    @staticmethod
    def _records(path: Path) -> list[dict[str, int]]:
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
