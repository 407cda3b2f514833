"""Errors of libraries and of the operating system as one sentence: the only place where they are put into words.

Nothing is imported for it: an error is known by the library it was raised in, and by its text.
"""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Callable

from idiff.errors import ConfigError, IdiffError

LIBRARIES = frozenset({
    "PIL", "albumentations", "cv2", "diffusers", "huggingface_hub", "jsonargparse", "lightning", "pytorch_lightning", "rich",
    "safetensors", "tensorboard", "tokenizers", "torch", "torchmetrics", "transformers", "webdataset", "yaml",
})  # fmt: skip
"""An error that was raised inside of one of these is about what a user asked for; others may be bugs and keep their traceback."""

BY_NUMBER = {
    errno.ENOSPC: "the disk is full. Make room, or choose a folder on another disk.",
    errno.EDQUOT: "the quota of the disk is used up. Make room, or choose a folder on another disk.",
    errno.EACCES: "no permission. Choose another place, or change its permissions.",
    errno.EPERM: "no permission. Choose another place, or change its permissions.",
    errno.EROFS: "its disk is read-only. Choose a folder on another disk.",
    errno.ENOTDIR: "a file lies where a folder is expected. Correct the path.",
    errno.EISDIR: "it is a folder, expected a file. Correct the path.",
    errno.ENOENT: "it is missing. Correct the path.",
    errno.EEXIST: "something of that name is there already. Choose another name.",
    errno.EMFILE: "too many files are open. Use fewer workers, or raise `ulimit -n`.",
    errno.ENAMETOOLONG: "the name is too long. Choose a shorter one.",
    errno.ENOMEM: "the memory is full. Use smaller batches or fewer workers.",
    errno.EPIPE: "who read the output has gone.",
    errno.EADDRINUSE: "the port is in use. Choose another one.",
}
"""What the operating system refuses, and what to do about it."""

NUMBERED = re.compile(r"\[Errno (\d+)\] ([^:]*)(?:: b?['\"]([^'\"]*)['\"])?")
"""An error of the operating system, wherever a library repeats it."""

WORKER = "Original Traceback"
"""What torch puts before an error of a worker process."""

NAMES = re.compile(r"[`']([^`']+)[`']")


def _watched(found: re.Match[str]) -> str:
    from idiff.cli.watched import unlogged

    return unlogged(found[1], NAMES.findall(found[2]))


def _package(found: re.Match[str]) -> str:
    name = found[1].lower()
    return f"the package {re.split('[<>=~!]', name)[0]} is not installed: run `pip install '{name}'`, or leave out what needs it."


def _killed(found: re.Match[str]) -> str:
    from idiff.data.loading.reading import killed

    return killed(found.string) or (
        "a worker process of a loader was killed, as where memory is full. Go on with --ckpt_path last and fewer data.num_workers."
    )


RULES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"No supported gpu backend found|(?:CUDA|MPS|XLA|\w+)Accelerator.{0,3} can ?not run on your system|No CUDA GPUs are available|"
     r"Torch not compiled with CUDA", "this machine has no such accelerator. Set trainer.accelerator to cpu or auto."),
    (r"You requested gpu: (\[[^]]*\]).*?But your machine only has: (\[[^]]*\])",
     r"trainer.devices asks for the GPUs \1, and this machine has \2. Name some of these, or set trainer.accelerator: cpu."),
    (r"Requirement '([\w-]+[^']*)' not met", _package),
    (r"you must have (\w+) installed", _package),
    (r"No module named '(lightning_[\w]+|wandb|deepspeed|tensorboard|mlflow|comet_ml|neptune)", _package),
    (r"conditioned on metric `([^`]+)` which is not available.*?following: (.*)", _watched),
    (r"monitor='([^']+)'\)?`? could not find the monitored key in the returned metrics: (\[.*?\])", _watched),
    (r"out of memory|can't allocate memory", "the memory is full. Use a smaller data.batch_size, and raise "
     "trainer.accumulate_grad_batches as much."),
    (r"DataLoader worker \(pid", _killed),
    (r"Address already in use|EADDRINUSE", "the port of the process group is in use. Set MASTER_PORT to another one."),
)  # fmt: skip
"""Texts of libraries, and what is said instead."""


def in_words(error: BaseException) -> IdiffError | None:
    """What an error of a library or of the operating system says to a user; None: it may be a bug, whose traceback is kept."""
    text, library = " ".join(str(error).split()), _library(error)
    system = NUMBERED.search(text) if library or isinstance(error, OSError) else None
    if system:
        remedy = BY_NUMBER.get(int(system[1]), f"{system[2]}. Correct the path.")
        return ConfigError(": ".join(filter(None, [system[3], remedy])))
    if isinstance(error, MemoryError):
        return ConfigError(BY_NUMBER[errno.ENOMEM])
    if library or isinstance(error, OSError | RuntimeError | ImportError):
        for pattern, said in RULES:
            found = re.search(pattern, text, re.IGNORECASE)
            if found:
                return ConfigError(found.expand(said) if isinstance(said, str) else said(found))
    if not library or WORKER in text:  # a bug in a worker process is one, too
        return None
    first = re.split(r"(?<=[.!?]) (?=[A-Z])", text)[0][:240].rstrip(".") or type(error).__name__
    return ConfigError(f"{library} refuses: {first}. Add --debug to see where.")


def _library(error: BaseException) -> str:
    """The library an error was raised in; empty where it was raised elsewhere."""
    frames = list(traceback.walk_tb(error.__traceback__))
    module = str(frames[-1][0].f_globals.get("__name__", "")) if frames else ""
    found = {module.partition(".")[0], type(error).__module__.partition(".")[0]} & LIBRARIES
    return min(found, default="")
