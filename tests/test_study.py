"""`make study` on small drawn sets in the layouts of its folders."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from scripts import load_script
from small_models import ROOT

from idiff.data.loading.dataset import Part
from idiff.data.shards.reader import ShardSet
from idiff.tasks import Deblur, KeypointDetection, SemanticSegmentation


@pytest.fixture(scope="module")
def tools():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        yield load_script


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Joints, classes and clean images, a few of each, as DATA holds them."""
    tmp_path = tmp_path_factory.mktemp("study")
    load_script("tools/own_pictures.py").main(["--out", str(tmp_path / "drawn"), "--count", "6"])
    data = tmp_path / "raw"
    data.mkdir()
    (tmp_path / "drawn" / "people").rename(data / "faces")
    (tmp_path / "drawn" / "shapes").rename(data / "people")
    rng = np.random.default_rng(0)
    for split, count in {"train": 3, "val": 2}.items():
        (data / "photos" / split).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(rng.integers(0, 255, (80, 90, 3), np.uint8)).save(data / "photos" / split / f"{index}.png")
    return data


@pytest.fixture(scope="module")
def built(tools, raw):
    sets = tools("tools/study_sets.py")
    names, out = sets.there(raw), raw.parent / "out"
    sets.build(raw, out, names)
    return sets, names, out


def test_the_folders_that_are_there_become_the_training(built, raw, capsys):
    sets, names, out = built
    assert names == ["faces", "people", "photos"]
    settings = sets.experiment(out, names, 20)
    tasks = settings["data"]["init_args"]["tasks"]
    assert list(tasks) == names and tasks["faces"]["train"] == str(out / "data" / "faces" / "train")
    assert settings["trainer"]["max_steps"] == 20 and settings["trainer"]["val_check_interval"] == 10
    sets.write_tasks(out, settings)
    shares = sets.shares(out, settings)
    assert sum(shares.values()) == pytest.approx(1) and min(shares.values()) > 0
    assert yaml.safe_load((out / "tasks" / "faces.yaml").read_text())["task"]["class_path"].endswith(
        "KeypointDetection"
    )
    with pytest.raises(SystemExit, match="none of the folders faces"):
        sets.there(raw / "photos")
    sets.there(raw)
    assert "has no lsp" in capsys.readouterr().out


def test_a_command_that_fails_says_where_its_log_is(tools, tmp_path):
    command = tools("tools/study_sets.py").command
    with pytest.raises(SystemExit, match=r"ended with 3: nothing said .see .*one\.log"):
        command("-c", "raise SystemExit(3)", done=tmp_path / "one.done")
    command("-c", "print('once')", done=tmp_path / "two.done")
    command("-c", "print('twice')", done=tmp_path / "two.done")
    assert (tmp_path / "two.log").read_text() == "once\n"


