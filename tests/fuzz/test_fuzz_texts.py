"""Configurations, sentences, presets, decisions and other small files: any bytes end in a value or in an error of ours."""

import json
from types import SimpleNamespace

import pytest
import yaml
from candidate_folders import write_candidates
from fuzzing import SEEDS, VALUES, any_bytes, budget, changed, json_bytes, json_files, like, mutants, tried, variants
from hypothesis import given
from hypothesis import strategies as st
from small_models import ROOT

from idiff.alignment.candidates import CandidateFolder
from idiff.alignment.picks import PickJournal
from idiff.apps.picker_samples import PickerSamples
from idiff.callbacks.checkpoint_io import newest
from idiff.chains.experiment import read_experiment
from idiff.chains.state import read_record
from idiff.config.compose import compose
from idiff.curation.inpainting.fill import create
from idiff.curation.quality.scoring_choice import load_features
from idiff.evaluation.measured_points import PointFile
from idiff.models.io.preset_files import presets_beside, presets_of
from idiff.models.ood import OODScore
from idiff.tasks.instructions.bank import InstructionBank
from idiff.tasks.instructions.bank_files import where
from idiff.tasks.saved import restore_task
from idiff.utils.plain_yaml import parse_yaml

YAMLS = [
    (ROOT / "configs" / name).read_bytes()
    for name in ("task/segmentation.yaml", "task/keypoints.yaml", "stage/tasks.yaml")
]
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(12)
)
ODD_YAMLS = [
    BOMB.encode(),
    b"a: &a [*a]",
    b"a: &a {b: *a}",
    b"!!python/object/apply:os.system [ls]",
    b"[" * 60,
    b"? {a: b}\n: c",
    b"{a: 2001-99-99}",
]


def as_bytes(text):
    return text.encode("utf-8", "replace")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("texts")


@budget(1)
@given(
    data=st.one_of(
        any_bytes(*YAMLS),
        st.sampled_from(ODD_YAMLS),
        VALUES.map(yaml.dump).map(as_bytes),
    )
)
def test_configurations(place, data):
    for each in variants(data, 3):
        file = place / "a.yaml"
        file.write_bytes(each)
        with tried("configuration: YAML"):
            compose([file])
        with tried("task by its YAML"):
            restore_task({}, str(file), data="", changes={})


FEATURES = (ROOT / "configs/quality/color.yaml").read_bytes()
INPAINTER = {"path": "fills", "prompt": "a floor", "negative_prompt": "", "steps": 4, "guidance": 1.0, "size": 64}


@pytest.fixture(scope="module")
def inpainter(tmp_path_factory):
    """A folder that a pipeline would be loaded from once it paints."""
    folder = tmp_path_factory.mktemp("pipeline") / "fills"
    folder.mkdir()
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionInpaintPipeline"}')
    return folder


@budget(1)
@given(
    features=st.one_of(any_bytes(FEATURES), like(yaml.safe_load(FEATURES)).map(yaml.dump).map(as_bytes)),
    options=st.one_of(any_bytes(yaml.dump(INPAINTER).encode()), like(INPAINTER).map(yaml.dump).map(as_bytes)),
)
def test_settings_of_curation(place, inpainter, features, options):
    file, there = place / "b.yaml", str(inpainter).encode()
    for each in (FEATURES, *variants(features, 3)):
        file.write_bytes(each)
        with tried("YAML of a feature extractor"):
            load_features(file)
    for each in (yaml.dump(INPAINTER).encode(), *variants(options, 3)):
        file.write_bytes(each.replace(b"fills", there))
        with tried("YAML of an inpainter"):
            create(str(file))


CHAIN = (ROOT / "configs/experiment/three_stages.yaml").read_text().replace("../", f"{ROOT}/configs/").encode()
COMMANDS = ("data", "align", "export", "evaluate")


@budget(0.5)
@given(data=st.one_of(any_bytes(CHAIN), like(yaml.safe_load(CHAIN)).map(yaml.dump).map(as_bytes)))
def test_chains(place, data):
    for each in (CHAIN, data):
        (place / "chain.yaml").write_bytes(each)
        with tried("chain of stages: YAML"):
            read_experiment(str(place / "chain.yaml"), sets=[], over=[], commands=COMMANDS)


def test_what_the_property_tests_change_is_good(place, inpainter):
    (place / "good.yaml").write_bytes(FEATURES)
    assert load_features(place / "good.yaml")[0]["class_path"].endswith("ColorStatistics")
    (place / "good.yaml").write_text(yaml.dump(INPAINTER | {"path": str(inpainter)}))
    assert create(str(place / "good.yaml")).options.steps == 4
    (place / "chain.yaml").write_bytes(CHAIN)
    assert read_experiment(str(place / "chain.yaml"), sets=[], over=[], commands=COMMANDS).entries


def test_aliases_stand_for_no_more_than_there_is_room_for():
    for text in (BOMB, "a: &a [*a]"):
        with pytest.raises(ValueError, match="alias"):
            parse_yaml(text)


BANKS = [
    (ROOT / "idiff/tasks/instructions" / f"{kind}.txt").read_bytes()[:600]
    for kind in ("segmentation", "keypoints", "deblur")
]


@budget(1.5)
@given(
    data=any_bytes(*BANKS, b"{object:>99999999}\nMark {object!r} {color}"),
    kind=st.sampled_from(("segmentation", "keypoints", "deblur")),
)
def test_instructions(place, data, kind):
    for each in variants(data):
        (place / "bank.txt").write_bytes(each)
        with tried("bank of instructions"):
            assert InstructionBank(kind, str(place / "bank.txt")).first().sentence
        with tried("file of sentences"):
            where(str(place / "bank.txt"), kind=kind)


