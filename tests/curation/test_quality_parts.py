"""Features, the aesthetic head, KNN-GIQA: each against a plain calculation, or an outside one."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.spatial.distance import cdist
from shard_making import ToySource, file_bytes, picture

from idiff.cli import main
from idiff.curation.quality.aesthetic import load_head
from idiff.curation.quality.features import ClipFeatures, ColorStatistics
from idiff.curation.quality.giqa import NEAREST, knn_giqa
from idiff.curation.quality.scoring_choice import load_features
from idiff.data.build.builder import build
from idiff.data.shards.reader import ShardSet
from idiff.errors import CheckpointError, ConfigError, DataError
from idiff.utils.picture_files import decode_picture

MLP = (6, 5, 4, 3, 2, 1)


def chain(seed=0):
    """Tensors in the layout of improved-aesthetic-predictor: linear layers at places 0, 2, 4, 6, 7 of a sequence."""
    rng = torch.Generator().manual_seed(seed)
    state = {}
    for place, width, after in zip((0, 2, 4, 6, 7), MLP[:-1], MLP[1:], strict=True):
        state[f"layers.{place}.weight"] = torch.randn(after, width, generator=rng)
        state[f"layers.{place}.bias"] = torch.randn(after, generator=rng)
    return state


def test_the_linear_head_is_a_dot_product_with_the_direction(tmp_path):
    weight, bias = torch.tensor([[3.0, 0.0, -1.0]]), torch.tensor([0.5])
    save_file({"linear.weight": weight, "linear.bias": bias}, tmp_path / "a.safetensors")
    torch.save({"weight": weight, "bias": bias}, tmp_path / "b.pth")
    features = torch.tensor([[0.0, 0.0, 2.0], [3.0, 0.0, 4.0], [0.0, 0.0, 0.0]])
    for name in ("a.safetensors", "b.pth"):
        assert load_head(tmp_path / name)(features).tolist() == pytest.approx([-0.5, 0.5 + 1.8 - 0.8, 0.5])


def test_the_chain_is_that_of_the_released_predictor(tmp_path):
    state = chain()
    save_file(dict(reversed(state.items())), tmp_path / "mlp.safetensors")
    module = torch.nn.ModuleDict({"layers": torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.Dropout(0.2), torch.nn.Linear(5, 4), torch.nn.Dropout(0.2), torch.nn.Linear(4, 3),
        torch.nn.Dropout(0.1), torch.nn.Linear(3, 2), torch.nn.Linear(2, 1),
    )}).eval()  # fmt: skip
    module.load_state_dict(state)
    features = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
    unit = features / features.norm(dim=1, keepdim=True)
    with torch.no_grad():
        expected = module["layers"](unit)[:, 0]
    torch.testing.assert_close(load_head(tmp_path / "mlp.safetensors")(features), expected)


@pytest.mark.parametrize(
    "state",
    [
        {"other": torch.zeros(1, 3)},
        {"linear.weight": torch.zeros(1, 3)},
        {"linear.weight": torch.zeros(2, 3), "linear.bias": torch.zeros(2)},
        {key: value for key, value in chain().items() if not key.startswith("layers.2")},
    ],
)
def test_another_layout_is_refused(tmp_path, state):
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="is not an aesthetic head, it holds"):
        load_head(tmp_path / "x.safetensors")


class Evil:
    def __reduce__(self):
        return (open, ("ran", "w"))


def test_nothing_in_a_file_of_weights_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Evil()}, "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "cut.safetensors").write_bytes(b"abc")
    for name in ("evil.pth", "plain.pth", "cut.safetensors"):
        with pytest.raises(CheckpointError, match="cannot be read as plain tensors"):
            load_head(name)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(DataError, match="is missing"):
        load_head("nowhere.safetensors")


def test_a_head_of_other_features_is_named(tmp_path):
    save_file({"weight": torch.zeros(1, 768), "bias": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ConfigError, match="takes features of 768 numbers, got 26"):
        load_head(tmp_path / "x.safetensors")(ColorStatistics()([picture(0)]))


@pytest.mark.parametrize("block", [1, 7, 100])
def test_giqa_is_exact_for_any_size_of_block(block):
    rng = np.random.default_rng(0)
    queries, reference = (rng.normal(size=(count, 8)).astype(np.float32) for count in (11, 50))
    expected = (np.sort(cdist(queries, reference), axis=1)[:, :6] ** -2.0).mean(axis=1)
    blocks = torch.from_numpy(reference).split(block)
    got = knn_giqa(torch.from_numpy(queries), blocks, neighbours=6)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4)


def test_giqa_of_a_picture_of_the_reference_is_finite():
    reference = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    score = knn_giqa(reference[:1], [reference], neighbours=2)
    assert score.item() == pytest.approx((NEAREST**-2 + 5**-2) / 2)
    assert math.isfinite(score.item())


def test_giqa_refuses_a_reference_that_is_too_small_or_of_other_features():
    with pytest.raises(ConfigError, match="has 3 images, fewer than neighbours=4"):
        knn_giqa(torch.zeros(1, 2), [torch.zeros(3, 2)], neighbours=4)
    with pytest.raises(ConfigError, match="features of 3 numbers, the images have 2"):
        knn_giqa(torch.zeros(1, 2), [torch.zeros(9, 3)], neighbours=4)


def test_color_statistics_tell_sharp_from_blank():
    blank, noise = np.full((20, 30, 3), 200, np.uint8), picture(0, 20, 30)
    found = ColorStatistics(bins=4)([blank, noise, blank[:1, :1]])
    assert found.shape == (3, 14)
    assert found[0, :12].reshape(3, 4).tolist() == [[0, 0, 0, 1]] * 3
    assert found[0, 12:].tolist() == [0, 0]
    assert (found[1, 12:] > 0.1).all()
    assert found[2].isfinite().all()


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A small untrained CLIP in the hub's format."""
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder = tmp_path_factory.mktemp("clip")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = sizes | {"vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(0)
    CLIPModel(
        CLIPConfig(text_config=text, vision_config=sizes | {"image_size": 32, "patch_size": 8}, projection_dim=12)
    ).save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)  # fmt: skip
    return folder


