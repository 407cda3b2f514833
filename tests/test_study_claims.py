"""`make study-claims`: its arms, its table of hours, and what it keeps."""

import json
import subprocess

import pytest
from scripts import load_script
from small_models import ROOT

SETS = ["faces", "lsp", "fashion_pose", "clothing", "people"]


@pytest.fixture(scope="module")
def claims():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        yield load_script("tools/study_claims.py")


def data_of(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
    return folder


def test_arms_are_those_whose_sets_are_there(claims):
    names = [arm.name for arm in claims.arms(["lsp", "people"])]
    assert names == [
        "few lsp 50",
        "few lsp 200",
        "few lsp 1000",
        "lsp alone, equal steps",
        "lsp alone, equal examples",
    ]
    every = claims.arms(SETS)
    assert len({arm.name for arm in every}) == len(every) and "bare names" in {arm.name for arm in every}


def test_the_plan_counts_core_hours(claims, tmp_path, capsys):
    claims.main(["--data", str(data_of(tmp_path, "lsp")), "--minutes", "12", "--only", "lsp", "--plan"])
    shown = capsys.readouterr().out
    assert "| lsp alone, equal steps | 3 | 12.0 | 0.60 |" in shown and "| all | | | 0.80 |" in shown


@pytest.mark.parametrize(
    ("words", "said"), [(["--only", "nothing"], "no arm begins with 'nothing'"), (["--minutes", "31"], "30 at most")]
)
def test_wrong_words_are_one_sentence(claims, tmp_path, capsys, words, said):
    with pytest.raises(SystemExit) as stopped:
        claims.main(["--data", str(data_of(tmp_path, "lsp")), *words])
    assert said in f"{stopped.value}{capsys.readouterr().err}"


def test_arms_of_other_minutes_or_models_are_not_mixed(claims, tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "build", lambda *_: None)
    kept = tmp_path / "out" / "claims" / "plan.json"
    kept.parent.mkdir(parents=True)
    words = ["--data", str(data_of(tmp_path / "raw", "lsp")), "--out", str(tmp_path / "out"), "--minutes"]
    kept.write_text('{"minutes": 5, "steps": 9, "start": "0"}')
    with pytest.raises(SystemExit, match=r"was begun with minutes 5, asked for is 6.0"):
        claims.main([*words, "6"])
    with pytest.raises(SystemExit, match="was begun with start 0, asked for is"):
        claims.main([*words, "5"])


@pytest.mark.parametrize("content", ["{", "[]", '{"minutes": 5}', '{"minutes": 5, "start": "0", "steps": "many"}'])
def test_a_damaged_plan_is_one_sentence(claims, tmp_path, content):
    from study_sets import planned

    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(SystemExit, match=r"plan.json is no plan .*Give another OUT"):
        planned(tmp_path / "plan.json", {"minutes": 5, "start": "0"}, lambda: 1)


def test_a_folder_without_its_sets_is_named(claims, tmp_path):
    with pytest.raises(SystemExit, match="none of the folders faces, lsp, clothing"):
        claims.main(["--data", str(data_of(tmp_path, "camvid"))])


def test_an_arm_changes_one_thing(claims, tmp_path):
    from study_sets import experiment

    (tmp_path / "data").mkdir()
    before = experiment(tmp_path, ["faces", "clothing"], 4)
    for arm in claims.arms(SETS):
        after = experiment(tmp_path, ["faces", "clothing"], 4)
        if arm.change is None:
            continue
        arm.change(after)
        changed = {
            key
            for name, entry in after["data"]["init_args"]["tasks"].items()
            for key, value in entry["task"]["init_args"].items()
            if value != before["data"]["init_args"]["tasks"][name]["task"]["init_args"].get(key)
        } | {
            key for key, value in after["model"]["init_args"].items() if value != before["model"]["init_args"].get(key)
        }
        assert len(changed) == 1, (arm.name, changed)


def test_scores_of_the_seeds_that_ended_are_tabled(claims, tmp_path):
    for seed, value in enumerate((0.4, 0.6)):
        card = tmp_path / "claims" / "baseline" / str(seed) / "lsp_unseen_phrasings.json"
        card.parent.mkdir(parents=True)
        card.write_text(json.dumps({"metrics": {"pck": value}}))
    results = claims.collected(tmp_path, claims.arms(SETS))
    assert results["baseline"]["lsp, unseen phrasings"] == {"metric": "pck", "values": [0.4, 0.6]}
    shown = claims.tables({"arms": results})
    assert "| arm | seeds | lsp, unseen phrasings: PCK@0.1 |" in shown and "| baseline | 2 | 0.500 ± 0.141 |" in shown


def test_few_images_are_tabled_and_drawn_beside_the_specialist(claims, tmp_path):
    from claims_tables import NAME, main

    few = {f"few lsp {images}": {"lsp": {"metric": "pck", "values": [images / 1000]}} for images in (50, 200)}
    few["few lsp 50"]["specialist"] = {"metric": "pck", "values": [0.125]}
    page, results = tmp_path / "study.md", tmp_path / "results.json"
    page.write_text(f"before\n<!-- table of {NAME}: begin -->\n<!-- table of {NAME}: end -->\nafter\n")
    results.write_text(json.dumps({"arms": few}))
    main([str(results), "--write", str(page)])
    written = page.read_text()
    assert "| lsp | 50 | PCK@0.1 | 0.050 | 0.125 |" in written and "|  | 200 |  | 0.200 | - |" in written
    assert written.startswith("before\n") and written.endswith("after\n")
    assert (tmp_path / "few-images.png").stat().st_size > 1000


def test_make_study_claims_says_what_it_needs():
    ran = subprocess.run(["make", "study-claims"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and "DATA=DIR" in ran.stdout and "pip" not in ran.stdout
