"""`idiff fit --check`, as a user runs it."""

import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from idiff.cli import main
from idiff.cli.check import bytes_of
from idiff.errors import ConfigError


def check(config, capsys, *words):
    code = main(["fit", "--config", config, "--check", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_it_says_what_would_be_trained_on_what_and_trains_nothing(config, capsys):
    code, out, err = check(config, capsys)
    assert code == 0, err
    assert re.search(r"trained  unet +[\d,]+ parameters", out) and re.search(r"frozen   autoencoder +[\d,]+", out)
    assert re.search(r"memory   \d+\.\d\d GB computed for one device \(2 x 2 images of 64 px", out)
    assert "weights" in out and "gradients" in out and "optimizer" in out and "activations" in out
    assert re.search(r"disk     \d+\.\d\d GB: 2 checkpoints", out)
    assert re.search(r"segmentation +24 images, +24 items, +\d+ an epoch,  ?\d+\.\d%", out)
    assert "found 24, usable 24" in out
    assert re.search(r"three timed steps on the processor; \d+\.\d\d TFLOP a step\); 6 steps in", out)
    assert not Path("run").exists()
    sheet = Image.open("run-check/examples.png")
    assert sheet.size == (4 * 2 * 128, 4 * (128 + 26))
    assert len({sheet.getpixel((x, 60)) for x in range(0, 1024, 16)}) > 5
    written = yaml.safe_load(Path("run-check/check.yaml").read_text())
    assert {each["name"] for each in written["sets"]} == {"segmentation", "keypoints"}
    assert written["memory"]["total"] == sum(
        written["memory"][name] for name in ("weights", "gradients", "states", "average", "activations")
    )


def test_too_little_memory_is_exit_2_with_the_cheapest_change(config, capsys):
    assert check(config, capsys)[0] == 0
    needed = yaml.safe_load(Path("run-check/check.yaml").read_text())["memory"]["total"]
    code, out, err = check(config, capsys, "--memory", f"{0.97 * needed / 1e6:.3f}MB")
    assert code == 2 and "memory " in out
    assert "The cheapest change that fits" in err and "Traceback" not in err
    assert check(config, capsys, "--memory", f"{1.01 * needed / 1e6:.3f}MB")[0] == 0
    code, _, err = check(config, capsys, "--memory", "1MB")
    assert code == 2 and "No change that is known here makes it fit" in err


def test_missing_data_is_named_and_nothing_is_written(config, capsys):
    code, out, err = check(config, capsys, "--data.tasks.segmentation.train=gone")
    assert code == 2 and "gone: expected a folder of shards" in err
    assert not out and not Path("run-check").exists()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--memory", "12GB"], "add --check"),
        (["--check", "--memory", "lots"], "'lots': expected a size such as 12GB"),
        (["--check", "--memory"], "'': expected a size"),
        (["--check", "--memory=0GB"], "expected a size"),
    ],
)
def test_odd_words_are_one_sentence(config, capsys, words, error):
    assert main(["fit", "--config", config, *words]) == 2
    assert error in capsys.readouterr().err


def test_sizes():
    assert [bytes_of(word) for word in ("12GB", "12", "1.5G", "8 MiB")] == [12e9, 12e9, 1.5e9, 8 * 2**20]
    with pytest.raises(ConfigError):
        bytes_of("-1GB")