PRESET = {
    "steps": 4, "guidance_text": 1.0, "guidance_image": 1.0, "sampler": "euler", "rule": "instructdiffusion", "metric": "miou",
    "score": 0.5, "evaluations": 8.0, "samples": 3, "data": "x",
}  # fmt: skip


@budget(1)
@given(
    values=like({"a": PRESET, "b": PRESET}), data=json_files({"0" * 64: {"file": "a.ckpt", "presets": {"a": PRESET}}})
)
def test_presets(place, values, data):
    for each in variants(data):
        with tried("presets of a model"):
            presets_of(values, origin="x")
        (place / "presets.json").write_bytes(each)
        with tried("presets.json beside checkpoints"):
            presets_beside(place / "a.ckpt", sha256="0" * 64)


POINT = {
    "sampling": {"steps": 4}, "metrics": {"miou": 0.5}, "evaluations_per_query": 4.0, "seconds_per_query": 0.1, "samples": 2,
    "queries": 2, "device": "cpu",
}  # fmt: skip
IDENTITY = {
    "task": "a",
    "checkpoint": {"name": "a", "sha256": "0", "step": 1},
    "data": {"path": "x", "fingerprint": "1"},
}


@budget(0.5)
@given(data=json_files(IDENTITY | {"points": [POINT]}))
def test_measured_points(place, data):
    for each in variants(data):
        (place / "points.json").write_bytes(each)
        with tried("points of idiff tune"):
            PointFile.open(place / "points.json", IDENTITY)


@budget(0.5)
@given(values=like({"mean": [0.0, 1.0], "precision": [[1.0, 0.0], [0.0, 1.0]], "usual": 1.0, "far": 2.0}))
def test_out_of_distribution_scores(values):
    with tried("out-of-distribution score of a model"):
        OODScore.of(values)


@budget(0.5)
@given(
    data=json_files({"whole": [{"step": 1, "size": 3, "sha256": "0" * 64}]}),
    record=json_files({"finished": True, "origins": {}, "words": []}),
)
def test_checks_and_records(place, data, record):
    folder = place / "run"
    folder.mkdir(exist_ok=True)
    (folder / "last.ckpt").write_bytes(b"abc")
    (folder / "last.ckpt.check.json").write_bytes(data)
    with tried("check file beside a checkpoint"):
        newest(folder)
    entry = SimpleNamespace(name="a", config=None)
    (folder / "chain").mkdir(exist_ok=True)
    from idiff.chains.state import record_file

    file = record_file(SimpleNamespace(folder=folder), entry)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(record)
    with tried("record of a chain's stage"):
        read_record(SimpleNamespace(folder=folder), entry)


TASKS = {
    "a": {"task": {"class_path": "idiff.tasks.SemanticSegmentation", "init_args": {"size": 32, "decoder": "color"}},
          "sampling": {"steps": 2}},
    "b": {"task": {"class_path": "idiff.tasks.KeypointDetection", "init_args": {}}, "metrics": {"m": "own.Metric"}, "weight": 1.0},
}  # fmt: skip
CONFIGS = [
    {"tasks": TASKS},
    {"data": {"class_path": "idiff.data.datamodule.MixtureDataModule", "init_args": {"tasks": TASKS}}},
]


@budget(0.5)
@given(like(*CONFIGS), st.sampled_from(("a", "b", "segmentation", "keypoints")))
def test_tasks_of_a_checkpoint(config, wanted):
    with tried("tasks of a checkpoint"):
        restore_task(config if isinstance(config, dict) else {}, wanted, data="", changes={})


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    return write_candidates(tmp_path_factory.mktemp("candidates") / "c", samples=2, candidates=2, size=16)


def test_candidates(candidates):
    files = [candidates / "align.json", candidates / "samples" / "000000" / "sample.json"]
    values = {file: json.loads(file.read_bytes()) for file in files}

    @budget(0.5)
    @given(st.sampled_from(files), st.data())
    def property_(file, data):
        file.write_bytes(data.draw(json_files(values[file])))
        with tried("candidates: align.json, sample.json"):
            folder = CandidateFolder.open(candidates)
            samples = PickerSamples(folder)
            for name in samples.names():
                folder.picture(folder.read(name), folder.read(name).candidates[0].file)
        file.write_bytes(json_bytes(values[file]))

    property_()


LINE = {
    "sample": "000000",
    "chosen": [1, 0],
    "annotator": "ann",
    "time": "2026-01-01T00:00:00.000+00:00",
    "seconds": 1.5,
    "action": "pick",
}


@budget(1)
@given(
    data=st.one_of(
        st.lists(like(LINE).map(json_bytes), max_size=3).map(b"\n".join),
        mutants(json_bytes(LINE) + b"\n"),
        st.binary(max_size=99),
    )
)
def test_decisions(candidates, data):
    for each in variants(data):
        (candidates / "picks").mkdir(exist_ok=True)
        (candidates / "picks" / "ann.jsonl").write_bytes(each)
        with tried("decisions of the picker"):
            PickJournal(candidates, "ann").decisions()


@budget(0.5)
@given(SEEDS)
def test_the_helper_changes_files(seed):
    assert isinstance(changed(b"abc", seed), bytes)
