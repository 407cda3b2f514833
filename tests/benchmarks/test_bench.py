"""The pieces of `make bench`, each on a very small instance: what they find has the shape that results.json promises."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch
from small_models import ROOT

CONTRACT = {"train_step_ratio", "loading_ratio", "query_ratio", "many_queries_ratio", "ddp_efficiency"}
"""Keys that others read at the top of results.json."""


@pytest.fixture
def module(monkeypatch):
    """Import a module of benchmarks/ by name."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    before = set(sys.modules)
    yield importlib.import_module
    here = str(ROOT / "benchmarks")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(here):
            del sys.modules[name]


@pytest.fixture
def tiny_scale(module):
    return module("measuring").Scale(rounds=1, work=0.001)


def has_shape(found, *, sides=True):
    """A finding, as results.json holds it: plain values, and both sides with raw times."""
    plain = json.loads(json.dumps(found.plain()))
    assert plain["value"] > 0 and plain["compared"].endswith(".")
    if sides:
        for side in (plain["ours"], plain["peer"]):
            assert side["median"] > 0 and side["spread"] >= 0 and side["times"]
    return plain


def test_turns_alternate_and_the_first_does_not_count(module):
    called = []
    times = module("measuring").in_turns({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, rounds=2)
    assert called == ["a", "b"] * 3
    assert [len(each.seconds) for each in times.values()] == [2, 2]


def test_training_is_timed_in_turns_with_the_peer_and_bounded_by_flops(module, tiny_scale):
    found = module("training").measure(tiny_scale, size=2, steps=2)
    assert set(found) == {"train_step_ratio", "train_step_bf16_ratio", "train_cached_ratio"}
    for key in ("train_step_ratio", "train_cached_ratio"):
        assert has_shape(found[key])["ceiling"]["value"] > 0
    half = found["train_step_bf16_ratio"]
    assert (half.value is None) == (half.reason is not None)


def test_both_loaders_give_every_batch(module, tiny_scale):
    plain = has_shape(module("streaming").measure(tiny_scale)["loading_ratio"])
    assert plain["more"]["images"] == 64 and plain["more"]["with_2_workers"] > 0


def test_queries_are_compared_with_calls_of_the_pipeline(module, tiny_scale, monkeypatch):
    asking = module("asking")
    for name, value in {"STEPS": 3, "MEASURED": (1, 2), "SCENES": 2}.items():
        monkeypatch.setattr(asking, name, value)
    found = asking.measure(tiny_scale)
    one = has_shape(found["query_ratio"])
    ours, peers = {"ours, preset", "ours, 2 steps"}, {"peer, published guidance", "peer, weakest guidance"}
    miou = one["more"]["miou"]
    assert set(miou) == ours | peers and one["more"]["ours_is"] in ours
    assert one["holds"] == (miou[one["more"]["ours_is"]] >= max(miou[name] for name in peers))
    for key, count in {"many_queries_ratio": 14, "many_classes_ratio": 14}.items():
        assert f"all {count} " in has_shape(found[key])["compared"]


def test_the_peers_pipeline_paints_what_the_weights_learned(module):
    """At one step without guidance the pipeline and the model's own sampler give the same latents, so nearly the same image."""
    asking, queries = module("asking"), module("peer_queries")
    from idiff.pipeline import Pipeline

    pipe = Pipeline("tiny", device="cpu")
    asker, sample = asking.Asker(pipe, "segmentation"), asking.scene("segmentation")
    triplet = asking.shown(asker, sample)[0]
    ours = pipe.backbone.edit(
        triplet.source[None], [triplet.instruction], sampling=asker.choice.sampling, seeds=[0]
    )  # one step without guidance
    painted = queries.PeerPipeline(pipe.backbone)(sample.image, triplet.instruction, steps=1, guidance=(1.0, 1.0))
    changed = (ours - triplet.source[None]).abs().mean()
    assert (painted - ours).abs().mean() < 0.5 * changed


@pytest.mark.slow
def test_a_large_set_is_simulated_and_read(module, tiny_scale):
    found = module("large_index").measure(tiny_scale, large=2000, shards=4)
    seconds, memory = has_shape(found["index_seconds"]), has_shape(found["memory_ratio"], sides=False)
    assert seconds["value"] == seconds["ours"]["median"]
    assert 0.8 < memory["value"] < 1.2


def test_a_job_of_one_rank_prints_seconds_of_a_step(module, capsys):
    module("ranks").job(ranks=1, steps=1, size=2)
    assert float(capsys.readouterr().out.splitlines()[-1]) > 0
    torch.set_num_threads(1)


def test_results_have_every_key_at_the_top_and_a_table_for_the_page(module, tmp_path):
    measuring, reports, keys = module("measuring"), module("reports"), module("keys").KEYS
    assert set(keys) >= CONTRACT
    times = measuring.Times([1.0, 2.0, 3.0])
    good = {key: measuring.Finding(100.0, "One against the other.", times, times, {"value": 200.0}) for key in keys}
    good["loading_ratio"] = measuring.Finding(None, "Nothing.", reason="it failed")
    details = {key: reports.entry(key, found) for key, found in good.items()}
    out = tmp_path / "bench" / "results.json"
    written = reports.write(out, details, scale="full", minutes=1.0)
    assert reports.read(out) == json.loads(out.read_text()) == json.loads(json.dumps(written))
    assert {key: written[key] for key in CONTRACT - {"loading_ratio"}} == dict.fromkeys(
        CONTRACT - {"loading_ratio"}, 100.0
    )
    entry = written["details"]["query_ratio"]
    assert (entry["must"], entry["goal"], entry["reached"], entry["goal_reached"]) == (20, 50, True, True)
    worse = reports.entry("query_ratio", measuring.Finding(100.0, "At a lower mIoU.", times, times, holds=False))
    assert (worse["value"], worse["reached"], worse["goal_reached"]) == (100.0, False, False)
    assert entry["ours"] == {"median": 2.0, "spread": 1.0, "times": [1.0, 2.0, 3.0]}
    assert written["details"]["startup_ratio"]["reached"] is False  # lower is better there
    assert written["details"]["loading_ratio"]["reached"] is None
    assert "loading_ratio: Nothing. Note: it failed." in reports.table(written)
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "performance.md").read_text(encoding="utf-8"), encoding="utf-8")
    for _ in range(2):
        reports.write_page(written, page)
    assert page.read_text().count("| query_ratio | 100 |") == 1 and page.read_text().count(reports.END) == 1


