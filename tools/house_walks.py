"""How many functions and files of idiff one training example and one evaluated query pass through, traced by `sys.setprofile`.

Used by tools/house.py. The traced checkout runs in processes of its own, through `idiff.cli.main` and names that every version has.
What is traced is entered through torch and Lightning, so that it does not depend on where idiff keeps its modules:

    read       a DataLoader yields a batch: read from a shard, viewed, encoded as images and a prompt, collated
    loss       LightningModule.training_step
    query      a validation batch: read, painted (validation_step), decoded, combined, scored (the callbacks' hooks), logged
"""

import json
import os
import subprocess
import sys
import tempfile
from inspect import CO_OPTIMIZED
from pathlib import Path

STEPS = {"training_step": "loss", "validation_step": "query"}
SCORING = {"on_validation_batch_start", "on_validation_batch_end", "on_validation_epoch_end"}
TASK = "segmentation"
BUILD = "data build synthetic --task {task} --split {split} --count {count} --seed 3 --out {split}"
EVALUATE = "evaluate --checkpoint tiny --data val --limit 2 --bootstrap 0 --out card.json"
FIT = "fit --config walk.yaml"
CONFIG = """
include: [{root}/configs/stage/tasks.yaml, {root}/configs/model/tiny.yaml]
data:
  class_path: idiff.data.datamodule.MixtureDataModule
  init_args:
    tasks: {{{task}: {{include: {root}/configs/task/{task}.yaml, train: train, val: val, sampling: {{steps: 1}}}}}}
    batch_size: 2
    val_samples: 2
trainer:
  default_root_dir: run
  max_steps: 1
  val_check_interval: 1
  accelerator: cpu
  enable_model_summary: false
"""


class Walk:
    """What is called while it is open. Generated functions, comprehensions and class bodies are not counted.

    Args:
        package: folder of the files that count.

    Attributes:
        seen: phase -> `file:function` of every function entered in it.
    """

    def __init__(self, package):
        self.package = str(package) + os.sep
        self.seen = {}

    def during(self, phase, function, *args, **kwargs):
        """Call the function and note what it calls. Inside another phase, that phase goes on."""
        if sys.getprofile() is not None:
            return function(*args, **kwargs)
        seen = self.seen.setdefault(phase, set())

        def note(frame, event, _):
            code = frame.f_code
            counts = code.co_flags & CO_OPTIMIZED and not code.co_name.startswith("<")
            if event == "call" and counts and code.co_filename.startswith(self.package):
                seen.add(f"{code.co_filename[len(self.package) :]}:{code.co_qualname}")

        sys.setprofile(note)
        try:
            return function(*args, **kwargs)
        finally:
            sys.setprofile(None)


def trace(words, package):
    """Run one command of idiff and return its phases: name -> sorted `file:function`."""
    from lightning.pytorch.trainer import call
    from torch.utils.data.dataloader import _BaseDataLoaderIter

    from idiff.cli import main

    walk, trainers = Walk(package), []
    plain_next, strategy_hook, callback_hook = (
        _BaseDataLoaderIter.__next__,
        call._call_strategy_hook,
        call._call_callback_hooks,
    )

    def fetch(self):
        training = bool(trainers) and trainers[-1].training
        return walk.during("read" if training else "query", plain_next, self)

    def step(trainer, name, *args, **kwargs):
        if name not in STEPS:
            return strategy_hook(trainer, name, *args, **kwargs)
        return walk.during(STEPS[name], strategy_hook, trainer, name, *args, **kwargs)

    def hook(trainer, name, *args, **kwargs):
        trainers.append(trainer)
        if name not in SCORING:
            return callback_hook(trainer, name, *args, **kwargs)
        return walk.during("query", callback_hook, trainer, name, *args, **kwargs)

    _BaseDataLoaderIter.__next__ = fetch
    call._call_strategy_hook, call._call_callback_hooks = step, hook
    code = main(words)
    if code:
        raise SystemExit(code)
    return {phase: sorted(names) for phase, names in walk.seen.items()}


def walked(root, folder, words):
    """Trace a command of a checkout in a process of its own, in a working folder.

    Raises:
        RuntimeError: the command failed; says what it wrote.
    """
    out = Path(folder) / "walk.json"
    environment = os.environ | {"PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": "", "NO_ALBUMENTATIONS_UPDATE": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), str(Path(root) / "idiff"), str(out), *words.split()]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"idiff {words} of {root} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(out.read_text())


def hops(names):
    """Distinct functions and files."""
    return {"functions": len(set(names)), "files": len({name.partition(":")[0] for name in names})}


def walks(root):
    """Walk -> functions and files that it passes through, on a few drawn scenes and the embedded `tiny`.

    Args:
        root: folder that holds idiff/ and configs/.
    """
    root = Path(root).resolve()
    with tempfile.TemporaryDirectory() as folder:
        for split, count in (("train", 8), ("val", 4)):
            walked(root, folder, BUILD.format(task=TASK, split=split, count=count))
        (Path(folder) / "walk.yaml").write_text(CONFIG.format(root=root, task=TASK))
        fit, scored = walked(root, folder, FIT), walked(root, folder, EVALUATE)
    return {
        "training example, shard to batch": hops(fit["read"]),
        "training example, shard to loss": hops(fit["read"] + fit["loss"]),
        "query in fit, validation shard to TensorBoard": hops(fit["query"]),
        "query in evaluate, shard to scores": hops(scored["query"]),
    }


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(trace(sys.argv[3:], sys.argv[1])))
