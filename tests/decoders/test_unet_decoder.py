"""Learned and color decoder alike: what `Decoder.scores` promises."""

import json
import math

import numpy as np
import pytest
import torch
from simulated_autoencoder import rendered_by_autoencoder, scenes
from torch.nn import functional as F

from idiff.decoders import ColorDecoder, UNetDecoder, build
from idiff.decoders.calibration import Calibration, chosen, fit_calibration
from idiff.decoders.color import color_scores
from idiff.decoders.decoder_unet import FAR, PLANES, ReadoutNet, planes
from idiff.decoders.queries import asked_paint, visible
from idiff.decoders.weights import load, pretrained, save
from idiff.errors import CheckpointError, ConfigError
from idiff.metrics.calibration_error import calibration_error
from idiff.utils.painting import PALETTES, blend, disc_maps, discs, rgb_values

COLORS = list(PALETTES["saturated"].values())
WIDTHS = (8, 16)


def net(seed=0, widths=WIDTHS):
    """Weights that are not trained, but do not vanish either."""
    torch.manual_seed(seed)
    made = ReadoutNet(widths)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.1)
    return made.eval()


@pytest.fixture
def folder(tmp_path):
    return save(tmp_path / "decoder", net(), calibrations={"opaque": Calibration(2.0, -1.0)}, trained={"step": 7})


@pytest.fixture(params=["color", "unet"])
def decoder(request, folder):
    return build("color") if request.param == "color" else build("unet", weights=str(folder))


def asked(count, *, of=3):
    """Colors (count, of, 3): row b asks for its first b + 1."""
    colors = rgb_values(COLORS[:of])[None].repeat(count, 1, 1)
    for row in range(count):
        colors[row, row + 1 :] = math.nan
    return colors


@pytest.mark.parametrize("transparency", [0.0, 0.35])
@pytest.mark.parametrize("size", [(64, 64), (30, 45), (5, 3)])
def test_scores_lie_in_range_and_are_0_for_colors_not_asked_for(decoder, size, transparency):
    rng = torch.Generator().manual_seed(0)
    edited, source = (torch.rand(3, 3, *size, generator=rng) * 2 - 1 for _ in range(2))
    scores = decoder.scores(edited, source, asked(3), transparency)
    assert scores.shape == (3, 3, *size) and scores.min() >= 0 and scores.max() <= 1
    for row in range(3):
        assert scores[row, : row + 1].amax(dim=(1, 2)).min() > 0 and not scores[row, row + 1 :].any()


def test_rows_do_not_depend_on_their_batch(decoder):
    edited, source = rendered_by_autoencoder(scenes(4), 0), scenes(4)
    together = decoder.scores(edited, source, asked(4, of=5), 0.3)
    for row in range(4):
        alone = decoder.scores(edited[row : row + 1], source[row : row + 1], asked(4, of=5)[row : row + 1], 0.3)
        assert torch.allclose(alone[0], together[row], atol=1e-5)


def test_rows_read_a_few_at_a_time_are_read_alike(folder):
    edited, source = rendered_by_autoencoder(scenes(5), 0), scenes(5)
    many, few = (UNetDecoder(folder, max_rows=rows).scores(edited, source, asked(5), 0.0) for rows in (64, 1))
    assert torch.allclose(many, few, atol=1e-5)


def test_pictures_that_are_not_finite_have_no_answer(decoder):
    pictures = scenes(2)
    broken = pictures.clone()
    broken[0, 0, 0, 0] = math.nan
    scores = decoder.scores(broken, pictures, asked(2), 0.0)
    assert scores.isfinite().all() and not (scores[0, 0] > 0.5)[0, 0]


@pytest.mark.parametrize(("transparency", "smooth"), [(0.3, 3), (0.0, 1)])
def test_a_share_of_the_colour_decoder_is_a_mean(folder, transparency, smooth):
    edited, source = rendered_by_autoencoder(scenes(2), 0), scenes(2)
    net, both = UNetDecoder(folder), UNetDecoder(folder, color_share=0.25)
    mine = net.scores(edited, source, asked(2), transparency)
    seen = color_scores(edited, source, asked(2), transparency, smooth=smooth)
    assert torch.allclose(both.scores(edited, source, asked(2), transparency), 0.75 * mine + 0.25 * seen)
    with pytest.raises(ConfigError, match="color_share"):
        UNetDecoder(folder, color_share=1.5)


