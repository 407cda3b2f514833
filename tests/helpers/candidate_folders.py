"""A small folder of candidates, written by hand in its documented format: drawn edits, and worse and better answers to them."""

import hashlib
import json

import numpy as np

from idiff.errors import BadSampleError
from idiff.synthetic.scenes import SCENE_TASKS, draw_scene
from idiff.utils.picture_files import encode_png
from idiff.utils.seeds import hash64, numpy_rng


def write_candidates(folder, *, samples=4, candidates=5, size=32, seed=0):
    """Write `samples` edits of drawn scenes with `candidates` answers each; returns the folder."""
    grid = [{"guidance_text": 1.0 + n, "guidance_image": 1.0, "steps": 4, "sampler": "euler", "rule": "instructdiffusion"}
            for n in range(candidates)]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "schema": 1, "task": "editing", "checkpoint": {"name": "drawn", "sha256": "0" * 64},
        "data": {"path": "scenes", "fingerprint": f"{seed}"}, "candidates": candidates, "grid": grid, "seed": seed,
        "samples": samples,
    }  # fmt: skip
    (folder / "align.json").write_text(json.dumps(settings))
    number = index = 0
    while number < samples:
        index += 1
        try:
            pair = _pair(size, seed=seed, index=index)
        except BadSampleError:
            continue
        write_sample(folder, number, pair, grid=grid, seed=seed)
        number += 1
    return folder


def write_sample(folder, number, pair, *, grid, seed):
    """Write one sample: images first, then `sample.json`."""
    name = f"{number:06d}"
    place = folder / "samples" / name
    place.mkdir(parents=True, exist_ok=True)
    told = []
    for index, sampling in enumerate(grid):
        data = encode_png(_answer(pair, numpy_rng(seed, "answer", number, index)))
        (place / f"candidate_{index:02d}.png").write_bytes(data)
        told.append({"file": f"candidate_{index:02d}.png", "seed": hash64(seed, name, index) % 2**31,
                     "sampling": sampling, "sha256": hashlib.sha256(data).hexdigest()})  # fmt: skip
    (place / "source.png").write_bytes(encode_png(pair.picture))
    (place / "target.png").write_bytes(encode_png(pair.target))
    facts = {
        "sample": name, "key": f"scene-{number}", "instruction": pair.facts["instruction"], "query": {},
        "candidates": told, "truth": {"file": "target.png"}, "scores": {},
    }  # fmt: skip
    (place / "sample.json").write_text(json.dumps(facts))


def _pair(size, *, seed, index):
    task = SCENE_TASKS["editing"]
    return task.pair(draw_scene(task, "val", seed=seed, index=index), size, numpy_rng(seed, "edit", index))


def _answer(pair, rng):
    """Part of the way to the target, or nothing done at all, with noise, a cast of color, or blurred blocks."""
    share = rng.choice([0.0, 0.4, 0.8, 1.0, 1.0])
    picture = pair.picture + (pair.target.astype(np.float64) - pair.picture) * share
    kind = rng.integers(4)
    if kind == 0:
        picture = picture + rng.normal(0, rng.uniform(5, 40), picture.shape)
    elif kind == 1:
        picture = picture * rng.uniform(0.6, 1.2, 3)
    elif kind == 2:
        height, width = picture.shape[:2]
        blocks = picture.reshape(height // 4, 4, width // 4, 4, 3).mean(axis=(1, 3))
        picture = picture * 0.4 + blocks.repeat(4, 0).repeat(4, 1) * 0.6
    return np.clip(picture.round(), 0, 255).astype(np.uint8)
