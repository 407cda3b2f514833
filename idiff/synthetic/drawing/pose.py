"""Random human poses: a small skeleton in three dimensions, posed by the directions of its limbs.

In the person's own frame x points to the person's left, y up and z the way the person faces; a standing person is about
1 tall.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]
"""float64 (3,)."""

Pose: TypeAlias = dict[str, Vector]
"""Point name -> position: all joints, and `head`, `left hand`, `left toe`, `right hand`, `right toe`."""

_Limb: TypeAlias = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]

# (lift, swing) of the upper and of the lower half, each a range in degrees. Lift is measured from hanging down (0) over
# level (90) to straight up (180); swing from sideways (0) over forward (90) to the other side (180); negative is
# backward.
_ARMS: tuple[tuple[float, _Limb], ...] = (
    (0.26, ((8, 26), (-30, 30), (5, 32), (10, 80))),  # hanging
    (0.14, ((105, 155), (-25, 25), (125, 172), (-40, 60))),  # raised
    (0.12, ((78, 105), (-20, 20), (145, 175), (-40, 40))),  # waving
    (0.14, ((60, 100), (-20, 20), (62, 108), (-30, 30))),  # stretched sideways
    (0.10, ((38, 55), (-25, 5), (35, 55), (150, 175))),  # hand on hip
    (0.10, ((25, 60), (60, 95), (70, 110), (60, 110))),  # forward
    (0.08, ((14, 28), (0, 40), (60, 85), (120, 150))),  # across the belly
    (0.06, ((16, 30), (-60, -20), (45, 65), (-160, -130))),  # behind the back
)
_LEGS: tuple[tuple[float, _Limb], ...] = (
    (0.44, ((2, 14), (-40, 40), (1, 10), (-60, 60))),  # standing
    (0.22, ((16, 32), (-20, 30), (6, 26), (-30, 20))),  # apart
    (0.13, ((20, 45), (60, 105), (4, 25), (-110, -60))),  # a step forward
    (0.09, ((14, 30), (-110, -70), (30, 65), (-110, -70))),  # a step back
    (0.07, ((60, 88), (35, 90), (4, 25), (-110, -50))),  # knee raised
    (0.05, ((35, 58), (-15, 30), (35, 62), (-15, 15))),  # kicking sideways
)
_UPPER_ARM, _LOWER_ARM, _HAND = 0.165, 0.150, 0.030
_THIGH, _SHIN, _TOE = 0.230, 0.225, 0.075


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draw a pose; the middle of the hips is the origin."""
    lean = np.deg2rad(rng.normal(0, 7))
    up = np.array([np.sin(lean), np.cos(lean), 0.0])
    aside = np.array([np.cos(lean), -np.sin(lean), 0.0])
    nod = np.deg2rad(rng.normal(0, 8))
    head_up = np.array([np.sin(lean + nod), np.cos(lean + nod), 0.0])
    pose: Pose = {"neck": up * 0.335}
    pose["head"] = pose["neck"] + head_up * 0.115
    pose["head top"] = pose["neck"] + head_up * 0.205
    for side, sign in (("left", 1.0), ("right", -1.0)):
        pose[f"{side} shoulder"] = up * 0.305 + aside * (sign * 0.118)
        pose[f"{side} hip"] = aside * (sign * 0.066)
        upper, lower = _limb(_ARMS, sign, rng)
        pose[f"{side} elbow"] = pose[f"{side} shoulder"] + upper * _UPPER_ARM
        pose[f"{side} wrist"] = pose[f"{side} elbow"] + lower * _LOWER_ARM
        pose[f"{side} hand"] = pose[f"{side} wrist"] + lower * _HAND
        upper, lower = _limb(_LEGS, sign, rng)
        pose[f"{side} knee"] = pose[f"{side} hip"] + upper * _THIGH
        pose[f"{side} ankle"] = pose[f"{side} knee"] + lower * _SHIN
        pose[f"{side} toe"] = pose[f"{side} ankle"] + np.array([sign * 0.35, -0.3, 0.9]) * _TOE
    return pose


def _limb(choices: tuple[tuple[float, _Limb], ...], sign: float, rng: np.random.Generator) -> tuple[Vector, Vector]:
    """Directions of the upper and lower half of a limb on the person's left (sign 1) or right (-1)."""
    ends = accumulate(weight for weight, _ in choices)
    drawn = rng.random()
    spans = next((spans for end, (_, spans) in zip(ends, choices, strict=True) if drawn < end), choices[-1][1])
    angles = [rng.uniform(low, high) for low, high in spans]
    return _direction(angles[0], angles[1], sign), _direction(angles[2], angles[3], sign)


def _direction(lift: float, swing: float, sign: float) -> Vector:
    polar, azimuth = np.deg2rad(lift), np.deg2rad(swing)
    return np.array([sign * np.sin(polar) * np.cos(azimuth), -np.cos(polar), np.sin(polar) * np.sin(azimuth)])


def project(pose: Pose, *, yaw: float, roll: float, pitch: float) -> dict[str, Vector]:
    """See a pose from a camera far away.

    Args:
        pose: points in the person's frame.
        yaw: turn in degrees about the upright axis; 0 faces the camera, 180 turns the back to it.
        roll: tilt in degrees of the whole person in the image.
        pitch: how far in degrees the camera looks down.

    Returns:
        point name -> (x to the right, y down, nearness to the camera), in the pose's unit.
    """
    phi, rho, theta = np.deg2rad([yaw, roll, pitch])
    turn = np.array([[np.cos(phi), 0, np.sin(phi)], [0, 1, 0], [-np.sin(phi), 0, np.cos(phi)]])
    warp_sample = np.array([[1, 0, 0], [0, np.cos(theta), -np.sin(theta)], [0, np.sin(theta), np.cos(theta)]])
    tilt = np.array([[np.cos(rho), np.sin(rho), 0], [-np.sin(rho), np.cos(rho), 0], [0, 0, 1]])
    matrix = np.diag([1.0, -1.0, 1.0]) @ tilt @ warp_sample @ turn
    return {name: matrix @ point for name, point in pose.items()}
