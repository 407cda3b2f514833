import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import disk

from idiff.errors import ConfigError
from idiff.utils.painting import (
    PALETTES,
    blend,
    check_transparency,
    class_color,
    contrasting,
    disc_maps,
    discs,
    palette,
    rgb_values,
)


def picture(seed=0, size=(24, 20)):
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("transparency", [0.0, 0.35, 0.5])
def test_blend_is_the_written_formula(transparency):
    image, mask = picture(), torch.zeros(24, 20, dtype=torch.bool)
    mask[3:9, 5:7] = True
    painted = blend(image, mask, (255, 128, 0), transparency)
    color = torch.tensor([1.0, 128 / 127.5 - 1, -1.0])[:, None]
    assert torch.allclose(painted[:, mask], transparency * image[:, mask] + (1 - transparency) * color, atol=1e-6)
    assert torch.equal(painted[:, ~mask], image[:, ~mask])


def test_an_empty_mask_changes_nothing():
    image = picture()
    assert torch.equal(blend(image, torch.zeros(24, 20, dtype=torch.bool), (255, 0, 0), 0.5), image)


@settings(max_examples=50, deadline=None)
@given(st.floats(-5, 30), st.floats(-5, 30), st.floats(1, 8))
def test_disc_is_every_pixel_within_the_radius(x, y, radius):
    (disc,) = disc_maps(np.array([[x, y]]), (24, 20), radius)
    rows, columns = disk((y, x), radius, shape=(24, 20))  # skimage: strictly inside
    expected = np.zeros((24, 20), bool)
    expected[rows, columns] = True
    distance = np.hypot(*np.meshgrid(np.arange(24) - y, np.arange(20) - x, indexing="ij"))
    differs = disc.numpy() != expected
    assert np.allclose(distance[differs], radius)


def test_smallest_disc_is_never_empty():
    points = np.array([[5.5, 5.5], [5.49, 5.0], [0.0, 0.0]])
    assert (disc_maps(points, (10, 10), 1.0).sum(dim=(1, 2)) > 0).all()


def test_later_discs_cover_earlier_ones():
    image = picture()
    painted = discs(image, np.array([[8.0, 8.0], [10.0, 8.0]]), [(255, 0, 0), (0, 0, 255)], radius=3)
    assert painted[:, 8, 10].tolist() == [-1, -1, 1]
    assert painted[:, 8, 5].tolist() == [1, -1, -1]
    outside = ~disc_maps(np.array([[8.0, 8.0], [10.0, 8.0]]), (24, 20), 3).any(dim=0)
    assert torch.equal(painted[:, outside], image[:, outside])


def test_no_points_no_discs():
    image = picture()
    assert torch.equal(discs(image, np.zeros((0, 2)), [], radius=3), image)


@pytest.mark.parametrize("name", PALETTES)
def test_palettes_hold_one_value_a_name(name):
    values = list(palette(name).values())
    green = (0, 128, 0) if name == "official-masks" else (0, 255, 0)
    assert len(set(values)) == len(values) and palette(name)["green"] == green


def test_the_released_models_lists_of_colors():
    """In the order of its files: eight for masks, nine for joints, with two greens."""
    masks, joints = palette("official-masks"), palette("official-joints")
    assert list(masks) == ["red", "purple", "blue", "green", "yellow", "white", "black", "gray"]
    assert list(joints) == ["red", "green", "blue", "yellow", "cyan", "magenta", "gray", "white", "black"]
    assert (masks["purple"], masks["gray"], joints["gray"]) == ((128, 0, 128), (128, 128, 128), (128, 128, 128))


def test_saturated_colors_lie_at_corners():
    assert set(PALETTES["saturated"]) == {"red", "green", "blue", "yellow", "cyan", "magenta"}
    assert rgb_values(list(PALETTES["saturated"].values())).abs().eq(1).all()


def test_unknown_palette_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'saturated'"):
        palette("satured")


@pytest.mark.parametrize("value", [1.0, -0.1, 1.1, float("nan")])
def test_transparency_range(value):
    with pytest.raises(ConfigError, match="transparency"):
        check_transparency(value)


def test_contrast_avoids_what_the_picture_has():
    colors = palette("saturated")
    for name, rgb in colors.items():
        image = rgb_values([rgb]).view(3, 1, 1).expand(3, 16, 16).clone()
        assert contrasting(image, colors) != name
    half = torch.cat([rgb_values([colors["red"]]).view(3, 1, 1).expand(3, 16, 8)] * 2, dim=2).clone()
    half[:, :, 8:] = rgb_values([colors["cyan"]]).view(3, 1, 1)
    assert contrasting(half, colors) not in {"red", "cyan"}
    assert contrasting(half, colors) == contrasting(half.clone(), colors)
    assert contrasting(half[:, :0], colors) == "red"


def test_neighbouring_class_colors_differ():
    values = [np.array(class_color(index), float) for index in range(40)]
    assert min(np.abs(a - b).max() for a, b in itertools.pairwise(values)) > 60
    assert len({class_color(index) for index in range(16)}) == 16
