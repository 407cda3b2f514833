"""Draw the images that come with the package, `example:objects`, `example:figure` and `example:noisy`.

    python tools/make_examples.py

Each is the first scene of a seed that no training uses and that suits its quickstart sentence, the same each time.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from idiff.synthetic.source import SyntheticSource
from idiff.types import Sample
from idiff.utils.images import write_png

OUT = Path(__file__).resolve().parents[1] / "idiff" / "assets" / "examples"
SEED = 1_000_000_009


def has_one_red_star(facts: dict[str, Any]) -> bool:
    """Few objects, all nearly whole, and one red star among them."""
    objects = facts["scene"]["objects"]
    stars = [thing for thing in objects if (thing["kind"], thing["colour"]) == ("star", "red")]
    clear = all(thing["visible"] > 0.9 for thing in objects)
    return len(objects) in {3, 4} and len(stars) == 1 and stars[0]["area"] > 200 and clear


def has_one_whole_figure(facts: dict[str, Any]) -> bool:
    """One person seen from the front, every joint in sight, and nothing else."""
    figures = facts["scene"]["figures"]
    whole = len(figures) == 1 and figures[0]["facing"] == "front" and figures[0]["height"] > 0.7
    return (
        whole and not facts["scene"]["objects"] and all(joint[2] == 2 for joint in facts["instances"][0]["keypoints"])
    )


def first(task: str, suits: Callable[[dict[str, Any]], bool]) -> Sample:
    """The first scene that suits."""
    source = SyntheticSource(task, split="example", count=100_000, seed=SEED)
    samples = (source.sample(index) for index in range(len(source)))
    return next(sample for sample in samples if suits(sample.annotation))


def main() -> None:
    scenes = {
        "objects": first("segmentation", has_one_red_star),
        "figure": first("keypoints", has_one_whole_figure),
        "noisy": first("denoise", lambda facts: len(facts["scene"]["objects"]) == 3),
    }
    for name, sample in scenes.items():
        print(f"{name}: scene {int(sample.key)}, {write_png(sample.image, OUT, name)}")


if __name__ == "__main__":
    main()
