"""`best.ckpt` stays the best one, wherever the run folder lies and whatever it is called."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from idiff.callbacks import AtomicCheckpointIO, BestCheckpoint, KeepLast


class Scored(LightningModule):
    """One weight; validation scores it by a list, one entry a step."""

    def __init__(self, scores):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.scores = scores

    def training_step(self, batch, index):
        return (self.weight - batch.mean()).square().sum()

    def validation_step(self, batch, index):
        self.log("val/score", self.scores[self.trainer.global_step - 1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train(root, scores, *, start=None):
    loader = DataLoader(torch.ones(1, 1))
    trainer = Trainer(
        default_root_dir=root, max_steps=len(scores), logger=False, accelerator="cpu", num_sanity_val_steps=0,
        callbacks=[BestCheckpoint(), KeepLast()], plugins=[AtomicCheckpointIO()], enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Scored(scores), loader, loader, ckpt_path=start, weights_only=True)


def best(root):
    return torch.load(Path(root) / "checkpoints" / "best.ckpt", weights_only=True)["global_step"]


@pytest.mark.parametrize("moved", [True, False], ids=["moved", "named-another-way"])
def test_a_worse_score_does_not_replace_it_in_a_folder_of_another_name(tmp_path, monkeypatch, moved):
    monkeypatch.chdir(tmp_path)
    train("run", [0.1, 0.9, 0.2])
    assert best("run") == 2
    root = Path("run").rename("elsewhere") if moved else Path("run").resolve()
    train(root, [0.1, 0.9, 0.2, 0.5], start=root / "checkpoints" / "last.ckpt")
    assert best(root) == 2
    train(root, [0.1, 0.9, 0.2, 0.5, 0.95], start=root / "checkpoints" / "last.ckpt")
    assert best(root) == 5


def test_a_start_older_than_it_does_not_replace_it_by_a_worse_one(tmp_path):
    train(tmp_path, [0.1])
    old = (tmp_path / "checkpoints" / "last.ckpt").rename(tmp_path / "old.ckpt")
    train(tmp_path, [0.1, 0.9], start=old)
    train(tmp_path, [0.1, 0.3, 0.4], start=old)
    assert best(tmp_path) == 2


@pytest.mark.parametrize("content", [None, b"cut short"], ids=["missing", "damaged"])
def test_one_that_is_missing_or_damaged_is_written_anew(tmp_path, content):
    train(tmp_path, [0.9])
    path = tmp_path / "checkpoints" / "best.ckpt"
    path.unlink() if content is None else path.write_bytes(content)
    train(tmp_path, [0.9, 0.2], start=tmp_path / "checkpoints" / "last.ckpt")
    assert best(tmp_path) == 2


def test_a_score_that_is_not_known_replaces_none(tmp_path):
    train(tmp_path, [float("nan")])
    assert best(tmp_path) == 1
    train(tmp_path, [float("nan"), 0.4, float("nan"), 0.3], start=tmp_path / "checkpoints" / "last.ckpt")
    assert best(tmp_path) == 2
