"""A floor plan from above with the walk, the coming views and the frames that `coverage` chose."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ....memory.retrieval.retrieve import retrieve
from ....memory.retrieval.settings import RetrievalSettings
from .cases import Case
from .floor_plans import FloatArray, FloorPlan
from .memories import coming, memory
from .oracle import target_views, visible_surface

SIDE, MARGIN, K = 900, 60, 10
Colour = tuple[int, int, int]
PAPER, WALL, WALK, AHEAD, CHOSEN, COVERED, MISSED = (
    (250, 250, 248), (60, 60, 60), (205, 205, 200), (40, 120, 240), (190, 120, 30), (90, 170, 60), (60, 60, 220),
)


def draw(case: Case, file: Path) -> None:
    """Write a picture (PNG or JPEG by the name): green is covered by the chosen frames, red is not."""
    plan = case.scene
    assert isinstance(plan, FloorPlan)
    low, high = plan.extent
    scale = (SIDE - 2 * MARGIN) / float((high - low).max())
    width, height = ((high - low) * scale + 2 * MARGIN).round().astype(int)
    canvas = np.full((height, width, 3), PAPER, dtype=np.uint8)

    def at(place: FloatArray) -> tuple[int, int]:
        x, z = (place - low) * scale + MARGIN
        return round(float(x)), height - round(float(z))

    found = retrieve(memory(case.past, case.lenses), coming(case), RetrievalSettings(k=K))
    rows = [int(index) for index in found.indices]
    for pose in case.past[::4]:
        cv2.circle(canvas, at(pose[[0, 2], 3]), 2, WALK, -1, cv2.LINE_AA)
    for begin, end in plan.walls:
        cv2.line(canvas, at(begin), at(end), WALL, 3, cv2.LINE_AA)
    rows_ahead = target_views(len(case.coming))
    views = case.coming[rows_ahead]
    surface = visible_surface(views, case.coming_lenses[rows_ahead], plan.walls)
    for point, covered in zip(surface.points, case.covers[rows].any(axis=0), strict=True):
        cv2.circle(canvas, at(point), 4, COVERED if covered else MISSED, -1, cv2.LINE_AA)
    for pose in case.past[rows]:
        _wedge(canvas, at, pose, case, 2.2, CHOSEN, 2)
    for pose in views:
        _wedge(canvas, at, pose, case, 3.0, AHEAD, 3)
    lines = [f"{case.kind}: {K} frames chosen of {len(case.past)} (blue) for the coming views (orange)",
             f"green: seen again {case.share(rows):.0%}; the best choice with truth: {case.best(K):.0%}"]
    for number, words in enumerate(lines):
        cv2.putText(canvas, words, (MARGIN, 18 + 16 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.45, WALL, 1, cv2.LINE_AA)
    cv2.imencode(file.suffix, canvas)[1].tofile(file)


def _wedge(canvas, at, pose: FloatArray, case: Case, reach: float, colour: Colour, thick: int) -> None:  # type: ignore[no-untyped-def]
    place, ahead, side = pose[[0, 2], 3], pose[[0, 2], 2], pose[[0, 2], 0]
    half = 0.5 / case.coming_lenses[0, 0]
    corners = [place, place + reach * (ahead - half * side), place + reach * (ahead + half * side)]
    cv2.polylines(canvas, [np.array([at(corner) for corner in corners])], True, colour, thick, cv2.LINE_AA)
