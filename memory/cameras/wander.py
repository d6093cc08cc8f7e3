"""Random camera motion: the sway of a hand-held camera, and a random walk. Equal seeds give equal paths."""

from __future__ import annotations

import math

import numpy as np
from scipy.interpolate import BSpline
from scipy.spatial.transform import Rotation

from .camera import FloatArray, rigid_inverse

SWAY_HZ = (0.15, 2.5)
"""The band in Hz that a hand moves a camera in."""

WALK_FRAMES = 77
"""Frames of a segment of Context-as-Memory (arXiv 2506.03141, section 4)."""

MOST_TURN = 360.0
_WAVES = 24
_SWAY_UNITS = 0.01
_AXES = (1.0, 1.0, 0.5, _SWAY_UNITS, _SWAY_UNITS, _SWAY_UNITS)
_STEPS = 7


def hand_sway(times: FloatArray, fps: float, degrees: float, seed: int) -> FloatArray:
    """How a hand-held camera strays (F, 4, 4) from where it should be, in that camera's own axes.

    ``times`` (F,) in seconds; at 0 it has not strayed. It turns right and up by ``degrees`` at about the most (twice
    the root mean square), rolls half as far, and moves 0.01 units a degree. No movement is faster than ``SWAY_HZ``, nor
    than a third of the frame rate ``fps``.
    """
    low, high = SWAY_HZ[0], max(2.0 * SWAY_HZ[0], min(SWAY_HZ[1], fps / 3.0))
    random = np.random.default_rng(seed)
    shape = (len(_AXES), _WAVES)
    # Slow movements are the wide ones: amplitude falls as 1/f, frequencies are spread evenly over the octaves.
    rates = low * (high / low) ** random.uniform(0.0, 1.0, shape)
    sizes = random.choice([-1.0, 1.0], shape) / rates
    sizes *= degrees / math.sqrt(2.0) / np.linalg.norm(sizes, axis=1, keepdims=True)
    strayed = np.stack(
        [size @ np.sin(2.0 * math.pi * rate[:, None] * times) for size, rate in zip(sizes, rates, strict=True)]
    )
    strayed *= np.array(_AXES)[:, None]
    result = np.tile(np.eye(4), (len(times), 1, 1))
    result[:, :3, :3] = Rotation.from_euler("YXZ", strayed[:3].T, degrees=True).as_matrix()
    result[:, :3, 3] = strayed[3:].T
    return result


def random_walk(progress: FloatArray, turn: float, length: float, seed: int) -> FloatArray:
    """A level walk (F, 4, 4) that looks along its way, as a cubic B-spline through random steps.

    Where ``progress`` rises evenly, any 77 frames cover ``length`` to twice that, and turn by less than ``turn``
    degrees in all. A longer walk of the same seed begins as the shorter one does; a ``turn`` below 0 mirrors it. Raises
    ``ValueError`` for a ``turn`` of more than 360 degrees.
    """
    if not abs(turn) <= MOST_TURN:
        raise ValueError(
            f"The amount of 'walk' is {turn:g} degrees in {WALK_FRAMES} frames: it may be at most "
            f"{MOST_TURN:g}. Use 60, the paper's."
        )
    at = progress * (len(progress) - 1) * _STEPS / WALK_FRAMES
    segments = math.ceil(float(at[-1]) / _STEPS) + 1
    drawn = np.random.default_rng(seed).uniform(0.0, 1.0, (segments, 2))
    # A stretch of one segment lies in the hull of `_STEPS + 3` steps, and a step between lies in the hull of three: so
    # these two bounds on the control polygon hold for the curve.
    bound = 0.999 * math.radians(abs(turn)) / (_STEPS + 2)
    least = length / math.cos(bound)
    turns = np.repeat((2.0 * drawn[:, 0] - 1.0) * math.copysign(bound, turn), _STEPS)
    sizes = np.repeat(least + (2.0 * length - least) * drawn[:, 1], _STEPS) / _STEPS
    heading = np.concatenate([[0.0, 0.0, 0.0], np.cumsum(turns)])
    sizes = np.concatenate([sizes[:1].repeat(3), sizes])
    corners = np.concatenate(
        [np.zeros((1, 2)), np.cumsum(sizes[:, None] * np.stack([np.sin(heading), np.cos(heading)], axis=1), axis=0)]
    )
    curve = BSpline(np.arange(-3.0, len(corners) + 1), corners, 3)
    position, way = curve(at), curve.derivative()(at)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    result = np.zeros((len(at), 4, 4))
    result[:, 0, 3], result[:, 2, 3] = position.T
    result[:, 0, 0] = result[:, 2, 2] = way[:, 1]
    result[:, 0, 2], result[:, 2, 0] = way[:, 0], -way[:, 0]
    result[:, 1, 1] = result[:, 3, 3] = 1.0
    result = rigid_inverse(result[0]) @ result
    result[0] = np.eye(4)
    return result
