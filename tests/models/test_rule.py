"""The guidance rule has one owner: the model's objective."""

import pytest
import torch

from idiff.errors import ConfigError
from idiff.models.guidance_grid import paint_variants
from idiff.types import Sampling
from idiff.utils.moved import modern_name, modernised

RULES = ("instructdiffusion", "instructpix2pix")


@pytest.fixture
def lively(backbone):
    """A backbone whose untrained U-Net does say something."""
    torch.manual_seed(2)
    for parameter in backbone.unet.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return backbone.eval()


def painted(backbone, batch, sampling):
    return backbone.edit(batch.source, batch.instruction, sampling=sampling, seeds=range(len(batch)))


@pytest.mark.parametrize("rule", RULES)
def test_guidance_that_is_left_out_is_off_under_either_rule(lively, batch, rule):
    lively.objective.rule = rule
    off = {"instructdiffusion": 0.5, "instructpix2pix": 1.0}[rule]
    assert lively.evaluations(Sampling(steps=3)) == 3
    plain = painted(lively, batch, Sampling(steps=2))
    assert torch.equal(plain, painted(lively, batch, Sampling(steps=2, guidance_text=off, guidance_image=off)))


def test_the_objective_decides_what_the_scales_mean(lively, batch):
    sampling = Sampling(steps=2, guidance_text=4.0, guidance_image=1.5)
    pictures, variants = {}, {}
    for rule in RULES:
        lively.objective.rule = rule
        pictures[rule] = painted(lively, batch, sampling)
        variants[rule] = paint_variants(lively, batch.source[0], batch.instruction[0], settings=[sampling], seeds=[0])[
            0
        ]
        torch.testing.assert_close(variants[rule], pictures[rule][0], atol=1e-4, rtol=1e-3)
    assert not torch.allclose(*pictures.values(), atol=1e-3)


def test_a_rule_of_older_settings_is_taken_where_it_agrees_and_refused_where_it_differs(lively, batch):
    named = Sampling(steps=1, guidance_text=2.0, rule="instructpix2pix")
    with pytest.raises(ConfigError, match=r"sampling.rule is 'instructpix2pix', and .* 'instructdiffusion': leave"):
        painted(lively, batch, named)
    with pytest.raises(ConfigError, match=r"leave sampling\.rule out"):
        lively.evaluations(named)
    lively.objective.rule = "instructpix2pix"
    unnamed = Sampling(steps=1, guidance_text=2.0)
    assert torch.equal(painted(lively, batch, named), painted(lively, batch, unnamed))
    assert unnamed.under("instructpix2pix") == Sampling(1, 2.0, 1.0, rule="instructpix2pix")


def test_an_older_configuration_that_names_it_is_read_with_a_notice():
    said = []
    config = {"data": {"tasks": {"a": {"sampling": {"steps": 2, "rule": "instructdiffusion"}}}}}
    assert modernised(config, said.append) == config
    assert modern_name("--model.sampling.rule", said.append) == "--model.sampling.rule"
    assert len(said) == 2 and all("sampling.rule is no longer needed" in line for line in said)
    modernised({"objective": {"rule": "instructpix2pix"}, "sampling": {"rule": None}}, said.append)
    modern_name("--model.objective.rule", said.append)
    assert len(said) == 2
