import json
import warnings

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from stream_fakes import SETS, Recorder, module, trainer

from idiff.data.loading import training
from idiff.errors import ConfigError


@pytest.fixture(autouse=True)
def memory_shards(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training.ShardSet, "open", staticmethod(SETS.__getitem__))


@pytest.mark.parametrize(("accumulation", "workers"), [(1, 0), (2, 0), (1, 2)])
@pytest.mark.parametrize("cut", [3, 11])
def test_a_run_that_is_cut_and_continued_reads_what_an_uncut_one_reads(tmp_path, accumulation, workers, cut):
    """23 rows: an epoch is 11 steps of 2 rows or 5 of 4; the cuts lie inside an epoch and at its end."""
    total = 14
    options = {"accumulate_grad_batches": accumulation}
    whole, first, second = Recorder(), Recorder(), Recorder()
    trainer(tmp_path, total, **options).fit(whole, module(num_workers=workers))
    early = trainer(tmp_path, cut, **options)
    early.fit(first, module(num_workers=workers))
    early.save_checkpoint(tmp_path / "cut.ckpt")
    late = trainer(tmp_path, total, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        late.fit(second, module(num_workers=workers), ckpt_path=tmp_path / "cut.ckpt", weights_only=True)
    assert not [str(warning.message) for warning in caught if "not resumable" in str(warning.message)]
    assert first.seen + second.seen == whole.seen
    read = [row for _, batch in whole.seen for row in batch]
    assert read == list(range(total * 2 * accumulation))
    assert torch.equal(second.weight, whole.weight)


@pytest.mark.parametrize("every", [1, 2, 5])
def test_continuing_from_a_checkpoint_written_inside_the_loop(tmp_path, every):
    saver = ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=every, save_top_k=-1, filename="{step}")
    whole = Recorder()
    uncut = trainer(tmp_path, 13, callbacks=[saver])
    uncut.fit(whole, module())
    for file in sorted(tmp_path.glob("*.ckpt")):
        step = int(file.stem.split("=")[1])
        late = Recorder()
        continued = trainer(tmp_path, 13)
        continued.fit(late, module(), ckpt_path=file, weights_only=True)
        assert late.seen == whole.seen[step:]
        assert step == 13 or continued.current_epoch == uncut.current_epoch  # at 13 nothing is left to do
        assert torch.equal(late.weight, whole.weight)


@pytest.mark.parametrize(
    "options",
    [
        {"val_check_interval": 4},
        {"val_check_interval": 4, "check_val_every_n_epoch": None},
        {"max_steps": -1, "max_epochs": 2},
    ],
)
def test_continuing_with_validation_on_the_way(tmp_path, options):
    """Validation inside an epoch, counted through epochs, and at the end of epochs that are counted."""
    options = {"limit_val_batches": 1.0, "num_sanity_val_steps": 1, **options}
    steps = options.pop("max_steps", 22)
    saver = ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    whole = Recorder()
    trainer(tmp_path, steps, callbacks=[saver], **options).fit(whole, module())
    assert [row for _, batch in whole.seen for row in batch] == list(range(44))
    assert [keys for _, keys in whole.validated[-2:]] == [
        [f"val-{i:05d}/0" for i in range(8)], ["val-00008/0"]
    ]  # fmt: skip
    for step in (4, 8, 10, 11, 12, 17):
        late = Recorder()
        trainer(tmp_path, steps, **options).fit(
            late, module(), ckpt_path=tmp_path / f"step={step}.ckpt", weights_only=True
        )
        assert late.seen == whole.seen[step:]
        assert torch.equal(late.weight, whole.weight)


def test_fewer_batches_than_an_epoch_go_on_where_they_stopped(tmp_path):
    recorder = Recorder()
    trainer(tmp_path, 10, limit_train_batches=4).fit(recorder, module())
    assert [row for _, batch in recorder.seen for row in batch] == list(range(20))


class Aligning(Recorder):
    """Sets the loops of a checkpoint from its step, as is needed when accumulation or the number of ranks changed."""

    def on_load_checkpoint(self, checkpoint):
        epoch, batches = self.trainer.datamodule.progress_at(checkpoint["global_step"])
        loop = checkpoint["loops"]["fit_loop"]
        tracker = ("ready", "completed", "started", "processed")
        loop["epoch_loop.batch_progress"]["current"] = dict.fromkeys(tracker, batches)
        total = checkpoint["global_step"] * self.trainer.accumulate_grad_batches
        loop["epoch_loop.batch_progress"]["total"] = dict.fromkeys(tracker, total)
        for place in ("current", "total"):
            counts = dict.fromkeys(tracker, epoch) | ({"ready": epoch + 1, "started": epoch + 1} if batches else {})
            loop["epoch_progress"][place] = counts


