"""Asking a model about one image: in Python, and with the commands that do the same."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import idiff
from idiff import Answer, Pipeline
from idiff.cli import main
from idiff.errors import CheckpointError, ConfigError, DataError
from idiff.models.io.export import write_folder
from idiff.models.ood import OODScore
from idiff.pipeline import RESTORATIONS, to_coco
from idiff.pipeline.overlay import drawn as drawn_large
from idiff.synthetic.source import SyntheticSource
from idiff.types import Sampling
from idiff.utils.images import to_tensor

KINDS = {
    "referring": ("ReferringSegmentation", {}),
    "keypoints": ("KeypointDetection", {"threshold": 0.0}),  # an untrained model paints no discs: take what there is
    "editing": ("InstructEditing", {}),
    "denoise": ("Denoise", {}),
}
TASKS = {
    name: {"task": {"class_path": f"idiff.tasks.{kind}", "init_args": options}, "sampling": {"steps": 2}}
    for name, (kind, options) in KINDS.items()
}
SHAPES = [(64, 64), (40, 90), (200, 130)]
STRANGE = np.full((64, 64, 3), 255, np.uint8)
"""No drawn scene is white all over."""


def drawn(split, index, size=64):
    return SyntheticSource("segmentation", split=split, count=200, seed=0, size=size).sample(index).image


def noise(height=64, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def export(backbone, folder, tasks=TASKS, **options):
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in backbone.unet.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=rng))
    config = {"data": {"init_args": {"tasks": tasks}}}
    return str(write_folder(backbone, folder, config=config, step=1, half=False, **options))


@pytest.fixture
def model(backbone, tmp_path):
    return export(backbone, tmp_path / "model")


@pytest.fixture
def critic(backbone, tmp_path):
    """A model that knows the images it was trained on."""
    with torch.no_grad():
        shown = torch.stack([to_tensor(drawn("train", n)) for n in range(200)])
        known = OODScore.fit(shown, backbone.autoencoder.render(shown))
    return export(backbone, tmp_path / "critic", ood_score=known.describe())


def test_the_package_brings_the_pipeline_and_no_torch_before_it_is_asked_for():
    assert idiff.Pipeline is Pipeline and idiff.Answer is Answer
    with pytest.raises(AttributeError, match="no attribute 'Pipelin'"):
        idiff.Pipelin  # noqa: B018
    script = "import sys, idiff; assert 'Pipeline' in idiff.__all__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_a_phrase_is_answered_with_a_mask_over_the_picture(model, shape):
    picture = noise(*shape)
    answer = Pipeline(model).segment(picture, "the red star")
    assert answer.task == "referring"
    assert len(answer.prompts) == 1 and "the red star" in answer.prompts[0]
    assert (answer.mask.dtype, answer.mask.shape) == (np.bool_, shape)
    assert (answer.overlay.dtype, answer.overlay.shape) == (np.uint8, picture.shape)
    assert np.array_equal(answer.overlay[~answer.mask], picture[~answer.mask])
    assert answer.mask.any() and (answer.overlay[answer.mask] != picture[answer.mask]).any(axis=1).mean() > 0.9
    assert np.array_equal(answer.picture, picture)
    assert 0.5 < answer.score <= 1
    assert answer.keypoints is answer.ood_score is answer.notice is None


@pytest.mark.parametrize("shape", SHAPES)
def test_joints_are_answered_by_the_names_that_were_asked(model, shape):
    answer = Pipeline(model).keypoints(noise(*shape), "left hand, nose, neck, head, left hip, right foot")
    assert set(answer.keypoints) == {"left wrist", "nose", "neck", "head", "left hip", "right ankle"}
    assert len(answer.prompts) == 2
    assert answer.overlay.shape == (*shape, 3)
    assert answer.mask is None
    for x, y, score in answer.keypoints.values():
        assert -shape[1] <= x <= 2 * shape[1] and -shape[0] <= y <= 2 * shape[0] and 0 <= score <= 1
    (entry,) = to_coco(answer, image_id=7)
    assert entry["names"] == list(answer.keypoints)
    assert entry["keypoints"][3:6] == pytest.approx(list(answer.keypoints.values())[1], abs=1e-3)
    assert entry["image_id"] == 7


def test_joints_that_are_not_found_are_left_out(backbone, tmp_path):
    strict = {
        **TASKS["keypoints"],
        "task": {"class_path": "idiff.tasks.KeypointDetection", "init_args": {"threshold": 1.1}},
    }
    answer = Pipeline(export(backbone, tmp_path / "strict", {"keypoints": strict})).keypoints(noise(), "nose")
    assert answer.keypoints == {}
    assert np.array_equal(answer.overlay, noise())


@pytest.mark.parametrize("shape", SHAPES)
def test_an_edit_is_the_new_picture_at_the_size_of_the_old(model, backbone, shape):
    picture = noise(*shape)
    answer = Pipeline(model).edit(picture, " Make the red  star blue.")
    assert answer.prompts == ["Make the red star blue."]
    assert answer.overlay.shape == picture.shape
    assert (answer.overlay != picture).any(axis=2).mean() > 0.9
    if shape == (64, 64):
        painted = backbone.eval().edit(to_tensor(picture)[None], answer.prompts, sampling=Sampling(steps=2), seeds=[0])
        assert np.abs(to_tensor(answer.overlay) - painted[0]).max() < 0.01


def test_a_large_picture_is_restored_in_tiles_that_overlap(model):
    pipe, picture = Pipeline(model), noise(100, 150)
    answer = pipe.restore(picture, "denoise")
    assert answer.overlay.shape == answer.picture.shape == picture.shape
    assert (answer.overlay != picture).any(axis=2).mean() > 0.999
    assert np.array_equal(answer.picture, picture)
    # the corners are what a tile alone says; towards its neighbours it fades out
    for rows, columns, sure in (
        (slice(0, 64), slice(0, 64), (slice(0, 36), slice(0, 43))),
        (slice(36, 100), slice(86, 150), (slice(28, 64), slice(21, 64))),
    ):
        alone = pipe.restore(np.ascontiguousarray(picture[rows, columns]), "denoise").overlay
        assert np.array_equal(answer.overlay[rows, columns][sure], alone[sure])
        assert not np.array_equal(answer.overlay[rows, columns], alone)
    assert np.array_equal(pipe.restore(picture, "denoise", tile=True).overlay, answer.overlay)


@pytest.mark.parametrize("shape", [(30, 40), (64, 64), (65, 64), (20, 129)])
def test_pictures_of_any_size_are_restored(model, shape):
    picture = noise(*shape)
    answer = Pipeline(model, steps=1).restore(picture, "denoise")
    assert answer.overlay.shape == picture.shape
    assert (answer.overlay != picture).any(axis=2).mean() > 0.999


def test_pictures_are_read_from_files_too(model, tmp_path):
    Image.fromarray(noise(40, 70)).save(tmp_path / "a.png")
    pipe = Pipeline(model)
    here, there = (pipe.edit(picture, "Make it blue.") for picture in (noise(40, 70), tmp_path / "a.png"))
    assert np.array_equal(here.overlay, there.overlay)


def test_seed_and_steps_make_another_picture(model):
    first, same, other, longer = (
        Pipeline(model, **options).edit(noise(), "Make it blue.").overlay
        for options in ({}, {}, {"seed": 1}, {"steps": 5})
    )
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other) and not np.array_equal(first, longer)


def test_an_unfamiliar_picture_comes_with_a_notice(critic):
    pipe = Pipeline(critic)
    known, strange = (pipe.segment(picture, "the star") for picture in (drawn("val", 0), STRANGE))
    assert known.ood_score >= 0.5 and known.notice is None
    assert strange.ood_score < 0.1 and "do not trust the answer" in strange.notice
    assert 0 <= strange.score <= strange.ood_score


@pytest.mark.parametrize(("text", "told"), [("the star", False), ("star, heart", True)])
def test_several_names_in_one_phrase_are_told(model, text, told):
    notice = Pipeline(model).segment(noise(), text).notice
    assert ("'star, heart' was asked for as one phrase" in (notice or "")) == told


def test_a_damaged_picture_is_judged_more_widely_where_the_model_has_seen_no_damage(critic):
    pipe = Pipeline(critic, steps=1)
    noisy = drawn("val", 0).astype(int) + np.random.default_rng(0).normal(0, 10, (64, 64, 3))
    damaged, strange = (pipe.restore(p, "denoise") for p in (np.clip(noisy, 0, 255).astype(np.uint8), STRANGE))
    assert damaged.score is None and damaged.ood_score >= 0.5 and damaged.notice is None
    assert strange.ood_score < 0.5 and "do not trust the answer" in strange.notice


@pytest.mark.parametrize("kind", RESTORATIONS)
def test_tiny_knows_the_damage_it_was_trained_on(kind):
    pipe, source = Pipeline("tiny", steps=1), SyntheticSource(kind, split="val", count=20, seed=1)
    scores = [pipe.restore(source.sample(n).image, kind).ood_score for n in range(20)]
    assert np.mean(np.array(scores) >= 0.5) >= 0.9
    for strange in (STRANGE, noise(), np.asarray(Image.linear_gradient("L").convert("RGB"))):
        assert pipe.restore(strange, kind).ood_score < 0.5


def test_a_model_of_classes_is_asked_for_a_class(backbone, tmp_path):
    classes = {"classes": {"task": {"class_path": "idiff.tasks.SemanticSegmentation"}, "sampling": {"steps": 1}}}
    pipe = Pipeline(export(backbone, tmp_path / "classes", classes))
    answer = pipe.segment(noise(40, 90), "zebra")
    assert answer.task == "segmentation" and "zebra" in answer.prompts[0]
    assert (answer.mask.dtype, answer.mask.shape) == (np.bool_, (40, 90))
    for ask in (pipe.keypoints, pipe.edit):
        with pytest.raises(ConfigError, match="trained on no task"):
            ask(noise(), "nose")


REFUSED = [
    ("segment", "a.png", "", "expected words that say what is asked"),
    ("segment", "a.txt", "the star", "a.txt cannot be used"),
    ("segment", "gone.png", "the star", "gone.png is missing: expected an image"),
    ("keypoints", "a.png", ",", "names no joint"),
    ("edit", "a.png", " ", "expected words"),
    ("restore", "a.png", "sharpen", "restore knows no 'sharpen': expected denoise, deblur or dewatermark"),
    ("restore", "a.png", "deblur", "trained on no task 'deblur'"),
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noise(48, 80)).save("a.png")
    (tmp_path / "a.txt").write_text("no image")
    return tmp_path


@pytest.mark.parametrize(("command", "picture", "text", "sentence"), REFUSED)
def test_what_cannot_be_used_is_refused_in_a_sentence(here, model, capfd, command, picture, text, sentence):
    with pytest.raises((ConfigError, DataError), match=sentence.replace(".", r"\.")) as refused:
        getattr(Pipeline(model), command)(picture, text)
    assert "\n" not in str(refused.value)
    capfd.readouterr()
    assert main([command, picture, text, "--checkpoint", model, "--out", "out"]) == 2
    out, err = capfd.readouterr()
    (line,) = [line for line in err.splitlines() if line.startswith("idiff: ")]
    assert err.endswith(f"{line}\n") and sentence in line
    assert err.count("\n") == 1, err
    assert out == "" and not (here / "out").exists()


def test_a_model_that_is_not_there_is_named(tmp_path, capsys):
    with pytest.raises(CheckpointError, match="gone is missing"):
        Pipeline(tmp_path / "gone")
    assert main(["segment", "a.png", "x", "--checkpoint", str(tmp_path / "gone"), "--out", str(tmp_path)]) == 2
    assert main(["segment", "a.png"]) == 2
    assert main(["segment", "a.png", "x", "--steps", "0"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [words in line for words, line in zip(("gone is missing", "TEXT", "1 or more"), lines, strict=True)] == [
        True
    ] * 3


def named(out):
    return {line.removeprefix("wrote ") for line in out.splitlines() if line.startswith("wrote ")}


@pytest.mark.parametrize(
    ("command", "text", "names"),
    [
        ("segment", "the red star", {"a_segment.png", "a_segment_mask.png", "a_segment.json"}),
        ("keypoints", "left hand, nose", {"a_keypoints.png", "a_keypoints.json"}),
        ("edit", "Make the star red.", {"a_edit.png"}),
        ("restore", "denoise", {"a_restore.png"}),
    ],
)
def test_the_commands_write_the_files_they_name(here, model, capsys, command, text, names):
    assert main([command, "a.png", text, "--checkpoint", model, "--out", "out/new", "--steps", "1", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert (
        named(out)
        == {f"out/new/{name}" for name in names}
        == {str(path.relative_to(here)) for path in (here / "out/new").iterdir()}
    )
    assert "idiff: " not in err
    answer = getattr(Pipeline(model, steps=1, seed=3), command)("a.png", text)
    assert str(answer) in out.splitlines() and ("score" in out) == (command in {"segment", "keypoints"})
    folder = here / "out" / "new"
    shown = np.asarray(Image.open(folder / f"a_{command}.png"))
    assert np.array_equal(shown, answer.overlay if command in {"edit", "restore"} else drawn_large(answer))
    if answer.mask is not None:
        shown = np.asarray(Image.open(folder / "a_segment_mask.png"))
        assert np.array_equal(shown, np.where(answer.mask, 255, 0))
    if answer.keypoints is not None:
        assert json.loads((folder / "a_keypoints.json").read_text()) == to_coco(answer, image_id=0)
        assert all(f"{joint}: x {x:.1f}, y {y:.1f}" in out for joint, (x, y, _) in answer.keypoints.items())


def test_several_images_and_folders_are_answered_in_one_call(here, model, capsys):
    folder = here / "more"
    folder.mkdir()
    for name in ("a.png", "b.JPG", "broken.png"):
        Image.fromarray(noise(20, 30)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image either")
    words = ["segment", "a.png", "--steps", "1", "more", "example:objects", "--checkpoint", model, "the star"]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert [line for line in err.splitlines() if line.startswith("idiff: ")] == [
        "idiff: more/broken.png cannot be used: broken.png: source: cannot be decoded: starts with b'no image', expected a JPEG, "
        "PNG or WebP file"
    ]
    assert {path.name for path in (here / "answers").glob("*_mask.png")} == {
        "a_segment_mask.png", "a_segment_2_mask.png", "b_segment_mask.png", "objects_segment_mask.png"
    }  # fmt: skip
    assert np.asarray(Image.open(here / "answers/a_segment_mask.png")).shape == (48, 80)
    assert np.asarray(Image.open(here / "answers/a_segment_2_mask.png")).shape == (20, 30)
    ids = [json.loads(path.read_text()) for path in (here / "answers").glob("*.json")]
    assert len({entry["image_id"] for entries in ids for entry in entries}) == sum(map(len, ids)) > 0
    (here / "empty").mkdir()
    assert main(["segment", "empty", "the star", "--checkpoint", model]) == 2
    assert "empty has no image: expected files such as *.jpg" in capsys.readouterr().err
    assert {path.name for path in here.iterdir()} == {"a.png", "a.txt", "answers", "more", "empty", "model"}


def test_the_answer_stands_beside_the_image_where_that_is_asked(here, model, capsys):
    assert main(["edit", "a.png", "Make it blue.", "--compare", "--checkpoint", model, "--steps", "1"]) == 0
    answer = Pipeline(model, steps=1).edit("a.png", "Make it blue.")
    both = np.asarray(Image.open(here / "answers" / "a_edit_compare.png"))
    assert np.array_equal(both, drawn_large(answer, compare=True)) and both.shape[1] > 2 * 512


def test_the_command_says_when_not_to_trust_it(here, critic, capsys):
    Image.fromarray(drawn("val", 0)).save("known.png")
    assert main(["segment", "known.png", "the star", "--checkpoint", critic]) == 0
    assert "idiff: " not in capsys.readouterr().err
    Image.fromarray(STRANGE).save("strange.png")
    assert main(["segment", "strange.png", "the star", "--checkpoint", critic]) == 0
    assert "idiff: This image is unlike those" in capsys.readouterr().err
