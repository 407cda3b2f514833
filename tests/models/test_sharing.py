"""Queries of one image share its encoding and their prompts; the answers are those of one query at a time."""

import copy
import dataclasses

import pytest
import torch
from small_models import TEXT

from idiff.models.autoencoder import once_each
from idiff.models.text import KEPT, TextEncoder
from idiff.stages import TaskTraining
from idiff.types import Sampling


def counted(module, calls):
    """Rows of each call of a module."""
    module.register_forward_hook(lambda _, args, __: calls.append(len(args[0])))


@pytest.fixture
def queries(batch):
    """Three queries of one image, one of another."""
    source = batch.source[[0, 0, 0, 1]]
    return dataclasses.replace(batch, source=source, instruction=["a", "b", "c", "a"])


def test_only_the_first_of_equal_rows_is_encoded(batch):
    seen = []

    def encode(rows):
        seen.append(len(rows))
        return rows.mean(dim=(2, 3))

    pictures = batch.source[[0, 0, 1, 0, 2, 2, 2]]
    assert torch.equal(once_each(encode, pictures), pictures.mean(dim=(2, 3)))
    assert torch.equal(once_each(encode, pictures, most=3), pictures.mean(dim=(2, 3)))
    assert torch.equal(once_each(encode, batch.source), batch.source.mean(dim=(2, 3)))
    assert seen == [4, 3, 1, 4]
    nothing_is_equal = torch.full((2, 3, 8, 8), float("nan"))
    once_each(encode, nothing_is_equal)
    assert seen[-1] == 2
    index = torch.tensor([0, 0, 1, 2, 3, 3, 3])
    assert torch.equal(once_each(encode, pictures, index=index), pictures.mean(dim=(2, 3)))
    assert seen[-1] == 4


@pytest.mark.parametrize("max_rows", [64, 2])
def test_a_picture_is_encoded_once_and_answers_are_those_of_single_queries(lively, queries, max_rows):
    stage = TaskTraining(backbone=lively, sampling=Sampling(steps=2), max_rows=max_rows).eval()
    alone = [
        lively.edit(
            queries.source[row : row + 1], [queries.instruction[row]], sampling=stage.sampling,
            seeds=[int(queries.position[row])],
        )
        for row in range(4)
    ]  # fmt: skip
    encoded = []
    counted(lively.autoencoder.net.encoder, encoded)
    painted = stage.paint(queries)
    rendered, painted = painted.sources, painted.images
    assert sum(encoded) == 2
    torch.testing.assert_close(painted, torch.cat(alone), atol=1e-5, rtol=0)
    assert (painted[0] - painted[1]).abs().max() > 1e-3
    torch.testing.assert_close(rendered, lively.autoencoder.render(queries.source), atol=1e-5, rtol=0)


def frozen(tmp_path):
    torch.manual_seed(0)
    TextEncoder(config=TEXT).save(tmp_path)
    return TextEncoder(weights=str(tmp_path)).requires_grad_(False).eval()


def test_a_frozen_encoder_encodes_each_prompt_once(tmp_path):
    text, calls = frozen(tmp_path), []
    counted(text, calls)
    first = text.states(["red", "blue", "red", ""])
    again = text.states(["", "blue"])
    assert sum(calls) == 3
    assert torch.equal(first[[3, 1]], again) and torch.equal(first[0], first[2])
    torch.testing.assert_close(first, text(["red", "blue", "red", ""]), atol=1e-6, rtol=0)
    calls.clear()
    text.states([f"prompt {number}" for number in range(KEPT)])
    text.states(["red", f"prompt {KEPT - 1}"])
    assert sum(calls) == KEPT + 1  # red was dropped, the latest prompt was not


def test_states_do_not_hang_on_the_prompts_beside_them(tmp_path):
    one, other = frozen(tmp_path), frozen(tmp_path)
    assert torch.equal(one.states(["a", "b", "c"])[2], other.states(["c"])[0])


def test_other_weights_are_not_answered_with_what_was_kept(tmp_path):
    text = frozen(tmp_path)
    before, state = text.states(["red"]), {key: value + 1 for key, value in text.state_dict().items()}
    text.load_state_dict(state)
    assert not torch.allclose(text.states(["red"]), before)
    changed = copy.deepcopy(text).double().states(["red"])
    assert changed.dtype == torch.float64
    with torch.no_grad():
        next(text.net.parameters()).mul_(2.0)
    assert not torch.allclose(text.states(["red"]).double(), changed)


def test_an_encoder_that_is_trained_keeps_nothing(tmp_path):
    torch.manual_seed(0)
    trained, unfrozen = TextEncoder(config=TEXT).eval(), frozen(tmp_path).requires_grad_(True)
    for text in (trained, unfrozen):
        before = text.states(["red"])
        for parameter in text.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        assert not torch.allclose(text.states(["red"]), before)


def test_what_was_kept_in_inference_mode_can_be_trained_on(tmp_path):
    text, layer = frozen(tmp_path), torch.nn.Linear(16, 1)
    with torch.inference_mode():
        text.states(["red"])
    layer(text.states(["red"])).sum().backward()
    assert layer.weight.grad.abs().sum() > 0
