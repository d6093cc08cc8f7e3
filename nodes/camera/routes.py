"""Routes for the camera path editor: cameras and thumbnails of a memory, what it has seen, and moves as keyframes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from aiohttp import web

from ...memory.cameras.camera import FloatArray
from ...memory.cameras.keyframe_fit import Stopped, fit_keyframes, never
from ...memory.cameras.keyframes import keyframes_text
from ...memory.cameras.pacing import speeds_from_text
from ...memory.cameras.presets import make_preset
from ...memory.errors import BankError
from ...memory.state.state import MemoryState
from . import seen_route
from .requests import Newest, Refused, json_body
from .shown_memories import SHOWN

ROOT = "/scene_memory/editor"
MOST_CAMERAS, THUMB_WIDTH, MOST_FRAMES = 2000, 192, 100_000
LONG, BY_FRAMES = 2000, ("walk", "handheld")
MOVES = Newest("scene memory moves")
NUMBERS = {"amount": 90.0, "radius": 3.0, "fov": 70.0, "fps": 8.0, "aspect": 1.6, "handheld": 0.0}
WHOLE = {"frames": (1, MOST_FRAMES, 96), "seed": (0, 2**32 - 1, 0)}
_MEMORY, _INDEX = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9]{1,9}")


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
    chosen = np.unique(np.linspace(0, state.frames - 1, min(state.frames, MOST_CAMERAS)).round().astype(np.int64))
    poses, lenses = state.cameras(chosen)
    usable = state.flags(chosen).usable
    return np.concatenate([chosen[:, None], usable[:, None], poses[:, :3].reshape(-1, 12), lenses], axis=1)


async def frame(request: web.Request) -> web.Response:
    """One frame of a memory as a small JPEG; a frame whose picture was dropped is shown as the one kept next to it."""
    state = _memory(request)
    if isinstance(state, web.Response):
        return state
    index = request.match_info["index"]
    if not _INDEX.fullmatch(index) or int(index) >= state.frames:
        return _refused(404, f"There is no frame {index[:12]!r}: the memory has {state.frames} frames, from 0.")
    try:
        picture = await asyncio.to_thread(_thumbnail, state, int(index))
    except (BankError, ValueError, OSError) as problem:
        return _refused(404, f"Frame {index} cannot be shown: {problem}")
    return web.Response(body=picture, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


async def seen(request: web.Request) -> web.Response:
    """How much of some views a memory has seen: ``seen_route.answer``."""
    state = _memory(request)
    return state if isinstance(state, web.Response) else await seen_route.answer(request, state)


async def move(request: web.Request) -> web.Response:
    """A ready-made move as the keyframes that follow it: ``{"keyframes": text}`` for the node's settings as JSON.

    ``frames`` is the number of steps, so the last keyframe stands at that frame.
    """
    try:
        given = await json_body(request, "The settings of the move take")
        client = f"{request.remote} {str(given.get('client', ''))[:200] if isinstance(given, Mapping) else ''}"
        text = await MOVES.run(request, client, lambda stopped: move_keyframes(given, stopped))
    except Refused as refused:
        return refused.answer
    except Stopped:
        return _refused(409, "A newer request for the keyframes of a move took the place of this one.")
    except (ValueError, RecursionError) as problem:
        return _refused(400, str(problem))
    return web.json_response({"keyframes": text})


def move_keyframes(given: Any, stopped: Callable[[], bool] = never) -> str:
    """The text of the keyframes of a move, for settings as a page sends them; ``ValueError`` names a wrong one.

    The sway of a hand on top of a move is left out: no hundred keyframes can follow it.
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
    return state or _refused(404, "This server does not know that memory any more. Run the graph again.")


def _thumbnail(state: MemoryState, index: int) -> bytes:
    pixels = state.read_frames([index], nearest=True)[0]
    height = max(1, round(THUMB_WIDTH * pixels.shape[0] / pixels.shape[1]))
    smaller = pixels.shape[1] > THUMB_WIDTH
    small = cv2.resize(pixels, (THUMB_WIDTH, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    done, coded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not done:
        raise ValueError("it cannot be coded as JPEG.")
    return coded.tobytes()


def _refused(status: int, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)
