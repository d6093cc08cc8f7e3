"""Bins of what a camera looks at: 54 directions on a cube map times four kinds of lens.

Each face of the cube has three by three bins of equal angle, 30 degrees wide at its middle. A level camera of a film
that starts level stays in the middle row, so a little nodding does not change its bin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .lenses import Cones, Float32

SIDE, LENSES = 3, 4
DIRECTIONS = 6 * SIDE * SIDE
LOOKS = LENSES * DIRECTIONS
_WIDEST = 1.5
"""Tangent above which a lens is of the first kind; each kind is half as wide as the one before."""


def looks(cameras: Cones) -> NDArray[np.uint8]:
    """(n,) bin 0..215 of direction and lens of each camera."""
    return (directions(cameras.axis) + DIRECTIONS * _lens_kinds(cameras.tangent)).astype(np.uint8)


def directions(axis: Float32) -> NDArray[np.intp]:
    """(n,) bin 0..53 of unit directions (n, 3)."""
    size = np.abs(axis)
    face = np.argmax(size, axis=1)
    rows = np.arange(len(axis))
    ahead = axis[rows, face]
    low = np.maximum(np.abs(ahead), 1e-12)
    across, up = axis[rows, (face + 1) % 3] / low, axis[rows, (face + 2) % 3] / low
    return np.asarray(((2 * face + (ahead < 0)) * SIDE + _third(across)) * SIDE + _third(up))


def _third(slope: Float32) -> NDArray[np.intp]:
    edge = np.float32(np.tan(np.pi / 12))
    return np.asarray((slope > -edge).astype(np.intp) + (slope > edge))


def _lens_kinds(tangent: Float32) -> NDArray[np.intp]:
    halvings = np.log2(_WIDEST / np.maximum(tangent, 1e-6))
    return np.asarray(np.clip(np.ceil(halvings), 0, LENSES - 1).astype(np.intp))


def _bin_middles() -> tuple[Float32, Float32]:
    """Middle (54, 3) of each direction bin, and the largest angle (54,) from it to a direction in the bin."""
    edges = np.tan(np.linspace(-np.pi / 4, np.pi / 4, SIDE + 1))
    middle, spread = np.zeros((DIRECTIONS, 3)), np.zeros(DIRECTIONS)
    for face in range(3):
        for back in range(2):
            for i in range(SIDE):
                for j in range(SIDE):
                    corners = np.zeros((4, 3))
                    corners[:, face] = -1.0 if back else 1.0
                    corners[:, (face + 1) % 3] = edges[[i, i, i + 1, i + 1]]
                    corners[:, (face + 2) % 3] = edges[[j, j + 1, j, j + 1]]
                    corners /= np.linalg.norm(corners, axis=1, keepdims=True)
                    place = ((2 * face + back) * SIDE + i) * SIDE + j
                    middle[place] = corners.sum(axis=0) / np.linalg.norm(corners.sum(axis=0))
                    spread[place] = np.arccos((corners @ middle[place]).min())
    return middle.astype(np.float32), spread.astype(np.float32)


MIDDLE, SPREAD = _bin_middles()
