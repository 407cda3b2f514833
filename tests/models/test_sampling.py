"""Rows that change nothing end after the first step: what goes on is what would have gone on anyway, and the cost is counted."""

import pytest
import torch

from idiff.errors import ConfigError
from idiff.models.autoencoder import once_each
from idiff.models.denoising import changes
from idiff.models.io.checkpoint import load
from idiff.stages import TaskTraining
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import SemanticSegmentation
from idiff.types import Sampling

SAMPLERS = ("ddim", "euler", "euler_ancestral", "dpmpp_2m")


def edit(backbone, batch, **settings):
    return backbone.edit_counted(
        batch.source, batch.instruction, sampling=Sampling(**{"steps": 3, **settings}), seeds=range(4)
    )


def test_the_place_that_changes_most_counts():
    source = torch.zeros(3, 4, 8, 8)
    clean = source.clone()
    clean[1, :, 3, 5] = torch.tensor([1.0, -1.0, 3.0, 1.0])  # one cell of nine
    clean[2, :, 5:, 5:] = 2.0  # a corner of nine cells
    assert torch.allclose(changes(clean, source), torch.tensor([0.0, (3.0 / 9) ** 0.5, 2.0]))
    assert torch.equal(changes(clean + 1, source + 1), changes(clean, source))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("guidance", [0.5, 3.0])
def test_rows_under_the_threshold_are_those_of_one_step_and_the_others_go_on(lively, batch, sampler, guidance):
    settings = {"sampler": sampler, "guidance_text": guidance}
    branches = 1 if guidance == 0.5 else 2
    whole, one = edit(lively, batch, **settings), edit(lively, batch, **settings, steps=1)
    torch.testing.assert_close(whole.change, one.change)
    order = whole.change.argsort()
    threshold = float(whole.change[order[1:3]].mean())
    sizes = []
    hook = lively.unet.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    found = edit(lively, batch, **settings, stop_unchanged=threshold)
    hook.remove()
    ended, going = order[:2], order[2:]
    torch.testing.assert_close(found.pictures[ended], one.pictures[ended], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.pictures[going], whole.pictures[going], atol=1e-5, rtol=0)
    assert (whole.pictures - one.pictures).abs().amax(dim=(1, 2, 3)).min() > 1e-3
    assert sizes == [4 * branches, 2 * branches, 2 * branches]
    assert [found.evaluations[row] for row in [*ended, *going]] == [branches, branches, 3 * branches, 3 * branches]
    assert whole.evaluations == [lively.evaluations(Sampling(steps=3, guidance_text=guidance))] * 4


def test_all_rows_or_none_may_end(lively, batch):
    whole = edit(lively, batch)
    assert torch.equal(edit(lively, batch, stop_unchanged=1e-9).pictures, whole.pictures)
    sizes = []
    lively.unet.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    assert edit(lively, batch, stop_unchanged=1e9).evaluations == [1] * 4 and sizes == [4]


def test_text_to_image_has_nothing_to_be_unlike(lively, batch):
    lively.predict = lambda noisy, t, states, condition: noisy
    found = lively.edit_counted(None, ["x"], sampling=Sampling(steps=3, stop_unchanged=1e9), seeds=[0], side=64)
    assert found.change is None and found.evaluations == [3]


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf")])
def test_a_threshold_is_a_positive_number(lively, batch, threshold):
    with pytest.raises(ConfigError, match=r"stop_unchanged is .*expected more than 0, or null"):
        edit(lively, batch, stop_unchanged=threshold)


def test_a_stage_says_what_each_row_cost(lively, batch):
    stage = TaskTraining(backbone=lively, sampling=Sampling(steps=3), max_rows=3).eval()
    change = edit(lively, batch).change
    batch.sampling = Sampling(steps=3, stop_unchanged=float(change.sort().values[1:3].mean()))
    spent = stage.paint(batch).evaluations
    assert (
        sorted(spent) == [1, 1, 3, 3]
        and [cost == 1 for cost in spent] == (change < batch.sampling.stop_unchanged).tolist()
    )


def test_absent_classes_end_early_and_the_masks_stay():
    """The shipped model on a drawn scene that it was not trained on: fewer evaluations, the same answers."""
    backbone, task = load("tiny").backbone, SemanticSegmentation(ask="all", min_score=0.75)
    scenes = SyntheticSource("segmentation", split="val", count=1, seed=5)
    triplets = [triplet for index in range(len(scenes)) for triplet in task.queries(scenes.sample(index), 0)]
    source = torch.stack([triplet.source for triplet in triplets])
    rendered = once_each(backbone.autoencoder.render, source)
    costs, masks = [], []
    for threshold in (None, 0.6):
        made = backbone.edit_counted(
            source, [triplet.instruction for triplet in triplets], seeds=range(len(triplets)),
            sampling=Sampling(steps=2, stop_unchanged=threshold),
        )  # fmt: skip
        predictions = task.decode(made.pictures, rendered, [triplet.query for triplet in triplets])
        costs.append(sum(made.evaluations))
        masks.append(torch.stack([prediction.mask for prediction in predictions]))
    assert costs[0] == 2 * len(triplets) and costs[1] < 0.9 * costs[0]
    assert masks[0].any() and (masks[0] != masks[1]).float().mean() < 1e-3
