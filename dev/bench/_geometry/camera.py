"""How exact measured cameras are, and whether what is wrong is said to be unsure, on films whose cameras are known."""

from __future__ import annotations

import logging
import time
from itertools import islice

import numpy as np

from ....memory.geometry.camera_report import apart, went
from ....memory.geometry.measure_camera import MeasuredCamera, measure_camera
from .films import KINDS, KnownFilm, known_film, scenes

log = logging.getLogger(__name__)

FIRST = 41_000
"""Seed of the first scene; those that were looked at while measuring was made begin at 210,000."""
WRONG = 5.0
"""Degrees from which on a camera is wrong, not merely inexact."""


def figures(
    films: int = 4, frames: int = 41, width: int = 832, height: int = 480, first: int = FIRST
) -> dict[str, float]:
    """Measures ``films`` of each kind and gives ``camera_rotation_deg``, ``camera_way_percent`` and
    ``camera_unsure_recall``, and the same by kind.

    The first two are medians over the frames of the textured rooms, in degrees and in percent of the way; the third is
    the share, over all kinds, of the wrong cameras that are marked as not sure. Memory with depth lies beside; the plan
    is wrong by some degrees and a quarter of the way.
    """
    result: dict[str, float] = {}
    wrong = marked = 0
    for kind in KINDS:
        degrees, percent, silent, sure, seconds = [], [], 0, [], []
        for scene in islice(scenes(first, kind != "blank"), films):
            film = known_film(kind, scene, frames, width, height)
            begun = time.perf_counter()
            measured = measure(film)
            seconds.append(time.perf_counter() - begun)
            turn, way = apart(film.truth, measured.trajectory)
            bad = turn > WRONG
            wrong, marked = wrong + int(bad.sum()), marked + int((bad & ~measured.sure).sum())
            silent += int((bad & measured.sure).sum())
            degrees.append(turn)
            percent.append(100.0 * way / max(went(film.truth), 0.5))
            sure.append(measured.sure)
            log.info(f"  {kind} {scene.seed}: {np.median(turn):.3f} degrees, at most {turn.max():.2f}; "
                     f"{np.median(percent[-1]):.2f} % of the way; {int(measured.sure.sum())} of {frames} sure; "
                     f"size from {measured.scale_from}; {seconds[-1]:.1f} s")
        everything = np.concatenate(degrees), np.concatenate(percent), np.concatenate(sure)
        result |= {
            f"camera_{kind}_rotation_deg": float(np.median(everything[0])),
            f"camera_{kind}_way_percent": float(np.median(everything[1])),
            f"camera_{kind}_sure": float(everything[2].mean()),
            f"camera_{kind}_silent": silent / everything[0].size,
            f"camera_{kind}_s": float(np.median(seconds)),
        }
        log.info(f"{kind}: {result[f'camera_{kind}_rotation_deg']:.3f} degrees, "
                 f"{result[f'camera_{kind}_way_percent']:.2f} % of the way, {100 * everything[2].mean():.0f} % sure")
    return result | {
        "camera_rotation_deg": result["camera_textured_rotation_deg"],
        "camera_way_percent": result["camera_textured_way_percent"],
        "camera_unsure_recall": marked / wrong if wrong else 1.0,
        "camera_wrong_frames": float(wrong),
    }


def measure(film: KnownFilm) -> MeasuredCamera:
    """The cameras of a film, with its plan and what is remembered beside it."""
    return measure_camera(film.pictures, film.truth.intrinsics, film.planned, film.remembered)
