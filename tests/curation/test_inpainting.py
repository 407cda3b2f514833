"""Pairs made by inpainting: what is taken out, put in and replaced, the checks of a pair, and the command."""

import json
import pickle

import numpy as np
import pytest
import torch
from raw_sets import put, serves, smooth
from shard_making import file_bytes
from small_models import AUTOENCODER, ROOT, TEXT, UNET

from idiff.cli import main
from idiff.curation.inpainting import inpainting_source as inpainting
from idiff.curation.inpainting.fill import CvInpainter, PipelineInpainter, PipelineOptions, create
from idiff.curation.inpainting.inpaintable import mask_of, things_of
from idiff.curation.inpainting.inpainting_source import Inpainting
from idiff.curation.inpainting.paste import fits, paste
from idiff.curation.inpainting.wording import place_of, sentences, with_article
from idiff.data.build.builder import build
from idiff.data.shards.reader import ShardSet
from idiff.data.sources import RawSample, Source
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.tasks import InstructEditing
from idiff.utils.masks import decode_mask, encode_mask
from idiff.utils.seeds import numpy_rng

SIDE = 48
CLASSES = ["background", "red_box", "blue box", "green box", "sky"]
BOXES = {1: (6, 8, 12, 10), 2: (28, 26, 12, 12), 3: (26, 6, 10, 9)}  # value -> left, top, width, height
COLORS = {1: (250, 10, 10), 2: (10, 10, 250), 3: (10, 250, 10)}


class Boxes(Source):
    """Images of colored boxes, as label maps or as instances with masks and phrases."""

    def __init__(self, kind, count=3, phrases=True):
        self.kind, self.count, self.phrases = kind, count, phrases
        self.tasks = ("segmentation",) if kind == "labels" else ("referring",)
        self.unit = "picture" if kind == "labels" or not phrases else "phrases"

    def meta(self):
        return {"classes": CLASSES} if self.kind == "labels" else {}

    def __len__(self):
        return self.count

    def sample(self, index):
        picture, label = smooth(index, SIDE, SIDE), np.zeros((SIDE, SIDE), np.uint8)
        label[-4:] = 4 if self.kind == "labels" else 0
        for value in (1, 2) if index % 2 == 0 else (1, 3):
            left, top, width, height = BOXES[value]
            picture[top : top + height, left : left + width] = COLORS[value]
            label[top : top + height, left : left + width] = value
        values = [int(value) for value in np.unique(label) if value]
        if self.kind == "labels":
            return RawSample(f"s{index}", file_bytes(picture, "PNG"), {}, label=label)
        instances = [{"category": CLASSES[value], "mask": encode_mask(label == value)} for value in values]
        facts = {"instances": instances}
        if self.phrases:
            facts["phrases"] = [
                {"text": "the red one", "instances": [0]}, {"text": "box at the top", "instances": [0]},
                {"text": "every box", "instances": [1]}, {"text": "both boxes", "instances": [0, 1]},
                {"text": "a yellow box", "instances": []}, {"text": "a box below", "instances": [1]},
            ]  # fmt: skip
        return RawSample(f"s{index}", file_bytes(picture, "PNG"), facts)


def shards_of(tmp_path, kind, **options):
    build(Boxes(kind, **options), tmp_path / kind, name="boxes", split="train")
    return ShardSet.open(tmp_path / kind)


def test_what_words_single_out_can_be_taken(tmp_path):
    labels = things_of(shards_of(tmp_path, "labels"), 0)
    assert [(thing.names, thing.value) for thing in labels] == [(("red box",), 1), (("blue box",), 2), (("sky",), 4)]
    assert [thing.whole for thing in labels] == [True, True, False]
    assert labels[0].share == pytest.approx(120 / SIDE**2)
    shards = shards_of(tmp_path, "masks")
    named, other = things_of(shards, 0)
    assert named.names == ("red one", "box at the top") and named.category == "red box"
    assert other.names == ("box below",)  # "every box" names no single one
    sample = shards.read(0)
    left, top, width, height = BOXES[1]
    mask = mask_of(named, sample.annotation, sample.label)
    assert mask.sum() == width * height and mask[top : top + height, left : left + width].all()
    build(Boxes("masks", phrases=False), tmp_path / "bare", name="boxes", split="train")
    assert [thing.names for thing in things_of(ShardSet.open(tmp_path / "bare"), 1)] == [("red box",), ("green box",)]


