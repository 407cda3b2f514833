"""One small set of drawn edits, and a folder of candidates for it."""

import shutil

import pytest
from candidate_making import build_scenes, make_folder

from idiff.alignment.candidates import CandidateFolder


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    return build_scenes(tmp_path_factory.mktemp("edits") / "scenes")


@pytest.fixture(scope="session")
def made(tmp_path_factory, scenes):
    return make_folder(tmp_path_factory.mktemp("candidates") / "folder", scenes)


@pytest.fixture
def folder(made, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(made.path, tmp_path / "candidates")
    return CandidateFolder.open(tmp_path / "candidates")
