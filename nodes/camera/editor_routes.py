"""Routes for the camera path editor: cameras and thumbnails of a memory, what it has seen, and moves as keyframes.

A body is bounded and looked at before it is used, and work that nobody waits for any more ends.
"""

from __future__ import annotations

import asyncio
import math
import re
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from ...memory.cameras.camera import FloatArray
from ...memory.cameras.keyframe_fit import Stopped, fit_keyframes, never
from ...memory.cameras.keyframes import keyframes_text
from ...memory.cameras.pacing import speeds_from_text, spread
from ...memory.cameras.presets import make_preset
from ...memory.errors import BankError
from ...memory.retrieval.distances import REACH, Distances
from ...memory.retrieval.retrieve import frames_that_saw, seen_shares
from ...memory.state.state import MemoryState
from ..requests import Newest, Refused, json_body, refused
from .shown_memories import SHOWN

ROOT = "/scene_memory/editor"
MOST_CAMERAS, THUMB_WIDTH, MOST_FRAMES = 2000, 192, 100_000
LONG, BY_FRAMES = 2000, ("walk", "handheld")
NUMBERS = {"amount": 90.0, "radius": 3.0, "fov": 70.0, "fps": 8.0, "aspect": 1.6, "handheld": 0.0}
WHOLE = {"frames": (1, MOST_FRAMES, 96), "seed": (0, 2**32 - 1, 0)}
MOST_VIEWS, NUMBERS_A_VIEW = 64, 16
DISTANCES = ("scale", "near", "depth", "far")
"""What the editor is told of a memory and sends back, all in scene units; beside them ``size`` and ``sure``, which
pages of before leave out."""
MOST_UNITS, DIGITS = 1e9, 3
PROPER = 1e-3
MOVES = Newest("scene memory moves")

_MEMORY, _INDEX = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9]{1,9}")
_turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()


