import pytest
import torch

from idiff.utils.hardware import fast_bfloat16


@pytest.mark.parametrize(
    ("known", "fast"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"amx_bf16": True}, True),
        ({"avx2": True}, False),
        ({}, False),
    ],
)
def test_bfloat16_is_fast_where_the_processor_has_it(monkeypatch, known, fast):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert fast_bfloat16() is fast


def test_a_torch_that_cannot_tell_says_no(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert fast_bfloat16() is False
