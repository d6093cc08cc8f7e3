"""Which frames each segment looked at: a chart over the time line, and the newest segments in words."""

from __future__ import annotations

from ..retrieval.reasons import Recalled, frames_told, recalled
from ..state.state import MemoryState
from .drawing import BACKGROUND, LINE, MARGIN, PANEL, QUIET, TEXT, Colour, Pixels, canvas, write

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
    for place, row in enumerate(rows):
        _row(picture[place * ROW : (place + 1) * ROW - 1], row, colours[row.shot], left, across)
    for place in {0, len(rows) - 1}:
        write(picture, f"segment {rows[place].number}", (MARGIN, (place + 1) * ROW - 2), QUIET, 0.9, left - 2 * MARGIN)
    y = chart + LINE + 2
    write(picture, "the frames that each segment looked at, brighter where they saw more of it", (left, y), QUIET)
    for row in rows[-IN_WORDS:]:
        y += LINE + 3
        said = f"segment {row.number} looked at {frames_told(row.frames)}"
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
