"""Boxes and classes are written so that others can score them again."""

import json

import pytest
import torch
from pycocotools.coco import COCO

from idiff.callbacks.prediction_files import PredictionFiles
from idiff.callbacks.scoring import group_predictions
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import ImageClassification, ObjectDetection
from idiff.types import Batch


def batch_of(task, sample):
    triplets = task.queries(sample, 0)
    return Batch(
        keys=[triplet.key for triplet in triplets],
        instruction=[triplet.instruction for triplet in triplets],
        source=torch.stack([triplet.source for triplet in triplets]),
        target=torch.stack([triplet.target for triplet in triplets]),
        query=[triplet.query for triplet in triplets],
        annotation=[triplet.annotation for triplet in triplets],
        position=torch.arange(len(triplets)),
        task=[task.kind] * len(triplets),
        group_sizes=[len(triplets)],
    )


@pytest.fixture
def written(tmp_path):
    def write(task):
        files = PredictionFiles(tmp_path)
        source = SyntheticSource(task.kind, split="val", count=3, seed=0)
        for index in range(3):
            batch = batch_of(task, source.sample(index))
            files.write(batch, batch.target, group_predictions(task, batch.target, batch.source, batch))
        files.close()
        return source, tmp_path / task.kind

    return write


def test_boxes_are_cocos_detection_results(written):
    _, folder = written(ObjectDetection())
    results = json.loads((folder / "detections.json").read_text())
    assert {entry["category_id"] for entry in results} <= set(range(14)) and len(results) >= 6
    pictures = {entry["image_id"] for entry in results}
    assert len(pictures) == 3
    coco = COCO()
    coco.dataset = {"images": [{"id": number} for number in pictures], "categories": [], "annotations": []}
    coco.createIndex()
    assert len(coco.loadRes(results).anns) == len(results)


def test_classes_are_written_with_the_score_of_each(written):
    source, folder = written(ImageClassification())
    rows = json.loads((folder / "classes.json").read_text())
    assert [row["key"] for row in rows] == [source.sample(index).key for index in range(3)]
    for index, row in enumerate(rows):
        best = max(row["scores"], key=row["scores"].__getitem__)
        right = source.sample(index).annotation["instances"][0]["category"]
        assert source.meta()["categories"][int(best)] == right and len(row["scores"]) == 14
