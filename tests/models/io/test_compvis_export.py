"""A CompVis file that we write is read back by diffusers' own converters to the same weights."""

import pytest
import torch
import yaml
from compvis_models import UNET, VAE, small_sd, write_parts
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as theirs
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401
from transformers import CLIPTextConfig, CLIPTextModel

from idiff.cli import main
from idiff.errors import CheckpointError
from idiff.models.backbone import LatentDiffusion
from idiff.models.io.compvis_export import FILE, write_compvis
from idiff.models.io.compvis_keys import POSITIONS, check_unet, check_vae, unet_keys, vae_keys
from idiff.models.io.export import write_folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compvis")
    backbone = small_sd(folder / "parts", rule="instructdiffusion")
    return backbone, write_compvis(backbone, folder / "out", step=7)


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def test_diffusers_own_converters_read_the_same_weights_back(written):
    backbone, folder = written
    content = torch.load(folder / FILE, weights_only=True)
    state, config = content["state_dict"], yaml.safe_load((folder / "config.yaml").read_text())
    assert content["global_step"] == 7
    unet_config = theirs.create_unet_diffusers_config_from_ldm(config, state)
    unet = UNet2DConditionModel.from_config(unet_config)
    unet.load_state_dict(theirs.convert_ldm_unet_checkpoint(dict(state), unet.config))
    assert equal(unet.state_dict(), backbone.unet.state_dict())
    vae = AutoencoderKL.from_config(theirs.create_vae_diffusers_config_from_ldm(config, state))
    vae.load_state_dict(theirs.convert_ldm_vae_checkpoint(dict(state), vae.config))
    assert equal(vae.state_dict(), backbone.autoencoder.net.state_dict())
    assert vae.config.scaling_factor == backbone.autoencoder.scale
    text = theirs.convert_ldm_clip_checkpoint(dict(state))
    text = {key.removeprefix("text_model."): value for key, value in text.items()}
    positions = text.pop("embeddings.position_ids")
    assert equal(text, backbone.text.net.state_dict())
    assert positions.tolist() == [list(range(77))]


