"""Synthetic shards and one uninterrupted run, shared by the tests of the command line."""

import pytest
from fit_runs import build_shards, experiment

from idiff.cli import main


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """24 training and 4 validation scenes of segmentation and keypoints."""
    return build_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="session")
def uncut(tmp_path_factory, shards, autoencoder_folder):
    """Run folder of the experiment, trained without interruption."""
    folder = tmp_path_factory.mktemp("uncut")
    config = experiment(folder / "tiny.yaml", shards=shards, autoencoder=autoencoder_folder)
    assert main(["fit", "--config", config, "--trainer.default_root_dir", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def config(tmp_path, monkeypatch, shards, autoencoder_folder):
    """The experiment's YAML in a fresh working folder; its run folder is `run`."""
    monkeypatch.chdir(tmp_path)
    return experiment(tmp_path / "tiny.yaml", shards=shards, autoencoder=autoencoder_folder)
