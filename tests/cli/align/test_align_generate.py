"""`idiff align generate` as a shell sees it, with the pretrained model."""

import json

import pytest
from candidate_making import build_scenes

from idiff.cli import main
from idiff.models.io.checkpoint import load


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return str(build_scenes(tmp_path_factory.mktemp("scenes") / "set", count=3))


def words(scenes, out, *more):
    return ["align", "generate", "--checkpoint", "tiny", "--data", scenes, "--out", str(out), *more]


def contents(out):
    return {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*.[pj]*") if file.is_file()}


def test_it_paints_says_so_goes_on_and_paints_the_same_again(scenes, tmp_path, capsys):
    assert main(words(scenes, tmp_path / "a", "--candidates", "4", "--steps", "2", "--limit", "2")) == 0
    said = capsys.readouterr().out
    assert "2 samples of 4 candidates painted in" in said and "s a candidate" in said
    settings = json.loads((tmp_path / "a" / "align.json").read_text())
    assert (settings["task"], settings["candidates"], settings["samples"], settings["seed"]) == ("editing", 4, 2, 0)
    assert settings["checkpoint"] == {"name": "tiny", "sha256": load("tiny").sha256}
    assert len(settings["grid"]) == 20 and {one["steps"] for one in settings["grid"]} == {2}
    first = contents(tmp_path / "a")
    (tmp_path / "a" / "samples" / "000001" / "sample.json").unlink()
    assert main(words(scenes, tmp_path / "a", "--candidates", "4", "--steps", "2", "--limit", "2")) == 0
    assert "1 samples of 4 candidates painted" in capsys.readouterr().out
    assert main(words(scenes, tmp_path / "a", "--candidates", "4", "--steps", "2", "--limit", "2")) == 0
    assert "0 samples of 4 candidates painted" in capsys.readouterr().out
    assert contents(tmp_path / "a") == first
    sample = json.loads((tmp_path / "a" / "samples" / "000000" / "sample.json").read_text())
    assert (
        len({(one["sampling"]["guidance_text"], one["sampling"]["guidance_image"]) for one in sample["candidates"]})
        == 4
    )


def test_another_grid_in_the_same_folder_is_refused_with_what_differs(scenes, tmp_path, capsys):
    assert (
        main(words(scenes, tmp_path / "a", "--candidates", "1", "--limit", "1", "--text", "1", "--image", "0.5")) == 0
    )
    capsys.readouterr()
    assert (
        main(words(scenes, tmp_path / "a", "--candidates", "1", "--limit", "1", "--text", "2", "--image", "0.5")) == 2
    )
    said = capsys.readouterr().err.splitlines()
    assert "holds other candidates: grid was" in said[-1] and "Traceback" not in said


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--candidates", "0"], "expected 1 or more"),
        (["--text", "1,x"], "expected numbers with commas between"),
        (["--sampler", "dimm"], "unknown sampler 'dimm'; did you mean 'ddim'"),
        (["--task", "keypoint"], "did you mean 'keypoints'"),
        (["--data", "nowhere"], "nowhere"),
        (["--checkpoint", "nothing"], "nothing is missing"),
        (["--device", "abacus"], "--device abacus cannot be used"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_written(scenes, tmp_path, capsys, more, sentence):
    assert main(words(scenes, tmp_path / "out", *more)) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said
    assert not (tmp_path / "out" / "align.json").exists()
