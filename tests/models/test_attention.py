"""Attention under autocast on the CPU: two matrix products, or float32; elsewhere nothing changes."""

import pytest
import torch
from torch.nn import functional as F

from idiff.models import attention
from idiff.models.attention import quick_on_cpu


def attended(query, key, value, *, mixed, **options):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed), quick_on_cpu(query):
        return F.scaled_dot_product_attention(query, key, value, **options)


def drawn(*shape):
    return [torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]


@pytest.mark.parametrize("options", [{}, {"scale": 0.5}, {"attn_mask": None, "dropout_p": 0.0, "is_causal": False}])
def test_two_products_are_near_float32s_result_and_so_are_their_gradients(options):
    half = [part.bfloat16().requires_grad_() for part in drawn(2, 2, 16, 8)]
    whole = [part.detach().float().requires_grad_() for part in half]
    found, expected = attended(*half, mixed=True, **options), F.scaled_dot_product_attention(*whole, **options)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.03)
    found.float().square().sum().backward()
    expected.square().sum().backward()
    for part, other in zip(half, whole, strict=True):
        torch.testing.assert_close(part.grad.float(), other.grad, rtol=0, atol=0.1)


@pytest.mark.parametrize("options", [{"is_causal": True}, {"attn_mask": (torch.arange(16) < 9).expand(16, 16)}])
def test_a_masked_call_is_float32s_result_in_the_type_of_the_queries(options):
    half = [part.bfloat16() for part in drawn(2, 2, 16, 8)]
    expected = F.scaled_dot_product_attention(*(part.float() for part in half), **options)
    assert torch.equal(attended(*half, mixed=True, **options), expected.bfloat16())


def test_many_scores_are_not_held_in_memory(monkeypatch):
    half = [part.bfloat16().requires_grad_() for part in drawn(2, 2, 16, 8)]
    monkeypatch.setattr(attention, "MOST_SCORES", 2 * 2 * 16 * 16 - 1)
    expected = F.scaled_dot_product_attention(*(part.float() for part in half))
    found = attended(*half, mixed=True)
    assert torch.equal(found, expected.bfloat16())
    found.sum().backward()
    assert all(part.grad is not None and part.grad.dtype == torch.bfloat16 for part in half)


def test_without_autocast_no_bit_changes():
    parts = drawn(2, 2, 16, 8)
    assert torch.equal(attended(*parts, mixed=False), F.scaled_dot_product_attention(*parts))


def test_other_functions_stay_as_autocast_has_them():
    left, right = torch.randn(4, 4), torch.randn(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = left @ right
        with quick_on_cpu(left):
            assert torch.equal(left @ right, plain)
