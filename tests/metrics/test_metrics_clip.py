"""Metrics of edits by CLIP, against the formulas on the model's own features and against torchmetrics."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from small_clip import WIDTH, write_clip, write_head
from torchmetrics import MetricCollection

from idiff.curation.quality.aesthetic import load_head
from idiff.curation.quality.features import ClipFeatures
from idiff.errors import ConfigError
from idiff.metrics.bootstrap import Additions, intervals
from idiff.metrics.clip import KEPT, Aesthetic, CLIPDirection, CLIPSimilarity, Remembered
from idiff.predictions import EditTruth, ImagePrediction, ImageTruth
from idiff.types import Prediction
from idiff.utils.images import to_picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def features(folder):
    return ClipFeatures(str(folder))


def edits(count, *, captions=True):
    pairs = []
    for number in range(count):
        rng = torch.Generator().manual_seed(number)
        edit, source = (torch.rand(3, 40, 48, generator=rng) * 2 - 1 for _ in range(2))
        truth = EditTruth(key=f"k{number}", source=source, picture=source, mask=torch.ones(source.shape[1:]) > 0)
        if captions:
            truth.caption, truth.source_caption = f"{chr(97 + number % 26)} thing {number * 37}", "a photo of nothing"
        pairs.append((ImagePrediction(query={}, picture=edit), truth))
    return pairs


def updated(metric, pairs):
    for pair in pairs:
        metric.update(*pair)
    return float(metric.compute())


def rows(features, pairs):
    """Features of edits, sources, captions, captions of sources, as numpy rows of unit length."""
    pictures = [
        [to_picture(picture) for picture in side]
        for side in zip(*((p.picture, t.source) for p, t in pairs), strict=True)
    ]
    words = zip(*((t.caption, t.source_caption) for _, t in pairs), strict=True)
    found = [features(side) for side in pictures] + [features.texts(list(side)) for side in words]
    return [(side / side.norm(dim=1, keepdim=True)).numpy() for side in found]


def test_clip_sim_is_the_mean_cosine(features):
    pairs = edits(5)
    edit, _, caption, _ = rows(features, pairs)
    assert updated(CLIPSimilarity(Remembered(features)), pairs) == pytest.approx(
        (edit * caption).sum(1).mean(), abs=1e-5
    )


def test_clip_sim_is_torchmetrics_clip_score(features, folder):
    """The same figure times 100, where no cosine is negative (theirs are cut at 0)."""
    from torchmetrics.functional.multimodal import clip_score
    from transformers import CLIPModel, CLIPProcessor, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    model = CLIPModel.from_pretrained(folder).eval()
    for name in (
        "get_image_features",
        "get_text_features",
    ):  # it expects the bare features of older versions of transformers
        whole = getattr(model, name)
        setattr(model, name, lambda *given, whole=whole, **named: whole(*given, **named).pooler_output)
    processor = CLIPProcessor(CLIPImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder))
    pairs = [pair for pair in edits(40) if updated(CLIPSimilarity(Remembered(features)), [pair]) > 0]
    assert len(pairs) >= 3
    pictures = [torch.from_numpy(to_picture(prediction.picture)).permute(2, 0, 1) for prediction, _ in pairs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = clip_score(pictures, [truth.caption for _, truth in pairs], lambda: (model, processor))
    assert updated(CLIPSimilarity(Remembered(features)), pairs) * 100 == pytest.approx(
        float(expected.detach()), abs=1e-3
    )


def test_clip_dir_compares_the_two_changes(features):
    pairs = edits(5)
    edit, source, caption, before = rows(features, pairs)
    seen, said = edit - source, caption - before
    cosines = (seen * said).sum(1) / np.linalg.norm(seen, axis=1) / np.linalg.norm(said, axis=1)
    assert updated(CLIPDirection(Remembered(features)), pairs) == pytest.approx(cosines.mean(), abs=1e-4)
    for prediction, truth in pairs:
        prediction.picture = truth.source
    assert updated(CLIPDirection(Remembered(features)), pairs) == 0.0, "nothing was changed"


def test_aesthetic_is_the_head_on_the_edit_s_features(features, tmp_path):
    head = load_head(write_head(tmp_path / "head.safetensors"))
    pairs = edits(4, captions=False)
    expected = head(features([to_picture(prediction.picture) for prediction, _ in pairs])).mean()
    assert updated(Aesthetic(Remembered(features), head), pairs) == pytest.approx(float(expected), abs=1e-5)
    wrong = load_head(write_head(tmp_path / "wrong.safetensors", width=WIDTH + 1))
    with pytest.raises(ConfigError, match=f"takes features of {WIDTH + 1} numbers, got {WIDTH}"):
        updated(Aesthetic(Remembered(features), wrong), pairs)


def test_edits_without_captions_are_left_out(features):
    clip = Remembered(features)
    with_captions, without = edits(3), edits(6, captions=False)[3:]
    for build in (CLIPSimilarity, CLIPDirection):
        assert updated(build(clip), [*with_captions, *without]) == updated(build(clip), with_captions)
        assert np.isnan(updated(build(clip), without))


class Counting:
    """Counts what it is asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, pictures):
        self.asked += ["picture"] * len(pictures)
        return torch.stack([torch.from_numpy(picture).float().mean(dim=(0, 1)) for picture in pictures])

    def texts(self, sentences):
        self.asked += sentences
        return torch.tensor([[len(one), one.count("a"), 1.0] for one in sentences])


def test_what_comes_again_is_embedded_once_and_copies_share_the_model():
    model = Counting()
    clip = Remembered(model)
    metrics = MetricCollection({"clip_sim": CLIPSimilarity(clip), "clip_dir": CLIPDirection(clip)})
    again = copy.deepcopy(metrics)
    for prediction, truth in edits(3):
        metrics.update(prediction, truth)
        again.update(prediction, truth)
    assert model.asked.count("picture") == 6 and len(model.asked) == 6 + 4
    assert again.compute() == metrics.compute()
    for number in range(KEPT + 3):
        clip.text(str(number))
    assert len(clip._known) == KEPT


def test_they_have_intervals(features):
    additions, metrics = Additions(), MetricCollection({"clip_sim": CLIPSimilarity(Remembered(features))})
    for pair in edits(6):
        additions.update(metrics, *pair)
    low, high = intervals(metrics, additions.found, resamples=100, seed=0)["clip_sim"]
    assert low < float(metrics.compute()["clip_sim"]) < high


def test_refusals(features):
    [(_, truth)] = edits(1)
    with pytest.raises(ConfigError, match=r"CLIPSimilarity got a Prediction for 'k0', expected an? ImagePrediction"):
        CLIPSimilarity(Remembered(features)).update(Prediction(query={}), truth)
    found, plain = ImagePrediction(query={}, picture=torch.zeros(3, 8, 8)), ImageTruth(key="k0", picture=truth.picture)
    with pytest.raises(ConfigError, match=r"CLIPDirection got a.? ImageTruth for 'k0', expected a.? EditTruth"):
        CLIPDirection(Remembered(features)).update(found, plain)
