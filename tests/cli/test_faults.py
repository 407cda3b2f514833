"""Runs that are killed, disks that are full, files that are damaged: through the command line."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fit_runs import assert_same_state, state
from small_models import HELPERS

from idiff.cli import main

KILL_AT_STEP = """
import os, signal, sys
import torch
from lightning.pytorch.callbacks import Callback
from fit_runs import fit_with

class KillAt(Callback):
    def on_before_optimizer_step(self, trainer, *_):
        if trainer.global_step == {step}:
            os.kill(os.getpid(), signal.SIGKILL)

import pytest
with pytest.MonkeyPatch.context() as patch:
    fit_with(patch, sys.argv[1:], KillAt())
"""

KILL_IN_SAVE = """
import os, signal, sys
import torch
from idiff.cli import main

real, count = torch.save, 0
def save(checkpoint, stream):
    global count
    count += 1
    real(checkpoint, stream)
    if count == 3:
        stream.truncate(1000)
        os.kill(os.getpid(), signal.SIGKILL)

torch.save = save
sys.exit(main(sys.argv[1:]))
"""

HOLD = """
import sys
from idiff.utils.files import own_run
with own_run(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def python(script, *words, **options):
    paths = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", script, *words], env=environment, text=True, **options)


@pytest.fixture
def trained(config, uncut):
    """The configuration, beside a copy of the finished run."""
    shutil.copytree(uncut, "run")
    return config


@pytest.mark.faults
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("script", [KILL_AT_STEP.format(step=5), KILL_IN_SAVE], ids=["in-a-step", "in-a-save"])
def test_kill_9_is_continued_bit_by_bit_at_once(config, uncut, script, workers):
    words = ["fit", "--config", config, "--data.init_args.num_workers", str(workers)]
    assert python(script, *words).wait(timeout=120) == -signal.SIGKILL
    assert Path("run/checkpoints/last.ckpt").is_file()
    assert main([*words, "--ckpt_path", "last"]) == 0
    assert_same_state(state("run"), state(uncut))


def cut_short(path):
    Path(path).write_bytes(Path(path).read_bytes()[:-100])


def test_a_damaged_last_is_passed_over_in_a_sentence(trained, capsys):
    step = torch.load("run/checkpoints/best.ckpt", weights_only=True)["global_step"]
    cut_short("run/checkpoints/last.ckpt")
    assert main(["fit", "--config", trained, "--ckpt_path", "last"]) == 0
    said = capsys.readouterr().err
    assert "skipping corrupt checkpoint: run/checkpoints/last.ckpt is damaged" in said
    assert f"resuming from run/checkpoints/best.ckpt, step {step} of 6" in said


@pytest.mark.parametrize("command", ["fit", "validate", "predict"])
def test_no_whole_checkpoint_and_a_damaged_file_exit_2(trained, capsys, command):
    for name in ("last", "best"):
        cut_short(f"run/checkpoints/{name}.ckpt")
    before = Path("run/results.csv").read_bytes()
    assert main([command, "--config", trained, "--ckpt_path", "last"]) == 2
    said = capsys.readouterr().err
    assert "no checkpoint in run/checkpoints is whole" in said
    assert main([command, "--config", trained, "--ckpt_path", "run/checkpoints/last.ckpt"]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("idiff:")]
    assert len(said) == 1
    assert "run/checkpoints/last.ckpt cannot be read as a checkpoint" in said[0]
    assert Path("run/results.csv").read_bytes() == before


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_checkpoint_that_would_run_code_is_refused(config, capsys):
    torch.save({"state_dict": {}, "x": Evil()}, "evil.ckpt")
    for command in ("fit", "predict"):
        assert main([command, "--config", config, "--ckpt_path", "evil.ckpt"]) == 2
        assert "tensors and plain values alone" in capsys.readouterr().err
    assert not Path("pwned").exists()


def test_a_full_disk_is_one_sentence_and_the_checkpoint_before_is_whole(config, uncut, monkeypatch, capsys):
    real, count = torch.save, iter(range(100))

    def full(checkpoint, stream):
        if next(count) == 2:  # last at step 2, best at step 3, last at step 4
            stream.write(b"x" * 1000)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(checkpoint, stream)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        assert main(["fit", "--config", config]) == 2
    said = capsys.readouterr().err
    assert "cannot save " in said
    assert "run/checkpoints/last.ckpt (1000 bytes were written): the disk is full" in said
    assert torch.load("run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 2
    assert main(["fit", "--config", config, "--ckpt_path", "last"]) == 0
    assert_same_state(state("run"), state(uncut))


def test_two_runs_in_one_folder_are_refused_and_a_dead_one_holds_no_lock(trained, capsys):
    words = ["fit", "--config", trained, "--ckpt_path", "last"]
    holder = python(HOLD, "run", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == "held\n"
    assert main(words) == 2
    assert "another run is training in run. Wait for it, or set trainer.default_root_dir" in capsys.readouterr().err
    assert main(["validate", *words[1:]]) == 0
    holder.kill()
    holder.communicate()
    assert main(words) == 0


def test_an_autoencoder_that_was_trained_anew_is_not_taken_for_the_old_one(trained, autoencoder_folder, capsys):
    shutil.copytree(autoencoder_folder, "other")
    file = Path("other/config.json")
    file.write_text(file.read_text().replace('"scaling_factor": 0.5', '"scaling_factor": 0.6'))
    words = ["--config", trained, "--ckpt_path", "last"]
    weights = "--model.init_args.backbone.init_args.autoencoder.init_args.weights"
    for command in ("fit", "validate"):
        assert main([command, *words, weights, "other", "--trainer.max_steps", "7"]) == 2
        assert "the autoencoder at other is not the one this checkpoint was trained with" in capsys.readouterr().err
    shutil.copytree(autoencoder_folder, "moved")
    assert main(["fit", *words, weights, "moved", "--trainer.max_steps", "7"]) == 0
