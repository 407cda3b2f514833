"""Which joints of a skeleton are scored: all, or those that a known set of joints shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.errors import unknown
from idiff.utils.sigmas import TABLES


def check_scored(which: str) -> str:
    """Return which joints are scored.

    Raises:
        ConfigError: neither `all` nor the name of a known set of joints.
    """
    if which != "all" and which not in TABLES:
        raise unknown("set of scored joints", which, ["all", *TABLES])
    return which


def scored_joints(annotation: Mapping[str, Any], which: str) -> NDArray[np.float64]:
    """The true joints (K, 3); those that are not scored have visibility 0, as joints without a label do.

    Args:
        annotation: `joints` (K, 3) and their K `names`.
        which: `all`, or a set of joints of `idiff.utils.sigmas`, whose names are scored.
    """
    joints = np.array(annotation["joints"], dtype=np.float64)
    if which != "all":
        joints[[name not in TABLES[which] for name in annotation["names"]], 2] = 0
    return joints
