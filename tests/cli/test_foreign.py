"""Errors of libraries and of the operating system in words; bugs keep their traceback."""

import errno

import pytest
import torch

from idiff.cli import main
from idiff.cli.foreign import in_words


def raised(make):
    """An error with the traceback of a place in this file."""
    try:
        make()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def system(number, path="out/card.json"):
    def make():
        raise OSError(number, "words of the system", path)

    return make


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "out/card.json: the disk is full. Make room, or choose a folder on another disk."),
        (errno.EDQUOT, "out/card.json: the quota of the disk is used up"),
        (errno.EACCES, "out/card.json: no permission. Choose another place, or change its permissions."),
        (errno.EROFS, "out/card.json: its disk is read-only"),
        (errno.ENOTDIR, "out/card.json: a file lies where a folder is expected"),
        (errno.EISDIR, "out/card.json: it is a folder, expected a file"),
        (errno.ENOENT, "out/card.json: it is missing"),
        (errno.EMFILE, "out/card.json: too many files are open"),
        (errno.EIO, "out/card.json: words of the system. Correct the path."),
    ],
)
def test_the_system_says_what_and_where(number, sentence):
    assert str(in_words(raised(system(number)))).startswith(sentence)


def test_a_full_disk_behind_a_library_is_a_full_disk():
    library = type("WorkerError", (RuntimeError,), {"__module__": "torch.utils.data"})
    error = library(
        "Caught OSError in DataLoader worker process 0.\nOriginal Traceback:\nOSError: [Errno 28] No space left"
    )
    assert "the disk is full" in str(in_words(error))


def test_a_library_is_named_and_a_bug_is_none():
    said = str(in_words(raised(lambda: torch.nn.Linear(2, 2)(torch.zeros(3, 5)))))
    assert said.startswith("torch refuses: mat1 and mat2 shapes cannot be multiplied") and said.endswith(
        "--debug to see where."
    )
    assert in_words(raised(lambda: 1 / 0)) is None
    assert in_words(raised(lambda: {}["x"])) is None


def test_memory_and_workers_have_remedies():
    def allocate():
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8000000000000 bytes")

    def starve():
        raise RuntimeError("DataLoader worker (pid 4194304) is killed by signal: Killed. ")

    assert "Use a smaller data.batch_size" in str(in_words(raised(allocate)))
    assert "fewer data.num_workers" in str(in_words(raised(starve)))


def test_every_command_takes_debug(capsys):
    for words in (["--debug", "evalute"], ["segment", "gone.png", "x", "--debug"]):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert "Traceback" in err and err.splitlines()[-1].startswith("idiff: ")
    assert main(["--debug"]) == 2
