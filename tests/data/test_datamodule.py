import itertools
import json

import pytest
import torch
import yaml
from lightning.pytorch.cli import LightningArgumentParser
from stream_fakes import SETS, CountingTask, Recorder, module, trainer

from idiff.data.build.builder import build
from idiff.data.datamodule import MixtureDataModule, SegmentationDataModule, StreamDataModule, TaskDataModule
from idiff.data.loading import training
from idiff.data.loading.mixture import Layout
from idiff.data.loading.training import TaskEntry
from idiff.errors import ConfigError, DataError
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import KeypointDetection, SemanticSegmentation
from idiff.types import Sampling


@pytest.fixture(autouse=True)
def memory_shards(request, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    if "real_sets" in request.fixturenames:
        return
    monkeypatch.setattr(training.ShardSet, "open", staticmethod(SETS.__getitem__))


def test_validating_a_checkpoint_does_not_ask_for_its_training_data(tmp_path):
    early = trainer(tmp_path, 3)
    early.fit(Recorder(), module())
    early.save_checkpoint(tmp_path / "cut.ckpt")
    recorder = Recorder()
    trainer(tmp_path, 3, limit_val_batches=1.0).validate(
        recorder, module(train=None, seed=9), ckpt_path=tmp_path / "cut.ckpt", weights_only=True
    )
    assert sorted(key for _, keys in recorder.validated for key in keys) == [f"val-{i:05d}/0" for i in range(9)]


def test_sets_opened_before_there_were_ranks_are_counted_again(monkeypatch):
    data = module()
    data.setup("fit")  # as a command does, to refuse bad input early
    monkeypatch.setattr(StreamDataModule, "layout", Layout(micro=1, world=10))
    with pytest.raises(ConfigError, match="validates on 9 items, fewer than the 10 ranks"):
        data.setup("fit")


def test_a_mixture_has_a_loader_for_each_validation_set(tmp_path):
    data = MixtureDataModule(
        {
            "a": TaskEntry(CountingTask(), train="train", val="val", sampling=Sampling(steps=2)),
            "b": TaskEntry(CountingTask(unit="instances"), train="other", weight=0.5),
            "c": TaskEntry(CountingTask(prompts=2), val="second", sampling=Sampling(steps=9)),
        },
        batch_size=4,
    )
    assert list(data.tasks) == list(data.entries) == ["a", "b", "c"]
    recorder = Recorder()
    trainer(tmp_path, 7, limit_val_batches=1.0, num_sanity_val_steps=0).fit(recorder, data)
    assert {index for index, _ in recorder.validated} == {0, 1}
    assert data.steps_per_epoch == (23 + 5) // 4
    assert "a 82.1% (23 examples of 23 items), b 17.9% (5 examples of 10 items)" in data.training.summary
    first, second = data.val_dataloader()
    assert (next(iter(first)).sampling.steps, next(iter(second)).sampling.steps) == (2, 9)
    assert next(iter(second)).task == ["c"] * 16
    batch = next(iter(data.train_dataloader()))
    assert set(batch.task) <= {"a", "b"}
    assert batch.sampling is None


def test_without_a_validation_set_training_works(tmp_path):
    recorder = Recorder()
    trainer(tmp_path, 2, limit_val_batches=1.0).fit(recorder, module(val=None))
    assert len(recorder.seen) == 2
    assert recorder.validated == []


@pytest.mark.parametrize(
    ("build", "stage", "word"),
    [
        (lambda: module(train=None), "fit", "has training data"),
        (lambda: module(val=None), "validate", "validation set"),
        (lambda: module(weight=0.0), "fit", "weight is 0.0"),
        (lambda: module(batch_size=0), "fit", "batch_size is 0"),
        (lambda: module(val_samples=0), "fit", "val_samples is 0"),
        (lambda: module(mode="sequential"), "fit", "epoch_samples"),
        (lambda: TaskDataModule(train="train"), "fit", "class_path"),
    ],
)
def test_impossible_settings_are_one_clear_sentence(build, stage, word):
    with pytest.raises(ConfigError, match=word):
        build().setup(stage)


def test_a_validation_set_that_is_trained_on_is_refused():
    data = MixtureDataModule(
        {
            "a": TaskEntry(CountingTask(), train="train", val="other"),
            "b": TaskEntry(CountingTask(), train="other", val="val"),
        }
    )
    with pytest.raises(DataError, match="the evaluation set of 'a' is the training set of 'b'"):
        data.setup("fit")


def test_a_set_without_the_tasks_items_is_refused():
    data = TaskDataModule(CountingTask(unit="instances"), train="empty")
    with pytest.raises(DataError, match="empty: has no instances, which task 'counting' works on"):
        data.setup("fit")


def test_a_batch_larger_than_an_epoch_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"an epoch has 23 examples, one optimizer step takes 32 .*16 x accumulation 2"
    ):
        trainer(tmp_path, 1, accumulate_grad_batches=2).fit(Recorder(), module(batch_size=16))


