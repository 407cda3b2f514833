"""A run in bfloat16 on the CPU, whose attention and memory layout are others than in float32, is continued exactly, too."""

import pytest
from fit_runs import CutAt, CutError, assert_same_state, fit_with, state

from idiff.cli import main
from idiff.utils.hardware import fast_bfloat16


@pytest.mark.skipif(not fast_bfloat16(), reason="this CPU does not multiply in bfloat16 by itself")
def test_a_run_in_bfloat16_that_crashed_goes_on_bit_by_bit(config, monkeypatch):
    words = ["fit", "--config", config, "--trainer.precision", "bf16-mixed"]
    assert main([*words, "--trainer.default_root_dir", "whole"]) == 0
    with pytest.raises(CutError):
        fit_with(monkeypatch, words, CutAt(5, batches=2))
    assert main([*words, "--ckpt_path", "last"]) == 0
    assert_same_state(state("run"), state("whole"))
