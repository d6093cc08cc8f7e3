"""A picture of an edit: which frames it is about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..cameras.pacing import spread
from ..state.frame_ranges import Runs, count_of, indices_of, runs_text
from ..state.state import MemoryState
from .drawing import LINE, MARGIN, TEXT, WHITE, Colour, Pixels, canvas, write
from .picture_of_bank import MARKS, WIDTH, frame_sheet

MOST_SHOWN = 18
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
    shown = [] if newer == () else [_sheet(state, newer, "now", WHITE, 6)]
    shown.append(_sheet(state, runs, action, colour, MOST_SHOWN))
    return np.concatenate(shown)


def _sheet(state: MemoryState, runs: Runs, title: str, colour: Colour, most: int) -> Pixels:
    count = count_of(runs)
    head = canvas(LINE + 2 * MARGIN, WIDTH)
    line = f"{title}: {count} frame{'' if count == 1 else 's'} ({runs_text(runs)})" if count else f"{title}: no frame"
    write(head, line, (MARGIN, LINE + MARGIN // 2), TEXT, 1.1, WIDTH - 2 * MARGIN)
    frames = _with_pixels(state, indices_of(runs))
    if not len(frames):
        return head
    chosen = frames[spread(len(frames), most)]
    sheet = frame_sheet(state, chosen, {}, dict.fromkeys(chosen.tolist(), colour))
    return np.concatenate([head, sheet])


def _with_pixels(state: MemoryState, frames: NDArray[np.int64]) -> NDArray[np.int64]:
    return frames[~state.flags(frames).dropped]
