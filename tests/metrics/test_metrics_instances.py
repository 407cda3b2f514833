"""Mask average precision is what pycocotools says of files that hold the masks; counts; what ranks exchange."""

import math
import pickle

import numpy as np
import pytest
import torch
from coco_judge import average_precision

from idiff.errors import ConfigError
from idiff.metrics.instances import BeyondColors, CountError, MaskAP, coco_instance_results
from idiff.metrics.result_formats import results_of
from idiff.predictions import InstancesPrediction, InstancesTruth
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import InstanceSegmentation
from idiff.utils.masks import decode_mask, encode_mask

NAMES = ("ap", "ap50", "ap75")


def random_items(seed, *, pictures=8, classes=4, extra=2, side=48):
    """Images with 0 to 4 true objects, some of them crowds, each found nearly or missed, and masks of nothing; 3 is never true."""
    rng = np.random.default_rng(seed)

    def rectangle(x, y, w, h):
        mask = np.zeros((side, side), bool)
        mask[max(y, 0) : y + h, max(x, 0) : x + w] = True
        return mask

    pairs = []
    for number in range(pictures):
        places = [(*rng.integers(0, 30, 2), *rng.integers(6, 18, 2)) for _ in range(number % 5)]
        told = [int(rng.integers(classes - 1)) for _ in places]
        found = [
            (rectangle(x + rng.integers(-2, 3), y + rng.integers(-2, 3), w + rng.integers(-2, 3), h), rng.random(), c)
            for (x, y, w, h), c in zip(places, told, strict=True)
            if rng.random() < 0.8
        ]
        found += [
            (rectangle(*rng.integers(0, 36, 2), 10, 10), rng.random(), int(rng.integers(classes))) for _ in range(extra)
        ]
        truth = InstancesTruth(
            key=f"picture{number}",
            masks=[encode_mask(rectangle(*place)) for place in places],
            classes=told,
            crowds=[bool(rng.random() < 0.15) for _ in places],
        )
        pairs.append((prediction(found, side), truth))
    return pairs


def prediction(found, side):
    return InstancesPrediction(
        query={},
        masks=torch.tensor(np.array([one[0] for one in found])).reshape(-1, side, side).bool(),
        sure=torch.tensor([one[1] for one in found], dtype=torch.float32),
        classes=torch.tensor([one[2] for one in found], dtype=torch.int64),
    )


def scene_items(family, count=10):
    """Scenes answered with their painted truth under noise, so that outlines are off and some objects are lost."""
    source, task = SyntheticSource("instances", split="val", count=count, family=family), InstanceSegmentation()
    rng, pairs = torch.Generator().manual_seed(0), []
    for index in range(count):
        triplets = task.queries(source.sample(index), 0)
        queries, sources = [one.query for one in triplets], torch.stack([one.source for one in triplets])
        noisy = torch.stack([one.target for one in triplets])
        noisy = (noisy + 0.45 * torch.randn(noisy.shape, generator=rng)).clamp(-1, 1)
        noisy[::4] = sources[::4]
        pairs.append((task.combine(task.decode(noisy, sources, queries), queries), task.truth(triplets[0].annotation)))
    return pairs


def fed(pairs, metric=None):
    metric = MaskAP() if metric is None else metric
    for pair in pairs:
        metric.update(*pair)
    return metric


def values(metric):
    return {name: float(value) for name, value in metric.compute().items()}


def judge(pairs, folder):
    """AP, AP50, AP75 by pycocotools with its own settings, run on JSON files with masks."""
    rows = [
        (number, mask, category, crowd)
        for number, (_, truth) in enumerate(pairs)
        for mask, category, crowd in zip(truth.masks, truth.classes, truth.crowds, strict=True)
    ]
    written = {
        "images": [{"id": n, "height": 64, "width": 64} for n in range(len(pairs))],
        "categories": [{"id": index} for index in range(20)],
        "annotations": [
            {
                "id": i, "image_id": n, "category_id": c, "segmentation": m, "area": int(decode_mask(m).sum()),
                "iscrowd": int(crowd), "bbox": [0, 0, 1, 1],
            }
            for i, (n, m, c, crowd) in enumerate(rows, start=1)
        ],
    }  # fmt: skip
    results = [entry for n, (found, _) in enumerate(pairs) for entry in coco_instance_results(found, image_id=n)]
    return average_precision(written, results, folder, "segm")


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_pycocotools_says_of_random_masks(seed, tmp_path):
    pairs = random_items(seed, pictures=14)
    got = values(fed(pairs))
    assert got == pytest.approx(judge(pairs, tmp_path), abs=1e-6)
    assert 0.02 < got["ap"] < got["ap50"] < 0.98


