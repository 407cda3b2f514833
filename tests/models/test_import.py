"""Files of others come in: what their networks say afterwards is what diffusers and transformers say, and no key goes astray."""

import json
import os
import pickle
import re
import shutil

import pytest
import torch
from compvis_layouts import UNET_CONFIG, Models, averages, buffers, ordered
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

from idiff.cli import main
from idiff.errors import CheckpointError
from idiff.models.io.checkpoint import load
from idiff.models.io.importing.importer import REPORT, import_model

SPECKS = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def edit(place):
    """A model with a source: 8 channels in."""
    return Models(place)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A text-to-image model: 4 channels in."""
    return Models(tmp_path_factory.mktemp("base"), channels=4, seed=1)


def old_lightning(weights):
    """What Lightning 1 saved: classes that are gone, as keys and as values."""
    gone = type("ModelCheckpoint", (), {})
    gone.__module__ = "pytorch_lightning.callbacks.model_checkpoint"
    return {
        "epoch": 3, "global_step": 22_000, "pytorch-lightning_version": "1.4.2", "state_dict": ordered(weights),
        "callbacks": {gone: {"best_model_score": torch.tensor(0.5), "kept": gone()}}, "optimizer_states": [{"state": {}}],
    }  # fmt: skip


class AsIfImported:
    """A pickler's module whose pickles name classes that nobody can import here."""

    dumps, loads, load = pickle.dumps, pickle.loads, pickle.load

    class Pickler(pickle._Pickler):
        def save_global(self, obj, name=None):
            if getattr(obj, "__module__", "").startswith("pytorch_lightning."):
                self.write(pickle.GLOBAL + f"{obj.__module__}\n{obj.__name__}\n".encode())
                self.memoize(obj)
            else:
                super().save_global(obj, name)

        dispatch = pickle._Pickler.dispatch | {type: save_global}

    @classmethod
    def dump(cls, obj, file, protocol=None):
        cls.Pickler(file, protocol).dump(obj)


def same_unet(folder, net):
    ours = UNet2DConditionModel.from_pretrained(folder / "unet")
    torch.manual_seed(3)
    noisy, words, t = torch.randn(2, net.config.in_channels, 8, 16), torch.randn(2, 77, 64), torch.tensor([999, 3])
    extra = torch.randn(2, ours.config.in_channels - net.config.in_channels, 8, 16)
    with torch.no_grad():
        said = ours(torch.cat([noisy, extra], dim=1), t, encoder_hidden_states=words).sample
        torch.testing.assert_close(said, net(noisy, t, encoder_hidden_states=words).sample, **SPECKS)


def same_rest(folder, models):
    vae, text = AutoencoderKL.from_pretrained(folder / "vae"), CLIPTextModel.from_pretrained(folder / "text_encoder")
    picture, ids = torch.rand(1, 3, 64, 96) * 2 - 1, torch.randint(0, 500, (2, 77))
    with torch.no_grad():
        torch.testing.assert_close(
            vae.encode(picture).latent_dist.parameters, models.vae.encode(picture).latent_dist.parameters, **SPECKS
        )
        torch.testing.assert_close(vae(picture).sample, models.vae(picture).sample, **SPECKS)
        torch.testing.assert_close(text(ids).last_hidden_state, models.text(ids).last_hidden_state, **SPECKS)
    assert vae.config.scaling_factor == 0.18215
    words = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    assert (
        words("the red star")["input_ids"]
        == CLIPTokenizer.from_pretrained(models.tokenizer)("the red star")["input_ids"]
    )


def accounted(folder, keys):
    """Every key of the file has a row, and every weight of the networks came from just one."""
    rows = json.loads((folder / REPORT).read_text(encoding="utf-8"))["keys"]
    named = [row["key"] for row in rows]
    assert sorted(named) == sorted(set(named))
    assert set(keys) == set(named)
    assert all(row.get("why") for row in rows if row["fate"] != "loaded")
    nets = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}
    wanted = [
        f"{part}/{key}" for part, kind in nets.items() for key in kind.from_pretrained(folder / part).state_dict()
    ]
    assert sorted(row["to"] for row in rows if "to" in row) == sorted(wanted)


@pytest.mark.parametrize("ending", [".ckpt", ".safetensors"])
def test_stable_diffusion_is_widened_and_says_the_same(base, tmp_path, ending):
    """(a) A whole file: weights, averages, buffers and numbers that only training needs."""
    weights = base.compvis()
    content = weights | buffers() | averages(weights)
    file = tmp_path / f"v1-5{ending}"
    if ending == ".ckpt":
        torch.save({"state_dict": ordered(content), "global_step": 840_000}, file)
    else:
        save_file({key: value.contiguous() for key, value in content.items()}, file)
    made = import_model(file, tmp_path / "out", tokenizer=str(base.tokenizer), ema="no")
    assert made.family == "sd15"
    same_unet(tmp_path / "out", base.unet)
    same_rest(tmp_path / "out", base)
    accounted(tmp_path / "out", [*content, *(["global_step"] if ending == ".ckpt" else [])])
    loaded = load(tmp_path / "out")
    assert loaded.step == (840_000 if ending == ".ckpt" else 0)
    assert loaded.backbone.with_source
    assert not loaded.backbone.unet.conv_in.weight[:, 4:].any()


