from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params
from small_models import ROOT
from torchmetrics import MetricCollection

from idiff.errors import ConfigError
from idiff.metrics.average_precision import oks
from idiff.metrics.keypoints import PCK, KeypointAP
from idiff.metrics.result_formats import ABSENT, coco_keypoint_results
from idiff.predictions import KeypointPrediction, KeypointTruth
from idiff.types import Prediction

COCO_FILE = ROOT / "../shared/data/formats/coco/test_coco.json"
CROWDPOSE_FILE = COCO_FILE.parents[1] / "crowdpose/test_crowdpose.json"
COCO_SIGMAS = tuple(Params("keypoints").kpt_oks_sigmas.tolist())
SEEDS = st.integers(0, 2**32 - 1)


def people(seed, *, pictures=4, joints=17):
    """A drawn COCO ground truth as its JSON dict: 1-3 people an image, joints labelled, hidden or not labelled."""
    rng = np.random.default_rng(seed)
    annotations = []
    for image_id in range(pictures):
        for _ in range(rng.integers(1, 4)):
            size, corner = rng.uniform(20, 200, 2), rng.uniform(0, 300, 2)
            points = np.column_stack([corner + size * rng.random((joints, 2)), rng.integers(0, 3, joints)])
            points[points[:, 2] == 0] = 0
            if rng.random() < 0.15:
                points[:] = 0
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": [*corner.tolist(), *size.tolist()],
                    "area": float(size.prod() * rng.uniform(0.3, 0.7)),
                    "keypoints": np.float32(points).flatten().tolist(),
                    "num_keypoints": int((points[:, 2] > 0).sum()),
                }
            )
    images = [{"id": image_id} for image_id in range(pictures)]
    return {"images": images, "categories": [{"id": 1}], "annotations": annotations}


def answers(truth, seed, *, sigmas, noise=1.0, absent=0.1):
    """One prediction and truth an annotation: its joints moved at random, some not painted; scores all differ."""
    rng = np.random.default_rng(seed)
    scores = rng.permutation(len(truth["annotations"])) / len(truth["annotations"])
    for annotation, score in zip(truth["annotations"], scores, strict=True):
        true = np.array(annotation["keypoints"]).reshape(-1, 3)
        area = annotation.get("area") or annotation["bbox"][2] * annotation["bbox"][3] * 0.53
        move = rng.normal(size=(len(true), 2)) * (noise * 2 * np.array(sigmas) * np.sqrt(area) * rng.random())[:, None]
        points = np.column_stack([true[:, :2] + move, rng.random(len(true))])
        points[rng.random(len(true)) < absent] = [np.nan, np.nan, 0]
        yield (
            KeypointPrediction(query={}, score=float(score), keypoints=torch.tensor(points, dtype=torch.float32)),
            KeypointTruth(
                key=f"image-{annotation['image_id']}",
                keypoints=torch.tensor(true, dtype=torch.float32),
                box=tuple(annotation["bbox"]),
                area=annotation.get("area"),
                sigmas=tuple(sigmas),
            ),
        )


