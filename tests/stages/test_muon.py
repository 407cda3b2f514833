import pytest
import torch
from stage_fakes import fit
from torch import nn

from idiff.errors import ConfigError
from idiff.stages import TaskTraining
from idiff.stages.muon import Muon, orthogonal, split


@pytest.mark.parametrize("shape", [(6, 6), (4, 30), (30, 4)])
def test_the_nearest_orthogonal_matrix(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    made = orthogonal(matrix)
    assert torch.linalg.svdvals(made).min() > 0.5 and torch.linalg.svdvals(made).max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(made.flatten(), (left @ right).flatten(), dim=0) > 0.95


def test_it_steps_as_the_matrix_optimizer_of_torch_does():
    """torch.optim.Muon is the outside reference; it iterates in bfloat16."""
    start, gradients = torch.randn(12, 5), [torch.randn(12, 5) for _ in range(3)]
    ours, theirs = (nn.Parameter(start.clone()) for _ in range(2))
    mine = Muon([{"params": [ours], "lr": 0.02, "muon": True}], weight_decay=0.1)
    reference = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="original")
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    assert (ours - theirs).abs().max() < 2e-3 < (ours - start).abs().max()


def test_everything_else_moves_as_under_adamw():
    weight = torch.randn(7)
    ours, theirs = (nn.Parameter(weight.clone()) for _ in range(2))
    hidden = nn.Parameter(torch.randn(3, 2, 3, 3))
    mine = Muon([{"params": [hidden], "lr": 0.02, "muon": True}, {"params": [ours]}], lr=1e-2)
    reference = torch.optim.AdamW([theirs], lr=1e-2)
    for _ in range(3):
        ours.grad, theirs.grad, hidden.grad = torch.ones(7), torch.ones(7), torch.ones(3, 2, 3, 3)
        mine.step()
        reference.step()
    assert torch.equal(ours, theirs)


def test_the_first_and_the_last_layer_embeddings_biases_and_norms_are_adamws(backbone):
    hidden, rest = split(backbone)
    names = {id(parameter): name for name, parameter in backbone.named_parameters()}
    assert len(hidden) + len(rest) == sum(p.requires_grad for p in backbone.parameters())
    assert all(p.ndim >= 2 for p in hidden)
    assert not [
        n for p in hidden if any(w in (n := names[id(p)]) for w in ("conv_in", "conv_out", "embedding", "norm"))
    ]
    assert any("resnets.0.conv1.weight" in names[id(p)] for p in hidden)
    assert any("conv_in.weight" in names[id(p)] for p in rest)


def test_a_run_that_is_cut_goes_on_to_the_same_weights(backbone, tmp_path):
    start = {key: value.clone() for key, value in backbone.state_dict().items()}

    def run(folder, steps, checkpoint=None):
        backbone.load_state_dict(start)
        stage = TaskTraining(backbone=backbone, lr=1e-3, optimizer="muon", muon_lr=0.01)
        trainer = fit(stage, folder, steps=steps, checkpoint=checkpoint)
        rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
        return {key: value.clone() for key, value in backbone.unet.state_dict().items()}, rates

    whole, rates = run(tmp_path / "whole", 4)
    run(tmp_path / "cut", 2)
    gone_on, again = run(tmp_path / "cut", 4, checkpoint=tmp_path / "cut" / "checkpoints" / "last.ckpt")
    assert rates == again == [0.01, 1e-3]
    assert all(torch.equal(whole[key], gone_on[key]) for key in whole)
    assert any(not torch.equal(whole[key], start[f"unet.{key}"]) for key in whole)


def test_an_unknown_optimizer_is_refused(backbone):
    with pytest.raises(ConfigError, match=r"muun.*muon"):
        TaskTraining(backbone=backbone, optimizer="muun")