def test_the_authors_adaption_comes_in_by_its_name(edit, tmp_path):
    """(b) The released file: 8 channels, averages already in."""
    file = tmp_path / "v1-5-pruned-emaonly-adaption-task.ckpt"
    weights = edit.compvis()
    torch.save({"state_dict": ordered(weights)}, file)
    assert main(["import", str(file), "--out", str(tmp_path / "out"), "--tokenizer", str(edit.tokenizer)]) == 0
    same_unet(tmp_path / "out", edit.unet)
    same_rest(tmp_path / "out", edit)
    accounted(tmp_path / "out", weights)
    loaded = load(tmp_path / "out")
    assert loaded.backbone.objective.rule == "instructdiffusion"
    assert (loaded.presets["keypoints"].guidance_text, loaded.presets["keypoints"].guidance_image) == (6.0, 0.5)
    assert {preset.steps for preset in loaded.presets.values()} == {100}


@pytest.mark.parametrize("within", ["model.", ""])
def test_a_training_state_gives_its_averages(edit, tmp_path, within):
    """(c) `model`, `model_ema` without dots and the optimizer; averages named from within `model.` or from outside."""
    weights = edit.compvis()
    average = averages(weights, prefix="", within=within)
    optimizer = {"state": {0: {"exp_avg": torch.rand(3)}}}
    torch.save({"model": weights, "model_ema": average, "optimizer": optimizer, "epoch": 5}, tmp_path / "state.pth")
    made = import_model(tmp_path / "state.pth", tmp_path / "out", tokenizer=str(edit.tokenizer))
    assert made.family == "instructdiffusion"
    moved = Models(tmp_path)
    moved.unet.load_state_dict({key: value + 0.01 for key, value in edit.unet.state_dict().items()})
    same_unet(tmp_path / "out", moved.unet)
    same_rest(tmp_path / "out", edit)
    accounted(tmp_path / "out", [*weights, *("model_ema." + key for key in average), "optimizer", "epoch"])


def test_averages_may_be_named_by_another_version_of_transformers(edit, tmp_path):
    weights, start = edit.compvis(), "cond_stage_model.transformer."
    average = averages(weights, prefix="", within="")
    moved = {start + "text_model." + key: value + 0.5 for key, value in edit.text.state_dict().items()}
    newer = {key.replace("text_model.", "").replace(".", ""): value for key, value in moved.items()}
    torch.save({"model": weights, "model_ema": average | newer}, tmp_path / "state.pth")
    import_model(tmp_path / "state.pth", tmp_path / "out", tokenizer=str(edit.tokenizer))
    came = CLIPTextModel.from_pretrained(tmp_path / "out" / "text_encoder").state_dict()
    assert all(torch.equal(came[key], value + 0.5) for key, value in edit.text.state_dict().items())


def test_names_of_transformers_5_come_in(edit, tmp_path):
    """A text encoder's names without `text_model.`, a counter and CLIP's temperature beside them."""
    start = "cond_stage_model.transformer."
    weights = {key.replace(start + "text_model.", start): value for key, value in edit.compvis().items()}
    more = {start + "embeddings.position_ids": torch.arange(77)[None], "cond_stage_model.logit_scale": torch.ones(())}
    torch.save({"state_dict": weights | more}, tmp_path / "adaption.ckpt")
    import_model(tmp_path / "adaption.ckpt", tmp_path / "out", tokenizer=str(edit.tokenizer))
    same_rest(tmp_path / "out", edit)
    accounted(tmp_path / "out", weights | more)
    key = start + "encoder.layers.1.mlp.fc2.weight"
    del weights[key]
    torch.save({"state_dict": weights}, tmp_path / "adaption.ckpt")
    with pytest.raises(CheckpointError, match=re.escape(key)):
        import_model(tmp_path / "adaption.ckpt", tmp_path / "again", tokenizer=str(edit.tokenizer))