def test_flip_is_the_mean_of_both_readings(folder):
    edited, source = rendered_by_autoencoder(scenes(2), 0), scenes(2)
    once, both = UNetDecoder(folder), UNetDecoder(folder, flip=True)
    plain = once.scores(edited, source, asked(2), 0.3)
    mirrored = once.scores(edited.flip(3), source.flip(3), asked(2), 0.3).flip(3)
    assert torch.allclose(both.scores(edited, source, asked(2), 0.3), (plain + mirrored) / 2, atol=1e-6)
    assert not torch.allclose(plain, mirrored, atol=1e-4)


def test_the_color_decoder_reads_a_mirror_alike():
    edited, source, decoder = rendered_by_autoencoder(scenes(2), 0), scenes(2), ColorDecoder(smooth=3)
    mirrored = decoder.scores(edited.flip(3), source.flip(3), asked(2), 0.3).flip(3)
    assert torch.allclose(decoder.scores(edited, source, asked(2), 0.3), mirrored, atol=1e-5)


def test_scores_are_calibrated_by_kind_of_paint(folder):
    edited, source, colors = rendered_by_autoencoder(scenes(1), 0), scenes(1), asked(1, of=1)
    decoder = UNetDecoder(folder)
    for transparency, calibration in ((0.0, Calibration(2.0, -1.0)), (0.3, Calibration())):
        inputs, _ = planes(edited, source, colors, torch.tensor([transparency]))
        with torch.no_grad():
            wanted = calibration(net()(inputs))
        assert torch.allclose(decoder.scores(edited, source, colors, transparency)[0], wanted, atol=1e-5)


def test_planes_tell_the_distances_to_all_answers():
    source, colors = scenes(2), asked(2, of=2)
    edited = torch.stack([blend(source[0], torch.ones(64, 64, dtype=torch.bool), COLORS[0], 0.3), source[1]])
    inputs, mask = planes(edited, source, colors, torch.tensor([0.3, 0.3]))
    assert inputs.shape == (3, PLANES, 64, 64) and mask.tolist() == [[True, False], [True, True]]
    mine, untouched, other, evidence = inputs[0, 10:14]
    assert mine.abs().max() < 1e-5 and untouched.mean() > 0.3 and (other == FAR).all() and evidence.min() > 0.5
    assert inputs[1, 11].abs().max() < 1e-5  # the second image is its source
    assert torch.allclose(inputs[1, 12], inputs[2, 10]) and torch.allclose(inputs[2, 12], inputs[1, 10])


def test_parameters_are_few():
    assert 100_000 < sum(parameter.numel() for parameter in ReadoutNet().parameters()) < 400_000


def test_weights_come_back_as_they_were_written(folder):
    found = load(folder)
    assert found.calibrations == {"opaque": Calibration(2.0, -1.0)} and found.trained == {"step": 7}
    for name, value in net().state_dict().items():
        assert torch.equal(found.net.state_dict()[name], value), name
    described = UNetDecoder(folder).describe()
    assert described["sha256"] == found.sha256 == json.loads((folder / "config.json").read_text())["sha256"]
    assert load(folder.parent).sha256 == found.sha256  # an exported model has its decoder inside


def test_writing_again_replaces(folder):
    before = load(folder).sha256
    save(folder, net(seed=1, widths=(4, 8)))
    after = load(folder)
    assert after.sha256 != before and after.net.widths == (4, 8) and after.calibrations == {}
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_other_weights_are_refused(folder):
    save(folder.parent / "other", net(seed=1))
    (folder / "model.safetensors").write_bytes((folder.parent / "other" / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="damaged or another file"):
        build("unet", weights=str(folder))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"widths": [16, 16]}, "does not fit widths"),
        ({"widths": [3]}, "multiples of 4"),
        ({"format": 2}, "format 2"),
        ({"calibration": {"opaque": {"temperature": 0}}}, "more than 0"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(folder, change, says):
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=says):
        load(folder)


@pytest.mark.parametrize("left", ["config.json", "model.safetensors"])
def test_half_a_folder_is_refused(folder, left):
    (folder / left).unlink()
    with pytest.raises(CheckpointError, match=r"holds no decoder.*expected config\.json and model\.safetensors"):
        load(folder)


def test_a_decoder_that_is_not_there():
    with pytest.raises(CheckpointError, match=r"no decoder 'runs/none'.*readout_tiny\.yaml trains one"):
        build("unet", weights="runs/none")
    with pytest.raises(ConfigError, match="smooth"):
        build("unet", smooth=3)
    with pytest.raises(ConfigError, match="max_rows"):
        build("unet", max_rows=0)


def test_every_embedded_decoder_can_be_read():
    for name in pretrained():
        assert load(name).calibrations.keys() == {"opaque", "blended"}, name


# what is asked, and what is seen


