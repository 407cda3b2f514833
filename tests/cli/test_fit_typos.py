"""A wrong word anywhere is one short sentence and exit code 2, before anything is trained."""

from pathlib import Path

import pytest

from idiff.cli import main
from idiff.config.messages import short


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--trainr.max_steps", "3"], "did you mean 'trainer'"),
        (["--model.init_args.lrr", "0.1"], "did you mean 'lr'"),
        (["--data.init_args.batchsize", "4"], "did you mean 'batch_size'"),
        (["--ema.decy", "0.1"], "did you mean 'decay'"),
        (["--model.init_args.lr", "fast"], "model.lr: expected float, got 'fast'"),
        (["--ema.decay", "1.5"], "expected 0 or more and less than 1"),
        (["--last.every_n_steps", "0"], "expected 1 or more"),
        (["--model.init_args.decay", "linear"], "Known: constant, cosine"),
        (["--model.class_path", "idiff.stages.TaskTrainin"], "TaskTrainin"),
        (["--model.init_args.backbone.init_args.autoencoder.init_args.weights", "nowhere"], "nowhere does not exist"),
        (["--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt is missing"),
        (["--trainer.default_root_dir", "tiny.yaml/run"], "cannot be made"),
    ],
)
def test_a_wrong_word_on_the_command_line_is_one_sentence_and_exit_2(config, capsys, words, reason):
    assert main(["fit", "--config", config, *words]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("idiff:")]
    assert len(said) == 1
    assert reason in said[0]
    assert len(said[0]) < 400
    assert not Path("run/checkpoints").exists()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("trainer:", "trainr:", "did you mean 'trainer'"),
        ("max_steps:", "max_step:", "did you mean 'max_steps'"),
        ("lr:", "lrr:", "did you mean 'lr'"),
        ("val_samples:", "val_sample:", "did you mean 'val_samples'"),
        ("weight: 0.4", "wieght: 0.4", "did you mean 'weight'"),
        ("max_steps: 6", "max_steps: six", "trainer.max_steps: expected int, got 'six'"),
        ("data.datamodule.MixtureDataModule", "data.datamodule.MixtureDataModul", "MixtureDataModul"),
        ("model/tiny_new.yaml", "model/tyni.yaml", "tyni.yaml is missing"),
        ("/segmentation/train", "/segmentation/trian", "trian"),
        ("/keypoints/val", "/keypoints/vla", "vla"),
        ("trainer:", "trainer: [", "not valid YAML"),
    ],
)
def test_a_typo_in_a_configuration_is_one_sentence_and_exit_2(config, capsys, old, new, reason):
    text = Path(config).read_text()
    assert old in text
    Path(config).write_text(text.replace(old, new, 1))
    assert main(["fit", "--config", config]) == 2
    printed = capsys.readouterr().err
    said = [line for line in printed.splitlines() if line.startswith("idiff:")]
    assert len(said) == 1
    assert reason in said[0]
    assert len(said[0]) < 400
    assert "Traceback" not in printed
    assert not Path("run/checkpoints").exists()


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('Parser key "trainer.max_steps":\n  Expected a <class \'int\'>. Got value: six',
         "trainer.max_steps: expected int, got 'six'"),
        ('Parser key "model":\n  Errors:\n    - Problem with given class_path \'x.Y\':\n        Parser key "lr":\n'
         "          Expected a <class 'float'>. Got value: fast\n    - Expected a <class 'NoneType'>",
         "model.lr: expected float, got 'fast'"),
        ('Parser key "data":\n  Errors:\n    - Parser key "example":\n        Errors:\n'
         "          - Expected a typing.Literal['pair']\n          - Expected a <class 'NoneType'>\n        Given value: pairs\n"
         "    - Expected a <class 'NoneType'>\n  Given value: {'example': 'pairs'}",
         "unknown data.example 'pairs'; did you mean 'pair'? Known: pair."),
        ("unrecognized arguments: --trainr.max_steps 3",
         "unrecognized arguments: --trainr.max_steps 3; did you mean 'trainer'?"),
        ("Option 'xyzzy' is not accepted", "Option 'xyzzy' is not accepted"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_innermost_sentence_is_kept_with_the_way_to_it(message, said):
    assert short(message, where="a.yaml") == ": ".join(part for part in ("a.yaml", said) if part)
