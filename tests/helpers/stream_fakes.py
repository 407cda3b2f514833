"""A task and a shard set in memory, small enough to check every row by hand."""

import zlib
from types import SimpleNamespace

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from torchmetrics import MetricCollection

from idiff.data.datamodule import TaskDataModule
from idiff.data.loading.dataset import Part
from idiff.data.shards.index import row_dtype
from idiff.errors import BadSampleError
from idiff.tasks.base import Task
from idiff.types import Prediction, Sample, Triplet, Truth


class CountingTask(Task):
    """Its target is an image of the item's number; its source shows the augmentation that was drawn."""

    kind = "counting"
    headline = "score"

    def __init__(self, unit="picture", prompts=1, size=2, channels=1, source=True):
        self.unit, self.prompts, self.size, self.channels, self.source = unit, prompts, size, channels, source

    def encode(self, sample, item, rng, *, train):
        shape = (3, self.size, self.size)
        number = sample.annotation["number"]
        drawn = float(rng.random()) if train else 0.0
        return Triplet(
            key=f"{sample.key}/{item}", source=torch.full(shape, drawn) if self.source else None, instruction="count",
            target=torch.full(shape, float(number)), query={"group": f"{sample.key}/{item}"}, annotation={"item": item},
            answer=torch.zeros(self.channels, self.size, self.size) if self.channels else None,
        )  # fmt: skip

    def queries(self, sample, item):
        return [self.encode(sample, item, np.random.default_rng(0), train=False) for _ in range(self.prompts)]

    def decode(self, edited, rendered, queries):
        return [Prediction(query=query) for query in queries]

    def combine(self, predictions, queries):
        return predictions[0]

    def render(self, prediction, picture):
        return picture

    def truth(self, annotation):
        return Truth(key=str(annotation))

    def metrics(self):
        return MetricCollection([])

    def baseline(self, truths):
        return None

    @classmethod
    def example(cls, rng):
        return Sample(key="0", image=np.zeros((2, 2, 3), np.uint8), annotation={"number": 0})


class MemoryShards:
    """The methods of `ShardSet` over made samples with `per` instances each; those in `broken` cannot be read."""

    def __init__(self, name="set", samples=10, *, per=1, broken=()):
        self.folder, self.samples, self.per, self.broken = name, samples, per, frozenset(broken)
        self.fingerprint = f"{name}:{samples}"
        self.meta = {}
        self.manifest = SimpleNamespace(shards=[name], tasks=["counting"])

    def rows(self, shard):
        rows = np.zeros(self.samples, row_dtype(1))
        rows["source"]["crc32"] = zlib.crc32(self.manifest.shards[shard].encode()) // 2 + np.arange(self.samples)
        return rows

    def __len__(self):
        return self.samples

    def count(self, unit):
        return self.samples * (1 if unit == "picture" else self.per)

    def locate(self, unit, i):
        return (i, 0) if unit == "picture" else divmod(i, self.per)

    def key(self, index):
        return f"{self.folder}-{index:05d}"

    def read(self, index):
        if index in self.broken:
            raise BadSampleError(f"{self.folder}.tar:{self.key(index)}", "source", "corrupt JPEG")
        return Sample(key=self.key(index), image=np.zeros((2, 2, 3), np.uint8), annotation={"number": index})


class Recorder(LightningModule):
    """Trains one number, and writes down the positions of each micro-batch and what each step added to the weight."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen, self.validated = [], []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.trainer.global_step, batch.position.tolist()))
        return ((self.weight - batch.target.mean() - batch.source.mean()) ** 2).mean()

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.validated.append((dataloader_idx, batch.keys))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


SETS = {
    "train": MemoryShards("train", 23, per=2),
    "other": MemoryShards("other", 10),
    "val": MemoryShards("val", 9),
    "second": MemoryShards("second", 11),
    "worse": MemoryShards("worse", 40, broken=range(0, 40, 5)),
    "empty": MemoryShards("empty", 4, per=0),
}


def part(name="train", unit="picture", **options):
    return Part(name, CountingTask(unit=unit, **options), SETS[name])


def module(train="train", val="val", **options):
    return TaskDataModule(CountingTask(), train=train, val=val, batch_size=options.pop("batch_size", 2), **options)


def trainer(tmp_path, steps, **options):
    settings = {
        "max_steps": steps, "max_epochs": -1, "accelerator": "cpu", "logger": False, "enable_progress_bar": False,
        "enable_model_summary": False, "use_distributed_sampler": False, "limit_val_batches": 0, "callbacks": [],
        "enable_checkpointing": True, "default_root_dir": tmp_path,
    }  # fmt: skip
    return Trainer(**(settings | options))
