"""`idiff run`: the order of stages, what is skipped, gone on with, refused and done again, and how a chain stops.

Stages are real processes here, of a package that stands in for `idiff` in the working folder and notes what it is asked.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from small_models import ROOT

from idiff.cli import main

STAND_IN = """
import hashlib, json, os, signal, sys, time
from pathlib import Path

def keep(folder, step):
    path = Path(folder) / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"%d of %s" % (step, str(folder).encode()))
    record = {"step": step, "size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    Path(str(path) + ".check.json").write_text(json.dumps({"whole": [record]}))

words = sys.argv[1:]
with Path("asked.jsonl").open("a") as file:
    file.write(json.dumps(words) + "\\n")
if words[0] == "fit":
    import yaml
    config = yaml.safe_load(Path(words[words.index("--config") + 1]).read_text())
    trainer, init = config["trainer"], config["model"]["init_args"].get("init_from")
    assert words[-2:] == ["--ckpt_path", "last"] and (init is None or Path(init).exists())
    if config["model"]["init_args"].get("fail"):
        sys.exit(config["model"]["init_args"]["fail"])
    if config["model"]["init_args"].get("slow"):
        def stop(*_):
            keep(trainer["default_root_dir"], 1)
            sys.exit(143)
        signal.signal(signal.SIGTERM, stop)
        Path("training").touch()
        time.sleep(60)
    keep(trainer["default_root_dir"], trainer["max_steps"])
else:
    out = Path(words[words.index("--out") + 1])
    out.mkdir(parents=True, exist_ok=True)
    (out / "manifest.json").write_text(json.dumps(words))
"""


def stages(**over):
    """Two sets of shards, two trainings, an export."""
    model = {"class_path": "X", "init_args": {"lr": 1e-3}}
    listed = [
        {"name": "scenes", "command": "data build synthetic --count 4 --out {folder}/data", "done": "{folder}/data/manifest.json"},
        {"name": "first", "config": ["parts/base.yaml"], "trainer": {"max_steps": 2}},
        {"name": "second", "config": "parts/base.yaml", "trainer": {"max_steps": 3},
         "model": {"init_args": {"init_from": "{first}"}},
         "data": {"init_args": {"tasks": {"t": {"train": "{folder}/data"}}}}},
        {"name": "out", "command": ["export", "--checkpoint", "{second}", "--out", "{folder}/model"], "done": "{folder}/model"},
    ]  # fmt: skip
    Path("parts").mkdir(exist_ok=True)
    Path("parts/base.yaml").write_text(yaml.safe_dump({"model": model, "trainer": {"max_epochs": -1}}))
    for stage in listed:
        stage.update(over.get(stage["name"], {}))
    return {"folder": "runs/chain", "stages": listed}


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """Write the experiment and run it; returns (exit code, what was asked of the stand-in since)."""
    (tmp_path / "idiff").mkdir()
    (tmp_path / "idiff" / "__main__.py").write_text(STAND_IN)
    (tmp_path / "idiff" / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)

    def run(*words, **over):
        Path("chain.yaml").write_text(yaml.safe_dump(stages(**over)))
        Path("asked.jsonl").unlink(missing_ok=True)
        code = main(["run", "chain.yaml", *words])
        return code, asked()

    return run


def asked():
    log = Path("asked.jsonl")
    found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [Path(words[2]).stem if words[0] == "fit" else words[0] for words in found]


def test_stages_run_in_order_and_a_second_run_does_nothing(chain, capsys):
    assert chain() == (0, ["data", "first", "second", "export"])
    config = yaml.safe_load(Path("runs/chain/chain/second.yaml").read_text())
    assert config["model"]["init_args"] == {"lr": 1e-3, "init_from": "runs/chain/first/checkpoints/last.ckpt"}
    assert config["trainer"] == {"max_epochs": -1, "max_steps": 3, "default_root_dir": "runs/chain/second"}
    assert (
        json.loads(Path("runs/chain/model/manifest.json").read_text())[2] == "runs/chain/second/checkpoints/last.ckpt"
    )
    capsys.readouterr()
    assert chain() == (0, [])
    assert "stage 3 of 4, second: done, step 3 of 3" in capsys.readouterr().err


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(chain, capsys):
    before = set(Path().iterdir())
    assert chain("--dry") == (0, [])
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in said] == [
        ["start", f"{name}:"] for name in ("scenes", "first", "second", "out")
    ]
    assert set(Path().iterdir()) - before <= {Path("chain.yaml"), Path("parts")}
    chain()
    capsys.readouterr()
    assert chain("--dry", "--set", "second.trainer.max_steps=5", "--redo", "out") == (0, [])
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["done", "done", "resume", "redo"]
    assert "step 3 of 5" in said[2]


def test_a_failing_stage_stops_the_chain_with_its_exit_code_and_the_next_run_goes_on_there(chain, capsys):
    broken = {"model": {"init_args": {"init_from": "{first}", "fail": 7}}}
    assert chain(second=broken) == (7, ["data", "first", "second"])
    assert "stage 'second' failed with exit code 7" in capsys.readouterr().err
    assert chain("--redo", "second") == (0, ["second", "export"])


def test_a_changed_configuration_is_refused_with_a_diff_or_done_again(chain, capsys):
    chain()
    assert chain("--set", "second.model.init_args.lr=0.1") == (2, [])
    said = capsys.readouterr().err
    assert "stage 'second' is finished with other settings than it has now: model.lr: 0.001 -> 0.1" in said
    old = Path("runs/chain/second/checkpoints/last.ckpt").read_bytes()
    assert chain("--set", "second.model.init_args.lr=0.1", "--redo", "second") == (0, ["second", "export"])
    assert Path("runs/chain/second.1/checkpoints/last.ckpt").read_bytes() == old
    assert Path("runs/chain/model.1").is_dir()
    assert chain("--set", "second.model.init_args.lr=0.1") == (0, [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: Path("runs/chain/data/manifest.json").write_text("other"), "data.t.train: SHA-256"),
        (lambda: alter("runs/chain/first/checkpoints/last.ckpt"), "model.init_args.init_from: SHA-256"),
    ],
    ids=["shards", "base"],
)
def test_what_a_stage_was_made_from_must_not_change(chain, capsys, change, said):
    chain()
    change()
    assert chain() == (2, [])
    assert f"stage 'second' is finished with other settings than it has now: {said}" in capsys.readouterr().err


def alter(path):
    """Another checkpoint, whole, in place of one."""
    import hashlib

    data = b"another"
    Path(path).write_bytes(data)
    record = {"step": 2, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    Path(f"{path}.check.json").write_text(json.dumps({"whole": [record]}))


def test_a_change_that_is_allowed_counts_as_none(chain):
    chain()
    words = ["--set", "second.model.init_args.lr=0.1", "--set", "second.resume.allow=model.init_args.lr"]
    assert chain(*words) == (0, [])
    assert chain(*words, "--set", "second.ema.decay=0.5") == (2, [])


def test_a_changed_command_is_refused_by_option(chain, capsys):
    chain()
    more = {"command": "data build synthetic --count 9 --out {folder}/data"}
    assert chain(scenes=more) == (2, [])
    assert "stage 'scenes' is finished with other settings than it has now: --count: 4 -> 9" in capsys.readouterr().err


def test_more_steps_go_on_and_what_follows_has_to_be_done_again(chain, capsys):
    chain()
    longer = ["--set", "first.trainer.max_steps=6"]
    assert chain(*longer) == (2, [])
    assert "stage 'second' was made from 'first', which now goes on" in capsys.readouterr().err
    assert chain(*longer, "--redo", "second") == (0, ["first", "second", "export"])


def test_a_missing_base_is_an_error_before_anything_runs(chain, capsys):
    assert chain(second={"model": {"init_args": {"init_from": "gone.ckpt"}}}) == (2, [])
    said = capsys.readouterr().err
    assert "stage 'second' starts from gone.ckpt (model.init_args.init_from), which is missing" in said
    assert said.count("\n") == 1 and not Path("runs").exists()
    assert chain(out={"command": ["export", "--checkpoint", "gone", "--out", "x"]}) == (2, [])
    assert "stage 'out' starts from gone (--checkpoint)" in capsys.readouterr().err
    assert chain("--dry", second={"model": {"init_args": {"init_from": "tiny"}}}) == (0, [])  # comes with the package


def test_overrides_in_a_file_and_another_folder(chain):
    Path("over.yaml").write_text("folder: elsewhere\nfirst: {trainer: {max_steps: 9}}\n")
    assert chain("--over", "over.yaml", "--set", "second.trainer.max_steps=4")[0] == 0
    assert yaml.safe_load(Path("elsewhere/chain/first.yaml").read_text())["trainer"]["max_steps"] == 9
    assert Path("elsewhere/second/checkpoints/last.ckpt").read_bytes() == b"4 of elsewhere/second"


@pytest.mark.parametrize(
    ("over", "words", "said"),
    [
        ({"second": {"model": {"init_args": {"init_from": "{frist}"}}}}, [], "unknown former stage 'frist'; did you mean 'first'?"),
        ({"first": {"model": {"init_args": {"init_from": "{second}"}}}}, [], "unknown former stage 'second'"),
        ({"scenes": {"command": "dta build"}}, [], "unknown command of stage 'scenes' 'dta'; did you mean 'data'?"),
        ({"scenes": {"done": None}}, [], "needs done"),
        ({"scenes": {"config": "parts/base.yaml"}}, [], "needs either config (with settings over it) or command"),
        ({"second": {"trainer": {"max_steps": 1, "default_root_dir": "runs/chain/first"}}}, [], "as one before it"),
        ({"second": {"name": "first"}}, [], "stage 3 has the name 'first'"),
        ({"first": {"config": ["parts/none.yaml"]}}, [], "parts/none.yaml is missing"),
        ({}, ["--set", "frist.trainer.max_steps=1"], "unknown stage 'frist'; did you mean 'first'?"),
        ({}, ["--set", "first"], "expected STAGE.SETTING=VALUE"),
        ({}, ["--redo", "third"], "unknown stage 'third'"),
    ],
)  # fmt: skip
def test_a_file_or_an_option_that_cannot_be_used_is_one_sentence(chain, capsys, over, words, said):
    assert chain(*words, **over) == (2, [])
    found = capsys.readouterr().err
    assert said in found and found.count("\n") == 1
    assert not Path("runs").exists()


def test_a_file_without_stages_is_refused(tmp_path, capsys):
    (tmp_path / "x.yaml").write_text("trainer: {max_steps: 1}")
    assert main(["run", str(tmp_path / "x.yaml")]) == 2
    assert "holds no stages" in capsys.readouterr().err


def test_sigterm_is_passed_on_and_the_chain_goes_on_later(chain, capsys):
    slow = {"model": {"init_args": {"init_from": "{first}", "slow": True}}}

    def ask():
        while not Path("training").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=ask, daemon=True).start()
    assert chain(second=slow) == (143, ["data", "first", "second"])
    assert signal.getsignal(signal.SIGTERM) == before
    assert "stage 'second' was stopped; the same command goes on with it" in capsys.readouterr().err
    assert Path("runs/chain/second/checkpoints/last.ckpt").read_bytes() == b"1 of runs/chain/second"
    assert chain("--dry", second=slow) == (0, [])
    assert "resume  second: step 1 of 3" in capsys.readouterr().out
    assert chain("--set", "second.model.init_args.slow=false", second=slow) == (2, [])
    assert "stage 'second' was begun with other settings" in capsys.readouterr().err


def test_a_stage_that_leaves_nothing_behind_is_an_error(chain, capsys):
    assert chain(out={"done": "nowhere"}) == (2, ["data", "first", "second", "export"])
    assert "stage 'out' ended well and left no nowhere" in capsys.readouterr().err


def test_a_training_of_other_origin_goes_through_fit_which_compares(chain, capsys):
    chain()
    Path("runs/chain/chain/first.json").unlink()
    capsys.readouterr()
    assert chain("--dry") == (0, [])
    assert "resume  first: runs/chain/first/checkpoints/last.ckpt was not made by this chain" in capsys.readouterr().out
    assert chain() == (0, ["first"])


def test_two_chains_in_one_folder_are_refused(chain, capsys):
    chain()
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from idiff.utils.files import own_run
with own_run("runs/chain/chain"):
    print("held", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    assert chain() == (2, [])
    assert "another run is training in runs/chain/chain" in capsys.readouterr().err
    holder.kill()
    holder.communicate()
    assert chain() == (0, [])


def test_a_chain_of_commands_is_read_without_torch_and_lightning(tmp_path):
    chain = tmp_path / "chain.yaml"
    chain.write_text(
        yaml.safe_dump({"stages": [{"name": "a", "command": "data sources", "done": str(tmp_path / "a")}]})
    )
    script = (
        "import sys; from idiff.cli import main; code = main(['run', sys.argv[1], '--dry']); "
        "sys.exit(code or ','.join({'torch', 'lightning', 'diffusers', 'numpy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(chain)], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("start   a: ")