@pytest.mark.parametrize(
    ("before", "after"), [((2, 2), (4, 1)), ((4, 1), (2, 2)), ((1, 4), (2, 2))]
)  # fmt: skip
def test_another_accumulation_of_the_same_global_batch_reads_the_same_rows(tmp_path, before, after):
    recorders = []
    for cut in (None, 7):
        early, late = Aligning(), Aligning()
        short = trainer(tmp_path, cut or 12, accumulate_grad_batches=before[1])
        short.fit(early, module(batch_size=before[0]))
        if cut:
            short.save_checkpoint(tmp_path / "cut.ckpt")
            longer = trainer(tmp_path, 12, accumulate_grad_batches=after[1])
            longer.fit(late, module(batch_size=after[0]), ckpt_path=tmp_path / "cut.ckpt", weights_only=True)
            assert longer.current_epoch == 3  # two whole epochs of five steps, and one that max_steps ended
        rows = [(step, row) for step, batch in early.seen + late.seen for row in batch]
        recorders.append(rows)
    assert recorders[0] == recorders[1]


class SaveInTheMiddle(Callback):
    """Writes a checkpoint after the first micro-batch of step 2, and one of step 5, which begins an epoch."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if len(module.seen) in {5, 11}:
            trainer.save_checkpoint(trainer.default_root_dir + f"/{len(module.seen)}.ckpt")


@pytest.mark.parametrize(("batches", "step"), [(5, 2), (11, 5)])
def test_a_checkpoint_inside_an_accumulation_begins_its_step_again(tmp_path, batches, step):
    whole, late = Aligning(), Aligning()
    options = {"accumulate_grad_batches": 2}
    trainer(tmp_path, 12, callbacks=[SaveInTheMiddle()], **options).fit(whole, module())
    trainer(tmp_path, 12, **options).fit(late, module(), ckpt_path=tmp_path / f"{batches}.ckpt", weights_only=True)
    assert late.seen == whole.seen[2 * step :]
    assert torch.equal(late.weight, whole.weight)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seed": 5}, "seed 0 -> 5"),
        ({"batch_size": 4}, "global batch 2 -> 4"),
        ({"train": "other"}, "training data"),
        ({"weight": 2.0}, "training data"),
    ],
)
def test_a_checkpoint_of_other_data_is_refused(tmp_path, change, word):
    early = trainer(tmp_path, 3)
    early.fit(Recorder(), module())
    early.save_checkpoint(tmp_path / "cut.ckpt")
    with pytest.raises(ConfigError, match=word):
        trainer(tmp_path, 6).fit(Recorder(), module(**change), ckpt_path=tmp_path / "cut.ckpt", weights_only=True)
    if "batch_size" in change:
        late = Aligning()
        trainer(tmp_path, 5).fit(
            late, module(rebase=True, **change), ckpt_path=tmp_path / "cut.ckpt", weights_only=True
        )
        assert [row for _, batch in late.seen for row in batch] == list(range(6, 14))


def run_two(tmp_path, steps, checkpoint=None):
    """Train with two processes; each writes what it read, and the first a checkpoint after step 4."""
    saver = ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=4, save_top_k=-1, filename="cut")
    run = trainer(
        tmp_path,
        steps,
        devices=2,
        strategy="ddp_fork",
        limit_val_batches=1.0,
        num_sanity_val_steps=0,
        callbacks=[saver],
    )
    recorder = FileRecorder(tmp_path)
    run.fit(recorder, module(batch_size=3), ckpt_path=checkpoint, weights_only=True if checkpoint else None)


class FileRecorder(Recorder):
    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_train_end(self):
        content = {"seen": self.seen, "validated": self.validated, "global_step": self.trainer.global_step}
        (self.folder / f"{self.trainer.global_step}-{self.global_rank}.json").write_text(json.dumps(content))


def test_two_processes_share_the_stream_and_the_validation_set(tmp_path):
    """23 rows and a global batch of 6: three steps an epoch. 9 validation items do not divide by two."""
    run_two(tmp_path, 4)
    run_two(tmp_path, 6, tmp_path / "cut.ckpt")
    found = {
        (steps, rank): json.loads((tmp_path / f"{steps}-{rank}.json").read_text())
        for steps in (4, 6)
        for rank in (0, 1)
    }
    for steps, first in ((4, 0), (6, 4)):
        read = [row for rank in (0, 1) for _, batch in found[steps, rank]["seen"] for row in batch]
        assert sorted(read) == list(range(first * 6, steps * 6))
    keys = [key for rank in (0, 1) for _, batch in found[4, rank]["validated"] for key in batch]
    assert sorted(set(keys)) == [f"val-{i:05d}/0" for i in range(9)]
    assert len(keys) == 9 * (len(keys) // 9)