def test_the_u_net_rebuilt_from_the_file_computes_the_same(written):
    backbone, folder = written
    state = torch.load(folder / FILE, weights_only=True)["state_dict"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    unet = UNet2DConditionModel.from_config(theirs.create_unet_diffusers_config_from_ldm(config, state)).eval()
    unet.load_state_dict(theirs.convert_ldm_unet_checkpoint(dict(state), unet.config))
    inputs = (torch.randn(1, 8, 16, 24), torch.tensor([500]), torch.randn(1, 77, 32))
    with torch.no_grad():
        assert torch.allclose(unet(*inputs).sample, backbone.unet(*inputs).sample, atol=1e-5)


def test_every_weight_is_there_once_and_none_besides(written):
    backbone, folder = written
    state = torch.load(folder / FILE, weights_only=True)["state_dict"]
    parts = (backbone.unet, backbone.autoencoder.net, backbone.text.net)
    assert len(state) == sum(len(part.state_dict()) for part in parts) + 1
    assert POSITIONS in state
    assert state["model.diffusion_model.input_blocks.0.0.weight"].shape[1] == 8
    assert state["first_stage_model.encoder.mid.attn_1.q.weight"].ndim == 4
    assert {"tokenizer", "README.md"} - {path.name for path in folder.iterdir()} == {"README.md"}


@pytest.mark.parametrize("levels", [[32], [32, 32], [64, 128, 256, 256]], ids=len)
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_any_width_and_depth_comes_back(levels, layers):
    down = ["CrossAttnDownBlock2D"] * (len(levels) - 1) + ["DownBlock2D"]
    up = [kind.replace("Down", "Up") for kind in reversed(down)]
    with torch.device("meta"):
        net = UNet2DConditionModel(
            **UNET
            | {"block_out_channels": levels, "layers_per_block": layers, "down_block_types": down, "up_block_types": up}
        )
        kinds = {
            "down_block_types": ["DownEncoderBlock2D"] * len(levels),
            "up_block_types": ["UpDecoderBlock2D"] * len(levels),
        }
        vae = AutoencoderKL(**VAE | {"block_out_channels": levels, "layers_per_block": layers} | kinds)
    back = theirs.convert_ldm_unet_checkpoint(unet_keys(net.state_dict(), net.config), net.config)
    assert {key: value.shape for key, value in back.items()} == {key: v.shape for key, v in net.state_dict().items()}
    back = theirs.convert_ldm_vae_checkpoint(vae_keys(vae.state_dict(), vae.config), vae.config)
    assert {key: value.shape for key, value in back.items()} == {key: v.shape for key, v in vae.state_dict().items()}


@pytest.mark.parametrize(
    "odd",
    [
        {"norm_num_groups": 16},
        {"resnet_time_scale_shift": "scale_shift"},
        {"addition_embed_type": "text"},
        {"mid_block_type": "UNetMidBlock2D"},
        {"up_block_types": ["CrossAttnUpBlock2D"] * 3},
        {"block_out_channels": [32, 48, 64]},
    ],
    ids=lambda odd: next(iter(odd)),
)
def test_a_u_net_that_the_files_cannot_express_is_refused_by_its_setting(odd):
    with torch.device("meta"):
        config = UNet2DConditionModel(**UNET).config
    check_unet(config)
    with pytest.raises(CheckpointError, match=f"the U-Net has {next(iter(odd))} .*cannot express"):
        check_unet({**config, **odd})


def test_an_autoencoder_without_attention_is_refused():
    with torch.device("meta"):
        config = AutoencoderKL(**VAE).config
    check_vae(config)
    with pytest.raises(CheckpointError, match="the autoencoder has mid_block_add_attention False"):
        check_vae({**config, "mid_block_add_attention": False})


def test_a_residual_model_is_refused_and_nothing_is_left(tmp_path, capsys):
    assert main(["export", "--checkpoint", "tiny", "--out", str(tmp_path / "out"), "--format", "compvis"]) == 2
    error = capsys.readouterr().err
    assert "objective.residual" in error and "--format diffusers" in error
    assert not list(tmp_path.iterdir())


def test_the_command_writes_file_config_tokenizer_and_card(tmp_path):
    model = write_folder(small_sd(tmp_path / "parts", rule="instructdiffusion"), tmp_path / "model", config={}, step=3)
    out = tmp_path / "out"
    assert (
        main(["export", "--checkpoint", str(model), "--out", str(out), "--format", "compvis", "--dtype", "float16"])
        == 0
    )
    assert {path.name for path in out.iterdir()} == {FILE, "config.yaml", "tokenizer", "README.md"}
    state = torch.load(out / FILE, weights_only=True)["state_dict"]
    assert {value.dtype for value in state.values()} == {torch.float16, torch.int64}
    assert "instructdiffusion" in (out / "README.md").read_text()


def test_adapters_are_merged_in_what_is_written(tmp_path):
    from idiff.models.lora import Lora, adapt

    backbone = small_sd(tmp_path / "parts")
    assert isinstance(backbone, LatentDiffusion)
    layers = adapt(backbone, Lora(rank=2))
    with torch.no_grad():
        for name, parameter in backbone.unet.named_parameters():
            if ".lora_B" in name:
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(len(name)))
    folder = write_compvis(backbone, tmp_path / "out")
    state = torch.load(folder / FILE, weights_only=True)["state_dict"]
    assert layers and not [key for key in state if "lora" in key]
    back = UNet2DConditionModel.from_config(backbone.unet.config)
    back.load_state_dict(theirs.convert_ldm_unet_checkpoint(state, back.config))
    inputs = (torch.randn(1, 8, 16, 16), torch.tensor([500]), torch.randn(1, 77, 32))
    with torch.no_grad():
        assert torch.allclose(back.eval()(*inputs).sample, backbone.unet.eval()(*inputs).sample, atol=1e-5)


def test_text_keys_of_both_versions_of_transformers_are_the_same(tmp_path):
    from idiff.models.io.compvis_keys import text_keys

    write_parts(tmp_path)
    net = CLIPTextModel.from_pretrained(tmp_path / "text_encoder")
    assert isinstance(net.config, CLIPTextConfig)
    plain = {key.removeprefix("text_model."): value for key, value in net.state_dict().items()}
    older = {f"text_model.{key}": value for key, value in plain.items()}
    assert text_keys(plain).keys() == text_keys(older).keys()
