"""Cameras that something else has estimated, in axes and a scale of its own, brought into the scene and looked at."""

from __future__ import annotations

import numpy as np

from ..cameras.camera import FloatArray
from ..cameras.interpolate import interpolate_poses
from .recognition import Similarity

ROUNDS = 20
WIDTH = 2.0
"""How many times the usual residual a camera may be off and still count about half."""


def similarity_of(estimated: FloatArray, known: FloatArray, scale: float = 1.0) -> Similarity:
    """How cameras estimated at poses (n, 4, 4) lie in the world, where they stand at ``known`` (n, 4, 4).

    Umeyama's fit, with the turns of the cameras in it as well as their positions, so that those in a row or in one
    point are enough for the rotation; robust: cameras that do not agree with most count little. ``scale`` is taken
    where the estimated cameras stand in one place. Raises ``ValueError`` where none are given.
    """
    if not len(estimated) or len(estimated) != len(known):
        raise ValueError(f"{len(estimated)} cameras are to be fitted to {len(known)}: give as many, at least one.")
    weight = np.ones(len(estimated))
    result = Similarity(scale, np.eye(3), np.zeros(3))
    for _ in range(ROUNDS):
        share = (weight / weight.sum())[:, None]
        mine, theirs = estimated[:, :3, 3], known[:, :3, 3]
        middle, there = (share * mine).sum(axis=0), (share * theirs).sum(axis=0)
        away, wanted = mine - middle, theirs - there
        extent = float((share * away * away).sum())
        turns = np.einsum("n,nij,nkj->ik", share[:, 0], known[:, :3, :3], estimated[:, :3, :3])
        positions = (share * wanted).T @ away
        size = np.sqrt(max(extent * float((share * wanted * wanted).sum()), 1e-24))
        u, _, vt = np.linalg.svd(turns + (positions / size if extent > 1e-12 else 0.0))
        turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
        found = float((share * wanted * (away @ turn.T)).sum()) / extent if extent > 1e-12 else 0.0
        scale = found if found > 1e-9 else scale
        result = Similarity(scale, turn, there - scale * turn @ middle)
        degrees, way = misfit_of(result, estimated, known)
        off = degrees / max(1e-3, float(np.median(degrees))) + way / max(1e-6, float(np.median(way)))
        weight = 1.0 / (1.0 + np.square(off / (2 * WIDTH)))
    return result


def misfit_of(lies: Similarity, estimated: FloatArray, known: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How far off (n,) each of the poses (n, 4, 4) is after a fit: in degrees, and in scene units."""
    laid = lies.poses(estimated[:, :3, :3], estimated[:, :3, 3])
    turned = np.einsum("nij,nij->n", laid[:, :3, :3], known[:, :3, :3])
    degrees = np.degrees(np.arccos(np.clip((turned - 1.0) / 2.0, -1.0, 1.0)))
    return degrees, np.linalg.norm(laid[:, :3, 3] - known[:, :3, 3], axis=1)


def between(keys: list[int], poses: FloatArray, frames: int) -> FloatArray:
    """Poses (frames, 4, 4) of all frames from those (K, 4, 4) of the frames ``keys``."""
    return interpolate_poses(np.asarray(keys, dtype=np.float64), poses, np.arange(frames, dtype=np.float64))
