"""Left and right in the names of joints, however they are written; and sets of which only some joints have a partner."""

import pytest

from idiff.data.sources.joint_names import skeleton
from idiff.utils.sigmas import has_sides


@pytest.mark.parametrize(
    "names",
    [
        "l_hip r_hip", "hip_l hip_r", "leftHip rightHip", "LHip RHip", "Left-Hip Right-Hip", "hip.L hip.R", "hip_left hip_right",
        "lhip rhip", "lefthip righthip", "LHIP RHIP", "hipl hipr", "hipleft hipright", "Hip(L) Hip(R)", "hip[l] hip[r]",
        "lft_hip rgt_hip", "HIP_LEFT HIP_RIGHT", "left:hip right:hip",
    ],
)  # fmt: skip
def test_every_spelling_of_sides_is_read(names):
    made = skeleton(["nose", "neck", *names.split()])
    assert made["joints"] == ["nose", "neck", "left hip", "right hip"] and made["pairs"] == [[2, 3]]


def test_letters_that_begin_other_words_are_no_sides():
    assert skeleton(["lip", "rib", "tail", "l1", "l2"])["joints"] == ["lip", "rib", "tail", "l1", "l2"]


@pytest.mark.parametrize(
    "names",
    [
        ["left_eye", "right_eye", "left_hand", "tail"],
        ["left_eye", "l_eye", "right_eye", "r_eye"],
        ["left_eye", "nose"],
        ["left_left_eye", "left_right_eye", "nose", "tail"],
        ["a", "b", "c", "d"],
    ],
)
def test_a_joint_without_its_partner_is_never_mirrored(names):
    made = skeleton(names)
    assert not has_sides(made["joints"], made["pairs"])