@pytest.mark.parametrize("kind", ["labels", "masks"])
def test_pairs_differ_in_their_region_alone(tmp_path, kind):
    shards = shards_of(tmp_path, kind)
    source = Inpainting(shards, CvInpainter(), per_picture=3, seed=1)
    report = build(source, tmp_path / "pairs", name="inpaint", split="train")
    made = ShardSet.open(tmp_path / "pairs", verify=True)
    assert report.manifest.tasks == ["editing"] and len(made) + report.rejected == len(source)
    seen = set()
    for place in range(len(made)):
        sample = made.read(place)
        edit, region = sample.annotation["edit"], decode_mask(sample.annotation["region"])
        seen.add(edit["operation"])
        changed = (sample.image != sample.target).any(axis=2)
        assert not changed[~region].any() and changed[region].mean() > 0.5
        original = shards.read([shards.key(n) for n in range(len(shards))].index(sample.annotation["of"])).image
        kept = sample.target if edit["operation"] == "add" else sample.image
        assert np.array_equal(kept, original)
        words = edit["thing"].split()[-1] if edit["operation"] == "add" else edit["object"]
        assert all(words in text for text in sample.annotation["instructions"])
        assert len(set(sample.annotation["instructions"])) == 4
        assert sample.annotation["instruction"] == sample.annotation["instructions"][0]
        if edit["operation"] == "replace":
            assert edit["thing"] != edit["category"] and edit["thing"] in sample.annotation["instruction"]
    assert seen == {"remove", "add", "replace"}
    serves(made, InstructEditing(size=SIDE))


def test_removal_continues_what_lies_around(tmp_path):
    shards = shards_of(tmp_path, "labels")
    source = Inpainting(shards, CvInpainter(), operations=["remove"], classes=["red box"])
    assert source.funnel() == {"images": 3, "objects": 3, "of a fitting size": 3, "taken": 3, "pairs": 3}
    pair = source.sample(0)
    left, top, width, height = BOXES[1]
    hole = (slice(top, top + height), slice(left, left + width))
    clean = smooth(0, SIDE, SIDE)[hole].astype(int)
    assert np.abs(pair.target[hole] - clean).mean() < 0.25 * np.abs(np.array(COLORS[1]) - clean).mean()
    assert pair.image == shards.read_members(0)["source.png"]
    (taken,) = {source.things[0].category}
    assert taken == "red box" and "red box" in pair.annotation["instruction"]


def test_the_same_seed_makes_the_same_pairs_in_any_process(tmp_path):
    shards = shards_of(tmp_path, "labels")
    one, again = (Inpainting(shards, CvInpainter(), seed=5) for _ in range(2))
    sent = pickle.loads(pickle.dumps(one))
    for index in (3, 0, 5):  # remove, remove, replace: the target is an array
        first, second, third = one.sample(index), again.sample(index), sent.sample(index)
        for other in (second, third):
            assert first.key == other.key and first.annotation == other.annotation
            assert np.array_equal(first.target, other.target) and first.image == other.image
    seeds = {
        str([thing.names for thing in Inpainting(shards, CvInpainter(), per_picture=1, seed=n).things])
        for n in range(6)
    }
    assert len(seeds) > 1


class Careless(CvInpainter):
    """Changes a pixel outside of the hole."""

    def __call__(self, picture, hole, rng, *, name):
        filled = super().__call__(picture, hole, rng, name=name)
        filled[tuple(np.argwhere(~hole)[0])] ^= 255
        return filled


class Lazy(CvInpainter):
    """Leaves the object where it is."""

    def __call__(self, picture, hole, rng, *, name):
        return picture.copy()


class Wrong(CvInpainter):
    """Makes an image of another size."""

    def __call__(self, picture, hole, rng, *, name):
        return picture[:-1]


