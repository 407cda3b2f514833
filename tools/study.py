"""One model for several sets of photographs beside one usual network for each: trained, scored, and compared.

    python tools/study.py --data DIR --out DIR --minutes 60

DIR holds folders such as faces, lsp, fashion_pose, clothing, people, camvid, bsds and photos (`study_sets.SETS`); those that are
missing are left out. One core trains the generalist for so many minutes, from `tiny-all`; another trains a specialist of each set
beside it: a plain U-Net of the same size, on as many examples of the same views (`tools/specialist.py`). Then both are scored on
the validation images. Writes OUT/generalist.ckpt, whose tasks are named as the folders (`idiff evaluate --checkpoint
OUT/generalist.ckpt --task faces`), OUT/results.json and OUT/study.md. A study that was cut goes on where it was.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml
from study_sets import build, command, experiment, on_core, planned, shares, there, write_tasks
from study_tables import tables

from idiff.utils.files import write_atomic
from idiff.utils.hardware import fast_bfloat16

HERE = Path(__file__).resolve().parent
PILOT = (10, 40)
"""Steps between which the pace is measured."""


def fit_words(settings, file):
    """The words of a training of some settings, which are written to a file."""
    write_atomic(file, yaml.safe_dump(settings, sort_keys=False))
    precision = ["--trainer.precision", "bf16-mixed"] if fast_bfloat16() else []
    return ["-m", "idiff", "fit", "--config", file, *precision]


def pace(out, names):
    """Seconds of a training step on this machine: those of a short training, without its start."""
    file = out / "pace.json"
    if not file.exists():
        ended = {}
        for steps in PILOT:
            settings = experiment(out, names, steps)
            settings["trainer"] |= {"default_root_dir": str(out / f"pace_{steps}"), "limit_val_batches": 0}
            began, done = time.time(), out / f"pace_{steps}.done"
            done.unlink(missing_ok=True)
            command(*fit_words(settings, out / f"pace_{steps}.yaml"), "--fresh", done=done, core=0)
            ended[steps] = time.time() - began
        few, many = PILOT
        write_atomic(file, json.dumps({"seconds_a_step": (ended[many] - ended[few]) / (many - few)}))
    return json.loads(file.read_text())["seconds_a_step"]


def generalist(out, settings, minutes):
    """Train within the minutes, or go on; what is left of them is kept beside the run. Writes OUT/generalist.ckpt."""
    spent_file, last = out / "spent.json", out / "generalist" / "checkpoints" / "last.ckpt"
    spent = json.loads(spent_file.read_text()) if spent_file.exists() else 0.0
    words = fit_words(settings, out / "generalist.yaml")
    if not (out / "generalist.ckpt").exists():
        print("$", *words, flush=True)
        with (out / "generalist.log").open("a") as log:
            run = subprocess.Popen(on_core(0, [*words, "--ckpt_path", "last"]), stdout=log, stderr=log)
            began, now = time.time(), spent
            while run.poll() is None:
                time.sleep(2)
                now = spent + (time.time() - began) / 60
                write_atomic(spent_file, json.dumps(now))
                if now > 1.1 * minutes + 2:  # slower than the pilot: the last checkpoint is what there is
                    run.send_signal(signal.SIGINT)
                    run.wait()
        if not last.exists():
            sys.exit(f"the training left no checkpoint: see {log.name}")
        if run.returncode and now <= minutes:
            sys.exit(f"the training ended with {run.returncode}: see {log.name}")
        for suffix in (".check.json", ""):
            beside = last.with_name(last.name + suffix)
            if beside.exists():
                write_atomic(out / f"generalist.ckpt{suffix}", beside.read_bytes())
    return json.loads(spent_file.read_text()) if spent_file.exists() else spent


def specialists(out, settings):
    """Train and score the specialists one after the other, on as many examples of their sets as the generalist sees."""
    data = settings["data"]["init_args"]
    drawn = settings["trainer"]["max_steps"] * data["batch_size"]
    for name, share in shares(out, settings).items():
        card, folder = out / "specialists" / f"{name}.json", out / "data" / name
        command(HERE / "specialist.py", "--data", folder / "train", "--val", folder / "val", "--examples", round(share * drawn),
                "--task", out / "tasks" / f"{name}.yaml", "--out", card, done=card)  # fmt: skip


def scored(out, names):
    """Cards of the generalist, two sets at a time."""

    def one(core, name):
        card = out / "cards" / f"{name}.json"
        command("-m", "idiff", "evaluate", "--checkpoint", out / "generalist.ckpt", "--data", out / "data" / name / "val",
                "--task", name, "--bootstrap", 200, "--out", card, done=card, core=core)  # fmt: skip

    with ThreadPoolExecutor(2) as runs:
        for finished in [runs.submit(one, number % 2, name) for number, name in enumerate(names)]:
            finished.result()


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder that holds the sets")
    add("--out", type=Path, default=Path("runs/study"))
    add("--minutes", type=float, default=60, help="that the generalist trains")
    add("--without-specialists", action="store_true", help="train and score the generalist alone")
    options = parser.parse_args(words)
    if options.minutes <= 0:
        parser.error(f"--minutes is {options.minutes:g}: expected more than 0")
    data, out = options.data.resolve(), options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    names = there(data)
    build(data, out, names)
    plan = planned(
        out / "plan.json",
        {"minutes": options.minutes, "sets": names},
        lambda: max(round(options.minutes * 60 / pace(out, names)), 1),
    )
    settings = experiment(out, names, plan["steps"])
    write_tasks(out, settings)
    print(f"{plan['steps']} steps in {options.minutes:g} minutes of one core; log: {out}/generalist.log", flush=True)
    with ThreadPoolExecutor(1) as beside:
        others = None if options.without_specialists else beside.submit(specialists, out, settings)
        minutes = generalist(out, settings, options.minutes)
        if others is not None:
            others.result()
    scored(out, names)
    results = collected(out, names, plan, minutes)
    write_atomic(out / "results.json", json.dumps(results, indent=2) + "\n")
    write_atomic(out / "study.md", tables(results))
    print(tables(results))


def collected(out, names, plan, minutes):
    """Everything that was measured, as plain values."""
    sets = {}
    for name in names:
        card, beside = json.loads((out / "cards" / f"{name}.json").read_text()), out / "specialists" / f"{name}.json"
        kept = (
            "metrics",
            "intervals",
            "ceiling",
            "painted",
            "identity",
            "guess",
            "samples",
            "queries",
            "seconds_per_query",
        )
        sets[name] = {key: card[key] for key in kept}
        sets[name]["specialist"] = json.loads(beside.read_text()) if beside.exists() else None
    done = {"minutes": minutes, "steps": plan["steps"], "precision": "bf16-mixed" if fast_bfloat16() else "32-true"}
    return {"generalist": done, "sets": sets}


if __name__ == "__main__":
    main()