def test_a_perfect_network_is_read_as_the_truth(tools, built):
    head, out = tools("tools/specialist.py"), built[2]
    part = Part("faces", KeypointDetection(flip_test=True), ShardSet.open(out / "data" / "faces" / "val"))
    joints = head.Joints(part)
    sample, local = part.sample(0)
    triplets = part.task.queries(sample, local)
    maps, known = joints.target(triplets[0]).chunk(2)
    mirrored = joints.target(triplets[-1])[: len(maps)]
    # the far view's maps are in the straight order of joints already: evaluation names them anew
    assert known[:, 0, 0].tolist() == [float(flag > 0) for flag in np.asarray(triplets[0].annotation["joints"])[:, 2]]
    assert torch.allclose(joints.mirrored(mirrored).flip(-1), maps, atol=1e-3)
    queries = [each.query for each in triplets[: len(triplets) // 2]]
    found = part.task.combine(joints.predictions(part.task, maps, queries), queries)
    truth = part.task.truth(triplets[0].annotation).keypoints
    seen = truth[:, 2] > 0
    assert (found.keypoints[seen, :2] - truth[seen, :2]).norm(dim=1).max() < 2.5

    part = Part("people", SemanticSegmentation(), ShardSet.open(out / "data" / "people" / "val"))
    classes = head.Classes(part)
    sample, local = part.sample(0)
    triplets = part.task.queries(sample, local)
    labels = classes.target(triplets[0])
    maps = torch.nn.functional.one_hot(labels.clamp(max=classes.outputs - 1), classes.outputs).permute(2, 0, 1).float()
    queries = [each.query for each in triplets]
    found = part.task.combine(classes.predictions(part.task, maps, queries), queries)
    truth = part.task.truth(triplets[0].annotation).labels
    assert (found.labels == truth)[truth != 255].float().mean() > 0.95


@pytest.mark.parametrize(
    ("name", "task"), [("faces", KeypointDetection), ("people", SemanticSegmentation), ("photos", Deblur)]
)
def test_a_specialist_trains_and_is_scored_by_the_tasks_metrics(tools, built, name, task, tmp_path):
    out, file = built[2], tmp_path / "task.yaml"
    file.write_text(f"task: {{class_path: {task.__name__}}}")
    card = tmp_path / "card.json"
    tools("tools/specialist.py").main(
        ["--data", str(out / "data" / name / "train"), "--val", str(out / "data" / name / "val"), "--task", str(file),
         "--examples", "8", "--batch", "4", "--parameters", "300000", "--out", str(card)]
    )  # fmt: skip
    found = json.loads(card.read_text())
    assert set(found["metrics"]) >= set(task().metrics().keys(keep_base=True)) and found["parameters"] <= 300_000
    assert found["examples"] == 8 and found["samples"] >= 1


def test_the_table_shows_every_set_beside_its_specialist(tools):
    found = {
        "metrics": {"ap": 0.5, "pck": 0.9}, "intervals": {"ap": [0.4, 0.6]}, "ceiling": {"ap": 1.0}, "identity": {},
        "guess": {"name": "mean_pose", "ap": 0.1}, "samples": 3, "specialist": {"metrics": {"ap": 0.25}},
    }  # fmt: skip
    table = tools("tools/study_tables.py").tables({"sets": {"faces": found}})
    assert "| faces | 3 | AP | 0.500 [0.400, 0.600] | 0.250 | 2.00 | 0.100 | 1.000 |" in table
    assert "|  |  | PCK@0.1 | 0.900 | - | - | - | - |" in table


def test_the_table_of_photographs_has_no_column_of_specialists(tools):
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    results = json.loads((ROOT / "docs" / "photographs.json").read_text(encoding="utf-8"))
    study = tools("tools/study_tables.py")
    table = study.tables(results)
    assert "specialist" not in table and "| faces | 300 | AP |" in table
    assert study.written(page, results["command"], table) == page


def test_the_experiment_of_photographs_takes_the_sets_that_are_there(tools, tmp_path):
    sets, photographs = tools("tools/study_sets.py"), tools("tools/photographs.py")
    settings = sets.experiment(tmp_path, ["lsp", "people"], 12, file=photographs.EXPERIMENT)
    tasks = settings["data"]["init_args"]["tasks"]
    assert list(tasks) == ["lsp", "people"] and tasks["people"]["val"] == str(tmp_path / "data" / "people" / "val")
    assert settings["trainer"]["max_steps"] == 12 and "root" not in tasks["lsp"]


def test_the_page_shows_the_results_that_lie_beside_it(tools):
    page = (ROOT / "docs" / "study.md").read_text(encoding="utf-8")
    results = json.loads((ROOT / "docs" / "study-results.json").read_text(encoding="utf-8"))
    study = tools("tools/study_tables.py")
    assert study.written(page, "make study", study.tables(results)) == page
    claims = tools("tools/claims_tables.py")
    results = json.loads((ROOT / "docs" / "study-claims.json").read_text(encoding="utf-8"))
    assert study.written(page, "make study-claims", claims.tables(results)) == page


@pytest.mark.parametrize("tool", ["study_tables", "claims_tables"])
@pytest.mark.parametrize(
    ("content", "page", "said"),
    [
        (None, None, "cannot be read"),
        ("{bad", None, "cannot be read"),
        ("{}", None, "expected the results.json of `make study"),
        ('{"sets": {}, "arms": {}}', "no marks", "no place for the table"),
        ('{"sets": {}, "arms": {}}', None, "cannot be read"),
    ],
)
def test_what_is_no_result_or_no_page_is_one_sentence(tools, tmp_path, capsys, tool, content, page, said):
    results, written = tmp_path / "results.json", tmp_path / "page.md"
    if content is not None:
        results.write_text(content)
    if page is not None:
        written.write_text(page)
    words = ["--write", str(written)] if content and "arms" in content else []
    with pytest.raises(SystemExit) as stopped:
        tools(f"tools/{tool}.py").main([str(results), *words])
    assert stopped.value.code == 2 and said in capsys.readouterr().err
    assert page is None or written.read_text() == page


@pytest.mark.parametrize("target", ["study", "photographs"])
def test_make_says_what_it_needs(target):
    ran = subprocess.run(["make", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and "DATA=DIR" in ran.stdout and "pip" not in ran.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_study_runs_to_its_results(raw, tmp_path):
    out = tmp_path / "study"
    words = [
        sys.executable,
        "tools/study.py",
        "--data",
        str(raw),
        "--out",
        str(out),
        "--minutes",
        "0.2",
        "--without-specialists",
    ]
    assert subprocess.run(words, cwd=ROOT, check=False).returncode == 0
    results = json.loads((out / "results.json").read_text())
    assert set(results["sets"]) == {"faces", "people", "photos"} and (out / "generalist.ckpt").exists()
    assert "| faces |" in (out / "study.md").read_text()
