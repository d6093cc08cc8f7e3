"""A picture of a retrieval: a map of the cameras from above, and the chosen frames with the reason for each."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ..cameras.trajectory import Trajectory
from ..pictures.drawing import (
    LINE,
    MARGIN,
    QUIET,
    TEXT,
    WHITE,
    Colour,
    Pixels,
    Plan,
    camera_mark,
    canvas,
    grown,
    note_picture,
    series_colour,
    thumbnail,
    wedge,
    write,
)
from ..state.state import MemoryState
from .reasons import Reason
from .retrieve import Retrieval

MAP_SIDE, THUMB_WIDTH, COLUMNS = 520, 168, 5
MAX_PAST_DRAWN = 2000


def retrieval_picture(state: MemoryState, targets: Trajectory, retrieval: Retrieval) -> Pixels:
    """Draw a choice: (H, W, 3) uint8. Each chosen frame has one colour, on the map and round its thumbnail."""
    if not len(retrieval):
        if state.frames:
            return note_picture("None of the remembered frames may be used:", "all are excluded or outdated.")
        return note_picture("Nothing is remembered yet.", "The first segment starts without context.")
    colours = [series_colour(place, len(retrieval)) for place in range(len(retrieval))]
    plan = _map(state, targets, retrieval, colours)
    sheet = _sheet(state, retrieval, colours)
    height = max(len(plan), len(sheet))
    return np.concatenate([grown(plan, height), grown(sheet, height)], axis=1)


def _map(state: MemoryState, targets: Trajectory, retrieval: Retrieval, colours: list[Colour]) -> Pixels:
    picture = canvas(MAP_SIDE, MAP_SIDE)
    shown = np.unique(np.linspace(0, state.frames - 1, min(state.frames, MAX_PAST_DRAWN)).round().astype(np.int64))
    past = state.cameras(shown)[0]
    poses, lenses = state.cameras(retrieval.indices)
    plan = Plan.around(np.concatenate([past, poses, targets.poses]), MAP_SIDE)
    reach = 0.25 * MAP_SIDE
    for pose in past:
        camera_mark(picture, plan, pose, QUIET, tick=0)
    for place in reversed(range(len(retrieval))):
        wedge(picture, plan, poses[place], lenses[place], reach, colours[place], 0.28)
    for view in sorted({0, len(targets) - 1}):
        wedge(picture, plan, targets.poses[view], targets.intrinsics[view], reach * 1.25, WHITE)
    write(picture, "from above: white = coming views, colours = chosen frames", (MARGIN, MAP_SIDE - MARGIN), QUIET)
    return picture


def _sheet(state: MemoryState, retrieval: Retrieval, colours: list[Colour]) -> Pixels:
    frames = state.read_frames(retrieval.indices, nearest=True)
    height = max(1, round(THUMB_WIDTH * frames.shape[1] / frames.shape[2]))
    cell = height + 3 * LINE + 3 * MARGIN // 2
    columns = min(COLUMNS, len(frames))
    rows = math.ceil(len(frames) / columns)
    sheet = canvas(rows * cell + MARGIN, columns * (THUMB_WIDTH + MARGIN) + MARGIN)
    for place, (frame, reason) in enumerate(zip(frames, retrieval.reasons, strict=True)):
        top, left = (place // columns) * cell + MARGIN, (place % columns) * (THUMB_WIDTH + MARGIN) + MARGIN
        sheet[top : top + height, left : left + THUMB_WIDTH] = thumbnail(frame, THUMB_WIDTH, height)
        corner = (left + THUMB_WIDTH - 1, top + height - 1)
        cv2.rectangle(sheet, (left, top), corner, colours[place], 2, cv2.LINE_AA)
        for number, (line, colour) in enumerate(_why(place, reason), start=1):
            write(sheet, line, (left, top + height + number * LINE - 2), colour, room=THUMB_WIDTH)
    return sheet


def _why(place: int, reason: Reason) -> list[tuple[str, Colour]]:
    """The lines below a chosen frame: which and how old, why, and what it brings."""
    brings = f"saw {reason.overlap:.0%}" + (f", adds {reason.gain:.1%}" if reason.gain > 0.0 else "")
    return [
        (f"{place + 1}. frame {reason.index}, {reason.age_s:.1f} s ago", TEXT),
        (reason.rule, QUIET),
        (brings, QUIET),
    ]
