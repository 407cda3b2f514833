"""`make soak`, small: a chain that is killed ends with the bytes of one that is left alone."""

import json
import subprocess
import sys

import pytest
import torch
from small_models import ROOT


@pytest.fixture
def soak(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import soak

    return soak


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_chain_that_is_killed_three_times_ends_with_the_same_bytes(tmp_path):
    words = [
        sys.executable,
        str(ROOT / "tools/soak.py"),
        "--kills",
        "3",
        "--seed",
        "12",
        "--steps",
        "6",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 kills landed" in done.stdout
    alone, killed = (line.split()[-3:] for line in done.stdout.splitlines()[-2:])
    assert alone == killed and len({*alone}) == 3
    stages = [json.loads(line)["stage"] for line in (tmp_path / "kills.jsonl").read_text().splitlines()]
    assert {"tasks", "alignment"} <= {*stages}
    assert subprocess.run([*words, "--seed", "1"], capture_output=True, check=False).returncode == 2


def test_moments_come_in_the_order_of_the_chain_and_leave_a_save_to_come(soak):
    stages = ["data", *soak.TRAININGS, "model"]
    drawn = soak.moments(stages, kills=200, saves=5, seed=3)
    assert drawn == sorted(drawn) == soak.moments(stages, kills=200, saves=5, seed=3)
    assert drawn != soak.moments(stages, kills=200, saves=5, seed=4)
    assert {moment.stage for moment in drawn} == set(range(5))
    trained = [moment for moment in drawn if moment.kind != "stage"]
    assert {stages[moment.stage] for moment in trained} == {*soak.TRAININGS}
    assert {moment.saves for moment in trained} == {1, 2, 3, 4}


def test_one_bit_of_an_optimizer_is_seen(soak, tmp_path, capsys):
    def chain(name, value):
        for training in soak.TRAININGS:
            folder = tmp_path / name / training / "checkpoints"
            folder.mkdir(parents=True)
            moments = {"state": {0: {"exp_avg": torch.tensor([value])}}, "param_groups": [{"lr": 0.1}]}
            parts = {"raw": {"w": torch.ones(2)}, "state_dict": {"w": torch.zeros(2)}, "optimizer_states": [moments]}
            torch.save(parts, folder / "last.ckpt")
        return soak.digests(tmp_path / name)

    whole, same, other = chain("whole", 1.0), chain("same", 1.0), chain("other", 1.0 + 2**-23)
    landed = [{"stage": "tasks", "in_save": True, "ranks": 1}]
    assert soak.report(landed, whole, same, seconds=1.0, kills=1) == 0
    assert soak.report(landed, whole, same, seconds=1.0, kills=2) == 1
    assert soak.report(landed, whole, other, seconds=1.0, kills=1) == 1
    assert "tasks       optimizer  NO" in capsys.readouterr().out


def test_both_layouts_have_one_global_batch_and_validate_at_the_same_step(soak):
    for training in soak.TRAININGS:
        one, two = (soak.overrides(40, ranks=ranks)[training] for ranks in (1, 2))
        batch = [
            over["data"]["batch_size"] * over["trainer"]["accumulate_grad_batches"] * over["trainer"]["devices"]
            for over in (one, two)
        ]
        assert batch == [2, 2]
        steps = [
            over["trainer"]["val_check_interval"] / over["trainer"]["accumulate_grad_batches"] for over in (one, two)
        ]
        assert steps == [20, 20]