def judge(truth, results, tmp_path, sigmas=None):
    """AP, AP50, AP75 by pycocotools run on JSON files, with its own sigmas unless others are given."""
    for name, content in (("truth", truth), ("results", results)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "truth.json"))
        evaluation = COCOeval(coco, coco.loadRes(str(tmp_path / "results.json")), "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(("ap", "ap50", "ap75"), evaluation.stats, strict=False))


def compare(truth, seed, tmp_path, *, sigmas=None, **how):
    """Our AP against the judge's on our results writer's output. Returns ours."""
    metric, kept, ids = KeypointAP(), [], []
    for annotation, pair in zip(
        truth["annotations"], answers(truth, seed, sigmas=sigmas or COCO_SIGMAS, **how), strict=True
    ):
        metric.update(*pair)
        if annotation["num_keypoints"]:  # nobody asks a detector for people without joints
            kept.append(pair[0])
            ids.append(annotation["image_id"])
    expected = judge(truth, coco_keypoint_results(kept, ids), tmp_path, sigmas)
    ours = {name: float(value) for name, value in metric.compute().items()}
    assert ours == pytest.approx(expected, abs=1e-6)
    return ours


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("joints", [17, 14, 3])
def test_ap_is_pycocotools_own(seed, joints, tmp_path):
    sigmas = None if joints == 17 else tuple(np.linspace(0.03, 0.1, joints).tolist())
    compare(people(seed, joints=joints), seed, tmp_path, sigmas=sigmas)


@pytest.mark.parametrize("file", [COCO_FILE, CROWDPOSE_FILE], ids=["coco", "crowdpose"])
@pytest.mark.parametrize("noise", [0.0, 0.7, 1.5])
def test_ap_on_real_files(file, noise, tmp_path):
    if not file.exists():
        pytest.skip(f"{file} is not here")
    truth = json.loads(file.read_text())
    joints = len(truth["annotations"][0]["keypoints"]) // 3
    for annotation in truth["annotations"]:
        annotation.setdefault("area", annotation["bbox"][2] * annotation["bbox"][3] * 0.53)
    ours = compare(truth, 5, tmp_path, sigmas=None if joints == 17 else (0.08,) * joints, noise=noise, absent=0.0)
    if noise == 0:
        assert ours["ap"] == pytest.approx(1.0)
    else:
        assert 0 < ours["ap"] < 1


def test_ap_without_an_area_takes_a_share_of_the_box():
    truth = people(3)
    with_area = MetricCollection({"ap": KeypointAP()})
    without = MetricCollection({"ap": KeypointAP()})
    for annotation in truth["annotations"]:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3] * 0.53
    for prediction, target in answers(truth, 3, sigmas=COCO_SIGMAS):
        with_area.update(prediction, target)
        target.area = None
        without.update(prediction, target)
    assert with_area.compute() == without.compute()


def test_ap_of_several_skeletons_is_weighted_by_people():
    small = (0.05,) * 5
    first, second, both = KeypointAP(), KeypointAP(), KeypointAP()
    for alone, truth, sigmas in ((first, people(1), COCO_SIGMAS), (second, people(2, pictures=9, joints=5), small)):
        for pair in answers(truth, 1, sigmas=sigmas):
            alone.update(*pair)
            both.update(*pair)
    counts = [
        sum(a["num_keypoints"] > 0 for a in truth["annotations"])
        for truth in (people(1), people(2, pictures=9, joints=5))
    ]
    for name, value in both.compute().items():
        assert float(value) == pytest.approx(
            np.average([first.compute()[name], second.compute()[name]], weights=counts)
        )


def test_ap_depends_on_no_order_even_with_equal_scores():
    pairs = list(answers(people(4, pictures=10), 4, sigmas=COCO_SIGMAS))
    values = []
    for order in (range(len(pairs)), reversed(range(len(pairs)))):
        metric = KeypointAP()
        for index in order:
            pairs[index][0].score = 0.5
            metric.update(*pairs[index])
        values.append(metric.compute())
    assert values[0] == values[1]
    assert 0 < values[0]["ap"] < 1


def test_people_of_one_picture_are_matched_together():
    """Two people whose predictions are swapped still match, in one image and not in two."""
    left = torch.tensor([[10.0, 10, 2], [20, 20, 1], [30, 40, 2]])
    poses = [left, left + torch.tensor([500.0, 0, 0])]
    for keys, expected in ((("same", "same"), 1.0), (("one", "other"), 0.0)):
        metric = KeypointAP()
        for key, true, predicted in zip(keys, poses, reversed(poses), strict=True):
            box = (float(true[0, 0]), 10.0, 20.0, 30.0)
            truth = KeypointTruth(key=key, keypoints=true, box=box, sigmas=(0.05,) * 3)
            metric.update(KeypointPrediction(query={}, score=0.5, keypoints=predicted), truth)
        assert float(metric.compute()["ap"]) == pytest.approx(expected)


