"""Scenes of solids: the same for a seed, and exact in depth, normals and owners."""

import hashlib

import numpy as np
import pytest

from idiff.cli import main
from idiff.data.build.builder import build
from idiff.errors import ConfigError
from idiff.synthetic.scenes import difficulty
from idiff.synthetic.solids.description import KINDS
from idiff.synthetic.solids.layout import draw_solids_scene
from idiff.synthetic.solids.render import see
from idiff.synthetic.solids.samples import CLASSES, MAPS, solids_sample
from idiff.synthetic.source import SyntheticSource
from idiff.utils.masks import decode_mask
from idiff.utils.seeds import numpy_rng

COUNT = 16
GOLDEN = "5dbfec1566df8946afb73f24681f27c675b3b9d9b2f293c85de7fa716caa845f"


def drawn(index, *, size=64, maps=tuple(MAPS), phrases=False, split="train"):
    return solids_sample(split, seed=0, index=index, size=size, maps=maps, phrases=phrases, meta={})


@pytest.fixture(scope="module")
def samples():
    return [drawn(index) for index in range(COUNT)]


def test_a_sample_depends_on_its_index_alone(samples):
    digest = hashlib.sha256()
    for sample in samples[:4]:
        for values in (sample.label, sample.maps["depth"] // 4, sample.maps["instance_ids"], sample.image // 16):
            digest.update(np.ascontiguousarray(values).tobytes())
    assert digest.hexdigest() == GOLDEN, digest.hexdigest()
    assert not np.array_equal(drawn(0, split="val").image, samples[0].image)


def test_depth_spans_what_it_should_and_labels_masks_and_owners_agree(samples):
    for sample in samples:
        metres, instances = sample.maps["depth"] / 1000, sample.annotation["instances"]
        assert metres[metres > 0].min() >= 0.5 and metres.max() <= 40
        assert 2 <= len(instances) <= 8
        for number, (one, facts) in enumerate(
            zip(instances, sample.annotation["scene"]["objects"], strict=True), start=1
        ):
            mask = decode_mask(one["mask"])
            assert np.array_equal(mask, sample.maps["instance_ids"] == number) and mask.sum() == one["area"] > 0
            assert set(sample.label[mask].tolist()) == {CLASSES.index(one["category"])}
            assert facts["visible"] >= 0.45
        assert ((sample.label > 0) == (sample.maps["instance_ids"] > 0)).all()
        edges = sample.maps["edges"] > 0
        assert 0 < edges.mean() < 0.4
    found = difficulty(samples)
    assert found["kinds"] == len(KINDS) and found["backgrounds"] == 2 and found["colours"] >= 8


def test_normals_are_those_of_the_surface_that_the_depth_shows(samples):
    """Central differences of the points that depth and focal length give, a plain reference: within a face they agree."""
    for sample in samples[:4]:
        fine = drawn(int(sample.key), size=128)
        depth, focal = fine.maps["depth"] / 1000, fine.annotation["camera"]["focal"]
        y, x = np.mgrid[:128, :128]
        points = np.stack([(x - 63.5) / focal * depth, -(y - 63.5) / focal * depth, -depth], axis=-1)
        across, down = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
        found = np.cross(down, across)
        found /= np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-12)
        truth = fine.maps["normals"][1:-1, 1:-1]
        near = (depth[1:-1, 1:-1] > 0) & (depth[1:-1, 1:-1] < 5)  # farther, whole millimetres are too coarse
        flat = near & ~_grown(fine.maps["edges"] > 0)[1:-1, 1:-1]
        angle = np.degrees(np.arccos(np.clip((found * truth).sum(axis=-1), -1, 1)))[flat]
        assert flat.mean() > 0.05 and np.median(angle) < 2 and np.percentile(angle, 90) < 8
        lengths = np.linalg.norm(fine.maps["normals"], axis=-1)
        assert (
            np.allclose(lengths[fine.maps["depth"] > 0], 1, atol=1e-5) and (lengths[fine.maps["depth"] == 0] == 0).all()
        )
        assert (truth[near][:, 2] > -1).all()


