"""Metrics on real labels and images, against pycocotools, torchmetrics and scikit-image."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from test_metrics_keypoints import compare
from torchmetrics.classification import BinaryJaccardIndex, MulticlassJaccardIndex

from idiff.metrics import PSNR, SSIM, CumulativeIoU, MeanIoU, MeanMaskIoU, PSNRInside, PSNROutside
from idiff.metrics.detection import BoxAP
from idiff.predictions import (
    BoxPrediction,
    BoxTruth,
    EditTruth,
    ImagePrediction,
    ImageTruth,
    LabelMapPrediction,
    LabelMapTruth,
    MaskPrediction,
    MaskTruth,
)
from idiff.types import VOID
from idiff.utils.images import to_tensor
from idiff.utils.sigmas import TABLES


def file_of(real_data, *parts):
    path = real_data.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no {path}")
    return path


@pytest.mark.parametrize("name", ["ap10k", "humanart", "ochuman"])
@pytest.mark.parametrize("noise", [0.0, 0.8])
def test_ap_of_animals_and_of_people_in_art(real_data, tmp_path, name, noise):
    value = json.loads(file_of(real_data, "formats", name, f"test_{name}.json").read_text())
    for number, entry in enumerate(value["annotations"], start=1):
        points = entry["keypoints"][: 3 * 17]
        entry |= {"id": number, "category_id": 1, "iscrowd": 0, "keypoints": points}
        entry["num_keypoints"] = int((np.array(points[2::3]) > 0).sum())
    value["categories"] = [value["categories"][0] | {"id": 1}]
    sigmas = list(TABLES["ap10k" if name == "ap10k" else "coco"].values())
    ours = compare(value, 3, tmp_path, sigmas=sigmas, noise=noise, absent=0.0)
    assert ours["ap"] == pytest.approx(1.0) if noise == 0 else 0 < ours["ap"] < 1


def test_box_ap_of_a_real_detector(real_data):
    """Boxes that a detector found in COCO's images, against pycocotools on the two published files."""
    folder = file_of(real_data, "formats", "coco")
    value = json.loads((folder / "test_coco.json").read_text())
    found = json.loads((folder / "test_coco_det_AP_H_56.json").read_text())
    pictures = {entry["id"] for entry in value["images"]}
    found = [entry for entry in found if entry["category_id"] == 1 and entry["image_id"] in pictures]
    value["annotations"] = [entry | {"area": entry["bbox"][2] * entry["bbox"][3]} for entry in value["annotations"]]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = value
        truth.createIndex()
        scoring = COCOeval(truth, truth.loadRes(found), "bbox")
        scoring.evaluate()
        scoring.accumulate()
        scoring.summarize()
    metric = BoxAP()
    for picture in sorted(pictures):
        true = [[*entry["bbox"], 0] for entry in value["annotations"] if entry["image_id"] == picture]
        boxes = [[*entry["bbox"], entry["score"], 0] for entry in found if entry["image_id"] == picture]
        prediction = BoxPrediction(query={}, boxes=torch.tensor(boxes, dtype=torch.float64).reshape(-1, 6))
        metric.update(
            prediction, BoxTruth(key=str(picture), boxes=torch.tensor(true, dtype=torch.float64).reshape(-1, 5))
        )
    assert len(found) > 20 and 0.2 < scoring.stats[0] < 1
    for name, expected in zip(("ap", "ap50", "ap75"), scoring.stats, strict=False):
        assert float(metric.compute()[name]) == pytest.approx(expected, abs=1e-6), name


def shifted(label, by):
    """What a model that is a little off would answer."""
    return np.roll(label, by, axis=1)


@pytest.mark.parametrize("name", ["camvid", "clothing"])
def test_miou_of_real_label_maps_is_torchmetrics(real_data, name):
    files = sorted(file_of(real_data, name, "annotations", "val").glob("*.png"))[:8]
    reference, metric, seen = MulticlassJaccardIndex(255, average=None, ignore_index=VOID), MeanIoU(), set()
    for number, path in enumerate(files):
        true = torch.from_numpy(np.array(Image.open(path)))
        found = torch.from_numpy(shifted(true.numpy(), 3 + number)).masked_fill(true == VOID, 0)
        found[found == VOID] = 0
        metric.update(LabelMapPrediction(query={}, labels=found), LabelMapTruth(key="k", labels=true))
        reference.update(found[None].long(), true[None].long())
        counted = true != VOID
        seen |= {*true[counted].unique().tolist(), *found[counted].unique().tolist()}
    expected = reference.compute()[sorted(seen)].mean()
    assert 0.2 < float(expected) < 0.95
    assert float(metric.compute()) == pytest.approx(float(expected), abs=1e-6)


