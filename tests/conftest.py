"""Fixtures for every test: one torch thread, small models, synthetic shards, and where real data lies."""

import os
import warnings
from pathlib import Path

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest
import torch
from small_models import AUTOENCODER, REAL_DATA, TEXT, UNET

torch.set_num_threads(1)
warnings.filterwarnings("ignore", message=".*does not have many workers.*")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real images with labels; tests that need it are skipped where it is missing."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"real data is not at {REAL_DATA}")
    return REAL_DATA


@pytest.fixture(scope="session")
def autoencoder_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small autoencoder in diffusers' format. It is not trained: what it renders is not an image, but always the same."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("autoencoder")
    AutoencoderKL(**AUTOENCODER).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def backbone(autoencoder_folder: str):
    """A small backbone with v-prediction and zero terminal SNR."""
    from idiff.models.autoencoder import Autoencoder
    from idiff.models.backbone import LatentDiffusion, Objective
    from idiff.models.text import TextEncoder

    torch.manual_seed(1)
    return LatentDiffusion(
        autoencoder=Autoencoder(weights=autoencoder_folder),
        text=TextEncoder(config=TEXT),
        unet=UNET,
        objective=Objective(
            prediction="v_prediction",
            zero_terminal_snr=True,
            spacing="trailing",
            terminal_share=0.5,
            changed_weight=4.0,
        ),
    )


@pytest.fixture
def lively(backbone):
    """The small backbone with noise on its weights, so that the untrained U-Net does say something; in evaluation mode."""
    torch.manual_seed(2)
    for parameter in backbone.unet.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return backbone.eval()


@pytest.fixture
def batch():
    """Four rows of random images; the target differs from the source in one corner."""
    from idiff.types import Batch

    rng = torch.Generator().manual_seed(3)
    source = torch.rand(4, 3, 64, 64, generator=rng) * 2 - 1
    target = source.clone()
    target[:, :, :16, :16] = torch.tensor([1.0, -1.0, -1.0])[None, :, None, None]
    return Batch(
        keys=list("abcd"),
        instruction=[f"paint thing {i} in red" for i in range(4)],
        source=source,
        target=target,
        query=[{"group": key} for key in "abcd"],
        annotation=[{} for _ in range(4)],
        position=torch.arange(4),
        task=["toy"] * 4,
    )


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """24 training and 4 validation scenes of segmentation and keypoints."""
    from fit_runs import build_shards

    return build_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="session")
def uncut(tmp_path_factory, shards, autoencoder_folder):
    """Run folder of the experiment, trained without interruption."""
    from fit_runs import experiment

    from idiff.cli import main

    folder = tmp_path_factory.mktemp("uncut")
    config = experiment(folder / "tiny.yaml", shards=shards, autoencoder=autoencoder_folder)
    assert main(["fit", "--config", config, "--trainer.default_root_dir", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def config(tmp_path, monkeypatch, shards, autoencoder_folder):
    """The experiment's YAML in a fresh working folder; its run folder is `run`."""
    from fit_runs import experiment

    monkeypatch.chdir(tmp_path)
    return experiment(tmp_path / "tiny.yaml", shards=shards, autoencoder=autoencoder_folder)
