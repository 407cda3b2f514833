"""Builds on Ray: the same bytes as here. Ray is an optional extra; where it is missing, only its absence is tested."""

import importlib.util
import os
import signal
import sys

import pytest
import shard_making
from shard_making import ToySource, build_toy, bytes_of

from idiff.data.build import executors
from idiff.errors import ConfigError, DataError

needed = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra idiff[ray] is not installed")


@pytest.fixture(scope="module")
def cluster():
    import ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
    ray.cloudpickle.register_pickle_by_value(shard_making)
    yield
    ray.shutdown()


@needed
@pytest.mark.timeout(240)
@pytest.mark.parametrize("workers", [1, 3])
def test_ray_writes_the_bytes_of_one_process(cluster, tmp_path, workers, monkeypatch):
    build_toy(tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    report = build_toy("there", executor="ray", workers=workers)
    assert report.written == 5
    assert bytes_of(tmp_path / "there") == bytes_of(tmp_path / "here")
    (tmp_path / "there/val-000001.done").unlink()
    assert build_toy("there", executor="ray").written == 1
    assert bytes_of(tmp_path / "there") == bytes_of(tmp_path / "here")


@needed
@pytest.mark.timeout(240)
def test_an_error_of_a_task_is_the_error_of_the_build(cluster, tmp_path):
    with pytest.raises(DataError, match="two members for 'annotation'") as caught:
        build_toy(tmp_path, ToySource(2, same_key=True), executor="ray")
    assert "Traceback" not in str(caught.value)


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'idiff\[ray\]'"):
        build_toy(tmp_path, executor="ray")
    build_toy(tmp_path)  # the folder is still good for the same build here


def test_an_unknown_executor_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="unknown executor 'rya'; did you mean 'ray'"):
        build_toy(tmp_path / "new", executor="rya")
    assert not (tmp_path / "new").exists()
    assert executors.create("local") is not executors.create("ray")


class Dies(ToySource):
    """Ends its own process, once, in the middle of a slice."""

    def __init__(self, count, mark):
        super().__init__(count)
        self.mark = mark

    def sample(self, index):
        if index == 5 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().sample(index)


@needed
@pytest.mark.faults
@pytest.mark.timeout(240)
def test_a_slice_whose_process_is_killed_is_done_again(cluster, tmp_path):
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    build_toy(tmp_path / "there", Dies(9, tmp_path / "mark"), executor="ray")
    assert (tmp_path / "mark").exists()
    build_toy(tmp_path / "here", ToySource(9))
    assert bytes_of(tmp_path / "there") == bytes_of(tmp_path / "here")
