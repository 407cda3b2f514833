"""Draw docs/answers.png, the picture that README.md begins with: what `tiny` answers about drawn scenes, through `Pipeline`.

    python tools/make_answers.py

The scenes are those that come with the package, and two of a seed that no training used. Each column is a question; above is the
image that was asked about, below the answer as the model gave it.
"""

from pathlib import Path
from textwrap import wrap

import matplotlib.pyplot as plt
import numpy as np

from idiff import Pipeline
from idiff.synthetic.source import SyntheticSource

OUT = Path(__file__).resolve().parents[1] / "docs" / "answers.png"
SEED = 1_000_000_009
"""Of the scenes beside the package's examples: no training uses it."""


def questions(pipe):
    """The sentence, the image that it is about, and the answer."""
    scene = SyntheticSource("referring", split="test", count=20, seed=SEED).sample(3)
    noisy = SyntheticSource("denoise", split="test", count=20, seed=SEED).sample(5).image
    phrase = max(scene.annotation["phrases"], key=lambda one: len(one["text"]) * bool(one["instances"]))["text"]
    yield "segment “the red star”", pipe.segment("example:objects", "the red star")
    yield f"segment “{phrase}”", pipe.segment(scene.image, phrase)
    joints = "head top, left elbow, right elbow, left knee, right knee"
    yield "keypoints “head top, elbows, knees”", pipe.keypoints("example:figure", joints)
    yield "edit “Make the red star blue.”", pipe.edit("example:objects", "Make the red star blue.")
    yield "restore: denoise", pipe.restore(noisy, "denoise")


def main():
    answers = list(questions(Pipeline("tiny", seed=0)))
    figure, cells = plt.subplots(2, len(answers), figsize=(2.2 * len(answers), 4.9), dpi=100)
    for (title, answer), (above, below) in zip(answers, np.transpose(cells), strict=True):
        above.set_title("\n".join(wrap(title, 28)), fontsize=9)
        for cell, image in ((above, answer.picture), (below, answer.overlay)):
            cell.imshow(image, interpolation="nearest")
            cell.set_axis_off()
        print(title, answer.score, answer.notice or "")
    figure.tight_layout(pad=0.6)
    figure.savefig(OUT, facecolor="white", metadata={"Software": None})


if __name__ == "__main__":
    main()
