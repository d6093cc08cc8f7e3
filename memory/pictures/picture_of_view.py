"""A picture of how much of a camera path the memory knows: a curve over time, and what is known of some moments."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..cameras.camera import FloatArray
from ..cameras.pacing import spread
from .drawing import BACKGROUND, LINE, MARGIN, PANEL, QUIET, TEXT, Colour, Pixels, canvas, thumbnail, write

WIDTH, HEIGHT, THUMBNAILS = 960, 180, 6
KNOWN: Colour = (92, 178, 122)
LEFT = 52


def view_picture(shares: FloatArray, fps: float, moments: Sequence[Pixels] = ()) -> Pixels:
    """(H, W, 3): the share of each frame that is known, ``shares`` (T,) 0..1 at ``fps`` a second, under what is known
    of ``moments``: pictures (h, w, 3), evenly spread over the path, the first and the last among them."""
    picture = canvas(HEIGHT + LINE + 2 * MARGIN, WIDTH)
    top, bottom, right = 2 * MARGIN + LINE, HEIGHT, WIDTH - 2 * MARGIN
    write(picture, _said(shares, fps), (LEFT, MARGIN + LINE - 4), TEXT)
    cv2.rectangle(picture, (LEFT, top), (right, bottom), PANEL, -1)
    x = np.linspace(LEFT, right, len(shares)) if len(shares) > 1 else np.array([LEFT, right])
    level = np.resize(shares, len(x))
    y = bottom - level * (bottom - top)
    outline = np.stack([x, y], axis=1).round().astype(np.int32)
    ground = np.array([[x[-1], bottom], [x[0], bottom]]).round().astype(np.int32)
    layer = picture.copy()
    cv2.fillPoly(layer, [np.concatenate([outline, ground])], KNOWN, cv2.LINE_AA)
    cv2.addWeighted(layer, 0.45, picture, 0.55, 0, dst=picture)
    cv2.polylines(picture, [outline], False, KNOWN, 2, cv2.LINE_AA)
    for percent in (0, 50, 100):
        at = round(bottom - (bottom - top) * percent / 100)
        cv2.line(picture, (LEFT - 4, at), (LEFT, at), QUIET, 1)
        write(picture, f"{percent} %", (MARGIN, at + 4), QUIET)
    seconds = len(shares) / fps
    for share in (0.0, 0.5, 1.0):
        at = round(LEFT + share * (right - LEFT))
        write(picture, f"{share * seconds:.1f} s", (min(at, right - 34), bottom + LINE + 2), QUIET)
    return picture if not moments else np.concatenate([_strip(moments), picture])


def chosen_moments(frames: int) -> list[int]:
    """Numbers of the frames of a path of so many that stand above the curve."""
    return [int(number) for number in spread(frames, THUMBNAILS)]


def _strip(moments: Sequence[Pixels]) -> Pixels:
    room = (WIDTH - 2 * MARGIN - LEFT - (len(moments) - 1) * MARGIN) // max(len(moments), 3)
    tall = max(1, round(room * moments[0].shape[0] / moments[0].shape[1]))
    strip = canvas(tall + MARGIN, WIDTH, BACKGROUND)
    for place, moment in enumerate(moments):
        left = LEFT + place * (room + MARGIN)
        strip[MARGIN:, left : left + room] = thumbnail(moment, room, tall)
    return strip


def _said(shares: FloatArray, fps: float) -> str:
    least = int(np.argmin(shares))
    return (
        f"{shares.mean():.0%} of the pictures is known, on average; least {shares[least]:.0%}, at {least / fps:.1f} s "
        f"(frame {least})."
    )
