"""What an older version wrote is read as it was: checkpoints, exports, configurations, caches and synthetic shards."""

import json
import shutil
from pathlib import Path

import pytest
from fixtures import make_written_before as made

from idiff.cli import main

FIXTURES = Path(__file__).parent / "fixtures"
EXPECTED = json.loads((FIXTURES / "written_before" / "expected.json").read_text())


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The older version's files in a working folder of their own."""
    shutil.copytree(FIXTURES / "written_before", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plain(value, path=""):
    """Nested mappings as one: dotted path -> value."""
    if not isinstance(value, dict):
        return {path: value}
    return {name: leaf for key, inner in value.items() for name, leaf in plain(inner, f"{path}.{key}").items()}


@pytest.mark.parametrize("task", made.TRAINED)
@pytest.mark.parametrize(("kind", "checkpoint"), [("checkpoint", made.CHECKPOINT), ("exported", "exported")])
def test_scores_are_those_of_the_older_version(written, kind, checkpoint, task):
    assert main(made.evaluate_words(checkpoint, task, "card.json")) == 0
    card = json.loads(Path("card.json").read_text())
    before = EXPECTED["scores"][kind][task]
    now = {name: card[name] for name in before}
    assert before["painted"] and before["queries"]
    assert plain(now) == pytest.approx(plain(before), abs=1e-4)


def test_a_training_goes_on_to_the_same_weights(written):
    saved = made.digest(made.CHECKPOINT)
    assert main(made.resume_words()) == 0
    weights, before = made.digest(made.CHECKPOINT), EXPECTED["weights"]
    assert weights.keys() == before.keys()
    for name, numbers in before.items():
        assert weights[name] == pytest.approx(numbers, abs=1e-5), name
    assert any(saved[name] != pytest.approx(numbers, abs=1e-4) for name, numbers in before.items())


def test_a_latent_cache_of_an_older_format_is_refused_in_one_sentence(written, capsys):
    words = ["fit", "--config", "config.yaml", "--trainer.default_root_dir", "other", "--data.init_args.cache", "cache"]
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    said = [line for line in lines if line.startswith("idiff: ") and "no longer needed" not in line]
    assert len(said) == 1
    assert said[0].endswith("make the cache again.") and said[0].count(". ") == 0


def test_a_checkpoint_of_a_data_module_with_its_own_task_is_scored(written):
    checkpoint = "run_segmentation/checkpoints/last.ckpt"
    assert main(made.evaluate_words(checkpoint, "segmentation", "card.json")) == 0
    assert json.loads(Path("card.json").read_text())["metrics"]["miou"] > 0


@pytest.mark.parametrize("task", made.SYNTHETIC)
def test_synthetic_shards_are_the_same_bytes(tmp_path, task):
    assert main(made.shard_words(task, "train", 3, tmp_path / "set")) == 0
    assert made.sha256_of_files(tmp_path / "set") == EXPECTED["synthetic"][task]
