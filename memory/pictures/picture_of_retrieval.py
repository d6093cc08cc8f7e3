"""A picture of a retrieval: a map of the cameras from above, and the chosen frames with the reason for each.

It is made to be read in a Preview Image of 820 x 500 pixels: it is as much wider than high, and its text is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np

from ..cameras.camera import FloatArray
from ..cameras.pacing import spread
from ..cameras.trajectory import Trajectory
from ..retrieval.reasons import Reason
from ..retrieval.retrieve import Retrieval
from ..state.state import MemoryState
from .drawing import (
    BACKGROUND,
    MARGIN,
    PANEL,
    QUIET,
    TEXT,
    WHITE,
    Colour,
    Pixels,
    Plan,
    camera_mark,
    canvas,
    fan,
    grown,
    note_picture,
    series_colour,
    text_width,
    thumbnail,
    wedge,
    write,
)

MAP_WIDTH, MAP_HEIGHT = 480, 520
SHEET_WIDTH = 700
WIDTH = MAP_WIDTH + SHEET_WIDTH
COLUMNS, MOST_SHOWN, MOST_STRONG = 4, 12, 6
"""Thumbnails in a row and at most; chosen frames whose views are filled on the map, at most."""
MAX_PAST_DRAWN = 2000
SIZE, LETTER, STEP = 1.9, 22, 27
"""Of the text: 23 pixels, of which 14 are left when the picture is 730 pixels wide."""
REACHES, AHEAD, BADGE = (120, 90, 64), 1.3, 15
"""Pixels that chosen views reach on the map, how much farther the coming ones do, and the radius of a number."""
CELL = (SHEET_WIDTH - MARGIN) // COLUMNS
FADED = 0.35
CALM: Colour = (165, 171, 180)

Camera = tuple[FloatArray, FloatArray]
Mark = tuple[float, float, float]
"""Where something is written, x and y, and its radius."""


def retrieval_picture(state: MemoryState, targets: Trajectory, retrieval: Retrieval, looked_at: int = 0) -> Pixels:
    """Draw a choice: (H, W, 3) uint8. Each chosen frame has one number and colour, on the map and at its thumbnail.

    ``looked_at`` says how many of the chosen frames the model takes, 0 where that is not known; the others are faded.
    """
    if not len(retrieval):
        if state.frames:
            return note_picture("None of the remembered frames may be used:", "all are excluded or outdated.")
        return note_picture("Nothing is remembered yet.", "The first segment starts without context.")
    count = len(retrieval)
    used = min(looked_at or count, count)
    colours = [series_colour(number, used) if number < used else QUIET for number in range(count)]
    shown = min(used, MOST_SHOWN)
    plan = _map(state, targets, retrieval, colours, used)
    sheet = np.concatenate(_sections(state, retrieval.reasons[:shown], colours))
    height = max(len(plan), len(sheet))
    beside = np.concatenate([grown(plan, height), grown(sheet, height)], axis=1)
    rest = _rest("also looks at", retrieval.reasons[shown:used], TEXT)
    rest += _rest("found, but this model does not look at", retrieval.reasons[used:], CALM)
    return np.concatenate([_head(state, used, count, looked_at), beside, *rest])


def _head(state: MemoryState, used: int, count: int, looked_at: int) -> Pixels:
    says = f"looks at {_frames(used)}" if looked_at else f"{_frames(count)} chosen"
    says += f" of the {count} found" if looked_at and used < count else f" of {state.frames}"
    return _line(f"{state.bank.name}: {says}" if state.bank else says, WHITE)


def _map(state: MemoryState, targets: Trajectory, retrieval: Retrieval, colours: list[Colour], used: int) -> Pixels:
    picture = canvas(MAP_HEIGHT, MAP_WIDTH)
    shown = spread(state.frames, MAX_PAST_DRAWN)
    past = state.cameras(shown)[0]
    chosen = list(zip(*state.cameras(retrieval.indices), strict=True))
    views = sorted({0, len(targets) - 1})
    ahead = [(targets.poses[view], targets.intrinsics[view]) for view in views]
    plan, reach = _plan(past, [*chosen, *ahead])
    for pose in past:
        camera_mark(picture, plan, pose, QUIET, tick=0)
    for number in reversed(range(len(retrieval))):
        strong = number < min(used, MOST_STRONG)
        colour = colours[number] if strong else _faded(colours[number])
        wedge(picture, plan, *chosen[number], reach, colour, 0.22 if strong else 0.0, 2 if strong else 1)
    taken: list[Mark] = []
    for label, camera in zip(["first view", "last view"] if len(views) == 2 else ["the view"], ahead, strict=True):
        wedge(picture, plan, *camera, AHEAD * reach, WHITE, line=2)
        _label(picture, plan, camera, AHEAD * reach, label, taken)
    for number in range(used):
        _badge(picture, plan, chosen[number], reach, number, colours[number], taken)
    write(picture, "from above; white is what is coming", (MARGIN, MAP_HEIGHT - MARGIN), CALM, SIZE)
    return picture


def _plan(past: FloatArray, cameras: Sequence[Camera]) -> tuple[Plan, float]:
    """The largest map that has all cameras and fans on it, with room for what is written at their ends, and how long
    the fans are: shorter where the way of the camera would be tiny beside them."""
    edge, foot = 2 * BADGE, STEP + MARGIN
    for reach in REACHES:
        positions, marks = [past[:, [0, 2], 3]], [np.zeros((len(past), 2))]
        for pose, intrinsics in cameras:
            corners = fan(pose, intrinsics, AHEAD * reach + edge)
            positions.append(np.tile(pose[[0, 2], 3], (len(corners), 1)))
            marks.append(corners)
        where, size = np.concatenate(positions), (MAP_WIDTH - 2 * edge, MAP_HEIGHT - edge - foot)
        plan = Plan.with_marks(where, np.concatenate(marks), *size)
        way = float(np.ptp(where, axis=0).max()) * plan.scale
        if way < 1.0 or way > 0.4 * MAP_HEIGHT:
            break
    return Plan(MAP_WIDTH, MAP_HEIGHT, plan.centre, plan.middle + edge, plan.scale), reach


def _label(picture: Pixels, plan: Plan, camera: Camera, reach: float, label: str, taken: list[Mark]) -> None:
    """A word at the end of a coming view, where there is room."""
    across = text_width(label, SIZE)
    ends = np.array(plan.at(camera[0])) + fan(*camera, reach + BADGE)[[5, 3, 7, 2, 8, 1, 9]]
    spots = np.clip(ends, (across / 2 + 4, BADGE), (MAP_WIDTH - across / 2 - 4, MAP_HEIGHT - STEP - BADGE))
    x, y = min(spots, key=lambda spot: _crowd(spot, taken, across / 2))
    left, base = round(x - across / 2), round(y + LETTER / 3)
    cv2.rectangle(picture, (left - 4, base - LETTER + 3), (left + across + 4, base + 6), BACKGROUND, -1)
    write(picture, label, (left, base), WHITE, SIZE)
    taken += [(x + share * across / 2, y, BADGE) for share in (-0.8, -0.4, 0.0, 0.4, 0.8)]


def _badge(
    picture: Pixels, plan: Plan, camera: Camera, reach: float, number: int, colour: Colour, taken: list[Mark]
) -> None:
    """A chosen frame's number within its view, where it covers no other."""
    inside = np.concatenate([fan(*camera, reach * share)[[5, 3, 7, 2, 8]] for share in (0.9, 0.7, 0.5, 1.1)])
    x, y = min(np.array(plan.at(camera[0])) + inside, key=lambda spot: _crowd(spot, taken, BADGE))
    _number(picture, (round(x), round(y)), number, colour)
    taken.append((x, y, BADGE))


