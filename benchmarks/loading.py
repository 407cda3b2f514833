"""How fast shards are read, beside decoding their JPEGs alone.

    python benchmarks/loading.py                                  # photographs that it makes itself
    python benchmarks/loading.py --data data/coco/train --count 500

Both sides run in this one process, in turns, over the same samples in the same random order, and give RGB images.
`decoding` has the bytes of every image in memory already and calls OpenCV's decoder, the fastest at hand, with no check
at all. `reading` finds a sample by its position, reads its members from the shard, tests their checksums, decodes, and
checks the annotation: all that a training row costs before painting. Seconds are those of the processor, so that other
programs on the machine and a slow disk do not count; the best round of each side counts. The ratio is reading over
decoding; above about 0.1 megapixels, decoding is what binds.
"""

import argparse
import io
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from idiff.data.build.builder import build
from idiff.data.shards.reader import ShardSet
from idiff.data.sources.base import RawSample, Source

ROUNDS = 5


class Photos(Source):
    """JPEGs with the spectrum of photographs (amplitude falls with frequency), one labelled instance each."""

    tasks, unit = ("segmentation",), "picture"

    def __init__(self, count: int, height: int, width: int) -> None:
        self.count, self.shape = count, (height, width)

    def meta(self):
        return {}

    def __len__(self):
        return self.count

    def sample(self, index):
        rng = np.random.default_rng(index)
        height, width = self.shape
        frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]) + 1 / max(self.shape)
        waves = np.fft.rfft2(rng.normal(size=(3, height, width))) / frequency
        picture = np.fft.irfft2(waves, s=self.shape)
        picture = 128 + 50 * (picture - picture.mean()) / picture.std()
        stream = io.BytesIO()
        Image.fromarray(picture.clip(0, 255).astype(np.uint8).transpose(1, 2, 0)).save(stream, "JPEG", quality=90)
        facts = {"instances": [{"category": "thing", "box": [1, 2, 30, 40], "area": 900.0, "id": index}]}
        return RawSample(f"{index:06d}", stream.getvalue(), facts)


def measure(shards: ShardSet, *, count: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Time both sides on `count` samples drawn at random.

    Returns:
        images a second of `decoding` and `reading`, their `ratio`, and the mean size of an image in `megapixels`.
    """
    places = np.random.default_rng(0).permutation(len(shards))[:count].tolist()
    files = [
        next(data for name, data in shards.read_members(place).items() if name.startswith("source."))
        for place in places
    ]
    pixels = [picture.shape[0] * picture.shape[1] for picture in map(bare, files)]
    best = {"decoding": np.inf, "reading": np.inf}
    for _ in range(rounds):
        best["decoding"] = min(best["decoding"], _time(lambda: [bare(data) for data in files]))
        best["reading"] = min(best["reading"], _time(lambda: [shards.read(place).image for place in places]))
    rates = {name: len(places) / seconds for name, seconds in best.items()}
    return rates | {"ratio": rates["reading"] / rates["decoding"], "megapixels": float(np.mean(pixels)) / 1e6}


def bare(data: bytes) -> np.ndarray:
    """A JPEG to RGB, uint8 (H, W, 3), unchecked."""
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _time(run) -> float:
    begin = time.process_time()
    run()
    return time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR", help="shards whose images are JPEGs; made up where it is left out")
    parser.add_argument("--count", type=int, default=200, metavar="N", help="samples (200)")
    parser.add_argument("--size", default="640x480", metavar="WxH", help="of made-up images (640x480)")
    parser.add_argument("--out", metavar="FILE.json", help="write the figures there, too")
    words = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        where = words.data
        if where is None:
            width, height = map(int, words.size.split("x"))
            where = Path(folder) / "photos"
            build(Photos(words.count, height, width), where, name="photos", split="train")
        found = measure(ShardSet.open(where), count=words.count)
    print(f"decoding alone  {found['decoding']:8.1f} pictures/s   ({found['megapixels']:.2f} megapixels each)")
    print(f"reading shards  {found['reading']:8.1f} pictures/s")
    print(f"ratio           {found['ratio']:8.2f}")
    if words.out:
        Path(words.out).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
