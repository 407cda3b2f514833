import csv
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from idiff.callbacks.examples import Example, Examples
from idiff.callbacks.records import FIELDS, append_results, draw_grids, read_results, render_table
from idiff.callbacks.scoring import Score, TaskEvaluator, group_predictions
from idiff.data.loading.collate import collate_groups
from idiff.data.loading.dataset import Group
from idiff.evaluation.clip_metrics import reasons
from idiff.metrics.base import RatioMetric
from idiff.tasks import KeypointDetection, SemanticSegmentation, by_kind
from idiff.types import Painted, Sampling

RED = np.full((64, 64, 3), (255, 0, 0), np.uint8)


def evaluation_batch(task, count=3):
    groups = []
    for number in range(count):
        sample = task.example(np.random.default_rng(number))
        sample.key = f"sample{number}"
        groups.append(Group(task.queries(sample, 0), []))
    return collate_groups(groups, task="toy", sampling=Sampling())


@pytest.fixture(params=[SemanticSegmentation, KeypointDetection])
def task(request):
    return request.param()


def test_groups_become_one_answer_each(task):
    batch = evaluation_batch(task)
    found = group_predictions(task, batch.target, batch.source, batch)
    assert [answer.truth.key for answer in found] == ["sample0", "sample1", "sample2"]
    assert [answer.rows.start for answer in found[1:]] == [answer.rows.stop for answer in found[:-1]]
    assert found[-1].rows.stop == len(batch)
    assert all(len(answer.queries) == answer.rows.stop - answer.rows.start for answer in found)


@pytest.mark.parametrize("kind", sorted(set(by_kind()) - {"captioned"}))
def test_images_of_a_16_bit_trainer_are_scored(kind):
    task = by_kind()[kind]()
    batch = evaluation_batch(task)
    found = group_predictions(task, batch.target.bfloat16(), batch.source.bfloat16(), batch)
    metrics = task.metrics()
    for answer in found:
        metrics.update(answer.prediction, answer.truth)
    assert torch.isfinite(metrics.compute()[task.headline])


def test_a_perfect_model_scores_like_its_ceiling_and_nothing_like_its_floors(task):
    batch = evaluation_batch(task)
    scorer = TaskEvaluator(task, baselines=True)
    scorer.update(batch, Painted(batch.target, batch.source), lambda pictures: pictures)
    score = scorer.compute()
    assert (score.samples, score.queries) == (3, len(batch))
    assert score.metrics == score.ceiling
    assert score.metrics[task.headline] > 0.9
    assert score.identity[task.headline] < 0.5
    assert score.baseline[task.headline] < score.metrics[task.headline]
    assert score.baseline_name in {"mean_pose", "largest_class"}


def test_the_painted_truth_is_scored_with_and_without_the_autoencoder(task):
    """What the loss through the autoencoder is: the two differ by it alone."""
    batch = evaluation_batch(task)
    scorer = TaskEvaluator(task, baselines=True)

    def blur(pictures):
        return torch.nn.functional.avg_pool2d(pictures, 9, 1, 4)

    scorer.update(batch, Painted(batch.target, blur(batch.source)), blur)
    score = scorer.compute()
    assert score.painted[task.headline] > 0.9
    assert score.ceiling[task.headline] < score.painted[task.headline]
    assert set(score.painted) == set(score.ceiling)


def test_intervals_hold_the_figure_and_only_where_they_are_asked_for(task):
    batch = evaluation_batch(task, count=6)
    forgot = torch.tensor([query["key"] in {"sample1", "sample4"} for query in batch.query])
    fair = torch.where(forgot[:, None, None, None], batch.source, batch.target)
    plain, sure = TaskEvaluator(task, baselines=False), TaskEvaluator(task, baselines=False, resamples=200, seed=1)
    for scorer in (plain, sure):
        scorer.update(batch, Painted(fair, batch.source), lambda pictures: pictures)
    score, without = sure.compute(), plain.compute()
    assert without.intervals == {} and score.metrics == without.metrics
    assert set(score.intervals) == set(score.metrics)
    low, high = score.intervals[task.headline]
    assert low < score.metrics[task.headline] < high


def test_more_metrics_are_scored_for_all_but_the_guess(task):
    batch = evaluation_batch(task)
    scorer = TaskEvaluator(task, baselines=True, resamples=10, more=lambda: {"counted": Items()})
    scorer.update(batch, Painted(batch.target, batch.source), lambda pictures: pictures)
    score = scorer.compute()
    for part in (score.metrics, score.ceiling, score.painted, score.identity):
        assert part["counted"] == 3
    assert score.intervals["counted"] == (3, 3) and "counted" not in score.baseline


class Items(RatioMetric):
    """How many items were counted, whatever the fields."""

    def __init__(self):
        super().__init__("counted")

    def update(self, prediction, truth):
        self.add(1)

    def compute(self):
        return self.counted_sum.float()


def test_an_untouched_source_scores_like_the_identity(task):
    batch = evaluation_batch(task)
    scorer = TaskEvaluator(task, baselines=True)
    scorer.update(batch, Painted(batch.source.clone(), batch.source), lambda pictures: pictures)
    score = scorer.compute()
    assert score.metrics == score.identity


def test_the_autoencoder_lowers_the_ceiling_not_the_model(task):
    batch = evaluation_batch(task)
    scorer = TaskEvaluator(task, baselines=True)
    scorer.update(batch, Painted(batch.target, batch.source), torch.zeros_like)
    score = scorer.compute()
    assert score.ceiling[task.headline] < 0.5 < score.metrics[task.headline]