def test_masks_of_real_people_are_pycocotools_and_torchmetrics(real_data):
    value = json.loads(file_of(real_data, "formats", "coco", "test_coco.json").read_text())
    sizes = {entry["id"]: (entry["height"], entry["width"]) for entry in value["images"]}
    ciou, giou, pooled, ious, both, either = CumulativeIoU(), MeanMaskIoU(), BinaryJaccardIndex(), [], 0.0, 0.0
    for number, entry in enumerate(value["annotations"]):
        size = sizes[entry["image_id"]]
        true = rle.decode(rle.merge(rle.frPyObjects(entry["segmentation"], *size))).astype(bool)
        found = np.roll(true, 2 + number, axis=1)
        p, t = (rle.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in (found, true))
        ious.append(float(rle.iou([p], [t], [0])[0, 0]))
        both, either = both + rle.area(rle.merge([p, t], intersect=True)), either + rle.area(rle.merge([p, t]))
        pair = torch.from_numpy(found), torch.from_numpy(true)
        pooled.update(pair[0].int(), pair[1].int())
        for metric in (ciou, giou):
            metric.update(MaskPrediction(query={}, mask=pair[0]), MaskTruth(key="k", mask=pair[1]))
    assert len(ious) == 14 and 0.2 < np.mean(ious) < 0.99
    assert float(giou.compute()) == pytest.approx(np.mean(ious), abs=1e-6)
    assert float(ciou.compute()) == pytest.approx(both / either, abs=1e-6)
    assert float(ciou.compute()) == pytest.approx(float(pooled.compute()), abs=1e-6)


def test_psnr_and_ssim_of_real_noise_are_scikit_image_s(real_data):
    noisy = sorted(file_of(real_data, "polyu", "val", "input").iterdir())[:4]
    metrics, expected = {"psnr": PSNR(), "ssim": SSIM()}, {"psnr": [], "ssim": []}
    for path in noisy:
        [clean] = (real_data / "polyu/val/gt").glob(f"{path.stem}.*")
        found, true = (np.array(Image.open(file).convert("RGB")) for file in (path, clean))
        expected["psnr"].append(peak_signal_noise_ratio(true, found))
        window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2}
        expected["ssim"].append(structural_similarity(true, found, data_range=255, **window))
        for metric in metrics.values():
            metric.update(
                ImagePrediction(query={}, picture=to_tensor(found)), ImageTruth(key="k", picture=to_tensor(true))
            )
    assert 25 < np.mean(expected["psnr"]) < 50
    assert float(metrics["psnr"].compute()) == pytest.approx(np.mean(expected["psnr"]), abs=1e-3)
    assert float(metrics["ssim"].compute()) == pytest.approx(np.mean(expected["ssim"]), abs=1e-4)


def test_psnr_of_real_edits_inside_and_outside_of_their_region(real_data):
    folder = file_of(real_data, "edits", "val")
    inside, outside, expected = PSNRInside(), PSNROutside(), ([], [])
    for entry in json.loads((folder / "edits.json").read_text())[:4]:
        source, true = (np.array(Image.open(folder / entry[name]).convert("RGB")) for name in ("input", "edited"))
        if source.shape != true.shape:
            continue
        region = (np.abs(source.astype(int) - true) > 20).any(axis=2)
        for part, values in zip((region, ~region), expected, strict=True):
            values.append(peak_signal_noise_ratio(true[part], source[part], data_range=255))
        truth = EditTruth(key="k", picture=to_tensor(true), source=to_tensor(source), mask=torch.from_numpy(region))
        for metric in (inside, outside):
            metric.update(ImagePrediction(query={}, picture=to_tensor(source)), truth)
    assert len(expected[0]) > 1
    for metric, values in zip((inside, outside), expected, strict=True):
        assert float(metric.compute()) == pytest.approx(np.mean(values), abs=1e-3)
