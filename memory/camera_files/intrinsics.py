"""Intrinsics of a file in our terms: divided by the picture's size, or chosen where the file is silent."""

from __future__ import annotations

import math

import numpy as np

from ..cameras.camera import FloatArray, intrinsics_from_fov
from .poses import Where
from .source import Source

DEFAULT_FOV, DEFAULT_ASPECT = 70.0, 16 / 9
NARROWEST, WIDEST = 1.0, 170.0
"""Degrees across that a film's lens can see."""


def from_pixels(source: Source, pixels: FloatArray, where: Where, size: FloatArray | None = None) -> FloatArray:
    """Normalised intrinsics (F, 4) from ``fx fy cx cy`` in pixels (F, 4) of pictures of ``size`` (F, 2), w h.

    Without a size it is the one whose middle the axis is nearest to: 2 cx, 2 cy in whole pixels.
    """
    measured = np.round(2.0 * pixels[:, 2:]) if size is None else size
    wrong = ~(np.isfinite(pixels).all(axis=1) & (pixels[:, :2] > 0.0).all(axis=1) & (measured >= 1.0).all(axis=1))
    if wrong.any():
        index = int(np.argmax(wrong))
        source.refuse(
            f"the intrinsics are fx fy cx cy = {pixels[index].tolist()} for a picture of "
            f"{measured[index].tolist()} pixels, expected finite numbers above 0",
            "Repair them, or set fov and choose a file without them",
            where(index),
        )
    return np.asarray(pixels / np.concatenate([measured, measured], axis=1), dtype=np.float64)


def check_normalised(source: Source, intrinsics: FloatArray, where: Where) -> FloatArray:
    """Intrinsics (F, 4) that shall be divided by the picture's size; refuses pixels and what is not above 0."""
    wrong = ~(np.isfinite(intrinsics).all(axis=1) & (intrinsics[:, :2] > 0.0).all(axis=1))
    if wrong.any():
        index = int(np.argmax(wrong))
        source.refuse(
            f"the intrinsics are fx fy cx cy = {intrinsics[index].tolist()}, expected finite numbers, fx and "
            "fy above 0",
            "Repair them: they are divided by the picture's width and height",
            where(index),
        )
    pixels = (np.abs(intrinsics[:, 2:]) > 10.0).any(axis=1)
    if pixels.any():
        index = int(np.argmax(pixels))
        source.refuse(
            f"the intrinsics are fx fy cx cy = {intrinsics[index].tolist()}, which look like pixels",
            "Divide fx and cx by the picture's width, fy and cy by its height",
            where(index),
        )
    return intrinsics


def refuse_implausible(source: Source, intrinsics: FloatArray, where: Where) -> None:
    """Refuses intrinsics (F, 4) that no picture of a film has: pixels, or another picture's size, were meant."""
    wide = np.degrees(
        np.arctan(intrinsics[:, 2] / intrinsics[:, 0]) + np.arctan((1.0 - intrinsics[:, 2]) / intrinsics[:, 0])
    )
    wrong = (wide > WIDEST) | (wide < NARROWEST)
    if wrong.any():
        index = int(np.argmax(wrong))
        source.refuse(
            f"its lens sees {wide[index]:.3g} degrees across, expected {NARROWEST:g} to {WIDEST:g}",
            "Set fov, or repair the focal length: it must be for the width of the same picture",
            where(index),
        )


def chosen(intrinsics: FloatArray | None, frames: int, fov: float, aspect: float) -> FloatArray:
    """Intrinsics (F, 4): the file's, changed by what the caller sets; a centred lens where the file has none.

    ``fov`` (horizontal, degrees) above 0 puts a centred lens of square pixels in place of the file's; ``aspect`` (width
    / height) above 0 only makes the pixels square for it.
    """
    if intrinsics is None:
        centred = intrinsics_from_fov(fov or DEFAULT_FOV, aspect or DEFAULT_ASPECT)
        return np.repeat(centred[None], frames, axis=0)
    result = np.array(np.broadcast_to(intrinsics, (frames, 4)))
    shape = aspect or result[:, 1] / result[:, 0]
    if fov:
        result[:, 0] = 0.5 / math.tan(math.radians(fov) / 2.0)
        result[:, 2:] = 0.5
    if fov or aspect:
        result[:, 1] = result[:, 0] * shape
    return result
