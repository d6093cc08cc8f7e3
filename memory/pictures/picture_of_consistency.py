"""A picture of how a film agrees with itself: a plot over time, and the revisits that agree least and best."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..consistency.report import ConsistencyReport
from ..consistency.revisits import Compared
from .drawing import LINE, MARGIN, PANEL, QUIET, TEXT, Colour, Pixels, canvas, thumbnail, write

WIDTH, HEIGHT = 960, 240
LEFT = 60
LOWEST, HIGHEST = 5.0, 50.0
GOOD, BAD, NOTHING = (92, 178, 122), (226, 98, 84), (226, 190, 92)
SHOWN = 3
LOUDER = 3


def consistency_picture(report: ConsistencyReport, shown: Sequence[Compared] = ()) -> Pixels:
    """(H, W, 3): PSNR of each revisit over the film's time above what the first picture would have in its place, and
    of some of them the picture then (moved to the camera of now), the picture now, and how they differ."""
    lines = report.words().splitlines()
    head = canvas(len(lines) * (LINE + 4) + 2 * MARGIN, WIDTH)
    for row, line in enumerate(lines):
        at = (2 * MARGIN, MARGIN + LINE + row * (LINE + 4))
        write(head, line, at, TEXT if row else QUIET, room=WIDTH - 4 * MARGIN)
    parts = [head]
    if report.revisits:
        parts += [_plot(report), *(_row(one) for one in shown)]
    return np.concatenate(parts)


def least_and_best(found: Sequence[Compared], one: Compared) -> list[Compared]:
    """Of those shown so far and one more: the two that agree least, and the one that agrees best, the worst first."""
    ordered = sorted([*found, one], key=lambda each: each.revisit.psnr)
    return ordered if len(ordered) <= SHOWN else [*ordered[: SHOWN - 1], ordered[-1]]


def _plot(report: ConsistencyReport) -> Pixels:
    picture = canvas(HEIGHT + 2 * LINE + MARGIN, WIDTH)
    top, bottom, right = MARGIN, HEIGHT, WIDTH - 2 * MARGIN
    cv2.rectangle(picture, (LEFT, top), (right, bottom), PANEL, -1)

    def height(decibels: float) -> int:
        share = (min(max(decibels, LOWEST), HIGHEST) - LOWEST) / (HIGHEST - LOWEST)
        return round(bottom - share * (bottom - top))

    for level in range(10, 51, 10):
        cv2.line(picture, (LEFT, height(level)), (right, height(level)), QUIET, 1)
        write(picture, f"{level} dB", (MARGIN, height(level) + 5), QUIET)
    for one in report.revisits:
        x = round(LEFT + 6 + (right - LEFT - 12) * one.seconds / max(report.seconds, 1e-9))
        y, nothing = height(one.psnr), height(one.first_psnr)
        cv2.line(picture, (x, y), (x, nothing), PANEL if y > nothing else _between(one.psnr), 2, cv2.LINE_AA)
        cv2.drawMarker(picture, (x, nothing), NOTHING, cv2.MARKER_TILTED_CROSS, 7, 1, cv2.LINE_AA)
        cv2.circle(picture, (x, y), 4, _between(one.psnr), -1, cv2.LINE_AA)
    for share in (0.0, 0.5, 1.0):
        at = round(LEFT + share * (right - LEFT))
        write(picture, f"{share * report.seconds:.1f} s", (min(at, right - 46), bottom + LINE + 2), QUIET)
    note = "dots: a place seen again, beside what was seen there before     crosses: the first picture in its place"
    write(picture, note, (LEFT, bottom + 2 * LINE + 4), QUIET)
    return picture


def _row(one: Compared) -> Pixels:
    revisit = one.revisit
    room = (WIDTH - 2 * MARGIN - LEFT - 2 * MARGIN) // 3
    tall = max(1, round(room * one.now.shape[0] / one.now.shape[1]))
    picture = canvas(tall + LINE + 3 * MARGIN, WIDTH)
    difference = np.minimum(np.abs(one.now.astype(np.int16) - one.then) * LOUDER, 255).astype(np.uint8)
    difference[~one.known] = PANEL
    words = (f"then: {revisit.seconds_then:.1f} s, frame {revisit.then}, moved here",
             f"now: {revisit.seconds:.1f} s, frame {revisit.now}",
             f"difference x {LOUDER}: {revisit.psnr:.1f} dB, SSIM {revisit.ssim:.3f}")  # fmt: skip
    for place, (shown, line) in enumerate(zip((one.then, one.now, difference), words, strict=True)):
        left = LEFT + place * (room + MARGIN)
        picture[MARGIN : MARGIN + tall, left : left + room] = thumbnail(shown, room, tall)
        write(picture, line, (left, MARGIN + tall + LINE), QUIET, room=room)
    return picture


def _between(decibels: float) -> Colour:
    """From red at 15 dB to green at 30."""
    share = min(max((decibels - 15.0) / 15.0, 0.0), 1.0)
    red, green, blue = (round(bad + (good - bad) * share) for bad, good in zip(BAD, GOOD, strict=True))
    return red, green, blue
