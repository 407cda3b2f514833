"""A build on a Ray cluster of two nodes on this machine writes the bytes of one process."""

import importlib.util
import sys
import time

import pytest
import shard_making
from shard_making import ToySource, build_toy, bytes_of

needed = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra idiff[ray] is not installed")


class Noting(ToySource):
    """Notes on which node it is worked on, and takes its time, so that both have some of it."""

    def __init__(self, count, notes):
        super().__init__(count)
        self.notes = notes

    def sample(self, index):
        import ray

        (self.notes / ray.get_runtime_context().get_node_id()).touch()
        time.sleep(0.5)
        return super().sample(index)


@pytest.fixture
def nodes(monkeypatch):
    """Two nodes of one processor each."""
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    for module in (shard_making, sys.modules[__name__]):
        ray.cloudpickle.register_pickle_by_value(module)
    yield {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    ray.shutdown()
    cluster.shutdown()


@needed
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_nodes_write_the_bytes_of_one_process(nodes, tmp_path):
    assert len(nodes) == 2
    notes = tmp_path / "notes"
    notes.mkdir()
    report = build_toy(tmp_path / "there", Noting(12, notes), executor="ray", workers=2)
    assert {note.name for note in notes.iterdir()} == nodes
    build_toy(tmp_path / "here", ToySource(12))
    assert report.written == len(list((tmp_path / "here").glob("*.tar"))) > 2
    assert bytes_of(tmp_path / "there") == bytes_of(tmp_path / "here")
