"""Every YAML under configs/ goes through the real command line, up to where weights and shards would be opened."""

import importlib
import inspect
import re
from pathlib import Path

import pytest
import yaml
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningArgumentParser
from small_models import ROOT

from idiff.chains.experiment import read_experiment
from idiff.cli import COMMANDS, lightning_commands, main
from idiff.config.compose import compose
from idiff.data.loading.training import TaskEntry
from idiff.data.sentence_datamodule import SentenceDataModule

CONFIGS = ROOT / "configs"
FILES = sorted(CONFIGS.rglob("*.yaml"))
EXPERIMENTS = sorted((CONFIGS / "experiment").glob("*.yaml"))
CHAINS = [path for path in EXPERIMENTS if "stages" in compose([str(path)])]
TASKS = sorted((CONFIGS / "task").glob("*.yaml"))
STAGES = sorted((CONFIGS / "stage").glob("*.yaml"))
TRAINERS = sorted((CONFIGS / "trainer").glob("*.yaml"))
MODELS = sorted((CONFIGS / "model").glob("*.yaml"))
MENTIONED = re.compile(r"configs/[\w/.-]+?\.yaml")


def name(path):
    return str(path.relative_to(CONFIGS))


def head(path):
    """The comment that a file begins with."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "\n".join(lines[:first])


def stage_class(config):
    module, _, found = config["model"]["class_path"].rpartition(".")
    return getattr(importlib.import_module(module), found)


def complete(config):
    """Whether a composed configuration says what is trained on what; parts that others include do not."""
    return "class_path" in config.get("model", {}) and "class_path" in config.get("data", {})


@pytest.fixture
def parse(monkeypatch, tmp_path, capsys):
    """Run `idiff fit ...` up to the parsed configuration; return it. Data modules with their tasks are built, no model."""
    seen = {}

    def keep(cli):
        seen["config"] = cli.config.fit
        parser = LightningArgumentParser(exit_on_error=False)
        parser.add_lightning_class_args(LightningDataModule, "data", subclass_mode=True)
        parsed = parser.parse_object({"data": cli.config.fit.data.as_dict()})
        seen["data"] = parser.instantiate_classes(parsed).data

    monkeypatch.setattr(lightning_commands.StageCLI, "instantiate_classes", keep)
    monkeypatch.setattr(lightning_commands.StageCLI, "_run_subcommand", lambda self, subcommand: None)
    monkeypatch.setattr(lightning_commands.StageCLI, "_set_seed", lambda self: None)
    monkeypatch.chdir(tmp_path)

    def parse(*words):
        code = main(["fit", *map(str, words)])
        assert code == 0, capsys.readouterr().err
        return seen

    return parse


@pytest.mark.parametrize("path", FILES, ids=name)
def test_composes_and_says_what_it_is(path):
    assert compose([str(path)])
    assert len(head(path)) > 20, f"{path} begins with no comment that says what it is for"


def test_configurations_that_are_mentioned_exist():
    places = [*FILES, *(ROOT / "idiff").rglob("*.py"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    mentioned = {(one, str(path)) for path in places for one in MENTIONED.findall(path.read_text(encoding="utf-8"))}
    assert {(one, by) for one, by in mentioned if not (ROOT / one).is_file()} == set()


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_experiments_parse(parse, path):
    config = compose([str(path)])
    if "stages" in config:
        return  # see below
    if not complete(config):
        used = [other for other in EXPERIMENTS if other != path and path.name in other.read_text(encoding="utf-8")]
        assert used, f"{path} is not a whole experiment, and none includes it"
        return
    words = ROOT / "tools" / "tokenizer_words.txt"  # read when the data module is built, from the working folder
    Path("tools").mkdir()
    Path("tools", words.name).write_text(words.read_text(encoding="utf-8"), encoding="utf-8")
    seen = parse("--config", path)
    assert seen["config"].model.class_path == config["model"]["class_path"]
    if not isinstance(seen["data"], SentenceDataModule):
        assert seen["data"].tasks
        assert len({task.size for task in seen["data"].tasks.values()}) == 1
    assert seen["config"].trainer.max_steps > 0
    assert seen["config"].trainer.use_distributed_sampler is False
    assert Path(seen["config"].trainer.default_root_dir).parts[0] == "runs"


@pytest.mark.parametrize("path", CHAINS, ids=name)
def test_every_training_of_a_chain_parses(parse, tmp_path, path):
    experiment = read_experiment(str(path), commands=list(COMMANDS))
    assert experiment.folder.parts[0] == "runs"
    trainings = [entry for entry in experiment.entries if entry.config is not None]
    assert trainings
    for entry in trainings:
        (tmp_path / f"{entry.name}.yaml").write_text(yaml.safe_dump(entry.config))
        seen = parse("--config", tmp_path / f"{entry.name}.yaml")
        assert seen["config"].trainer.default_root_dir == str(experiment.folder / entry.name)
        assert seen["config"].model.init_args.init_from == entry.config["model"]["init_args"].get("init_from")
        assert seen["data"].tasks


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_experiments_begin_with_their_command(path):
    own = re.escape(str(path.relative_to(ROOT)))
    config = compose([str(path)])
    if complete(config) or "stages" in config:
        assert re.search(rf"idiff (fit --config|run) {own}", head(path)), f"no command with {own} in the head of {path}"


@pytest.mark.parametrize("model", MODELS, ids=name)
@pytest.mark.parametrize("stage", STAGES, ids=name)
def test_every_stage_takes_every_model(parse, tmp_path, stage, model):
    data = tmp_path / "data.yaml"
    data.write_text("data: {class_path: idiff.data.datamodule.SegmentationDataModule, init_args: {train: a, val: b}}")
    takes = inspect.signature(stage_class(compose([str(stage)]))).parameters
    files = [stage, model] if "backbone" in takes else [stage]
    config = parse(*(word for file in [*files, data] for word in ("--config", file)))["config"]
    assert ("backbone" in config.model.init_args) == ("backbone" in takes)


@pytest.mark.parametrize("path", TASKS, ids=name)
def test_a_task_is_an_entry_of_a_mixture(parse, tmp_path, path):
    experiment = {
        "include": str(CONFIGS / "stage" / "autoencoder.yaml"),
        "data": {
            "class_path": "idiff.data.datamodule.MixtureDataModule",
            "init_args": {
                "tasks": {"mine": str(path), "other": {"include": str(path), "weight": 3.5, "train": "here"}}
            },
        },
    }
    (tmp_path / "top.yaml").write_text(yaml.safe_dump(experiment))
    content = yaml.safe_load(path.read_text())
    assert set(content) <= set(inspect.signature(TaskEntry).parameters)
    entries = parse("--config", tmp_path / "top.yaml")["data"].entries
    assert list(entries) == ["mine", "other"]
    assert (entries["mine"].weight, entries["other"].weight) == (content.get("weight", 1.0), 3.5)
    assert entries["other"].train == "here"
    assert type(entries["mine"].task).__name__ == content["task"]["class_path"].rpartition(".")[2]
    assert entries["mine"].sampling.steps == content["sampling"]["steps"]


def test_overrides_go_over_files(parse, tmp_path):
    stage = CONFIGS / "stage" / "autoencoder.yaml"
    (tmp_path / "more.yaml").write_text(
        "model: {init_args: {kl_weight: 1e-3}}\ntrainer: {max_steps: 5}\n"
        "data: {class_path: idiff.data.datamodule.SegmentationDataModule, init_args: {train: a}}"
    )
    words = [
        "--config",
        stage,
        f"--config={tmp_path}/more.yaml",
        "--trainer.max_steps",
        "7",
        "--data.init_args.batch_size=3",
    ]
    seen = parse(*words)
    assert seen["config"].model.init_args.kl_weight == 1e-3
    assert seen["config"].model.init_args.lr == yaml.safe_load(stage.read_text())["model"]["lr"]
    assert seen["config"].trainer.max_steps == 7
    assert seen["data"].batch_size == 3


@pytest.mark.parametrize("path", TRAINERS, ids=name)
def test_a_trainer_s_file_goes_over_a_training(parse, path):
    config = parse("--config", CONFIGS / "experiment/sd15_full_80gb.yaml", "--config", path)["config"]
    assert config.trainer.devices == 8 and config.trainer.max_steps == 10_000
    strategy = config.trainer.strategy
    assert strategy == "ddp" or (strategy.init_args.data_parallel_size, strategy.init_args.tensor_parallel_size) == (
        8,
        1,
    )
