"""The worker that was killed is named, with the sample that it read."""

import os
import signal

import pytest
from torch.utils.data import DataLoader, Dataset

from idiff.data.loading import reading
from idiff.data.loading.loaders import process_options


class Deadly(Dataset):
    """One item ends the process that reads it."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        reading.note(index)
        if index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return index

    def where(self, index):
        return f"shard:{index}"


def test_worker_and_sample_are_named():
    data = Deadly()
    with pytest.raises(RuntimeError, match="DataLoader worker") as found:
        list(DataLoader(data, batch_size=None, **process_options(2, data)))
    said = reading.killed(str(found.value))
    assert said.startswith("worker 1 of a loader") and "was killed at shard:5" in said


def test_other_words_and_other_processes_are_left_alone():
    assert reading.killed("out of memory") is None
    assert reading.killed("DataLoader worker (pid 999999999) is killed by signal: Killed.") is None
    reading.note(3)  # nothing outside of a worker