@pytest.mark.parametrize(
    ("inpainter", "field", "reason"),
    [
        (Careless, "outside", "1 pixels outside of the mask differ, expected none"),
        (Lazy, "inside", "changed by 0.0 gray levels on average, expected at least 8"),
        (Wrong, "target", "the inpainter made uint8 (47, 48, 3), not an image as given"),
    ],
)
def test_bad_pairs_are_named_and_left_out(tmp_path, inpainter, field, reason):
    source = Inpainting(shards_of(tmp_path, "labels"), inpainter(), operations=["remove", "add"])
    with pytest.raises(DataError, match="none of the"):
        build(source, tmp_path / "pairs", name="inpaint", split="train")
    lines = [json.loads(line) for line in (tmp_path / "pairs/rejected.jsonl").read_text().splitlines()]
    assert len(lines) == len(source)
    assert {(line["field"], line["reason"]) for line in lines} == {(field, reason)}
    assert lines[0]["where"] == "s0/0-remove"


def test_objects_are_pasted_to_fit_the_hole():
    hole, mask = np.zeros((40, 60), bool), np.zeros((30, 30), bool)
    hole[10:30, 20:36] = True
    mask[5:15, 5:10] = True
    other = np.full((30, 30, 3), 200, np.uint8)
    picture = np.zeros((40, 60, 3), np.uint8)
    assert fits(hole, mask) == 2.0
    result, covered = paste(picture, hole, other, mask)
    rows, columns = np.nonzero(covered)
    assert (rows.min(), rows.max()) == (10, 29) and (columns.min(), columns.max()) == (23, 32)
    assert (result[12:28, 24:31] == 200).all() and not result[~covered].any()
    assert fits(hole, np.pad(np.ones((2, 2), bool), 3)) is None
    assert fits(hole, np.ones((90, 90), bool)) is None


def test_without_another_class_nothing_is_replaced(tmp_path):
    source = Inpainting(shards_of(tmp_path, "labels"), CvInpainter(), operations=["replace"], classes=["red box"])
    with pytest.raises(BadSampleError, match="none of 0 objects of other classes fits into the hole"):
        source.sample(0)


def test_words():
    assert [with_article(name) for name in ("dog", "oven", "jeans", "bus", "dress")] == [
        "a dog",
        "an oven",
        "jeans",
        "a bus",
        "a dress",
    ]
    mask = np.zeros((30, 30), bool)
    mask[2:6, 22:28] = True
    assert place_of(mask) == "upper right"
    told = sentences("add", {"thing": "an oven", "place": "centre"}, numpy_rng(0))
    assert len(set(told)) == 4 and all("an oven" in text and "centre" in text for text in told)


def test_wrong_options_are_one_sentence(tmp_path):
    shards = shards_of(tmp_path, "labels")
    for options, reason in (
        ({"operations": ["remvoe"]}, "did you mean 'remove'"),
        ({"per_picture": 0}, "per_picture=0"),
        ({"shares": (0.5, 0.1)}, "shares in order"),
        ({"classes": ["red bx"]}, "did you mean 'red box'"),
    ):
        with pytest.raises(ConfigError, match=reason):
            Inpainting(shards, CvInpainter(), **options)