def test_clip_features_are_those_of_the_model_on_its_own_preprocessing(clip_folder):
    from PIL import Image
    from transformers import CLIPModel

    pictures = [picture(0, 40, 64), picture(1, 64, 40), decode_picture(file_bytes(picture(2), "PNG"), where="x")]
    features = ClipFeatures(str(clip_folder), batch_size=2)
    found = features(pictures)
    assert (found.shape, found.dtype) == ((3, 12), torch.float32)
    torch.testing.assert_close(found[1:2], features(pictures[1:2]))
    # by hand: the shorter side to 32 by bicubic, the middle square, CLIP's mean and deviation
    image = Image.fromarray(pictures[1]).resize((32, 51), Image.Resampling.BICUBIC).crop((0, 9, 32, 41))
    mean, deviation = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    pixels = torch.tensor((np.asarray(image) / 255 - mean) / deviation).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        expected = CLIPModel.from_pretrained(clip_folder).eval().get_image_features(pixel_values=pixels).pooler_output
    torch.testing.assert_close(found[1:2], expected, atol=0.03, rtol=0.03)
    assert len(features.fingerprint()) == 64


def test_the_command_scores_by_clip_and_the_head(clip_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build(ToySource(9), "set", name="toy", split="val", shard_size=4)
    Path("clip.yaml").write_text(
        f"class_path: idiff.curation.quality.features.ClipFeatures\ninit_args: {{folder: {clip_folder}, batch_size: 3}}"
    )
    weight = torch.randn(1, 12, generator=torch.Generator().manual_seed(2))
    save_file({"linear.weight": weight, "linear.bias": torch.tensor([5.0])}, "head.safetensors")
    shards = ShardSet.open("set")
    vectors = ClipFeatures(str(clip_folder))([shards.read(place).image for place in range(9)])
    scores = (vectors / vectors.norm(dim=1, keepdim=True)) @ weight[0] + 5
    limit = float(scores.sort().values[3:5].mean())
    words = ["--features", "clip.yaml", "--aesthetic", "head.safetensors", "--min-aesthetic", str(limit)]
    assert main(["data", "filter", "set", "--out", "good", *words]) == 0
    expected = [shards.key(place) for place in range(9) if scores[place] >= limit]
    assert Path("good/kept.txt").read_text().split() == expected
    assert len(ShardSet.open("good")) == len(expected) == 5


def test_a_folder_without_safe_weights_is_refused(clip_folder, tmp_path):
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((clip_folder / name).read_bytes())
    with pytest.raises(DataError, match=r"model\.safetensors is missing.*pickled weights are not read"):
        ClipFeatures(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"12345678")
    with pytest.raises(CheckpointError, match="cannot be used as a CLIP model"):
        ClipFeatures(str(tmp_path))


def test_an_extractor_is_named_in_a_yaml(clip_folder, tmp_path):
    file = tmp_path / "features.yaml"
    file.write_text(f"class_path: ClipFeatures\ninit_args: {{folder: {clip_folder}, batch_size: 3}}")
    assert load_features(file)[1].batch_size == 3
    file.write_text("class_path: ColorStatistics\ninit_args: {bins: 5}")
    assert load_features(file)[1].bins == 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "cannot be read as YAML"),
        ("bins: 3", "expected `class_path` and `init_args`"),
        ("class_path: pathlib.Path", "subclass of"),
        ("class_path: ColorStatistics\ninit_args: {bin: 3}", "bin"),
        ("class_path: ColorStatistics\ninit_args: {bins: 1}", "bins is 1, expected 2 to 256"),
    ],
)
def test_a_yaml_that_names_no_extractor_is_refused(tmp_path, text, reason):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=reason):
        load_features(tmp_path / "x.yaml")
