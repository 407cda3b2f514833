"""OKS sigmas by the names of the joints."""

import pytest
from pycocotools.cocoeval import Params

from idiff.errors import ConfigError
from idiff.utils.sigmas import TABLES, sigmas_for

COCO = ["nose"] + [
    f"{side} {part}"
    for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]


def test_coco_names_get_the_sigmas_of_pycocotools():
    expected = Params(iouType="keypoints").kpt_oks_sigmas.tolist()
    assert sigmas_for(COCO) == pytest.approx(expected)
    assert sigmas_for(COCO[::-1]) == pytest.approx(expected[::-1])


@pytest.mark.parametrize(
    ("kind", "total", "joint", "sigma"),
    [("coco", 17, "left ear", 0.035), ("crowdpose", 14, "neck", 0.079), ("ap10k", 17, "right front paw", 0.062)],
)
def test_known_sets_are_told_by_their_joints(kind, total, joint, sigma):
    names = list(TABLES[kind])
    assert len(names) == total
    assert sigmas_for(names)[names.index(joint)] == sigma
    assert sigmas_for([joint], kind) == [sigma]


def test_other_sets_get_the_default():
    assert sigmas_for(["head top", "neck"]) == [0.05, 0.05]
    assert sigmas_for(COCO[:5]) == [0.05] * 5


def test_wrong_kinds_and_joints_are_named():
    with pytest.raises(ConfigError, match="did you mean 'ap10k'"):
        sigmas_for(["nose"], "ap10")
    with pytest.raises(ConfigError, match="coco has no joint 'neck'"):
        sigmas_for(["neck"], "coco")