def test_results_replace_rows_of_steps_that_are_done_again(tmp_path):
    score = Score(
        {"miou": 0.5, "mciou": math.nan}, ceiling={"miou": 0.9}, baseline={"miou": 0.1}, baseline_name="g", samples=4
    )
    for step in (0, 100, 200):
        append_results(tmp_path, {"a": score}, step=step)
    append_results(tmp_path, {"a": Score({"miou": 0.6}, samples=4)}, step=100)
    rows = read_results(tmp_path)
    assert [(row["step"], row["metric"], row["score"]) for row in rows] == [
        ("0", "miou", "0.5000"), ("0", "mciou", ""), ("100", "miou", "0.6000"),
    ]  # fmt: skip
    with (tmp_path / "results.csv").open() as stream:
        assert tuple(next(csv.reader(stream))) == FIELDS
    assert rows[0]["ceiling"] == "0.9000"
    assert rows[0]["identity"] == ""


def test_no_results_yet(tmp_path):
    assert read_results(tmp_path) == []


def test_the_table_shows_every_score_beside_its_ceiling_and_floors(capsys):
    from rich.console import Console

    table = render_table(
        {"a": Score({"miou": 0.5}, ceiling={"miou": 0.9}, baseline={"miou": 0.125}, baseline_name="lc")}, step=7
    )
    Console(width=100).print(table)
    shown = capsys.readouterr().out
    for text in ("0.5000", "0.9000", "0.1250", "lc", "step 7"):
        assert text in shown
    assert "95 %" not in shown


def test_a_figure_that_is_nan_stands_in_the_table_with_its_reason(tmp_path, capsys):
    score = Score({"miou": math.nan}, reasons={"miou": "the label maps hold one class alone"}, samples=3)
    Console(width=200).print(render_table({"segmentation": score}, step=1))
    shown = capsys.readouterr().out
    assert "miou: the label maps hold one class alone" in shown and "nan" not in shown
    append_results(tmp_path, {"segmentation": score}, step=1)
    assert read_results(tmp_path)[0]["score"] == ""
    assert reasons({"miou": None, "mciou": None}, score.reasons) == {
        "miou": "the label maps hold one class alone", "mciou": "no sample has what it scores"
    }  # fmt: skip


def test_the_table_shows_intervals_and_the_painted_truth(capsys):
    from rich.console import Console

    score = Score(
        {"miou": 0.5, "n_acc": math.nan}, intervals={"miou": (0.4, 0.625), "n_acc": None}, painted={"miou": 0.975}
    )
    Console(width=80).print(render_table({"a": score}, step=7))
    shown = capsys.readouterr().out
    for text in ("95 %", "[0.400, 0.625]", "painted", "0.9750", "a, step 7"):
        assert text in shown


def test_grids_are_written_by_task_and_step(tmp_path):
    kept, empty = (Examples(SemanticSegmentation(), first=2, worst=0) for _ in range(2))
    kept.shown = [Example(f"k{number}", "paint <b>it</b> " * 20, 3, 0.5, [RED] * 4) for number in range(2)]
    drawn = draw_grids(tmp_path, {"a": kept, "empty": empty}, step=12)
    assert set(drawn) == {"a"}
    assert drawn["a"].shape[1] > 4 * 64
    described = json.loads((tmp_path / "samples" / "a_0000012.json").read_text())
    assert (described["task"], described["step"], described["headline"]) == ("a", 12, "miou")
    page = np.asarray(Image.open(tmp_path / "samples" / "a_0000012.png"))
    for number, row in enumerate(described["rows"]):
        assert (row["key"], row["score"], row["asked"]) == (f"k{number}", 0.5, 3)
        left, top, right, bottom = row["box"]
        inside = (page[top:bottom, left:right] == RED[0, 0]).all(-1)
        assert inside.mean() > 0.95  # gaps alone are not red
        below = page[bottom : bottom + 28, left:right]
        assert (below < 128).all(-1)[:14].any() and (below < 128).all(-1)[14:].any()  # two lines of words
    assert (page == RED[0, 0]).all(-1).sum() == 2 * 4 * 160 * 160


def test_the_lowest_scores_are_kept_and_the_first_samples_shown(task, monkeypatch):
    batch = evaluation_batch(task, count=5)
    found = group_predictions(task, batch.target, batch.source, batch)
    scores = iter([0.5, 0.25, math.nan, 0.75, 0.0])
    kept = Examples(task, first=2, worst=3)
    monkeypatch.setattr(kept._metrics, "compute", lambda: {task.headline: next(scores)})
    kept.add(batch, batch.target, found)

    def of(examples):
        return [(each.key.split("/")[0], each.score) for each in examples]

    assert of(kept.shown) == [("sample0", 0.5), ("sample1", 0.25)]
    assert of(kept.worst) == [("sample4", 0.0), ("sample1", 0.25), ("sample0", 0.5)]
    assert kept.scored == 4
    assert all(len(each.pictures) == 4 and each.sentence in batch.instruction for each in kept.worst)


def test_a_sample_alone_scores_as_its_task_does(task):
    batch = evaluation_batch(task, count=1)
    found = group_predictions(task, batch.target, batch.source, batch)
    kept = Examples(task, first=1, worst=1)
    kept.add(batch, batch.target, found)
    metrics = task.metrics()
    metrics.update(found[0].prediction, found[0].truth)
    assert kept.worst[0].score == pytest.approx(float(metrics.compute()[task.headline]))
