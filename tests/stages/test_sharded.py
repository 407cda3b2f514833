"""A U-Net that is sharded over two ranks (FSDP2) trains as one that each rank has whole; ranks of torchrun and SLURM."""

import os
import subprocess
import sys

import pytest
import torch
from fit_runs import CONFIGS, experiment, state
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only
from small_models import ROOT

from idiff.config.run_folder import RunFolder
from idiff.data.datamodule import MixtureDataModule
from idiff.data.loading.training import TaskEntry
from idiff.errors import ConfigError
from idiff.tasks import SemanticSegmentation
from idiff.utils.sharding import as_sharded, shard_unet, unsharded

SHARDED = [
    "--trainer.strategy", "lightning.pytorch.strategies.ModelParallelStrategy", "--trainer.strategy.data_parallel_size", "2",
    "--trainer.strategy.tensor_parallel_size", "1", "--trainer.strategy.save_distributed_checkpoint", "false",
]  # fmt: skip
DDP = ["--trainer.strategy", "ddp"]
ENVIRONMENTS = {
    "torchrun": {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "GROUP_RANK": "2",
                 "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29511"},
    "slurm": {"SLURM_NTASKS": "8", "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NODEID": "2", "SLURM_JOB_NAME": "x",
              "SLURM_NTASKS_PER_NODE": "2", "SLURM_JOB_ID": "7", "SLURM_NODELIST": "a[1-4]"},
}  # fmt: skip


def fit(config, folder, *words, code=0):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "idiff",
        "fit",
        "--config",
        config,
        "--ckpt_path",
        "last",
        "--trainer.default_root_dir",
        folder,
    ]
    done = subprocess.run([*command, *words], env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == code, done.stderr
    return state(folder) if code == 0 else done.stderr


def assert_close(one, other):
    assert one["global_step"] == other["global_step"]
    for part in ("raw", "state_dict"):
        assert one[part].keys() == other[part].keys()
        apart = torch.cat([(value - other[part][name]).abs().flatten() for name, value in one[part].items()])
        off = (apart > 1e-6).float().mean()  # Adam makes a whole step of a gradient that is rounding alone
        assert off < 1e-3, f"{part}: {off:.2e} of the weights are off, by {apart.max():.1e} at most"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sharded_step_is_that_of_two_whole_ranks_and_goes_on_either_way(
    tmp_path, monkeypatch, shards, autoencoder_folder
):
    monkeypatch.chdir(tmp_path)
    config = experiment(
        tmp_path / "tiny.yaml", shards=shards, autoencoder=autoencoder_folder, trainer__max_steps=1, trainer__devices=2,
        trainer__accumulate_grad_batches=1, trainer__val_check_interval=2, include=[
            str(CONFIGS / "stage" / "tasks.yaml"), str(CONFIGS / "model" / "tiny.yaml")], model={"lr": 1e-3},
    )  # fmt: skip
    whole, sharded = fit(config, "whole", *DDP), fit(config, "sharded", *SHARDED)
    assert_close(sharded, whole)
    assert all(type(value) is torch.Tensor for value in sharded["raw"].values())
    subprocess.run(["cp", "-r", "sharded", "mixed"], check=True)
    said = fit(config, "whole", *SHARDED, "--trainer.max_steps", "2", code=2)
    assert "is of a run that was not sharded, and its optimizer's state cannot be. Go on with strategy ddp" in said
    whole = fit(config, "whole", *DDP, "--trainer.max_steps", "2")
    assert_close(fit(config, "sharded", *SHARDED, "--trainer.max_steps", "2"), whole)
    assert_close(fit(config, "mixed", *DDP, "--trainer.max_steps", "2"), whole)


def test_what_cannot_be_sharded_is_a_sentence():
    module = torch.nn.ModuleDict({"unet": torch.nn.Linear(2, 2), "text": torch.nn.Linear(2, 2)})
    with pytest.raises(ConfigError, match=r"shards the U-Net, and 2 other weights are trained, such as text\.weight"):
        shard_unet(module, module["unet"], None)
    value = torch.ones(2)
    assert unsharded(value) is value and as_sharded(value, torch.zeros(2)) is value


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_ranks_of_a_cluster_are_those_of_the_data(monkeypatch, tmp_path, environment):
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(rank_zero_only, "rank", rank_zero_only.rank)  # the trainer sets it for the whole process
    data = MixtureDataModule({"a": TaskEntry(SemanticSegmentation(), train="train")}, batch_size=3)
    data.trainer = Trainer(
        accelerator="cpu", devices=2, num_nodes=4, strategy="ddp", logger=False, enable_checkpointing=False
    )
    assert (data.layout.world, data.layout.rank, data.layout.global_batch) == (8, 5, 24)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/last.ckpt").touch()
    RunFolder(tmp_path).put_aside(pytest.fail)  # the first process alone renames a run


def test_every_file_of_a_trainer_is_in_the_recipes():
    page = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    assert all(f"configs/trainer/{path.name}" in page for path in (CONFIGS / "trainer").glob("*.yaml"))
