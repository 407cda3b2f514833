"""Folders of candidates without a model: drawn scenes of editing, and candidates between source and target."""

import hashlib

import numpy as np

from idiff.alignment.candidates import Candidate, CandidateFolder, CandidateSample
from idiff.cli import main
from idiff.data.shards.reader import ShardSet
from idiff.utils.picture_files import encode_png

SHARES = (0.2, 0.9, -0.5, 0.6)
"""How far each candidate lies from the source to the target; below 0 is worse than doing nothing."""


def build_scenes(folder, *, count=5, task="editing", seed=5):
    words = ["--task", task, "--split", "align", "--count", str(count), "--seed", str(seed), "--out", str(folder)]
    assert main(["data", "build", "synthetic", *words]) == 0
    return folder


def digest(data):
    return hashlib.sha256(data).hexdigest()


def make_folder(path, scenes, *, shares=SHARES, **settings):
    """A folder of candidates for every scene; a candidate is the blend of source and target."""
    shards = ShardSet.open(scenes)
    described = {
        "task": "editing",
        "entry": {"class_path": "idiff.tasks.editing.InstructEditing", "init_args": {"size": 64}},
        "checkpoint": {"name": "none", "sha256": "0" * 64},
        "data": {"path": str(scenes), "fingerprint": shards.fingerprint},
        "candidates": len(shares),
        "grid": [{"guidance_text": share} for share in shares],
        "seed": 0,
        "samples": len(shards),
    } | settings
    with CandidateFolder.begin(path, described) as folder:
        for number in range(len(shards)):
            sample = shards.read(number)
            source, target = sample.image.astype(float), sample.target.astype(float)
            blends = [np.clip(np.rint(source + share * (target - source)), 0, 255).astype(np.uint8) for share in shares]
            files = {f"candidate_{place:02d}.png": encode_png(blend) for place, blend in enumerate(blends)}
            candidates = tuple(
                Candidate(file, place, {"guidance_text": shares[place], "guidance_image": 1.0}, digest(data))
                for place, (file, data) in enumerate(files.items())
            )
            extra = {"source.png": encode_png(sample.image), "target.png": encode_png(sample.target)}
            facts = CandidateSample(
                sample=f"{number:06d}", key=sample.key, item=0, instruction=sample.annotation["instruction"],
                caption="a caption", query={"key": sample.key}, candidates=candidates, truth={"file": "target.png"},
                source={"file": "source.png", "sha256": digest(extra["source.png"])},
            )  # fmt: skip
            folder.write(facts, files | extra)
    return CandidateFolder.open(path)
