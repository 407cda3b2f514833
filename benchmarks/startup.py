"""What a process costs that answers about one image, beside one that only imports the libraries it stands on.

    python benchmarks/startup.py
    python benchmarks/startup.py --rounds 9 --out startup.json

`answer` is `idiff segment` on an image of the package with the tiny model: start, load, sample, decode, write. `libraries` imports
torch, diffusers' U-Net and autoencoder and transformers' CLIP text model and tokenizer, and ends. Both run in turn, each in a new
process with one thread. Seconds are user and system time of the process, so that waiting for others does not count. `startup_ratio`
is the median of `answer` over the median of `libraries`. `package` imports idiff; `help` is the slowest `--help` of all commands.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from idiff.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = (
    "import torch; from diffusers import AutoencoderKL, UNet2DConditionModel; "
    "from transformers import CLIPTextModel, CLIPTokenizer"
)


def cpu_seconds(words: list[str]) -> float:
    """User and system time of a process of Python that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int) -> dict[str, object]:
    """Seconds of each process, in rounds; the first round warms the disk cache and does not count."""
    with tempfile.TemporaryDirectory() as folder:
        ask = ["-m", "idiff", "segment", "example:objects", "the red star", "--device", "cpu", "--out", folder]
        ways = {"answer": ask, "libraries": ["-c", LIBRARIES], "package": ["-c", "import idiff"]}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, words in ways.items():
                taken = cpu_seconds(words)
                if turn:
                    seconds[name].append(round(taken, 3))
    helps = {name: round(cpu_seconds(["-m", "idiff", name, "--help"]), 3) for name in COMMANDS}
    slowest = max(helps, key=lambda name: helps[name])
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "startup_ratio": round(medians["answer"] / medians["libraries"], 3),
        "medians": medians,
        "seconds": seconds,
        "help": {"slowest": slowest, "seconds": helps[slowest]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="processes of each kind that count (5)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures as JSON")
    options = parser.parse_args()
    found = measure(options.rounds)
    text = json.dumps(found, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