@pytest.mark.parametrize("family", ["flat", "solids"])
def test_it_is_what_pycocotools_says_of_scenes(family, tmp_path):
    pairs = scene_items(family)
    got = values(fed(pairs))
    assert got == pytest.approx(judge(pairs, tmp_path), abs=1e-6)
    assert 0.02 < got["ap"] < got["ap50"] < 0.98


def test_counts_by_a_plain_loop():
    pairs, off = random_items(5), []
    for found, truth in pairs:
        told = [c for c, crowd in zip(truth.classes, truth.crowds, strict=True) if not crowd]
        for c in {*told, *found.classes.tolist()}:
            off.append(abs(told.count(c) - int((found.classes == c).sum())))
    assert float(fed(pairs, CountError()).compute()) == pytest.approx(np.mean(off))
    assert math.isnan(float(CountError().compute()))
    pairs[4][1].beyond = 3
    objects = sum(len(truth.classes) - sum(truth.crowds) for _, truth in pairs)
    assert float(fed(pairs, BeyondColors()).compute()) == pytest.approx(3 / objects)


def test_nothing_found_is_zero_and_nothing_to_find_is_nan():
    pairs = random_items(1)
    assert all(math.isnan(value) for value in values(MaskAP()).values())
    none = [(prediction([], 48), truth) for _, truth in pairs]
    assert values(fed(none)) == {"ap": 0.0, "ap50": 0.0, "ap75": 0.0}
    blank = [(found, InstancesTruth(key=truth.key, masks=[], classes=[])) for found, truth in pairs]
    assert all(math.isnan(value) for value in values(fed(blank)).values())
    crowds = [
        (
            found,
            InstancesTruth(key=truth.key, masks=truth.masks, classes=truth.classes, crowds=[True] * len(truth.classes)),
        )
        for found, truth in pairs
    ]
    assert all(math.isnan(value) for value in values(fed(crowds)).values())


def test_order_split_pickle_and_a_second_answer_change_nothing_that_they_should_not():
    pairs = random_items(3, pictures=10)
    for found, _ in pairs:
        found.sure = torch.full_like(found.sure, 0.5)  # all scores are equal
    expected = values(fed(pairs))
    assert values(fed(pairs[::-1])) == expected
    left, right = fed(pairs[:3]), fed(pairs[3:])
    left.merge_state(right)
    assert values(left) == expected
    metric = pickle.loads(pickle.dumps(fed(pairs)))
    assert values(metric) == expected
    metric.reset()
    assert math.isnan(values(metric)["ap"])


def test_ranks_are_joined_also_where_one_saw_nothing():
    rows = torch.cat(fed(random_items(4)).masks_rows)
    metric = MaskAP()
    metric.sync(dist_sync_fn=lambda tensor, group=None: [tensor, rows], distributed_available=lambda: True)
    assert torch.equal(metric.masks_rows, rows) and rows.dtype == torch.float64
    metric.unsync()
    metric.masks_rows = [rows]
    assert [row.picture for row in metric._rows()] == [row.picture for row in fed(random_items(4))._rows()]


def test_resamples_are_what_copies_of_the_images_would_give():
    pairs = random_items(6, pictures=6)
    counts = np.random.default_rng(0).multinomial(6, [1 / 6] * 6, size=5)
    drawn = fed(pairs).resampled([truth.key for _, truth in pairs], counts)
    for row, times in enumerate(counts):
        copies = [
            (found, InstancesTruth(key=f"{truth.key}-{copy}", masks=truth.masks, classes=truth.classes, crowds=truth.crowds))
            for (found, truth), many in zip(pairs, times, strict=True)
            for copy in range(many)
        ]  # fmt: skip
        expected = values(fed(copies))
        assert {name: drawn[name][row] for name in NAMES} == pytest.approx(expected, abs=0.02, nan_ok=True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda found: setattr(found, "sure", found.sure[:1]), "have masks of shape"),
        (lambda found: setattr(found, "sure", found.sure * math.nan), "finite scores"),
        (lambda found: setattr(found, "masks", found.masks[:, :9]), r"found masks have shape \(9, 48\)"),
    ],
)
def test_what_cannot_be_scored_is_refused(change, sentence):
    found, truth = random_items(0)[4]
    change(found)
    with pytest.raises(ConfigError, match=sentence):
        MaskAP().update(found, truth)


def test_results_have_the_ids_of_the_set_and_are_written():
    found = prediction([(np.eye(48, dtype=bool), 0.5, 1)], 48)
    found.query = {"category_ids": [7, 90], "image_id": 5, "key": "k", "group": "k/0"}
    (entry,) = results_of(found, [found.query]).lists["instances.json"]
    assert (entry["image_id"], entry["category_id"], entry["score"]) == (5, 90, 0.5)
    assert np.array_equal(decode_mask(entry["segmentation"]), np.eye(48, dtype=bool))
