"""Pictures of what routed attention looked into: one large map of frames, and one small map a layer and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...memory.cameras.pacing import spread
from ...memory.pictures.drawing import TEXT, Pixels, canvas, thumbnail, write
from ...models.moc.record import RoutingRecord

DARK, FAINT = (16, 16, 16), (130, 130, 136)
"""Of text: without a tint, for grey says here that a layer stayed dense."""
WIDEST = 1344
MOST_LAYERS, MOST_STEPS = 16, 8
TITLE, LEFT = 34, 150


@dataclass(frozen=True)
class Side:
    """The frames along one side of the map: what they are called, and their thumbnails (n, H, W, 3) if there are."""

    labels: Sequence[str]
    thumbnails: Pixels | None = None


def draw_map(shares: NDArray[np.float64], made: Side, remembered: Side, title: str) -> Pixels:
    """Rows: frames being made; columns: remembered ones; bright where much of the row's frame looked in.

    shares: (rows, columns), 0..1. Returns (H, W, 3) uint8 RGB.
    """
    rows, columns = shares.shape
    width = int(np.clip((WIDEST - LEFT) // max(1, columns), 16, 96))
    height = max(18, round(width * _aspect(made, remembered)))
    above = 0 if remembered.thumbnails is None else round(width * _aspect(remembered, made))
    left, top = LEFT, TITLE + 20 + above
    picture = canvas(top + rows * height + 34, max(left + columns * width + 10, 480))
    write(picture, title, (8, 22), TEXT, 1.1)
    for column, label in enumerate(remembered.labels):
        x = left + column * width
        if remembered.thumbnails is not None:
            _paste(picture, remembered.thumbnails[column], (x, TITLE), (width - 1, top - TITLE - 20))
        write(picture, label, (x + 2, top - 6), FAINT, 0.85)
    brightest = max(float(shares.max(initial=0)), 1e-6)
    for row, label in enumerate(made.labels):
        y = top + row * height
        if made.thumbnails is not None:
            size = (min(64, round((height - 1) / _aspect(made, remembered))), height - 1)
            _paste(picture, made.thumbnails[row], (left - size[0] - 2, y), size)
        write(picture, label, (6, y + height // 2 + 4), FAINT, 0.85)
        for column in range(columns):
            share = float(shares[row, column])
            x, colour = left + column * width, _heat(np.array([[share / brightest]]))[0, 0]
            cv2.rectangle(picture, (x, y), (x + width - 2, y + height - 2), colour.tolist(), -1)
            if width >= 36:
                ink = DARK if colour.astype(int).sum() > 380 else TEXT
                write(picture, f"{share:.0%}", (x + 3, y + height // 2 + 4), ink, 0.85)
    write(picture, f"brightest: {brightest:.0%} of the frame looked in", (left, len(picture) - 12), FAINT, 0.9)
    return picture


def draw_layers(record: RoutingRecord, title: str) -> Pixels:
    """One small map for each layer (down) and step (across), (H, W, 3) uint8; grey where attention stayed dense."""
    layers, steps = (
        [values[index] for index in spread(len(values), most)]
        for values, most in ((record.layers, MOST_LAYERS), (record.steps, MOST_STEPS))
    )
    maps = {(layer, step): record.shares(layer, step) for layer in layers for step in steps}
    rows, columns = (max(found.shape[axis] for found in maps.values()) for axis in (0, 1))
    scale = int(np.clip(150 // max(rows, columns, 1), 1, 12))
    high, wide = max(rows * scale, 14) + 8, max(columns * scale, 60) + 8
    left, top = 76, TITLE + 22
    picture = canvas(top + len(layers) * high + 28, max(left + len(steps) * wide + 8, 480))
    write(picture, title, (8, 22), TEXT, 1.1)
    for across, step in enumerate(steps):
        write(picture, f"step {step + 1}" if step >= 0 else "step ?", (left + across * wide, top - 6), FAINT, 0.85)
    brightest = max(max(float(found.max(initial=0)) for found in maps.values()), 1e-6)
    for down, layer in enumerate(layers):
        y = top + down * high
        write(picture, f"layer {layer}", (6, y + 14), FAINT, 0.85)
        for across, step in enumerate(steps):
            found = maps[layer, step] / brightest
            if not found.size:
                continue
            colours = _heat(found)
            if not record.routed(layer, step):
                colours = colours.mean(axis=2, keepdims=True).astype(np.uint8).repeat(3, axis=2)
            large = colours.repeat(scale, axis=0).repeat(scale, axis=1)
            x = left + across * wide
            picture[y : y + large.shape[0], x : x + large.shape[1]] = large
    write(picture, "grey: left dense, with what it would have chosen", (left, len(picture) - 10), FAINT, 0.9)
    return picture


def draw_nothing(text: str) -> Pixels:
    """A line of text where there is nothing to draw, (H, W, 3) uint8."""
    picture = canvas(60, 480)
    write(picture, text, (8, 34), TEXT)
    return picture


def _aspect(*sides: Side) -> float:
    """Height over width of the first thumbnails there are; 0.6 without any."""
    for side in sides:
        if side.thumbnails is not None:
            return side.thumbnails.shape[1] / side.thumbnails.shape[2]
    return 0.6


def _heat(shares: NDArray[np.float64]) -> Pixels:
    """Colours (..., 3) RGB of shares 0..1, dark to bright."""
    grey = (np.clip(shares, 0, 1) * 255).round().astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)[..., ::-1])


def _paste(picture: Pixels, frame: Pixels, at: tuple[int, int], size: tuple[int, int]) -> None:
    (x, y), (width, height) = at, size
    picture[y : y + height, x : x + width] = thumbnail(frame, width, height)
