"""A picture of a retrieval: a map of the cameras from above, and the chosen frames with the reason for each."""

from __future__ import annotations

import colorsys
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ..camera import FloatArray, horizontal_fov
from ..state import MemoryState
from ..trajectory import Trajectory
from .retrieve import Retrieval

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

BACKGROUND: Colour = (24, 26, 30)
QUIET: Colour = (110, 116, 126)
TEXT: Colour = (232, 234, 238)
AHEAD: Colour = (255, 255, 255)
MAP_SIDE, THUMB_WIDTH, COLUMNS, LINE, MARGIN = 520, 168, 5, 15, 8
MAX_PAST_DRAWN = 2000


def retrieval_picture(state: MemoryState, targets: Trajectory, retrieval: Retrieval) -> Pixels:
    """Draw a choice: (H, W, 3) uint8. Each chosen frame has one colour, on the map and round its thumbnail."""
    if not len(retrieval):
        return note_picture("Nothing is remembered yet.", "The first segment starts without context.")
    colours = [_colour(place, len(retrieval)) for place in range(len(retrieval))]
    plan = _map(state, targets, retrieval, colours)
    sheet = _sheet(state, retrieval, colours)
    height = max(len(plan), len(sheet))
    return np.concatenate([_grown(plan, height), _grown(sheet, height)], axis=1)


def _map(state: MemoryState, targets: Trajectory, retrieval: Retrieval, colours: list[Colour]) -> Pixels:
    canvas = np.full((MAP_SIDE, MAP_SIDE, 3), BACKGROUND, dtype=np.uint8)
    shown = np.unique(np.linspace(0, state.frames - 1, min(state.frames, MAX_PAST_DRAWN)).round().astype(np.int64))
    places = np.concatenate([state.poses[shown][:, [0, 2], 3], targets.poses[:, [0, 2], 3]])
    centre = (places.min(axis=0) + places.max(axis=0)) / 2
    extent = max(float(np.ptp(places, axis=0).max()), 1e-9)
    # Cameras in the middle, so that their wedges, a quarter of the map and the coming ones a little more, fit too.
    scale = min(0.38 * MAP_SIDE / extent, 1e6)
    reach = 0.25 * MAP_SIDE

    def at(pose: FloatArray) -> tuple[int, int]:
        x, z = (np.array([pose[0, 3], pose[2, 3]]) - centre) * scale
        return round(MAP_SIDE / 2 + float(x)), round(MAP_SIDE / 2 - float(z))

    for index in shown:
        cv2.circle(canvas, at(state.poses[index]), 2, QUIET, -1, cv2.LINE_AA)
    for place in reversed(range(len(retrieval))):
        index = int(retrieval.indices[place])
        _wedge(canvas, at(state.poses[index]), state.poses[index], state.intrinsics[index], reach, colours[place], 0.28)
    for view in sorted({0, len(targets) - 1}):
        _wedge(canvas, at(targets.poses[view]), targets.poses[view], targets.intrinsics[view], reach * 1.25, AHEAD, 0.0)
    _write(canvas, "from above: white = coming views, colours = chosen frames", (MARGIN, MAP_SIDE - MARGIN), QUIET)
    return canvas


def _wedge(
    canvas: Pixels,
    at: tuple[int, int],
    pose: FloatArray,
    lens: FloatArray,
    reach: float,
    colour: Colour,
    fill: float,
) -> None:
    heading = math.atan2(pose[0, 2], pose[2, 2])
    half = math.radians(float(horizontal_fov(lens))) / 2
    corners = [at]
    for step in np.linspace(-half, half, 9):
        angle = heading + float(step)
        corners.append((round(at[0] + reach * math.sin(angle)), round(at[1] - reach * math.cos(angle))))
    outline = np.array(corners, dtype=np.int32)
    if fill:
        layer = canvas.copy()
        cv2.fillPoly(layer, [outline], colour, cv2.LINE_AA)
        cv2.addWeighted(layer, fill, canvas, 1 - fill, 0, dst=canvas)
    cv2.polylines(canvas, [outline], True, colour, 1, cv2.LINE_AA)


def _sheet(state: MemoryState, retrieval: Retrieval, colours: list[Colour]) -> Pixels:
    frames = state.read_frames(retrieval.indices)
    height = max(1, round(THUMB_WIDTH * frames.shape[1] / frames.shape[2]))
    cell = height + 2 * LINE + 3 * MARGIN // 2
    columns = min(COLUMNS, len(frames))
    rows = math.ceil(len(frames) / columns)
    sheet = np.full((rows * cell + MARGIN, columns * (THUMB_WIDTH + MARGIN) + MARGIN, 3), BACKGROUND, dtype=np.uint8)
    for place, (frame, reason) in enumerate(zip(frames, retrieval.reasons, strict=True)):
        top, left = (place // columns) * cell + MARGIN, (place % columns) * (THUMB_WIDTH + MARGIN) + MARGIN
        enlarging = frame.shape[1] < THUMB_WIDTH
        thumb = cv2.resize(
            frame, (THUMB_WIDTH, height), interpolation=cv2.INTER_CUBIC if enlarging else cv2.INTER_AREA
        )
        sheet[top : top + height, left : left + THUMB_WIDTH] = thumb
        corner = (left + THUMB_WIDTH - 1, top + height - 1)
        cv2.rectangle(sheet, (left, top), corner, colours[place], 2, cv2.LINE_AA)
        line = f"{place + 1}. frame {reason.index}, saw {reason.overlap:.0%}"
        _write(sheet, line, (left, top + height + LINE - 2), TEXT)
        _write(sheet, reason.rule, (left, top + height + 2 * LINE - 3), QUIET)
    return sheet


def note_picture(*lines: str) -> Pixels:
    """A picture (H, W, 3) that only says something."""
    canvas = np.full((MAP_SIDE // 2, MAP_SIDE, 3), BACKGROUND, dtype=np.uint8)
    for place, line in enumerate(lines):
        _write(canvas, line, (2 * MARGIN, MAP_SIDE // 4 + place * 2 * LINE), TEXT)
    return canvas


def _write(canvas: Pixels, line: str, at: tuple[int, int], colour: Colour) -> None:
    cv2.putText(canvas, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.38, colour, 1, cv2.LINE_AA)


def _colour(place: int, count: int) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(0.02 + 0.8 * place / max(1, count), 0.65, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _grown(picture: Pixels, height: int) -> Pixels:
    result = np.full((height, picture.shape[1], 3), BACKGROUND, dtype=np.uint8)
    result[: len(picture)] = picture
    return result
