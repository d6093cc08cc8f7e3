"""The route that says how much of the views along a path a memory has seen, by the measure that chooses frames."""

from __future__ import annotations

import asyncio
import math
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
from aiohttp import web

from ...memory.cameras.camera import FloatArray
from ...memory.errors import BankError
from ...memory.retrieval.band import frames_that_saw, seen_shares
from ...memory.retrieval.distances import REACH, Distances
from ...memory.state.state import MemoryState
from .requests import Refused, json_body

MOST_VIEWS, NUMBERS_A_VIEW = 64, 16
DISTANCES = ("scale", "near", "depth", "far")
"""What the editor is told of a memory and sends back, all in scene units."""
MOST_UNITS, DIGITS = 1e9, 3
PROPER = 1e-3

_turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()


async def answer(request: web.Request, state: MemoryState) -> web.Response:
    """Shares for the views that a page sends: ``{"views": [[...]], "distances": {...}, "frames": true}``.

    A view is 16 numbers: the pose (3 x 4, row by row) and fx fy cx cy; the distances are those that the editor was
    told. The reply has ``shares``, one a view; with ``frames``, for a single view, also the share of each frame near it
    as ``[[frame, share], ...]``. One is worked out at a time, and none for a page that has gone.
    """
    try:
        views, size, frames = asked(await json_body(request, f"At most {MOST_VIEWS} views can be sent; these take"))
    except Refused as refused:
        return refused.answer
    except (ValueError, RecursionError) as problem:
        return _refused(400, str(problem)[:300])
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        if request.transport is None or request.transport.is_closing():
            return _refused(410, "The page has gone.")
        try:
            return web.json_response(await asyncio.to_thread(shares, state, views, size, frames))
        except (BankError, OSError) as problem:
            return _refused(404, f"What the memory has seen cannot be told: {problem}")


def asked(given: Any) -> tuple[FloatArray, Distances, bool]:
    """The views (T, 16), the distances and whether frames are asked for; ``ValueError`` names what is wrong."""
    if not isinstance(given, Mapping):
        raise ValueError('The question is no JSON object. Send {"views": [...], "distances": {...}}.')
    views, told, frames = given.get("views"), given.get("distances"), given.get("frames", False)
    if not isinstance(views, list) or not 1 <= len(views) <= MOST_VIEWS or not all(map(_is_view, views)):
        raise ValueError(f"views must be 1 to {MOST_VIEWS} lists of {NUMBERS_A_VIEW} numbers: pose and lens.")
    if not isinstance(told, Mapping) or not all(_is_number(told.get(name)) for name in DISTANCES):
        raise ValueError(f"distances must hold numbers called {', '.join(DISTANCES)}.")
    if frames not in (True, False) or (frames and len(views) > 1):
        raise ValueError("frames is true for a single view only.")
    scale, near, depth, far = (float(told[name]) for name in DISTANCES)
    if not (0.0 < near < depth < far <= MOST_UNITS and 0.0 < scale <= MOST_UNITS):
        raise ValueError("distances must be above 0 and rise: near, depth, far.")
    found = np.array(views, dtype=np.float64)
    turns = found[:, :12].reshape(-1, 3, 4)[:, :, :3]
    if np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max() > PROPER or (np.linalg.det(turns) < 0).any():
        raise ValueError("A view's pose is no rotation and place.")
    if (found[:, 12:14] < PROPER).any():
        raise ValueError("A view's lens must have fx and fy above 0.")
    return found, Distances(scale, near, depth, far, min(far, REACH * scale)), bool(frames)


def shares(state: MemoryState, views: FloatArray, size: Distances, frames: bool) -> dict[str, Any]:
    """What ``answer`` sends."""
    poses = np.tile(np.eye(4), (len(views), 1, 1))
    poses[:, :3] = views[:, :12].reshape(-1, 3, 4)
    if not frames:
        return {"shares": seen_shares(state, poses, views[:, 12:], size).round(DIGITS).tolist()}
    share, indices, each = frames_that_saw(state, poses[0], views[0, 12:], size)
    near = zip(indices.tolist(), each.round(DIGITS).tolist(), strict=True)
    return {"shares": [round(share, DIGITS)], "frames": [[index, saw] for index, saw in near if saw > 0.0]}


def _is_view(row: Any) -> bool:
    return isinstance(row, list) and len(row) == NUMBERS_A_VIEW and all(map(_is_number, row))


def _is_number(value: Any) -> bool:
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    return numeric and abs(value) <= MOST_UNITS and math.isfinite(value)


def _refused(status: int, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)
