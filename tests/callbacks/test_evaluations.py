"""A card's `evaluations_per_query` is the mean of what was spent."""

from types import SimpleNamespace

import numpy as np
import pytest

from idiff.callbacks.benchmark import Benchmark
from idiff.data.loading.collate import collate_groups
from idiff.data.loading.dataset import Group
from idiff.tasks import SemanticSegmentation
from idiff.types import Painted, Sampling


class Counting:
    """Paints the truth."""

    def render(self, pictures):
        return pictures


@pytest.mark.parametrize(("spent", "mean"), [([], 0), ([1, 1, 4, 4], 2.5), ([4, 4, 4, 4], 4)])
def test_evaluations_are_the_mean_over_batches_of_different_size(spent, mean):
    task, evaluate = SemanticSegmentation(ask="all"), Benchmark(resamples=0)
    trainer = SimpleNamespace(datamodule=SimpleNamespace(tasks={"toy": task}), is_global_zero=True)
    for count in (1, 2):
        groups = []
        for number in range(count):
            sample = task.example(np.random.default_rng(number))
            sample.key = f"sample{count}{number}"
            groups.append(Group(task.queries(sample, 0)[:2] * 2, []))
        batch = collate_groups(groups, task="toy", sampling=Sampling(steps=4))
        module, painted = Counting(), Painted(batch.target, batch.source, spent * count)
        evaluate.on_validation_batch_start(trainer, module, batch, 0)
        evaluate.on_validation_batch_end(trainer, module, painted, batch, 0)
    assert evaluate.evaluations == {"toy": mean}
    evaluate.on_validation_epoch_start(trainer, module)
    assert evaluate.evaluations == {}