def test_a_configuration_beside_the_file_says_what_no_shape_does(edit, tmp_path):
    file = tmp_path / "adaption.ckpt"
    torch.save({"state_dict": edit.compvis()}, file)
    described = {"model": {"params": {"scale_factor": 0.5, "unet_config": {"params": {"num_heads": 4}}}}}
    (tmp_path / "adaption.yaml").write_text(json.dumps(described), encoding="utf-8")
    clip = shutil.copytree(edit.tokenizer, tmp_path / "clip")
    (clip / "config.json").write_text(
        '{"hidden_size": 64, "num_attention_heads": 8, "hidden_act": "gelu"}', encoding="utf-8"
    )
    import_model(file, tmp_path / "out", tokenizer=str(clip))
    assert UNet2DConditionModel.from_pretrained(tmp_path / "out" / "unet").config.attention_head_dim == 4
    assert AutoencoderKL.from_pretrained(tmp_path / "out" / "vae").config.scaling_factor == 0.5
    text = CLIPTextModel.from_pretrained(tmp_path / "out" / "text_encoder").config
    assert (text.num_attention_heads, text.hidden_act) == (8, "gelu")


def test_heads_of_a_fixed_width_come_in_where_the_configuration_says_so(edit, tmp_path):
    net = UNet2DConditionModel(in_channels=8, **UNET_CONFIG | {"attention_head_dim": [1, 2, 2]}).eval()
    net.load_state_dict(edit.unet.state_dict())
    file, beside = tmp_path / "adaption.ckpt", tmp_path / "config.yaml"
    torch.save({"state_dict": edit.compvis()}, file)
    network = {"num_heads": -1, "num_head_channels": 32}
    beside.write_text(json.dumps({"model": {"params": {"unet_config": {"params": network}}}}), encoding="utf-8")
    import_model(file, tmp_path / "out", tokenizer=str(edit.tokenizer))
    same_unet(tmp_path / "out", net)
    network["num_head_channels"] = 24
    beside.write_text(json.dumps({"model": {"params": {"unet_config": {"params": network}}}}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="num_head_channels is 24, expected a divisor of the widths 32, 64, 64"):
        import_model(file, tmp_path / "again", tokenizer=str(edit.tokenizer))


def test_integers_are_no_weights(edit, tmp_path):
    weights, key = edit.compvis(), "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"
    torch.save({"state_dict": {**weights, key: weights[key].to(torch.int8)}}, tmp_path / "adaption.ckpt")
    with pytest.raises(CheckpointError, match=re.escape(key) + " is of type int8, expected floating-point numbers"):
        import_model(tmp_path / "adaption.ckpt", tmp_path / "out", tokenizer=str(edit.tokenizer))


def test_no_progress_bar_is_drawn(edit, tmp_path, capfd):
    """Neither in writing the text encoder nor in reading shards."""
    folder = edit.folder(tmp_path / "instruct-pix2pix", max_shard_size="1MB")
    capfd.readouterr()
    import_model(folder, tmp_path / "out")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("odd", [{"parameterization": "v"}, {"linear_start": 0.0001}, {"timesteps": 500}], ids=str)
def test_weights_of_another_diffusion_are_refused(edit, tmp_path, odd):
    torch.save({"state_dict": edit.compvis()}, tmp_path / "adaption.ckpt")
    described = {"model": {"params": {**odd, "unet_config": {"params": {"num_heads": 8}}}}}
    (tmp_path / "config.yaml").write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"{next(iter(odd))} is .* as in Stable Diffusion 1"):
        import_model(tmp_path / "adaption.ckpt", tmp_path / "out", tokenizer=str(edit.tokenizer))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_an_old_lightning_checkpoint_comes_in_without_its_classes(edit, tmp_path, zipped):
    """(d) InstructPix2Pix as published: torch's own safe reader refuses it."""
    weights, file = edit.compvis(), tmp_path / "instruct-pix2pix-00-22000.ckpt"
    content = old_lightning(weights | averages(weights))
    torch.save(content, file, pickle_module=AsIfImported, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file, weights_only=True)
    made = import_model(file, tmp_path / "out", tokenizer=str(edit.tokenizer), ema="no")
    assert made.family == "instructpix2pix"
    same_unet(tmp_path / "out", edit.unet)
    same_rest(tmp_path / "out", edit)
    loaded = load(tmp_path / "out")
    assert (loaded.step, loaded.backbone.objective.rule) == (22_000, "instructpix2pix")
    assert (loaded.presets["editing"].guidance_text, loaded.presets["editing"].guidance_image) == (7.5, 1.5)


