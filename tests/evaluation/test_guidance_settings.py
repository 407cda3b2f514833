import pytest

from idiff.diffusion import branches
from idiff.errors import ConfigError
from idiff.evaluation.guidance_settings import facts, guidance_grid, spread
from idiff.types import Sampling

EDITING = Sampling(steps=100, guidance_text=5.0, guidance_image=1.25, sampler="euler_ancestral")


def scales(grid):
    return sorted({one.guidance_text for one in grid}), sorted({one.guidance_image for one in grid})


def test_the_default_is_5_by_4_around_the_preset_from_guidance_off_on():
    grid = guidance_grid(EDITING, rule="instructdiffusion")
    assert len(grid) == len({(one.guidance_text, one.guidance_image) for one in grid}) == 20
    text, image = scales(grid)
    assert text == pytest.approx([0.5, 2.75, 5.0, 7.25, 9.5])
    assert image == pytest.approx([0.5, 0.875, 1.25, 1.625])
    assert {(one.steps, one.sampler, one.rule) for one in grid} == {(100, "euler_ancestral", "instructdiffusion")}
    assert len(branches(grid[0].rule, text=grid[0].guidance_text, image=grid[0].guidance_image)) == 1
    assert EDITING.under("instructdiffusion") in grid


@pytest.mark.parametrize(("rule", "off"), [("instructdiffusion", 0.5), ("instructpix2pix", 1.0)])
def test_a_preset_that_is_off_or_of_another_rule_gets_units_of_its_own(rule, off):
    (another,) = {"instructdiffusion", "instructpix2pix"} - {rule}
    for preset in (Sampling(guidance_text=off, guidance_image=off, rule=rule), Sampling(rule=another)):
        text, image = scales(guidance_grid(preset, rule=rule))
        assert text == pytest.approx([off, off + 0.25, off + 0.5, off + 0.75, off + 1.0])
        assert image == pytest.approx([off, off + 0.125, off + 0.25, off + 0.375])


def test_scales_steps_and_sampler_can_be_given():
    grid = guidance_grid(EDITING, rule="instructdiffusion", text=[1, 2], image=[3], steps=4, sampler="ddim")
    assert [(one.guidance_text, one.guidance_image, one.steps, one.sampler) for one in grid] == [
        (1, 3, 4, "ddim"),
        (2, 3, 4, "ddim"),
    ]


def test_what_cannot_be_a_grid_is_refused():
    with pytest.raises(ConfigError, match="unknown guidance rule 'instructdifusion'; did you mean 'instructdiffusion'"):
        guidance_grid(EDITING, rule="instructdifusion")
    with pytest.raises(ConfigError, match="0 text scales and 4 image scales"):
        guidance_grid(EDITING, rule="instructdiffusion", text=[])


def test_fewer_candidates_than_settings_are_spread_and_more_go_round():
    grid = guidance_grid(EDITING, rule="instructdiffusion")
    four = spread(grid, 4)
    assert len({one.guidance_text for one in four}) == len({one.guidance_image for one in four}) == 4
    assert spread(grid, 20) == grid
    assert spread(grid, 45) == [*grid, *grid, *grid[:5]]
    assert spread(grid, 1) == grid[:1]


def test_settings_are_written_without_what_is_not_set():
    assert facts(Sampling(steps=2)) == {"steps": 2, "sampler": "ddim"}
    assert facts(Sampling(steps=2).under("instructdiffusion")) == {
        "steps": 2, "guidance_text": 0.5, "guidance_image": 0.5, "sampler": "ddim", "rule": "instructdiffusion",
    }  # fmt: skip
