"""Attention under autocast on the CPU is computed in float32; elsewhere nothing changes."""

import torch
from torch.nn import functional as F

from idiff.models.attention import in_float_on_cpu


def attended(query, key, value, *, mixed):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed), in_float_on_cpu(query):
        return F.scaled_dot_product_attention(query, key, value)


def test_under_autocast_it_is_float32s_result_in_the_type_of_the_queries():
    parts = [torch.randn(2, 2, 16, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    half = [part.bfloat16().requires_grad_() for part in parts]
    found = attended(*half, mixed=True)
    expected = F.scaled_dot_product_attention(*(part.float() for part in half))
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected.bfloat16())
    found.sum().backward()
    assert all(part.grad is not None and part.grad.dtype == torch.bfloat16 for part in half)


def test_without_autocast_no_bit_changes():
    parts = [torch.randn(2, 2, 16, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    assert torch.equal(attended(*parts, mixed=False), F.scaled_dot_product_attention(*parts))


def test_other_functions_stay_as_autocast_has_them():
    left, right = torch.randn(4, 4), torch.randn(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = left @ right
        with in_float_on_cpu(left):
            assert torch.equal(left @ right, plain)