def test_the_base_takes_any_entries():
    data = StreamDataModule({"a": TaskEntry(CountingTask(), train="train")}, batch_size=23)
    data.setup("fit")
    assert len(data.train_dataloader()) == 1
    assert data.state_dict()["global_batch"] == 23


# --- on the command line, and with the real tasks on real shards


def parse(content, folder):
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_lightning_class_args(StreamDataModule, "data", subclass_mode=True)
    return parser.instantiate_classes(parser.parse_args([f"--config={file}"])).data


def test_a_mixture_is_written_in_yaml(tmp_path):
    entries = {
        "shapes": {
            "task": {"class_path": "idiff.tasks.SemanticSegmentation", "init_args": {"size": 32}},
            "train": "a", "val": "b", "weight": 0.5, "sampling": {"steps": 9},
        },
        "people": {"task": {"class_path": "idiff.tasks.KeypointDetection"}, "train": "c"},
    }  # fmt: skip
    content = {
        "data": {
            "class_path": "MixtureDataModule",
            "init_args": {"tasks": entries, "batch_size": 5, "val_samples": None},
        }
    }
    data = parse(content, tmp_path)
    assert list(data.tasks) == ["shapes", "people"]
    assert data.entries["shapes"].weight == 0.5
    assert data.entries["shapes"].sampling == Sampling(steps=9)
    assert data.entries["people"].sampling == Sampling()
    assert (data.tasks["shapes"].kind, data.tasks["people"].kind) == ("segmentation", "keypoints")
    assert (data.batch_size, data.val_samples) == (5, None)


@pytest.mark.parametrize("name", ["SegmentationDataModule", "KeypointDataModule"])
def test_a_single_task_needs_its_folders_only(tmp_path, name):
    data = parse({"data": {"class_path": name, "init_args": {"train": "a", "val": "b"}}}, tmp_path)
    kind = name.removesuffix("DataModule").lower().replace("keypoint", "keypoints")
    assert list(data.tasks) == [kind] == [task.kind for task in data.tasks.values()]


@pytest.fixture(scope="module")
def real_sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    for task, split, count in itertools.product(("segmentation", "keypoints"), ("train", "val"), (12,)):
        source = SyntheticSource(task, split=split, count=count)
        build(source, folder / f"{task}-{split}", name="synthetic", split=split, shard_size=5)
    return folder


@pytest.mark.parametrize("mode", ["indexed", "sequential"])
def test_real_tasks_on_real_shards(tmp_path, real_sets, mode):
    entries = {
        kind: TaskEntry(task, train=str(real_sets / f"{kind}-train"), val=str(real_sets / f"{kind}-val"))
        for kind, task in (("segmentation", SemanticSegmentation()), ("keypoints", KeypointDetection()))
    }
    data = MixtureDataModule(
        entries, batch_size=6, val_samples=5, val_groups=2, num_workers=1, mode=mode, epoch_samples=24
    )
    recorder = Recorder()
    trainer(tmp_path, 3, limit_val_batches=1.0, val_check_interval=3).fit(recorder, data)
    assert len(recorder.seen) == 3
    batch = next(iter(data.train_dataloader()))
    assert batch.source.shape == batch.target.shape == (6, 3, 64, 64)
    assert -1 <= float(batch.target.min()) < float(batch.target.max()) <= 1
    assert batch.bad == []
    assert {index for index, _ in recorder.validated} == {0, 1}
    for loader, name in zip(data.val_dataloader(), entries, strict=True):
        batches = list(loader)
        assert len(batches) == 3
        groups = {query["group"] for batch in batches for query in batch.query}
        assert len(groups) == 5
        assert all(batch.task == [name] * len(batch) for batch in batches)
    json.dumps([query for batch in batches for query in batch.query])


def test_bytes_of_a_batch_are_the_same_with_any_number_of_workers(real_sets):
    found = []
    for workers in (0, 1, 3):
        data = SegmentationDataModule(train=str(real_sets / "segmentation-train"), batch_size=4, num_workers=workers)
        data.setup("fit")
        batches = list(data.train_dataloader())
        found.append(
            (torch.cat([batch.target for batch in batches]), [text for batch in batches for text in batch.instruction])
        )
    for target, instruction in found[1:]:
        assert torch.equal(target, found[0][0])
        assert instruction == found[0][1]


def test_rows_of_a_set_can_be_given_instead_of_its_weight():
    entries = {
        "a": TaskEntry(CountingTask(), train="train", rows=7),
        "b": TaskEntry(CountingTask(unit="instances"), train="other", rows=30),
        "c": TaskEntry(CountingTask(), train="second", weight=2.0),
    }
    data = MixtureDataModule(entries, batch_size=4)
    data.setup("fit")
    assert data.train_dataloader().dataset.stream.draws == (7, 30, 22)
    with pytest.raises(ConfigError, match="rows is 0: expected 1 or more"):
        TaskEntry(CountingTask(), train="train", rows=0)
    entries["a"].rows = 5
    with pytest.raises(ConfigError, match=r"rows 5: .*mode indexed"):
        MixtureDataModule(entries, mode="sequential", epoch_samples=9).setup("fit")
