"""A save that is cut short at any moment leaves the old or the new checkpoint, whole."""

import errno
import json
import os
import resource
import time
from pathlib import Path

import pytest
import torch

from idiff.callbacks import AtomicCheckpointIO, checkpoint_io
from idiff.callbacks.checkpoint_io import newest, verified
from idiff.errors import CheckpointError


class KilledError(BaseException):
    """Stands for a kill: nothing that the project catches."""


def content(step):
    """The same number of bytes whatever the step, as real checkpoints often have."""
    return {"global_step": step, "state_dict": {"w": torch.full((2000,), float(step))}}


def save(path, step):
    AtomicCheckpointIO().save_checkpoint(content(step), path)


def step_of(path):
    return torch.load(path, weights_only=True)["global_step"]


def kill_at(patch, moment):
    """Kill the next save before or after one of its moves to another name, or in the middle of writing."""
    real_save, real_replace = torch.save, Path.replace
    count = iter(range(100))

    def cut_save(checkpoint, stream):
        real_save(checkpoint, stream)
        stream.truncate(stream.tell() // 2)
        raise KilledError

    def cut_replace(self, target):
        number = next(count)
        if moment == ("before", number):
            raise KilledError
        result = real_replace(self, target)
        if moment == ("after", number):
            raise KilledError
        return result

    if moment == "writing":
        patch.setattr(torch, "save", cut_save)
    else:
        patch.setattr(Path, "replace", cut_replace)


MOMENTS = ["writing", *((when, number) for number in range(3) for when in ("before", "after"))]


@pytest.mark.parametrize("second", [None, *MOMENTS], ids=str)
@pytest.mark.parametrize("first", MOMENTS, ids=str)
def test_a_kill_at_any_moment_of_one_or_two_saves_leaves_a_whole_checkpoint(tmp_path, monkeypatch, first, second):
    path = tmp_path / "last.ckpt"
    save(path, 1)
    on_disk = {1}
    for step, moment in ((2, first), (3, second)):
        if moment is not None:
            with monkeypatch.context() as patch, pytest.raises(KilledError):
                kill_at(patch, moment)
                save(path, step)
            found, passed = newest(tmp_path)
            assert (found, passed) == (path, [])
            assert verified(path)["step"] == step_of(path)
            assert step_of(path) in {*on_disk, step}
            assert moment != ("after", 2) or step_of(path) == step
            on_disk = {step_of(path)}
    save(path, 4)
    assert step_of(newest(tmp_path)[0]) == 4
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last.ckpt", "last.ckpt.check.json"]


def test_a_kill_in_the_very_first_save_leaves_an_empty_folder(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        kill_at(patch, "writing")
        save(tmp_path / "last.ckpt", 1)
    assert newest(tmp_path) == (None, [])


def failing(error):
    def fail(checkpoint, stream):
        stream.write(b"x" * 1234)
        stream.flush()
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (RuntimeError("PytorchStreamWriter failed writing file\nmore"), "PytorchStreamWriter failed writing file"),
    ],
)
def test_a_failed_write_names_path_and_bytes_and_keeps_the_old_one(tmp_path, monkeypatch, error, reason):
    path = tmp_path / "last.ckpt"
    save(path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", failing(error))
        with pytest.raises(CheckpointError) as caught:
            save(path, 2)
    said = str(caught.value)
    assert str(path) in said
    assert "1234 bytes" in said
    assert reason in said
    assert "\n" not in said
    assert step_of(newest(tmp_path)[0]) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_system_that_takes_no_more_bytes_keeps_the_old_one(tmp_path):
    """The kernel's own error in the middle of torch.save, by the limit on the size of files."""
    path = tmp_path / "last.ckpt"
    save(path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(CheckpointError, match=r"cannot save .*last\.ckpt \(\d+ bytes"):
            save(path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert step_of(newest(tmp_path)[0]) == 1


@pytest.mark.parametrize("number", [0, 2])
def test_a_disk_that_is_full_for_the_check_file_too(tmp_path, monkeypatch, number):
    path = tmp_path / "last.ckpt"
    save(path, 1)
    real = checkpoint_io._write_check
    count = iter(range(100))

    def full(*arguments):
        if next(count) == min(number, 1):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_io, "_write_check", full)
        with pytest.raises(CheckpointError, match="the disk is full"):
            save(path, 2)
    assert step_of(newest(tmp_path)[0]) == (1 if number == 0 else 2)


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "cut":
        data = data[: len(data) // 2]
    elif how == "flip":
        data[len(data) // 2] ^= 0x40
    elif how == "empty":
        data = bytearray()
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "flip", "empty"])
def test_a_damaged_last_falls_back_to_the_newest_that_verifies_and_says_so(tmp_path, how):
    for name, step in (("old", 3), ("best", 7), ("last", 9)):
        save(tmp_path / f"{name}.ckpt", step)
    damage(tmp_path / "last.ckpt", how)
    path, passed = newest(tmp_path)
    assert path == tmp_path / "best.ckpt"
    assert len(passed) == 1
    assert str(tmp_path / "last.ckpt") in passed[0]
    assert "size or SHA-256" in passed[0]
    damage(tmp_path / "best.ckpt", how)
    assert newest(tmp_path)[0] == tmp_path / "old.ckpt"
    damage(tmp_path / "old.ckpt", how)
    with pytest.raises(CheckpointError, match=r"is whole.*last\.ckpt.*best\.ckpt.*old\.ckpt"):
        newest(tmp_path)


@pytest.mark.parametrize("check", [None, "", "[]", '{"whole": [{"size": 3}]}'])
def test_a_check_file_that_is_gone_or_damaged_verifies_nothing(tmp_path, check):
    save(tmp_path / "best.ckpt", 2)
    save(tmp_path / "last.ckpt", 9)
    file = tmp_path / "last.ckpt.check.json"
    file.unlink() if check is None else file.write_text(check)
    path, passed = newest(tmp_path)
    assert path == tmp_path / "best.ckpt"
    assert check is not None or "last.ckpt.check.json is missing" in passed[0]


def test_the_newest_is_chosen_by_step_whatever_the_clock_says(tmp_path):
    save(tmp_path / "last.ckpt", 9)
    save(tmp_path / "best.ckpt", 5)
    now = time.time()
    os.utime(tmp_path / "last.ckpt", (now - 1000, now - 1000))
    assert newest(tmp_path)[0] == tmp_path / "last.ckpt"


def test_a_save_that_was_cut_before_its_rename_does_not_pass_for_newer(tmp_path, monkeypatch):
    save(tmp_path / "last.ckpt", 1)
    save(tmp_path / "best.ckpt", 5)
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        kill_at(patch, ("before", 1))
        save(tmp_path / "last.ckpt", 9)
    assert {record["step"] for record in json.loads((tmp_path / "last.ckpt.check.json").read_text())["whole"]} == {1, 9}
    assert newest(tmp_path)[0] == tmp_path / "best.ckpt"


def test_removing_takes_the_check_file_along(tmp_path):
    save(tmp_path / "last.ckpt", 1)
    AtomicCheckpointIO().remove_checkpoint(tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("how", ["cut", "evil", "text"])
def test_loading_what_is_damaged_or_would_run_code_is_an_error_of_ours(tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "last.ckpt"
    save(path, 1)
    if how == "cut":
        damage(path, how)
    elif how == "evil":
        torch.save({"state_dict": {}, "x": Evil()}, path)
    else:
        path.write_text("hello")
    with pytest.raises(CheckpointError, match=r"last\.ckpt cannot be read"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=False)
    assert not Path("pwned").exists()


@pytest.mark.parametrize("kind", ["file", "read-only"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, kind):
    if kind == "file":
        (tmp_path / "checkpoints").write_text("")
    else:
        (tmp_path / "checkpoints").mkdir(mode=0o500)
        if os.access(tmp_path / "checkpoints", os.W_OK):
            pytest.skip("the superuser writes everywhere")
    with pytest.raises(CheckpointError, match=r"cannot save .*checkpoints"):
        save(tmp_path / "checkpoints" / "last.ckpt", 1)
