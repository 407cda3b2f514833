"""`idiff align pick --auto` and `idiff align build` as a shell sees them, and stage 3 on what they made."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from candidate_making import build_scenes, make_folder
from small_models import ROOT

from idiff.alignment.candidates import CandidateFolder
from idiff.alignment.picks import PickJournal
from idiff.callbacks.checkpoint_io import newest
from idiff.cli import main

CONFIGS = ROOT / "configs"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return build_scenes(tmp_path_factory.mktemp("scenes") / "set", count=4)


@pytest.fixture(scope="module")
def made(tmp_path_factory, scenes):
    return make_folder(tmp_path_factory.mktemp("candidates") / "folder", scenes).path


@pytest.fixture
def folder(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "candidates"))


def test_picks_by_a_metric_become_a_sound_set(folder, tmp_path, capsys):
    assert main(["align", "pick", str(folder), "--auto", "headline"]) == 0
    assert "4 samples decided by psnr_inside, none good in 0\n" in capsys.readouterr().out
    assert main(["align", "pick", str(folder), "--auto", "psnr_inside"]) == 0
    assert "0 samples decided by psnr_inside, none good in 0, 4 were decided before" in capsys.readouterr().out
    assert main(["align", "build", str(folder), "--out", str(tmp_path / "set")]) == 0
    said = capsys.readouterr().out
    assert "auto-psnr_inside: 4 decided, none good in 0, 8 chosen\n" in said
    assert "4 samples -> 4 decided -> 4 with a choice -> 8 pairs -> 8 usable\n" in said
    assert main(["align", "build", str(folder), "--out", str(tmp_path / "set")]) == 0
    assert "already there, nothing to do" in capsys.readouterr().out
    assert main(["data", "check", str(tmp_path / "set")]) == 0
    assert "sound; 1 shards, 8 samples" in capsys.readouterr().out


def test_agreement_is_printed_and_written(folder, tmp_path, capsys):
    for name, chosen in (("anna", [1]), ("bert", [1, 3]), ("carl", [])):
        for sample in ("000000", "000001"):
            PickJournal(folder, name).append(sample, chosen)
    command = ["align", "build", str(folder), "--out", str(tmp_path / "set"), "--rule", "majority", "--pairs", "all"]
    assert main([*command, "--annotators", "anna,bert"]) == 0
    said = capsys.readouterr().out
    assert "2 samples decided by several: same best 1.000, Cohen's kappa 0.500, Krippendorff's alpha" in said
    figures = json.loads((tmp_path / "set" / "agreement.json").read_text())
    assert figures["annotators"]["bert"] == {"decided": 2, "none_good": 0, "chosen": 4}
    assert (figures["shared"], figures["same_best"], figures["cohen_kappa"]) == (2, 1.0, pytest.approx(0.5))
    assert main([*command[:-4], "--annotators", "anna,bert,carl"]) == 2
    assert (
        "holds another build: annotators was ['anna', 'bert'], now ['anna', 'bert', 'carl']" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ([], "no candidate was chosen, so there is nothing to build"),
        (["--annotators", "anne"], "unknown annotator 'anne'; did you mean 'anna'"),
        (["--annotators", ","], "--annotators names nobody"),
        (["--rule", "most"], "unknown rule 'most'"),
        (["--pairs", "two"], "unknown way to pair 'two'"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(folder, tmp_path, capsys, more, sentence):
    PickJournal(folder, "anna").append("000000", [])
    assert main(["align", "build", str(folder), "--out", str(tmp_path / "set"), *more]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--auto", "clip_sim"], "clip_sim needs a CLIP model: add --clip FOLDER"),
        (["--auto", "psnr"], "unknown metric 'psnr'"),
        (["--auto", "headline", "--annotator", "a/b"], "annotator 'a/b'"),
        (["--auto", "headline", "--data", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_picked_is_one_sentence(folder, capsys, more, sentence):
    assert main(["align", "pick", str(folder), *more]) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said
    assert not (folder / "picks").exists()


def test_a_folder_that_is_none_of_candidates_is_named(tmp_path, capsys):
    for command in (["build", str(tmp_path), "--out", "x"], ["pick", str(tmp_path), "--auto", "headline"]):
        assert main(["align", *command]) == 2
        assert "align.json is missing: expected a folder of candidates" in capsys.readouterr().err


@pytest.fixture
def picked(made, scenes, tmp_path, monkeypatch):
    """The working folder of the experiment: picks of four scenes, and the scenes to validate on."""
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(made, tmp_path / "data" / "alignment" / "candidates")
    for sample in CandidateFolder.open(folder).samples():
        PickJournal(folder, "anna").append(sample, [1, 3])
    assert main(["align", "build", str(folder), "--out", "data/alignment/picked"]) == 0
    build_scenes(tmp_path / "data" / "alignment" / "val", count=2, seed=9)
    return tmp_path


SHORT = [
    "--trainer.max_steps", "2", "--data.init_args.batch_size", "2", "--last.every_n_steps", "1", "--trainer.accelerator", "cpu",
    "--evaluate.pictures", "0", "--trainer.logger", "false",
]  # fmt: skip


@pytest.mark.parametrize("stage", ["alignment", "preference"])
def test_stage_3_trains_on_the_picks_and_goes_on_exactly(picked, capsys, stage):
    command = ["fit", "--config", str(CONFIGS / "experiment" / f"{stage}_tiny.yaml"), *SHORT]
    assert main([*command, "--trainer.default_root_dir", "runs/whole"]) == 0
    assert main([*command, "--trainer.default_root_dir", "runs/cut", "--trainer.max_steps", "1"]) == 0
    again = [*command, "--trainer.default_root_dir", "runs/cut", "--ckpt_path", "last"]
    assert main(again) == 0
    assert "step 1 of 2" in capsys.readouterr().err
    whole, cut = (torch.load(newest(f"runs/{run}/checkpoints")[0], weights_only=True) for run in ("whole", "cut"))
    assert whole["global_step"] == cut["global_step"] == 2
    assert ("reference" in whole) == (stage == "preference")
    for part in ("state_dict", "raw"):
        assert all(torch.equal(value, cut[part][name]) for name, value in whole[part].items())
