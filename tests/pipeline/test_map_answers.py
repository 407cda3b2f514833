"""Depth and normals of an image: values, 16-bit files, colored view; a model that never learnt them says so."""

import cv2
import numpy as np
import pytest

from idiff import Pipeline
from idiff.cli import main
from idiff.pipeline.files import write_answer
from idiff.sampling import Sampling
from idiff.tasks.depth import DepthEstimation
from idiff.tasks.normals import SurfaceNormals
from idiff.tasks.saved import TaskChoice


@pytest.fixture(scope="module")
def pipe():
    return Pipeline("tiny")


@pytest.mark.parametrize("kind", ["depth", "normals"])
def test_what_a_model_that_learnt_it_answers(pipe, kind, monkeypatch, tmp_path):
    task = {"depth": DepthEstimation, "normals": SurfaceNormals}[kind]()
    choice = TaskChoice(kind, task, Sampling(steps=1), task.settings)
    monkeypatch.setattr(pipe, "_first", lambda *kinds: choice)
    monkeypatch.setattr(pipe, "_trained", lambda choice: choice)
    picture = np.random.default_rng(0).integers(0, 256, (40, 72, 3)).astype(np.uint8)
    answer = getattr(pipe, kind)(picture)
    assert answer.values.shape == ((40, 72) if kind == "depth" else (40, 72, 3)) and answer.values.dtype == np.float32
    assert answer.overlay.shape == picture.shape and not np.array_equal(answer.overlay, picture)
    assert str(answer).startswith(f"{kind}: a map of 72 x 40 pixels")
    paths = {path.name: path for path in write_answer(answer, tmp_path, "a", compare=True)}
    assert set(paths) == {"a.png", f"a_{kind}.png", "a_compare.png"}
    stored = cv2.imread(str(paths[f"a_{kind}.png"]), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16
    if kind == "depth":
        assert np.abs(stored / 1000 - np.minimum(answer.values, 65.535)).max() < 1e-3
    else:
        assert np.abs(stored[..., ::-1] / 32767.5 - 1 - answer.values).max() < 1e-4
        assert np.allclose(np.linalg.norm(answer.values, axis=-1), 1, atol=1e-4)


@pytest.mark.parametrize("kind", ["depth", "normals"])
def test_the_shipped_model_never_learnt_them_and_says_so(kind, tmp_path, capsys):
    assert main([kind, "example:objects", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert (
        error.startswith(f"idiff: the checkpoint was trained on no task '{kind}'. Known: ") and error.count("\n") == 1
    )
    assert not (tmp_path / "out").exists()