def register() -> None:
    """Adds the routes to ComfyUI's server, where there is one."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.routes.get(ROOT + "/{memory}/cameras")(cameras)
        server.routes.get(ROOT + "/{memory}/frame/{index}")(frame)
        server.routes.post(ROOT + "/{memory}/seen")(seen)
        server.routes.post(ROOT + "/move")(move)


async def cameras(request: web.Request) -> web.Response:
    """At most 2000 frames of a memory, evenly spread and the last among them, as rows of 18 little-endian float64:
    the frame, 1 if retrieval may use it, the pose (3 x 4, row by row), fx fy cx cy."""
    state = _memory(request)
    if isinstance(state, web.Response):
        return state
    rows = await asyncio.to_thread(camera_rows, state)
    return web.Response(body=rows.astype("<f8").tobytes(), content_type="application/octet-stream")


def camera_rows(state: MemoryState) -> FloatArray:
    """(n, 18): what ``cameras`` sends."""
    chosen = spread(state.frames, MOST_CAMERAS)
    poses, lenses = state.cameras(chosen)
    usable = state.flags(chosen).usable
    return np.concatenate([chosen[:, None], usable[:, None], poses[:, :3].reshape(-1, 12), lenses], axis=1)


async def frame(request: web.Request) -> web.Response:
    """One frame of a memory as a small JPEG; a frame whose picture was dropped is shown as the one kept next to it."""
    state = _memory(request)
    if isinstance(state, web.Response):
        return state
    return await picture_of(state, request.match_info["index"])


async def picture_of(state: MemoryState, index: str) -> web.Response:
    """The answer with the picture of a frame, asked for by its number as text."""
    if not _INDEX.fullmatch(index) or int(index) >= state.frames:
        return refused(404, f"There is no frame {index[:12]!r}: the memory has {state.frames} frames, from 0.")
    try:
        picture = await asyncio.to_thread(_thumbnail, state, int(index))
    except (BankError, ValueError, OSError) as problem:
        return refused(404, f"Frame {index} cannot be shown: {problem}")
    return web.Response(body=picture, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


async def seen(request: web.Request) -> web.Response:
    """How much of some views a memory has seen, by the measure that chooses frames.

    A page sends ``{"views": [[...]], "distances": {...}, "frames": true}``. A view is 16 numbers: the pose (3 x 4, row
    by row) and fx fy cx cy; the distances are those that the editor was told. The reply has ``shares``, one a view;
    with ``frames``, for a single view, also the share of each frame near it as ``[[frame, share], ...]``. One is worked
    out at a time, and none for a page that has gone.
    """
    state = _memory(request)
    if isinstance(state, web.Response):
        return state
    try:
        given = await json_body(request, f"At most {MOST_VIEWS} views can be sent; these take")
        views, size, frames = views_asked(given)
    except Refused as problem:
        return problem.answer
    except (ValueError, RecursionError) as problem:
        return refused(400, str(problem)[:300])
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        if request.transport is None or request.transport.is_closing():
            return refused(410, "The page has gone.")
        try:
            return web.json_response(await asyncio.to_thread(shares, state, views, size, frames))
        except (BankError, OSError) as problem:
            return refused(404, f"What the memory has seen cannot be told: {problem}")


def views_asked(given: Any) -> tuple[FloatArray, Distances, bool]:
    """The views (T, 16) float64, the distances and whether frames are asked for.

    Raises ValueError, which names what is wrong.
    """
    if not isinstance(given, Mapping):
        raise ValueError('The question is no JSON object. Send {"views": [...], "distances": {...}}.')
    views, sizes, frames = given.get("views"), given.get("distances"), given.get("frames", False)
    if not isinstance(views, list) or not 1 <= len(views) <= MOST_VIEWS or not all(
        isinstance(row, list) and len(row) == NUMBERS_A_VIEW and all(map(_is_number, row)) for row in views
    ):
        raise ValueError(f"views must be 1 to {MOST_VIEWS} lists of {NUMBERS_A_VIEW} numbers: pose and lens.")
    if not isinstance(sizes, Mapping) or not all(_is_number(sizes.get(name)) for name in DISTANCES):
        raise ValueError(f"distances must hold numbers called {', '.join(DISTANCES)}.")
    if frames not in (True, False) or (frames and len(views) > 1):
        raise ValueError("frames is true for a single view only.")
    scale, near, depth, far = (float(sizes[name]) for name in DISTANCES)
    if not (0.0 < near < depth < far <= MOST_UNITS and 0.0 < scale <= MOST_UNITS):
        raise ValueError("distances must be above 0 and rise: near, depth, far.")
    size, sure = sizes.get("size", scale), sizes.get("sure", False)
    if not (_is_number(size) and 0.0 < size <= MOST_UNITS and sure in (True, False)):
        raise ValueError("size must be a number above 0, and sure true or false.")
    found = np.array(views, dtype=np.float64)
    rotations = found[:, :12].reshape(-1, 3, 4)[:, :, :3]
    off = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max()
    if off > PROPER or (np.linalg.det(rotations) < 0).any():
        raise ValueError("A view's pose is no rotation and position: send 3 rows of a camera-to-world matrix.")
    if (found[:, 12:14] < PROPER).any():
        raise ValueError("A view's lens must have fx and fy above 0.")
    return found, Distances(scale, near, depth, far, min(far, REACH * size), size, bool(sure)), bool(frames)


def shares(state: MemoryState, views: FloatArray, size: Distances, frames: bool) -> dict[str, Any]:
    """What ``seen`` sends for views (T, 16): the pose (3 x 4, row by row), fx fy cx cy."""
    poses = np.tile(np.eye(4), (len(views), 1, 1))
    poses[:, :3] = views[:, :12].reshape(-1, 3, 4)
    if not frames:
        return {"shares": seen_shares(state, poses, views[:, 12:], size).round(DIGITS).tolist()}
    share, indices, each = frames_that_saw(state, poses[0], views[0, 12:], size)
    near = zip(indices.tolist(), each.round(DIGITS).tolist(), strict=True)
    return {"shares": [round(share, DIGITS)], "frames": [[index, saw] for index, saw in near if saw > 0.0]}


def _is_number(value: Any) -> bool:
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    return numeric and abs(value) <= MOST_UNITS and math.isfinite(value)


async def move(request: web.Request) -> web.Response:
    """A ready-made move as the keyframes that follow it: ``{"keyframes": text}`` for the node's settings as JSON.

    ``frames`` is the number of steps, so the last keyframe stands at that frame.
    """
    try:
        given = await json_body(request, "The settings of the move take")
        client = f"{request.remote} {str(given.get('client', ''))[:200] if isinstance(given, Mapping) else ''}"
        text = await MOVES.run(request, client, lambda stopped: move_keyframes(given, stopped))
    except Refused as problem:
        return problem.answer
    except Stopped:
        return refused(409, "A newer request for the keyframes of a move took the place of this one.")
    except (ValueError, RecursionError) as problem:
        return refused(400, str(problem))
    return web.json_response({"keyframes": text})


def move_keyframes(given: Any, stopped: Callable[[], bool] = never) -> str:
    """The text of the keyframes of a move, for settings as a page sends them.

    The sway of a hand on top of a move is left out: no hundred keyframes can follow it. Raises ValueError, which names
    a wrong setting, and Stopped where nobody waits for it any more.
    """
    if not isinstance(given, Mapping):
        raise ValueError('The settings of the move are no JSON object. Send {"move": "pan", "frames": 96}.')
    numbers = {name: _number(given, name, usual) for name, usual in NUMBERS.items()}
    whole = {name: _whole(given, name, *limits) for name, limits in WHOLE.items()}
    words = {name: given.get(name, usual) for name, usual in (("move", ""), ("easing", "smooth"), ("speed", ""))}
    for name, word in words.items():
        if not isinstance(word, str):
            raise ValueError(f"{name} is {str(word)[:40]!r}: expected text.")
    if stopped():
        raise Stopped
    frames = whole["frames"]
    # Most moves are the same however many frames they have: a long one is looked at in fewer.
    fewer = frames if words["move"] in BY_FRAMES else min(frames, LONG + frames % 2)
    path = make_preset(
        words["move"],
        frames=fewer + 1,
        easing=words["easing"],
        seed=whole["seed"],
        speed=speeds_from_text(words["speed"]),
        **{**numbers, "handheld": 0.0},
    )
    found = fit_keyframes(path, stopped=stopped)
    return keyframes_text([replace(one, frame=one.frame * frames / fewer) for one in found])


def _number(given: Mapping[str, Any], name: str, usual: float) -> float:
    value = given.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
        raise ValueError(f"{name} is {str(value)[:40]!r}: expected a number. Use {usual:g}.")
    return float(value)


def _whole(given: Mapping[str, Any], name: str, least: int, most: int, usual: int) -> int:
    value = given.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} is {str(value)[:40]!r}: expected a whole number, {least} to {most}. Use {usual}.")
    return value


def _memory(request: web.Request) -> MemoryState | web.Response:
    name = request.match_info["memory"]
    state = SHOWN.get(name) if _MEMORY.fullmatch(name) else None
    return state or refused(404, "This server does not know that memory any more. Run the graph again.")


def _thumbnail(state: MemoryState, index: int) -> bytes:
    pixels = state.read_frames([index], nearest=True)[0]
    height = max(1, round(THUMB_WIDTH * pixels.shape[0] / pixels.shape[1]))
    smaller = pixels.shape[1] > THUMB_WIDTH
    small = cv2.resize(pixels, (THUMB_WIDTH, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return jpeg(small)


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 3) uint8 as JPEG. Raises ValueError if it cannot be coded."""
    done, coded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not done:
        raise ValueError("it cannot be coded as JPEG.")
    return coded.tobytes()
