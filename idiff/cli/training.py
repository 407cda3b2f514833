"""`idiff fit | validate | test | predict`: a short help that loads nothing, and longer ones by section."""

from __future__ import annotations

from idiff.cli.arguments import say

DOES = {
    "fit": "Train a stage.",
    "validate": "Score a checkpoint on the validation sets of a configuration.",
    "test": "Score a checkpoint on the test sets of a configuration (`test:` beside `val:`).",
    "predict": "Write masks, keypoints and output images of the validation sets.",
}
USAGE = """\
usage: idiff {command} --config YAML [--config YAML ...] [--ckpt_path {path}] [--SECTION.SETTING VALUE ...]

{does}
Later files go over earlier ones, and options over files: --model.lr 1e-3 is model: {{lr: 1.0e-3}} in a YAML.

options:
  --config YAML               such as configs/experiment/first_run.yaml
  --ckpt_path {path:<16}{checkpoint}
{options}  --print_config              the whole configuration, in its long form, and stop
  --seed_everything N         seed of the process (0)
  --debug                     show the traceback of an error

settings, as a YAML has them; idiff {command} --help.SECTION lists all of a section:
  model:                      --help.model, --help.model.backbone, --help.model.TaskTraining
    class_path: TaskTraining  the stage; or Adaptation, PreferenceTraining, AutoencoderTraining, ReadoutTraining, TextTraining
    init_from: CKPT           weights to start from: a .ckpt, an exported folder, or a model's name (tiny)
    lr: 1.0e-4                peak learning rate; also optimizer, weight_decay, warmup_steps, decay
    backbone:
      pretrained: tiny        the model; also unet, objective, gradient_checkpointing
  data:                       --help.data, --help.data.tasks, --help.data.tasks.task.KeypointDetection
    class_path: MixtureDataModule   several tasks; or SegmentationDataModule, KeypointDataModule, TaskDataModule
    tasks:
      NAME: {{include: configs/task/segmentation.yaml, root: DIR}}    shards in DIR/train and DIR/val
    batch_size: 32
    num_workers: 2
  trainer:                    --help.trainer: Lightning's
    max_steps: 1000           when a training ends
    val_check_interval: 500   steps from one validation to the next
    accelerator: auto         and devices: auto, precision: 32-true
    default_root_dir: DIR     the run folder (runs/default)
  ema: {{decay: 0.9999}}        averaged weights, which are validated and saved
  last: {{every_n_steps: 500}}  how often checkpoints/last.ckpt is saved
  best: {{monitor: val/score}}  which checkpoint is kept as best.ckpt
  evaluate: {{pictures: 8}}     what a validation scores and draws
  predictions: {{out: DIR}}     where predict writes
  report: {{write: true}}       run.json, figures.csv and report.html in the run folder
  resume: {{allow: NAMES}}      settings that may differ when a run goes on

idiff {command} --help.all is the long list of every option."""

ONLY_FIT = """\
  --fresh                     put a run that is in the way aside
  --check [--memory 12GB]     say what would train, and what it needs, without a step of it
"""


def run(words: list[str]) -> int:
    """Print help, or run the command; see `idiff.cli.lightning_commands.run`."""
    asked = [word for word in words[1:] if word in {"-h", "--help"} or word.startswith("--help.")]
    path = asked[-1].partition(".")[2] if asked else ""
    if not asked or path == "all":
        from idiff.cli import lightning_commands

        return lightning_commands.run([words[0], "--help"] if asked else words)
    if path:
        from idiff.config.levels import level

        say(level(path))
        return 0
    fit = words[0] == "fit"
    say(
        USAGE.format(
            command=words[0],
            does=DOES[words[0]],
            path="last|FILE" if fit else "last|best|FILE",
            checkpoint="go on with the run's last checkpoint, or from a file"
            if fit
            else "the checkpoint whose weights are used",
            options=ONLY_FIT if fit else "",
        )
    )
    return 0