@pytest.mark.parametrize("form", ["plain", "fp16", "bin", "shards"])
def test_a_folder_of_diffusers_comes_in(edit, tmp_path, form):
    """(e) Variants in half precision, .bin and shards with an index."""
    options = {
        "plain": {}, "fp16": {"variant": "fp16"}, "bin": {"safe_serialization": False}, "shards": {"max_shard_size": "1MB"},
    }[form]  # fmt: skip
    folder = edit.folder(tmp_path / "model", **options)
    (folder / "model_index.json").write_text(
        '{"_class_name": "StableDiffusionInstructPix2PixPipeline"}', encoding="utf-8"
    )
    assert form != "shards" or (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").is_file()
    made = import_model(folder, tmp_path / "out")
    assert made.family == "instructpix2pix"
    same_unet(tmp_path / "out", edit.unet)
    same_rest(tmp_path / "out", edit)
    assert load(tmp_path / "out").backbone.objective.rule == "instructpix2pix"


ONE = {
    "unet": "model.diffusion_model.input_blocks.4.0.in_layers.2.weight",
    "attention": "model.diffusion_model.output_blocks.5.1.transformer_blocks.0.attn2.to_k.weight",
    "up": "model.diffusion_model.output_blocks.2.1.conv.bias",
    "vae": "first_stage_model.decoder.up.2.block.1.conv2.bias",
    "vae attention": "first_stage_model.encoder.mid.attn_1.q.weight",
    "text": "cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc2.weight",
    "time": "model.diffusion_model.time_embed.2.bias",
    "last": "model.diffusion_model.out.2.weight",
    "widths": "first_stage_model.encoder.down.1.block.0.conv1.weight",
    "token": "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
    "position": "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight",
}


def missing(weights, key):
    del weights[key]
    return key


def prefixed(weights, key):
    weights["module." + key] = weights.pop(key)
    return "module." + key


def renamed(weights, key):
    other = key.replace("weight", "weights").replace("bias", "biased")
    weights[other] = weights.pop(key)
    return other


def moved(weights, key):
    """Under a name that another model might have."""
    number = next((part for part in key.split(".") if part.isdigit()), None)
    old, new = ("embedding", "embeddings") if number is None else (f".{number}.", ".77.")
    other = key.replace(*("attn_1", "attn_2") if "attn_1" in key else (old, new), 1)
    weights[other] = weights.pop(key)
    return other


def cut(weights, key):
    weights[key] = weights[key][:-1]
    return key.removeprefix("cond_stage_model.transformer.text_model.embeddings.")


def unclear(weights, key):
    weights[key].view(-1)[3] = float("nan")
    return key


@pytest.mark.parametrize("harm", [missing, prefixed, renamed, moved, cut, unclear])
@pytest.mark.parametrize("key", ONE.values(), ids=ONE)
def test_a_key_that_is_wrong_is_named(edit, tmp_path, capsys, harm, key):
    weights = edit.compvis()
    name = harm(weights, key)
    file = tmp_path / "instructdiffusion.ckpt"
    torch.save({"state_dict": weights}, file)
    assert main(["import", str(file), "--out", str(tmp_path / "out"), "--tokenizer", str(edit.tokenizer)]) == 2
    said = capsys.readouterr().err
    assert name in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


class Payload:
    """What a hostile file would run."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (os.system, (f"touch {self.mark}",))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_payload_runs_nothing(edit, tmp_path, zipped):
    file, mark = tmp_path / "instruct-pix2pix.ckpt", tmp_path / "ran"
    content = {"state_dict": edit.compvis(), "callbacks": Payload(mark), Payload(mark): 1}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    import_model(file, tmp_path / "out", tokenizer=str(edit.tokenizer))
    same_unet(tmp_path / "out", edit.unet)
    assert not mark.exists()
    torch.load(file, weights_only=False)
    assert mark.exists()  # so a payload that is read as usual does run


def test_what_cannot_be_told_is_asked_for(edit, tmp_path, capsys):
    file = tmp_path / "model.ckpt"
    torch.save({"state_dict": edit.compvis()}, file)
    words = ["import", str(file), "--out", str(tmp_path / "out")]
    assert main([*words, "--family", "instructpix2pix"]) == 2
    assert "--tokenizer DIR" in capsys.readouterr().err
    assert main([*words, "--tokenizer", str(edit.tokenizer)]) == 2
    assert "--family instructdiffusion or instructpix2pix" in capsys.readouterr().err
    assert main([*words, "--tokenizer", str(edit.tokenizer), "--family", "sd15"]) == 2
    assert "4 input channels" in capsys.readouterr().err
    assert main([*words, "--tokenizer", str(edit.tokenizer), "--family", "instructpix2pix", "--ema", "yes"]) == 2
    assert "no running averages" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_vocabulary_is_refused(edit, tmp_path, capsys):
    file, other = tmp_path / "adaption.ckpt", shutil.copytree(edit.tokenizer, tmp_path / "other")
    torch.save({"state_dict": edit.compvis()}, file)
    vocabulary = json.loads((other / "vocab.json").read_text(encoding="utf-8"))
    (other / "vocab.json").write_text(json.dumps(vocabulary | {"more</w>": len(vocabulary)}), encoding="utf-8")
    assert main(["import", str(file), "--out", str(tmp_path / "out"), "--tokenizer", str(other)]) == 2
    assert "522 tokens, and token_embedding.weight" in capsys.readouterr().err