def test_without_results_there_is_nothing_for_the_page(module, tmp_path, capsys):
    assert module("bench").main(["--write-docs", "--out", str(Path(tmp_path) / "none.json")]) == 2
    assert "run `make bench` first" in capsys.readouterr().err


def test_a_module_that_fails_leaves_its_reason(module, monkeypatch, capsys):
    bench = module("bench")
    monkeypatch.setitem(bench.KEYS, "query_ratio", module("keys").Key(20, 50, "no_such_module"))
    found = bench.in_own_process("no_such_module", quick=True)
    assert found["query_ratio"]["value"] is None and "no_such_module" in found["query_ratio"]["reason"]
    assert "Traceback" in capsys.readouterr().err


def test_arms_are_kept_and_summed_up(module, tmp_path):
    score = module("score")
    made = []

    def make():
        made.append(1)
        return {"pck": 0.5, "mciou": 0.4, "steps": 3}

    for settings in ({"minutes": 1}, {"minutes": 1}, {"minutes": 2}):
        found = score.kept(tmp_path / "arms" / "ours-0.json", settings, make)
    assert len(made) == 2 and found["settings"] == {"minutes": 2}
    peers = {str(rate): [{"pck": 0.1 * place, "mciou": 0.2}] for place, rate in enumerate(score.RATES, 1)}
    result = score.summary({"ours": [found], **peers})
    assert result["time_to_score"] == pytest.approx(min(0.5 / 0.3, 2.0), abs=1e-3)
    assert result["over_published"] == {"pck": 5.0, "mciou": 2.0} and result["reached"]
