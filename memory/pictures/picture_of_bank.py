"""A picture of a memory: a map of its cameras, its shots, a time line of what is kept, what each segment looked at, and
some of its frames; and one of the frames that an edit is about.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..cameras.pacing import spread
from ..retrieval.reasons import Recalled, frames_text, recalled
from ..state.frame_ranges import Runs, count_of, indices_of, runs_text
from ..state.state import MemoryState
from ..state.summary import MemorySummary, summarise, summary_lines
from .drawing import (
    BACKGROUND,
    LINE,
    MARGIN,
    MOST_SCALE,
    PANEL,
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
    scale_bar,
    series_colour,
    text_width,
    thumbnail,
    wedge,
    write,
)

MAP_SIDE, SIDE_WIDTH = 460, 620
WIDTH, TIME_LEFT = MAP_SIDE + SIDE_WIDTH, 90
MOST_CAMERAS, MOST_SHOTS, THUMBNAILS, FEW_PLACES = 1500, 18, 12, 8

MARKS: dict[str, Colour] = {
    "pinned": (255, 205, 70),
    "excluded": (235, 80, 80),
    "superseded": (190, 120, 235),
    "dropped": (95, 100, 110),
}
"""The rows of the time line, and what they are drawn in."""


def bank_picture(state: MemoryState, disk_bytes: int | None = None, thumbnails: int = THUMBNAILS) -> Pixels:
    """Draw a memory: (H, W, 3) uint8.

    Above, the cameras from above, one colour a shot, each with a tick the way it looks, and the table of shots. Below,
    the time line with what is pinned, excluded, superseded and dropped, what each segment looked at, and frames spread
    evenly over it.
    """
    if state.frames == 0:
        return note_picture("Nothing is remembered yet.", "Connect the memory of a Shot Generator.")
    summary = summarise(state)
    colours = {row.shot: series_colour(index, len(summary.shots)) for index, row in enumerate(summary.shots)}
    parts = [_map(state, colours), _table(summary, colours, disk_bytes)]
    height = max(len(part) for part in parts)
    rows = [np.concatenate([grown(part, height) for part in parts], axis=1), _time_line(summary, colours)]
    rows.append(recall_picture(state, colours, WIDTH, TIME_LEFT))
    if thumbnails > 0:
        rows.append(_frames(state, thumbnails))
    return np.concatenate(rows)


def _map(state: MemoryState, colours: dict[int, Colour]) -> Pixels:
    picture = canvas(MAP_SIDE, MAP_SIDE)
    shown = spread(state.frames, MOST_CAMERAS)
    poses, intrinsics = state.cameras(shown)
    shots = state.segments.shots(state.segment_at(shown))
    usable = state.flags(shown).usable
    plan = Plan.around(poses, MAP_SIDE)
    # A camera that only turned stands in one place: longer ticks show where it looked.
    tick = 9 if len({plan.at(pose) for pose in poses}) > FEW_PLACES else MAP_SIDE // 8
    for pose, shot, used in zip(poses, shots, usable, strict=True):
        camera_mark(picture, plan, pose, colours[int(shot)] if used else MARKS["dropped"], tick)
    wedge(picture, plan, poses[-1], intrinsics[-1], 0.16 * MAP_SIDE, WHITE)
    write(picture, "from above; white = newest, grey = no longer used", (MARGIN, MAP_SIDE - MARGIN), QUIET)
    if plan.scale < MOST_SCALE:
        scale_bar(picture, (MAP_SIDE - 2 * MARGIN, 2 * MARGIN), plan.scale, 100.0, below=True)
    return picture


def _table(summary: MemorySummary, colours: dict[int, Colour], disk_bytes: int | None) -> Pixels:
    lines = summary_lines(summary, disk_bytes)
    rows = summary.shots[-MOST_SHOTS:]
    hidden = len(summary.shots) - len(rows)
    picture = canvas((len(lines) + len(rows) + 4 + (hidden > 0)) * (LINE + 3) + MARGIN, SIDE_WIDTH)
    room, y = SIDE_WIDTH - 2 * MARGIN, LINE + MARGIN
    write(picture, summary.name or "no bank", (MARGIN, y), WHITE, 1.3, room)
    for line in lines:
        y += LINE + 3
        write(picture, line, (MARGIN, y), TEXT, room=room)
    y += LINE
    if hidden:
        y += LINE + 3
        write(picture, f"... and {hidden} earlier shots", (MARGIN, y), QUIET)
    for row in rows:
        y += LINE + 3
        cv2.rectangle(picture, (MARGIN, y - 9), (MARGIN + 9, y), colours[row.shot], -1)
        where = f"shot {row.shot}: {runs_text(row.runs, 2)}, {row.seconds:.1f} s"
        write(picture, where, (MARGIN + 16, y), TEXT)
        left = MARGIN + 16 + max(180, text_width(where) + MARGIN)
        write(picture, row.prompt, (left, y), QUIET, room=SIDE_WIDTH - left - MARGIN)
    return picture


def _time_line(summary: MemorySummary, colours: dict[int, Colour]) -> Pixels:
    marked: dict[str, Runs] = {name: getattr(summary, name) for name in MARKS}
    there = {name: runs for name, runs in marked.items() if runs}
    bar, row, left = 18, 11, TIME_LEFT
    picture = canvas(MARGIN * 2 + bar + len(there) * (row + 2) + LINE, WIDTH, PANEL)
    across = (WIDTH - left - MARGIN) / summary.frames

    def strip(runs: Runs, top: int, height: int, colour: Colour) -> None:
        for start, stop in runs:
            x = left + int(start * across)
            picture[top : top + height, x : max(x + 2, left + int(stop * across))] = colour

    write(picture, "shots", (MARGIN, MARGIN + bar - 5), QUIET)
    for shot in summary.shots:
        strip(shot.runs, MARGIN, bar, colours[shot.shot])
    top = MARGIN + bar + 2
    for name, runs in there.items():
        write(picture, name, (MARGIN, top + row - 2), MARKS[name])
        picture[top : top + row, left : WIDTH - MARGIN] = BACKGROUND
        strip(runs, top, row, MARKS[name])
        top += row + 2
    for frame in spread(summary.frames, 9).tolist():
        label = str(frame)
        x = left + int(frame * across)
        write(picture, label, (min(x, WIDTH - MARGIN - text_width(label)), top + LINE - 2), QUIET)
    return picture


def _frames(state: MemoryState, count: int) -> Pixels:
    """Frames spread over the film, those whose pixels are there, with their numbers."""
    kept = np.arange(state.frames)[~state.flags(np.arange(state.frames)).dropped]
    chosen = kept[spread(len(kept), count)] if len(kept) else kept
    if state.bank is not None:
        # A picture may be gone though this memory does not say so: a later one that shares it was kept within its size.
        chosen = chosen[state.bank.kept(state, chosen)]
    if not len(chosen):
        return canvas(MARGIN, WIDTH, PANEL)
    return frame_sheet(state, chosen, {int(index): f"frame {index}" for index in chosen}, {})


def frame_sheet(
    state: MemoryState, indices: NDArray[np.int64], captions: dict[int, str], colours: dict[int, Colour]
) -> Pixels:
    """Frames (n,) of a memory in rows, with a caption and, where one is given, a frame of a colour round each: a
    picture (H, W, 3) uint8."""
    frames = state.read_frames(indices)
    columns = min(max(len(indices), 4), 6)
    width = (WIDTH - MARGIN) // columns - MARGIN
    height = max(1, round(width * frames.shape[1] / frames.shape[2]))
    cell = height + LINE + MARGIN
    sheet = canvas(-(-len(indices) // columns) * cell + MARGIN, WIDTH, PANEL)
    for number, index in enumerate(indices.tolist()):
        top, left = number // columns * cell + MARGIN, number % columns * (width + MARGIN) + MARGIN
        sheet[top : top + height, left : left + width] = thumbnail(frames[number], width, height)
        if index in colours:
            cv2.rectangle(sheet, (left, top), (left + width - 1, top + height - 1), colours[index], 2, cv2.LINE_AA)
        write(sheet, captions.get(index, f"frame {index}"), (left, top + height + LINE - 2), TEXT, room=width)
    return sheet


MOST_EDITED = 18
COLOURS: dict[str, Colour] = {
    "pin": MARKS["pinned"],
    "exclude": MARKS["excluded"],
    "superseded": MARKS["superseded"],
    "strength": (90, 180, 255),
}
CALM: Colour = (120, 210, 140)


def edit_picture(state: MemoryState, action: str, runs: Runs, newer: Runs = ()) -> Pixels:
    """Draw the frames ``runs`` that ``action`` is about, (H, W, 3) uint8; ``newer`` show the place as it is now."""
    colour = COLOURS.get(action, CALM)
    shown = [] if newer == () else [_edited(state, newer, "now", WHITE, 6)]
    shown.append(_edited(state, runs, action, colour, MOST_EDITED))
    return np.concatenate(shown)


def _edited(state: MemoryState, runs: Runs, title: str, colour: Colour, most: int) -> Pixels:
    count = count_of(runs)
    head = canvas(LINE + 2 * MARGIN, WIDTH)
    line = f"{title}: {count} frame{'' if count == 1 else 's'} ({runs_text(runs)})" if count else f"{title}: no frame"
    write(head, line, (MARGIN, LINE + MARGIN // 2), TEXT, 1.1, WIDTH - 2 * MARGIN)
    frames = indices_of(runs)
    frames = frames[~state.flags(frames).dropped]
    if not len(frames):
        return head
    chosen = frames[spread(len(frames), most)]
    sheet = frame_sheet(state, chosen, {}, dict.fromkeys(chosen.tolist(), colour))
    return np.concatenate([head, sheet])


MOST_ROWS, ROW, IN_WORDS = 16, 12, 3
LEAST_LIT = 0.35
UNKNOWN: Colour = (140, 146, 156)


def recall_picture(state: MemoryState, colours: dict[int, Colour], width: int, left: int) -> Pixels:
    """Draw what the newest segments looked at, (H, W, 3) uint8; of no height where none looked back.

    The time line runs from ``left`` to the margin at the right. A row has the frames of a segment in the colour of its
    shot (``colours``), and a mark at each frame that it looked at, the brighter the more of the segment that frame saw.
    """
    rows = recalled(state, MOST_ROWS)
    if not rows:
        return canvas(0, width, PANEL)
    chart = len(rows) * ROW
    picture = canvas(chart + MARGIN + (LINE + 3) * (1 + min(len(rows), IN_WORDS)), width, PANEL)
    across = (width - left - MARGIN) / state.frames
    picture[:chart, left : width - MARGIN] = BACKGROUND
    for number, row in enumerate(rows):
        _row(picture[number * ROW : (number + 1) * ROW - 1], row, colours[row.shot], left, across)
    for number in {0, len(rows) - 1}:
        at = (MARGIN, (number + 1) * ROW - 2)
        write(picture, f"segment {rows[number].number}", at, QUIET, 0.9, left - 2 * MARGIN)
    y = chart + LINE + 2
    write(picture, "the frames that each segment looked at, brighter where they saw more of it", (left, y), QUIET)
    for row in rows[-IN_WORDS:]:
        y += LINE + 3
        said = f"segment {row.number} looked at {frames_text(row.frames)}"
        write(picture, said, (MARGIN, y), TEXT, room=width - 2 * MARGIN)
    return picture


def _row(strip: Pixels, row: Recalled, colour: Colour, left: int, across: float) -> None:
    begin = left + int(row.start * across)
    strip[:, begin : max(begin + 2, left + int(row.stop * across))] = tuple(part // 2 for part in colour)
    for frame in sorted(row.frames, key=lambda one: one.overlap):
        lit = LEAST_LIT + (1 - LEAST_LIT) * frame.overlap
        shade = tuple(round(part * lit) for part in TEXT) if frame.rule else UNKNOWN
        at = left + int(frame.index * across)
        strip[1:-1, at : at + 3] = shade