def test_nobody_labelled_is_nan_and_nothing_painted_is_zero():
    metric = KeypointAP()
    box, sigmas = (0.0, 0.0, 10.0, 10.0), (0.05, 0.05)
    nothing = KeypointPrediction(query={}, keypoints=torch.tensor([[torch.nan, torch.nan, 0.0]] * 2))
    metric.update(nothing, KeypointTruth(key="a", keypoints=torch.zeros(2, 3), box=box, sigmas=sigmas))
    assert all(value.isnan() for value in metric.compute().values())
    metric.update(
        nothing, KeypointTruth(key="b", keypoints=torch.tensor([[0.0, 0, 2], [0, 0, 1]]), box=box, sigmas=sigmas)
    )
    assert all(float(value) == 0.0 for value in metric.compute().values())


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_oks_is_pycocotools_own(seed):
    truth = people(seed, pictures=1)
    pairs = list(answers(truth, seed, sigmas=COCO_SIGMAS))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(
            coco, coco.loadRes(coco_keypoint_results([p for p, _ in pairs], [0] * len(pairs))), "keypoints"
        )
        evaluation._prepare()
    expected = evaluation.computeOks(0, 1)
    by_score = sorted((prediction for prediction, _ in pairs), key=lambda p: -p.score)
    for column, (_, target) in enumerate(pairs):
        for row, prediction in enumerate(by_score):
            ours = oks(prediction.keypoints, target.keypoints, area=target.area, sigmas=COCO_SIGMAS)
            if (target.keypoints[:, 2] > 0).any():
                assert ours == pytest.approx(expected[row, column], abs=1e-9)
            else:
                assert np.isnan(ours)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from([0.1, 0.05]))
def test_pck_is_the_brute_force_one(seed, threshold):
    metric, right, total = PCK(threshold), 0, 0
    truth = people(seed)
    for prediction, target in answers(truth, seed, sigmas=COCO_SIGMAS):
        metric.update(prediction, target)
        for (x, y, _), (tx, ty, v) in zip(prediction.keypoints.tolist(), target.keypoints.tolist(), strict=True):
            if v > 0:
                total += 1
                right += np.hypot(x - tx, y - ty) <= threshold * max(target.box[2:])
    if total:
        assert float(metric.compute()) == pytest.approx(right / total)
    else:
        assert metric.compute().isnan()


def test_pck_border_counts_and_unlabelled_joints_do_not():
    metric = PCK(0.1)
    predicted = torch.tensor([[1.0, 0, 1], [1.1, 0, 1], [9, 9, 1], [torch.nan, torch.nan, 0]])
    true = torch.tensor([[0.0, 0, 1], [0, 0, 2], [torch.nan, torch.nan, 0], [0, 0, 2]])
    metric.update(
        KeypointPrediction(query={}, keypoints=predicted),
        KeypointTruth(key="k", keypoints=true, box=(0.0, 0.0, 4.0, 10.0)),
    )
    assert float(metric.compute()) == pytest.approx(1 / 3)


def test_results_are_json_and_absent_joints_are_far_off():
    keypoints = torch.tensor([[1.5, 2.0, 0.9], [torch.nan, torch.nan, 0.0], [torch.inf, 0.0, 0.4]])
    [entry] = coco_keypoint_results([KeypointPrediction(query={}, score=0.25, keypoints=keypoints)], [7], category_id=3)
    assert json.loads(json.dumps(entry, allow_nan=False)) == {
        "image_id": 7,
        "category_id": 3,
        "keypoints": pytest.approx([1.5, 2.0, 0.9, ABSENT, ABSENT, 0, ABSENT, ABSENT, 0]),
        "score": 0.25,
    }
    assert keypoints[1, 0].isnan(), "the prediction itself is left alone"


def test_results_refuse_what_is_no_pose():
    with pytest.raises(
        ConfigError, match="a COCO keypoint result got a Prediction for 'image 7', expected a KeypointPrediction"
    ):
        coco_keypoint_results([Prediction(query={})], [7])
    with pytest.raises(ValueError, match="shorter"):
        coco_keypoint_results([KeypointPrediction(query={}, keypoints=torch.zeros(1, 3))], [])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sigmas": ()}, "2 joints and 0 OKS sigmas"),
        ({"sigmas": (0.05,)}, "2 joints and 1 OKS sigmas"),
        ({"keypoints": torch.zeros(3, 3)}, r"shape \(2, 3\), the truth \(3, 3\)"),
        ({"area": float("nan")}, "has the area nan"),
    ],
)
def test_ap_refuses_a_truth_it_cannot_use(change, says):
    truth = {"keypoints": torch.ones(2, 3), "box": (0.0, 0.0, 9.0, 9.0), "sigmas": (0.05, 0.05), "area": 40.0} | change
    with pytest.raises(ConfigError, match=says):
        KeypointAP().update(KeypointPrediction(query={}, keypoints=torch.ones(2, 3)), KeypointTruth(key="k", **truth))


def test_pycocotools_is_quiet(capsys):
    metric = KeypointAP()
    for pair in answers(people(0), 0, sigmas=COCO_SIGMAS):
        metric.update(*pair)
    metric.compute()
    assert capsys.readouterr().out == ""
