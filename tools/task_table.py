"""The table of docs/tasks.md: how each task is painted, read back and scored, and the ceiling of its scores on drawn scenes.

    python tools/task_table.py --count 32 --write

Every YAML under configs/task is a row. `painted`: the truth painted in 8 bits and read back. `through the VAE`: the same after the
autoencoder of the checkpoint. With `--write` the table in docs/tasks.md is replaced, else it is printed.
"""

import argparse
import inspect
import sys
from pathlib import Path

import torch

import idiff.tasks
from idiff.config.compose import compose
from idiff.models.io.checkpoint import load
from idiff.synthetic.source import SyntheticSource
from idiff.tasks.base import Task
from idiff.tasks.common.dense import DenseTask
from idiff.types import Sample
from idiff.utils.images import to_picture, to_tensor

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tasks.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
HEAD = (
    "| task | painted as | read back by | metric | painted | through the VAE | lines |\n|---|---|---|---|---|---|---|\n"
)


def main(words: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--checkpoint", default="tiny", help="whose autoencoder; default: tiny")
    options.add_argument("--count", type=int, default=32, help="scenes of each task (32)")
    options.add_argument("--write", action="store_true", help="replace the table in docs/tasks.md")
    given = options.parse_args(words)
    vae = load(given.checkpoint).backbone.autoencoder
    table = HEAD + "".join(row(path, vae, given.count) for path in sorted((ROOT / "configs" / "task").glob("*.yaml")))
    if not given.write:
        sys.stdout.write(table)
        return 0
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table}{END}{after}", encoding="utf-8")
    return 0


def row(path: Path, vae: torch.nn.Module, count: int) -> str:
    """One task: what it says of itself, and its ceilings."""
    entry = compose([str(path)])["task"]
    task = getattr(idiff.tasks, entry["class_path"].rpartition(".")[2])(**entry.get("init_args", {}))
    family = "solids" if task.maps else "flat"
    source = SyntheticSource(task.kind, split="val", count=count, family=family, size=task.size)
    painted, rendered = scores(task, [source.sample(index) for index in range(count)], vae)
    decoder = getattr(task, "decoder", None)
    reads = (
        decoder.describe()["name"]
        if decoder
        else "the color of each pixel"
        if isinstance(task, DenseTask)
        else "the image itself"
    )
    code = Path(inspect.getfile(type(task)))
    lines = len(code.read_text(encoding="utf-8").splitlines())
    said = inspect.getdoc(type(task)).splitlines()[0].partition(" See ")[0].rstrip(".")
    sense = "lower is better" if task.headline_lower_is_better else "higher is better"
    cells = [
        f"`{task.kind}`",
        said,
        reads,
        f"`{task.headline}`, {sense}",
        painted,
        rendered,
        f"{lines} (`{code.name}`)",
    ]
    return f"| {' | '.join(cells)} |\n"


@torch.no_grad()
def scores(task: Task, samples: list[Sample], vae: torch.nn.Module) -> tuple[str, str]:
    """The headline of the painted truth, in 8 bits and after the autoencoder."""
    ways = [task.metrics(), task.metrics()]
    for sample in samples:
        for item in range(1 if task.unit == "picture" else len(sample.annotation[task.unit])):
            triplets = task.queries(sample, item)
            queries, truth = [one.query for one in triplets], task.truth(triplets[0].annotation)
            targets, sources = (torch.stack([getattr(one, name) for one in triplets]) for name in ("target", "source"))
            eight = torch.stack([to_tensor(to_picture(one)) for one in targets])
            for metrics, (edited, seen) in zip(
                ways, ((eight, sources), (vae.render(eight), vae.render(sources))), strict=True
            ):
                metrics.update(task.combine(task.decode(edited, seen, queries), queries), truth)
    return tuple(f"{float(metrics.compute()[task.headline]):.3f}" for metrics in ways)


if __name__ == "__main__":
    sys.exit(main())