def _grown(mask):
    found = mask.copy()
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            found |= np.roll(mask, (dy, dx), (0, 1))
    return found


def test_surfaces_are_where_their_equations_say():
    """Each pixel's point, taken back from its depth, lies on the solid that owns it."""
    for index in range(4):
        scene = draw_solids_scene(numpy_rng(7, index))
        seen = see(scene, 48)
        focal, angle = 24 / np.tan(np.radians(scene.camera.view) / 2), np.radians(scene.camera.pitch)
        for number, solid in enumerate(scene.solids):
            for y, x in np.argwhere(seen.mask(number))[::5]:
                depth = float(seen.depth[y, x])
                right, up, back = (x - 23.5) / focal * depth, -(y - 23.5) / focal * depth, -depth
                wx, wy = right, scene.camera.height + np.cos(angle) * up + np.sin(angle) * back
                wz = -np.sin(angle) * up + np.cos(angle) * back
                dx, dz, (wide, tall, deep) = wx - solid.place[0], wz - solid.place[1], solid.size
                around = np.hypot(dx, dz)
                turn = np.radians(solid.turn)
                bx, bz = np.cos(turn) * dx - np.sin(turn) * dz, np.sin(turn) * dx + np.cos(turn) * dz
                walls = max(around - wide, wy - tall, -wy)
                off = walls if solid.kind == "cylinder" else max(abs(bx) - wide, abs(bz) - deep, wy - tall, -wy)
                if solid.kind == "sphere":
                    off = np.sqrt(around**2 + (wy - wide) ** 2) - wide
                if solid.kind == "cone":
                    off = around - wide * (1 - wy / tall)
                assert abs(off) < 2e-4 * max(1, depth), (solid.kind, off)


def test_phrases_speak_of_solids():
    texts = [phrase["text"] for index in range(8) for phrase in drawn(index, phrases=True).annotation["phrases"]]
    assert len(texts) > 24 and any(kind in text for kind in KINDS for text in texts)
    assert not any(word in text.split() for text in texts for word in ("star", "fish", "house", "boxs"))


def test_what_solids_serve_and_what_they_do_not():
    source = SyntheticSource("segmentation", split="val", count=2, family="solids")
    assert source.sample(1).maps == {} and source.meta()["classes"] == list(CLASSES)
    assert SyntheticSource("referring", split="val", count=2, family="solids").unit == "phrases"
    with pytest.raises(ConfigError, match="do not serve the task 'keypoints', they serve segmentation"):
        SyntheticSource("keypoints", split="val", count=2, family="solids")
    with pytest.raises(ConfigError, match="solid"):
        SyntheticSource("segmentation", split="val", count=2, family="solid")


def test_the_command_builds_them(tmp_path, capsys):
    words = [
        "data",
        "build",
        "synthetic",
        "--split",
        "val",
        "--count",
        "2",
        "--size",
        "32",
        "--out",
        str(tmp_path / "a"),
    ]
    assert main([*words, "--family", "solids", "--task", "detection"]) == 0
    assert main([*words, "--family", "solids", "--task", "keypoints"]) == 2
    assert "Leave --family out" in capsys.readouterr().err


@pytest.mark.parametrize(("family", "name"), [("solids", "SOLIDS_VERSION"), ("flat", "VERSION")])
def test_shards_of_another_version_of_the_scenes_are_drawn_again(tmp_path, monkeypatch, family, name):
    def written():
        source = SyntheticSource("segmentation", split="val", count=2, family=family)
        return build(source, tmp_path, name="synthetic", split="val").written

    assert (written(), written()) == (1, 0)
    monkeypatch.setattr(f"idiff.synthetic.source.{name}", 99)
    assert (written(), written()) == (1, 0)
