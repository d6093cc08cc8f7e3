"""Which frames of a shot are remembered, and which of a growing bank stay (StoryMem, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.9
STEP = 0.01
SECOND = 2
"""The first frame that is compared with frame 0: StoryMem leaves frame 1 out."""

SIDE = 16


def choose_keyframes(features: NDArray[np.floating], most: int = 3, threshold: float = THRESHOLD) -> list[int]:
    """Frames of a shot that differ: the first, then each that is less like the last chosen one than ``threshold``.

    While more than ``most`` are found the threshold is lowered by 0.01.

    Args:
        features: (n, d), one row a frame; likeness is the cosine.

    Raises ``ValueError`` if ``most`` is below 1.
    """
    if most < 1:
        raise ValueError(f"per_shot is {most}: a shot is remembered by 1 frame at least. Use 3.")
    rows = _unit(features)
    if not len(rows):
        return []
    steps = 0
    while True:
        chosen = [0]
        for index in range(SECOND, len(rows)):
            if float(rows[chosen[-1]] @ rows[index]) < threshold - steps * STEP:
                chosen.append(index)
        if len(chosen) <= most:
            return chosen
        steps += 1


def evenly(frames: int, count: int) -> list[int]:
    """``count`` of so many frames, evenly from the first to the last; all while there are no more (Memento)."""
    if count >= frames:
        return list(range(frames))
    if count < 2:
        return [0][:count]
    return [round(index * (frames - 1) / (count - 1)) for index in range(count)]


def unlike(features: NDArray[np.floating], kept: NDArray[np.floating], threshold: float = THRESHOLD) -> list[int]:
    """Rows of ``features`` (n, d) that are not more like any row of ``kept`` (m, d) than ``threshold``."""
    rows, others = _unit(features), _unit(kept)
    if not len(others):
        return list(range(len(rows)))
    return [index for index, row in enumerate(rows) if float((others @ row).max()) <= threshold]


def bank_of(frames: Sequence[int], most: int = 8, fixed: int = 3) -> list[int]:
    """The ``fixed`` oldest of the remembered frames, and the newest; ``most`` in all, ascending. Raises ``ValueError``
    unless ``fixed`` is below ``most``."""
    if not 0 <= fixed < most:
        raise ValueError(f"fixed is {fixed} and keep {most}: fixed must be less than keep. Use 3 and 8.")
    ordered = sorted(set(int(frame) for frame in frames))
    return ordered if len(ordered) <= most else ordered[:fixed] + ordered[fixed - most :]


def picture_features(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Features (n, 768) of pictures (n, H, W, 3) without a network: 16 x 16 means of the colours, less their mean.

    The cosine of two of them is their correlation: 1 for the same picture, about 0 for two that share nothing.
    """
    count, height, width, _ = pictures.shape
    rows, columns = (np.linspace(0, side, SIDE + 1).astype(int) for side in (height, width))
    small = np.empty((count, SIDE, SIDE, 3))
    for y in range(SIDE):
        for x in range(SIDE):
            top, left = min(rows[y], height - 1), min(columns[x], width - 1)
            part = pictures[:, top : max(rows[y + 1], top + 1), left : max(columns[x + 1], left + 1)]
            small[:, y, x] = part.mean(axis=(1, 2))
    flat = small.reshape(count, -1)
    return np.asarray(flat - flat.mean(axis=1, keepdims=True))


def _unit(features: NDArray[np.floating]) -> NDArray[np.float64]:
    if not len(features):
        return np.empty((0, 1))
    rows = np.asarray(features, dtype=np.float64).reshape(len(features), -1)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    # A frame of one colour has no direction: it is like others of one colour only.
    return np.asarray(np.where(length > 1e-9, rows / np.maximum(length, 1e-9), 1.0 / np.sqrt(max(1, rows.shape[1]))))