def test_queries_of_all_painting_tasks_are_understood():
    queries = [{"rgb": [255, 0, 0], "transparency": 0.3}, {"rgbs": [[0, 255, 0], [0, 0, 255]], "transparency": 0.0}]
    colors, transparency = asked_paint(queries, torch.zeros(1))
    assert transparency.tolist() == pytest.approx([0.3, 0.0])
    assert colors[0, 0].tolist() == [1, -1, -1] and colors[0, 1].isnan().all() and colors[1, 1].tolist() == [-1, -1, 1]
    with pytest.raises(ConfigError, match=r"task 'editing' has task: expected 'rgb'"):
        asked_paint([{"task": "editing"}], torch.zeros(1))


def test_later_discs_cover_earlier_ones():
    maps = disc_maps(np.array([[8.0, 8], [10, 8], [25, 25]]), (32, 32), 4.0).float()[None]
    seen = visible(maps)[0]
    assert torch.equal(seen[1:], maps[0, 1:]) and torch.equal(seen[0], maps[0, 0] * (1 - maps[0, 1]))


# calibration


def test_temperature_and_bias_are_found_again():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(60_000, generator=rng) * 3
    truth = (torch.rand(60_000, generator=rng) < Calibration(2.5, -0.7)(logits)).float()
    found = fit_calibration(logits, truth)
    assert found.temperature == pytest.approx(2.5, rel=0.05) and found.bias == pytest.approx(-0.7, abs=0.05)
    assert calibration_error(found(logits), truth) < 0.25 * calibration_error(logits.sigmoid(), truth)
    alone = fit_calibration(logits, truth, bias=False)
    assert alone.bias == 0 and torch.equal(alone(logits) > 0.5, logits > 0)


def test_nothing_to_fit_changes_nothing():
    for logits, truth in ((torch.zeros(0), torch.zeros(0)), (torch.randn(9), torch.ones(9))):
        assert fit_calibration(logits, truth) == Calibration()
    assert chosen({}, 0.0) == Calibration()
    with pytest.raises(ConfigError, match="temperature"):
        Calibration(0.0)


# reading


@pytest.mark.slow
def test_both_decoders_read_painted_truth(tmp_path):
    """IoU of at least 0.98 without an autoencoder, for masks and discs; the net is trained here, in about 20 s."""
    torch.manual_seed(0)
    model, rng = ReadoutNet(WIDTHS), np.random.default_rng(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(300):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / 300)
        edited, source, colors, truth, transparency = painted(rng, 4, discs_=step % 2 == 0)
        inputs, mask = planes(edited, source, colors, torch.full((4,), transparency))
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(inputs), truth[mask]).backward()
        optimizer.step()
    learned = build("unet", weights=str(save(tmp_path / "decoder", model.eval())))
    for decoder in (build("color"), learned):
        for kind in (False, True):
            edited, source, colors, truth, transparency = painted(np.random.default_rng(99), 24, discs_=kind)
            found, true = decoder.scores(edited, source, colors, transparency) > 0.5, truth > 0.5
            shares = (found & true).sum((2, 3)) / (found | true).sum((2, 3)).clamp_min(1)
            assert float(shares[true.any(dim=3).any(dim=2)].mean()) >= 0.98, (decoder.describe()["name"], kind)


def painted(rng, count, *, discs_):
    """Discs of three colors, opaque, or one tinted ellipse; the sources are colorful noise at several scales."""
    coarse = torch.from_numpy(rng.uniform(-0.8, 0.8, (count, 3, 6, 6)).astype(np.float32))
    source = F.interpolate(coarse, size=(64, 64), mode="bicubic")
    source = (source + 0.08 * torch.from_numpy(rng.standard_normal(source.shape).astype(np.float32))).clamp(-0.9, 0.9)
    edited, colors, truth = [], [], []
    for picture in source:
        rgbs = [COLORS[index] for index in rng.choice(6, 3 if discs_ else 1, replace=False)]
        colors.append(rgb_values(rgbs))
        if discs_:
            places = rng.uniform(4, 60, (3, 2))
            edited.append(discs(picture, places, rgbs, radius=4.0))
            truth.append(visible(disc_maps(places, (64, 64), 4.0).float()[None])[0])
        else:
            y, x = np.mgrid[:64, :64]
            (cx, cy), (a, b) = rng.uniform(16, 48, 2), rng.uniform(5, 16, 2)
            mask = torch.from_numpy(((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 <= 1)
            edited.append(blend(picture, mask, rgbs[0], 0.3))
            truth.append(mask.float()[None])
    return torch.stack(edited), source, torch.stack(colors), torch.stack(truth), 0.0 if discs_ else 0.3
