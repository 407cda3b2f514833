"""How long all classes of an image take: asked one by one, together, and with several classes in one prompt.

    python benchmarks/queries.py
    python benchmarks/queries.py --classes 14 --steps 4 --stop 0.6 --out queries.json

`one by one` makes a call for each class, as a tool does that answers one prompt at a time: the image is encoded for each.
`together` asks them in one call; `ending early` does so and does not go on with classes that the first step finds absent; `legend`
asks K classes in one prompt (what that costs, not how good it is: the shipped model was not trained for it). No call finds prompts
that an earlier one kept. Seconds are those of the processor, so that other programs do not count; the best round counts.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from idiff.models.backbone import LatentDiffusion
from idiff.models.io.checkpoint import load
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import SemanticSegmentation
from idiff.types import Sampling, Triplet


def ask(backbone: LatentDiffusion, triplets: list[Triplet], sampling: Sampling) -> list[int]:
    """Paint prompts of one image in one call; returns what each row took."""
    backbone.text.forget()
    source = torch.stack([triplet.source for triplet in triplets])
    words = [triplet.instruction for triplet in triplets]
    return backbone.edit_counted(source, words, sampling=sampling, seeds=range(len(triplets))).evaluations


def measure(
    backbone: LatentDiffusion, *, classes: int, steps: int, stop: float, most: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Time each way on one drawn scene.

    Args:
        classes: how many of the scene's classes are asked, 1 to 14.
        steps: of sampling.
        stop: threshold of `ending early`.
        most: classes a prompt of `legend`.
        rounds: of which the best counts.

    Returns:
        for each way the `seconds` of the image, `evaluations` (U-Net samples), `encoded` (rows that the autoencoder encoded), and
        `ratio`, the seconds of `one by one` over its own.
    """
    scene = SyntheticSource("segmentation", split="val", count=1, seed=5).sample(0)
    scene.meta = {**scene.meta, "classes": scene.meta["classes"][: classes + 1]}
    scene.label[scene.label > classes] = 0
    single, legend = (SemanticSegmentation(ask="all", classes_per_prompt=k).queries(scene, 0) for k in (1, most))
    plain, early = Sampling(steps=steps), Sampling(steps=steps, stop_unchanged=stop)
    ways = {
        "one by one": lambda: [cost for one in single for cost in ask(backbone, [one], plain)],
        "together": lambda: ask(backbone, single, plain),
        "ending early": lambda: ask(backbone, single, early),
        "legend": lambda: ask(backbone, legend, plain),
    }
    encoded: list[int] = []
    hook = backbone.autoencoder.net.encoder.register_forward_hook(lambda _, args, __: encoded.append(len(args[0])))
    found: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            encoded.clear()
            began = time.process_time()
            cost = sum(way())
            seconds = min(time.process_time() - began, found.get(name, {"seconds": float("inf")})["seconds"])
            found[name] = {"seconds": seconds, "evaluations": cost, "encoded": sum(encoded)}
    hook.remove()
    return {name: row | {"ratio": found["one by one"]["seconds"] / row["seconds"]} for name, row in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="tiny", metavar="CKPT", help="a model (tiny)")
    parser.add_argument("--classes", type=int, default=14, choices=range(1, 15), metavar="N", help="classes asked (14)")
    parser.add_argument("--steps", type=int, default=4, metavar="N", help="sampling steps (4)")
    parser.add_argument("--stop", type=float, default=0.6, metavar="X", help="stop_unchanged of `ending early` (0.6)")
    parser.add_argument("--most", type=int, default=4, metavar="K", help="classes a prompt of `legend` (4)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds (3)")
    parser.add_argument("--out", metavar="FILE.json", help="write the figures there, too")
    words = parser.parse_args()
    torch.set_num_threads(1)
    backbone = load(words.checkpoint).backbone.eval()
    options = {name: getattr(words, name) for name in ("classes", "steps", "stop", "most", "rounds")}
    found = measure(backbone, **options)
    print(f"{words.classes} classes of one image, {words.steps} steps")
    print(f"{'':14}{'seconds':>9}{'U-Net samples':>15}{'encoded':>9}{'ratio':>8}")
    for name, row in found.items():
        print(f"{name:14}{row['seconds']:9.2f}{row['evaluations']:15d}{row['encoded']:9d}{row['ratio']:8.2f}")
    if words.out:
        Path(words.out).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