def _crowd(spot: FloatArray, taken: list[tuple[float, float, float]], radius: float) -> float:
    """How much a mark of some radius would cover what is written already."""
    return sum(max(0.0, min(radius, 2 * BADGE) + r - float(np.hypot(spot[0] - x, spot[1] - y))) for x, y, r in taken)


@dataclass(frozen=True)
class _Group:
    """Neighbours in a row of thumbnails that one rule chose: ``span`` columns wide, so that the rule can be read."""

    rule: str
    numbers: list[int]
    span: int


def _sections(state: MemoryState, reasons: Sequence[Reason], colours: list[Colour]) -> list[Pixels]:
    """Rows of thumbnails, under each rule those that it chose."""
    frames = state.read_frames(np.array([reason.index for reason in reasons], dtype=np.int64), nearest=True)
    return [_row(groups, frames, reasons, colours) for groups in _rows(reasons)]


def _rows(reasons: Sequence[Reason]) -> list[list[_Group]]:
    """The chosen frames in rows of COLUMNS, as many rules beside each other as there is room for."""
    rows: list[list[_Group]] = [[]]
    for rule, group in groupby(range(len(reasons)), key=lambda number: reasons[number].rule):
        numbers, says = list(group), rule
        while numbers:
            least = min(COLUMNS, -(-text_width(says, SIZE) // CELL)) if says else 1
            free = COLUMNS - sum(group.span for group in rows[-1])
            if free < least:
                rows.append([])
                free = COLUMNS
            rows[-1].append(_Group(says, numbers[:free], max(least, len(numbers[:free]))))
            numbers, says = numbers[free:], ""
    return rows


def _row(groups: list[_Group], frames: Pixels, reasons: Sequence[Reason], colours: list[Colour]) -> Pixels:
    width = CELL - MARGIN
    height = max(1, round(width * frames.shape[1] / frames.shape[2]))
    lines = max(len(_why(reasons[number])) for group in groups for number in group.numbers)
    top = STEP + MARGIN if any(group.rule for group in groups) else 0
    row, left = canvas(top + height + lines * STEP + MARGIN, SHEET_WIDTH), MARGIN
    for group in groups:
        write(row, group.rule, (left, STEP - 3), TEXT, SIZE, group.span * CELL - MARGIN)
        for column, number in enumerate(group.numbers):
            at = left + column * CELL
            row[top : top + height, at : at + width] = thumbnail(frames[number], width, height)
            cv2.rectangle(row, (at, top), (at + width - 1, top + height - 1), colours[number], 3, cv2.LINE_AA)
            _number(row, (at + BADGE + 5, top + BADGE + 5), number, colours[number])
            for line, (words, shade) in enumerate(_why(reasons[number]), start=1):
                write(row, words, (at, top + height + line * STEP - 5), shade, SIZE, width)
        left += group.span * CELL
    return row


def _number(picture: Pixels, at: tuple[int, int], rank: int, colour: Colour) -> None:
    """The number of a chosen frame, the same on the map and on its thumbnail."""
    number, size = str(rank + 1), SIZE * 0.9
    cv2.circle(picture, at, BADGE, colour, -1, cv2.LINE_AA)
    cv2.circle(picture, at, BADGE, BACKGROUND, 1, cv2.LINE_AA)
    write(picture, number, (at[0] - text_width(number, size) // 2, at[1] + round(LETTER * 0.32)), BACKGROUND, size)


def _why(reason: Reason) -> list[tuple[str, Colour]]:
    """The lines below a chosen frame: which, how old, and what it saw and adds."""
    lines = [f"frame {reason.index}", f"{reason.age_s:.1f} s ago", *reason.brings.replace("less than", "<").split(", ")]
    return [(line, TEXT if not row else CALM) for row, line in enumerate(lines)]


def _rest(says: str, reasons: Sequence[Reason], colour: Colour) -> list[Pixels]:
    """Frames without a thumbnail, in words."""
    if not reasons:
        return []
    return [_line(f"{says} {', '.join(str(reason.index) for reason in reasons)}", colour)]


def _line(words: str, colour: Colour) -> Pixels:
    strip = canvas(STEP + MARGIN, WIDTH, PANEL)
    write(strip, words, (MARGIN, STEP - 3), colour, SIZE, WIDTH - 2 * MARGIN)
    return strip


def _faded(colour: Colour) -> Colour:
    red, green, blue = (round(FADED * one + (1 - FADED) * back) for one, back in zip(colour, BACKGROUND, strict=True))
    return red, green, blue


def _frames(count: int) -> str:
    return f"{count} frame{'' if count == 1 else 's'}"
