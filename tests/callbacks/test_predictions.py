"""Answers as files: their names, formats and values, and what is read back."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as rle

from idiff.callbacks.prediction_files import PredictionFiles
from idiff.callbacks.scoring import GroupPrediction, group_predictions
from idiff.data.loading.collate import collate_groups
from idiff.data.loading.dataset import Group
from idiff.errors import ConfigError
from idiff.metrics.result_formats import (
    Results,
    class_mask_results,
    item_name,
    own_label_map,
    picture_number,
    results_of,
)
from idiff.predictions import LabelMapPrediction
from idiff.tasks import InstructEditing, ReferringSegmentation, SemanticSegmentation
from idiff.types import VOID, Prediction, Sampling, Truth


def written(task, folder, *samples, items=1):
    groups = [Group(task.queries(sample, item), []) for sample in samples for item in range(items)]
    batch = collate_groups(groups, task="toy", sampling=Sampling())
    found = group_predictions(task, batch.target, batch.source, batch)
    files = PredictionFiles(folder)
    files.write(batch, batch.target, found)
    files.close()
    lines = (folder / "toy/queries.jsonl").read_text(encoding="utf-8").splitlines()
    return found, [json.loads(line) for line in lines]


def example(task, number, **facts):
    sample = task.example(np.random.default_rng(number))
    sample.key = f"sample{number}"
    sample.annotation |= facts
    return sample


def test_label_maps_have_the_set_s_own_values(tmp_path):
    task = SemanticSegmentation(ask="all")
    sample = example(task, 1, file_name="a b.jpg")
    count = len(sample.meta["classes"])
    sample.meta = dict(sample.meta) | {"values": [10 + 3 * index for index in range(count)]}
    [answer], lines = written(task, tmp_path, sample)
    drawn = np.asarray(Image.open(tmp_path / "toy/masks/sample1.png"))
    assert np.array_equal(drawn, 10 + 3 * answer.prediction.labels.numpy().astype(int))
    assert (drawn == 10 + 3 * sample.label.astype(int))[sample.label != VOID].mean() > 0.9
    listed = json.loads((tmp_path / "toy/masks.json").read_text())
    assert [entry["value"] for entry in listed] == [line["query"]["values"][0] for line in lines]
    for entry, line in zip(listed, lines, strict=True):
        found = rle.decode(entry["segmentation"]).astype(bool)
        assert np.array_equal(found, answer.prediction.masks[line["query"]["class"]].numpy())
        assert entry["category"] == line["query"]["name"] and line["query"]["origin"] == {"file_name": "a b.jpg"}


def test_indices_without_values_and_no_answer_stay():
    labels = torch.tensor([[0, 1], [4, VOID]], dtype=torch.uint8)
    prediction = LabelMapPrediction(query={}, labels=labels)
    plain = [{"key": "k", "class": 1, "background": None}]
    assert np.array_equal(own_label_map(prediction, plain), labels.numpy())
    own = [{"key": "k", "class": 1, "background": 0, "values": [7, 3]}]
    assert own_label_map(prediction, own).tolist() == [[3, 7], [4, VOID]]
    assert class_mask_results(prediction, own) == []


def test_referring_masks_are_png_and_run_lengths_with_the_set_s_numbers(tmp_path):
    task = ReferringSegmentation()
    sample = example(task, 2, image_id=581857, file_name="COCO_train2014_000000581857.jpg")
    for number, phrase in enumerate(sample.annotation["phrases"]):
        phrase |= {"ref_id": 5, "sent_id": 50 + number}
    count = len(sample.annotation["phrases"])
    found, lines = written(task, tmp_path, sample, items=count)
    listed = json.loads((tmp_path / "toy/masks.json").read_text())
    assert len(listed) == len(lines) == count > 1
    for item, (entry, answer) in enumerate(zip(listed, found, strict=True)):
        assert (entry["image_id"], entry["ref_id"], entry["sent_id"], entry["item"]) == (581857, 5, 50 + item, item)
        assert entry["phrase"] == answer.queries[0]["phrase"] and 0 <= entry["score"] <= 1
        mask = np.asarray(Image.open(tmp_path / f"toy/masks/sample2_{item}.png"))
        assert set(np.unique(mask)) <= {0, 255}
        assert np.array_equal(rle.decode(entry["segmentation"]) * 255, mask)
        assert np.array_equal(mask > 0, answer.prediction.mask.numpy())


def test_pictures_are_named_by_the_key(tmp_path):
    task = InstructEditing()
    found, lines = written(task, tmp_path, example(task, 3), example(task, 4, file_name="z.png"))
    files = sorted((tmp_path / "toy/pictures").iterdir())
    assert [path.name for path in files] == ["sample3.png", "sample4.png"]
    for path, answer in zip(files, found, strict=True):
        expected = answer.prediction.picture.add(1).mul(127.5).round().permute(1, 2, 0).numpy()
        assert np.abs(np.asarray(Image.open(path)) - expected).max() <= 1
    assert [line["query"]["origin"] for line in lines] == [{}, {"file_name": "z.png"}]


def test_pictures_without_a_number_get_one_that_json_can_hold():
    numbers = {picture_number({"key": f"k{number}"}) for number in range(50)}
    assert len(numbers) == 50 and all(0 <= number < 2**53 for number in numbers)
    assert picture_number({"key": "k", "image_id": 7}) == picture_number({"key": "k", "origin": {"image_id": 7}}) == 7


@dataclass(kw_only=True)
class Depth(Prediction):
    """An answer that the project knows nothing of."""

    depth: torch.Tensor


def test_an_answer_of_ones_own_is_written_as_it_says(tmp_path):
    query = {"task": "depth", "key": "k", "group": "k/3"}
    answer = GroupPrediction(slice(0, 0), [query], Depth(query=query, depth=torch.ones(2, 2)), Truth(key="k"))
    files = PredictionFiles(tmp_path)
    assert files._write_answer(tmp_path, answer) == {} and not list(tmp_path.iterdir())

    @results_of.register
    def of_depth(prediction: Depth, queries) -> Results:
        far = prediction.depth.mul(100).byte().numpy()
        return Results(
            {("depth", item_name(queries[0])): far}, {"depth.json": [{"mean": float(prediction.depth.mean())}]}
        )

    assert files._write_answer(tmp_path, answer) == {"depth.json": [{"mean": 1.0}]}
    assert (np.asarray(Image.open(tmp_path / "depth/k_3.png")) == 100).all()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file for predictions cannot be made: .*Choose one that can"):
        PredictionFiles(tmp_path / "file")