def test_the_command(tmp_path, capsys):
    shards_of(tmp_path, "labels")
    words = [
        "data",
        "inpaint",
        str(tmp_path / "labels"),
        "--out",
        str(tmp_path / "pairs"),
        "--classes",
        "red box, blue box",
    ]
    assert main([*words, "--operations", "remove,replace"]) == 0
    said = capsys.readouterr().out
    assert "3 images -> 5 objects -> 5 of a fitting size -> 5 taken -> 10 pairs" in said
    assert "remove: 5 of 5, replace: 5 of 5" in said
    assert main(["data", "check", str(tmp_path / "pairs")]) == 0
    assert json.loads((tmp_path / "pairs/manifest.json").read_text())["source"] == "inpaint"
    capsys.readouterr()
    assert main(["data", "stats", str(tmp_path / "pairs"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["edits"] == {"remove": 5, "replace": 5}
    assert main([*words, "--operations", "remove"]) == 2
    assert "holds another build: operations was" in capsys.readouterr().err
    assert main(["data", "inpaint", str(tmp_path / "nowhere"), "--out", "x"]) == 2


def test_a_set_without_masks_says_so(tmp_path, capsys):
    put(tmp_path / "raw/val/a.png", smooth(0))
    assert main(["data", "build", "folder", "--root", str(tmp_path / "raw"), "--split", "val", "--task", "denoise",
                 "--out", str(tmp_path / "set")]) == 0  # fmt: skip
    assert main(["data", "inpaint", str(tmp_path / "set"), "--out", str(tmp_path / "pairs")]) == 2
    assert "no sample found. Steps: 1 images -> 0 objects" in capsys.readouterr().err


# --- pipelines of diffusers ---


@pytest.fixture(scope="module")
def pipeline_folder(tmp_path_factory):
    """A small inpainting pipeline in diffusers' format. It is not trained: what it paints is noise."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(str(ROOT / "idiff/assets/tokenizer"))
    text = CLIPTextModel(CLIPTextConfig(vocab_size=len(tokenizer), **TEXT))
    unet = UNet2DConditionModel(in_channels=9, out_channels=4, cross_attention_dim=TEXT["hidden_size"], **UNET)
    pipeline = StableDiffusionInpaintPipeline(
        vae=AutoencoderKL(**AUTOENCODER), text_encoder=text, tokenizer=tokenizer, unet=unet,
        scheduler=DDIMScheduler(steps_offset=1), safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("pipeline") / "inpaint"
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def test_any_inpainting_pipeline_fills_holes(tmp_path, pipeline_folder, capsys):
    config = tmp_path / "inpainter.yaml"
    config.write_text(
        f"path: {pipeline_folder}\nsteps: 2\nsize: 32\nprompt: grass instead of {{object}}\nguidance: 2\n"
    )
    painter = create(str(config))
    assert painter.facts == {
        "inpainter": "inpaint", "prompt": "grass instead of {object}", "steps": 2, "guidance": 2, "size": 32,
        "negative_prompt": "{object}, object, text",
    }  # fmt: skip
    picture, hole = smooth(0, 40, 60), np.zeros((40, 60), bool)
    hole[10:30, 15:40] = True
    one, again, other = (
        pickle.loads(pickle.dumps(painter))(picture, hole, numpy_rng(n), name="dog") for n in (0, 0, 1)
    )
    assert one.shape == picture.shape and np.array_equal(one, again) and not np.array_equal(one, other)
    assert np.array_equal(one[~hole], picture[~hole]) and not np.array_equal(one[hole], picture[hole])
    shards_of(tmp_path, "labels")
    words = ["data", "inpaint", str(tmp_path / "labels"), "--out", str(tmp_path / "pairs"), "--inpainter", str(config)]
    assert main([*words, "--per-picture", "1", "--operations", "remove,add"]) == 0
    assert "remove: 3 of 3, add: 3 of 3" in capsys.readouterr().out
    assert ShardSet.open(tmp_path / "pairs").read(0).annotation["inpainted"]["steps"] == 2


def test_what_is_no_inpainting_pipeline_is_refused(tmp_path, pipeline_folder):
    with pytest.raises(DataError, match=r"model_index\.json is missing: expected an inpainting pipeline"):
        create(str(tmp_path))
    index = json.loads((pipeline_folder / "model_index.json").read_text())
    for change, reason in (
        ({"_class_name": "StableDiffusionPipeline"}, "expected one for inpainting"),
        ({"_class_name": ["mine.py", "MyInpaintPipeline"]}, "expected one for inpainting"),
        ({"unet": ["os", "system"]}, "parts of other libraries are not loaded: unet from 'os'"),
    ):
        (tmp_path / "model_index.json").write_text(json.dumps(index | change))
        with pytest.raises(ConfigError, match=reason):
            PipelineInpainter(PipelineOptions(path=str(tmp_path)))
    for text, reason in (
        ("steps: 3", "expected `path`"),
        (f"path: {pipeline_folder}\nstep: 3", "no field 'step'; did you mean 'steps'"),
        (f"path: {pipeline_folder}\nsteps: many", "steps is 'many', expected int"),
        ("{", "cannot be read"),
    ):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(ConfigError, match=reason):
            create(str(tmp_path / "x.yaml"))


def test_the_least_change_is_a_mean(monkeypatch, tmp_path):
    source = Inpainting(shards_of(tmp_path, "labels"), CvInpainter(), operations=["remove"])
    assert source.sample(0).key == "s0-0-remove"
    monkeypatch.setattr(inpainting, "LEAST_CHANGE", 255.1)
    with pytest.raises(BadSampleError, match=r"s0/0-remove: inside: changed by .* at least 255\.1"):
        source.sample(0)
