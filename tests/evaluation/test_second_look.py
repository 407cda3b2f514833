"""What a model reads from the images that it painted itself, beside what it reads from the true ones."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from idiff.callbacks.scoring import Score, group_predictions
from idiff.data.loading.collate import collate_groups
from idiff.data.loading.dataset import Group
from idiff.errors import ConfigError
from idiff.evaluation.second_look import Rereading, rereading
from idiff.sampling import Sampling
from idiff.tasks import Denoise
from idiff.tasks.depth import DepthEstimation
from idiff.tasks.saved import TaskChoice
from idiff.types import Painted, Sample
from idiff.utils import cube_path

CHOICE = TaskChoice("depth", DepthEstimation(size=32), Sampling(steps=1), {})


class Painter(Denoise):
    """Its images show depth as brightness, which the model below reads."""

    again = "depth"

    def asked_again(self, picture, annotation):
        if "depth" not in annotation:
            return None
        return Sample(annotation["key"], picture, {}, maps={"depth": annotation["depth"]})


def read_brightness(batch):
    """A model: a pixel of brightness b is 10 b meters away."""
    meters = 10 * (batch.source.mean(dim=1) / 2 + 0.5)
    painted = torch.stack([2 * cube_path.walk(1 - (1 + one / 10) ** -2) - 1 for one in meters])
    return Painted(painted.float(), batch.source)


def answers(task, shift, *, known=True):
    groups = []
    for number in range(3):
        gray = np.random.default_rng(number).integers(60, 200, (8, 8), np.uint8).repeat(4, 0).repeat(4, 1)
        image = np.repeat(gray[..., None], 3, axis=2)
        (triplet,) = task.queries(Sample(f"s{number}", image, {}, target=image), 0)
        if known:
            triplet.annotation["depth"] = (gray / 25.5).astype(np.float32)
        groups.append(Group([triplet], []))
    batch = collate_groups(groups, task="painter", sampling=Sampling(steps=1))
    return batch, group_predictions(task, batch.target + shift, batch.source, batch)


def looked(shift, *, known=True):
    task = Painter(size=32)
    look = Rereading(task, CHOICE, SimpleNamespace(paint=read_brightness, device=torch.device("cpu")))
    look.update(*answers(task, shift, known=known))
    score = Score({"psnr": 1.0}, baseline_name="none")
    look.add_to(score)
    return score


def test_the_figures_are_those_of_the_reader_beside_the_true_image_and_a_blind_answer():
    score = looked(-0.2)
    assert set(score.metrics) == {"psnr", "read_absrel", "read_delta1", "read_rmse"}
    assert set(score.ceiling) == set(score.baseline) == set(score.metrics) - {"psnr"}
    assert score.metrics["read_rmse"] == pytest.approx(1.0, abs=0.1)  # 0.1 of the brightness is a meter
    assert score.ceiling["read_rmse"] < 0.1 < score.ceiling["read_rmse"] + score.metrics["read_rmse"]
    assert score.baseline["read_absrel"] > score.ceiling["read_absrel"] and score.baseline_name.startswith(
        "none, read_: "
    )
    assert looked(0.0).metrics["read_absrel"] == looked(0.0).ceiling["read_absrel"]


def test_where_the_truth_is_not_known_nothing_is_read():
    score = looked(0.0, known=False)
    assert np.isnan(score.metrics["read_absrel"]) and score.baseline == {} and score.baseline_name == "none"


def test_a_model_that_never_learnt_to_read_says_why():
    def refuse(kind):
        raise ConfigError(f"the checkpoint was trained on no task '{kind}'.")

    assert rereading(None, Denoise(size=32), refuse) == (None, {})
    look, reasons = rereading(None, Painter(size=32), refuse)
    assert look is None and list(reasons) == ["read_absrel"] and "trained on no task 'depth'" in reasons["read_absrel"]
    assert isinstance(rereading(None, Painter(size=32), lambda kind: CHOICE)[0], Rereading)
