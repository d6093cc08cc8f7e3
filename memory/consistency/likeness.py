"""How alike two pictures are: PSNR and SSIM over known pixels, and cosines of features."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray

Pixels = NDArray[np.uint8]
Known = NDArray[np.bool_]

MOST_DB = 60.0
"""PSNR of pictures that are the same, which have none; nobody sees a difference at less."""

WINDOW, SIGMA = 11, 1.5
"""SSIM's Gaussian window (Wang et al. 2004)."""


def psnr(one: Pixels, other: Pixels, known: Known) -> float:
    """Decibels between two pictures (H, W, 3) over the ``known`` pixels (H, W), 60 at most; NaN if none is known."""
    if not known.any():
        return math.nan
    error = float(np.mean((one[known].astype(np.float64) - other[known]) ** 2))
    return min(MOST_DB, 10.0 * math.log10(255.0**2 / error)) if error > 0.0 else MOST_DB


def ssim(one: Pixels, other: Pixels, known: Known) -> float:
    """Structural similarity -1..1 of two pictures (H, W, 3) over the ``known`` pixels (H, W), colours averaged.

    As Wang et al. (2004): a Gaussian window of 11 x 11, sigma 1.5, K1 0.01, K2 0.03. Pixels count whose whole window is
    known, or all that are known where there is none such. NaN if none is known.
    """
    if not known.any():
        return math.nan
    a, b = one.astype(np.float64), other.astype(np.float64)
    # What is not known is alike in both, so that it says nothing in the windows that reach into it.
    b[~known] = a[~known]
    mean_a, mean_b = _blurred(a), _blurred(b)
    spread_a, spread_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    together = _blurred(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
    found = (2.0 * mean_a * mean_b + c1) * (2.0 * together + c2)
    found /= (mean_a**2 + mean_b**2 + c1) * (spread_a + spread_b + c2)
    inside = cv2.erode(known.astype(np.uint8), np.ones((WINDOW, WINDOW), np.uint8), borderValue=0).astype(bool)
    return float(found.mean(axis=2)[inside if inside.any() else known].mean())


def features_agree(features: FloatArray) -> float:
    """How alike frames are by ``features`` (n, d), 0..1: the mean cosine with the frame before and with the first.

    As VBench measures subject (DINO) and background (CLIP) consistency. NaN for fewer than two frames.
    """
    rows = unit_rows(features)
    if len(rows) < 2:
        return math.nan
    before = np.maximum((rows[1:] * rows[:-1]).sum(axis=1), 0.0)
    first = np.maximum(rows[1:] @ rows[0], 0.0)
    return float(np.mean((before + first) / 2.0))


def shots_agree(features: FloatArray, shots: NDArray[np.integer]) -> float:
    """The mean cosine between the mean features of any two shots: ``features`` (n, d) of frames in ``shots`` (n,). NaN
    for a single shot."""
    rows = unit_rows(features)
    means = unit_rows(np.stack([rows[shots == shot].mean(axis=0) for shot in np.unique(shots)]))
    if len(means) < 2:
        return math.nan
    upper = np.triu_indices(len(means), 1)
    return float((means @ means.T)[upper].mean())


def unit_rows(features: FloatArray) -> FloatArray:
    """Rows (n, d) of length 1; one of zeros stays."""
    rows = np.asarray(features, dtype=np.float64).reshape(len(features), -1)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def _blurred(values: FloatArray) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(values, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_REFLECT))
