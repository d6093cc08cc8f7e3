"""Routes for the retrieval map on FOV Retriever: the real retrieval, asked along the camera path of the last run.

Read-only. A page can ask for a scene that a graph of this server has shown, by its id, and for nothing else; of one
page's questions of a kind only the newest is worked out.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from aiohttp import web

from ...memory.cameras.keyframe_fit import Stopped
from ...memory.cameras.pacing import spread
from ...memory.errors import BankError
from ...memory.geometry.memory_view import MemoryGlance
from ...memory.retrieval.settings import RetrievalSettings
from ...memory.retrieval.what_if import FLAGS, RetrievalScene, WhatIf, path_rows, seen_along, what_if
from ..camera.editor_routes import camera_rows, jpeg, picture_of
from ..requests import Newest, Refused, json_body, refused

ROOT = "/scene_memory/retrieval"
KEPT, MOST_ROWS, MOST_K, MOST_FLAGS, MOST_VIEWS, DIGITS = 32, 1000, 1000, 4096, 48, 3
_SCENE = re.compile(r"[0-9a-f]{64}")
_WHOLE, _TEXT = ("k", "seed"), ("strategy",)


class ShownScenes:
    """The scenes shown last, by id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scenes: OrderedDict[str, RetrievalScene] = OrderedDict()

    def add(self, scene: RetrievalScene, instead_of: str = "") -> None:
        with self._lock:
            self._scenes.pop(instead_of, None)
            self._scenes[scene.id] = scene
            self._scenes.move_to_end(scene.id)
            while len(self._scenes) > KEPT:
                self._scenes.popitem(last=False)

    def get(self, scene: str) -> RetrievalScene | None:
        with self._lock:
            return self._scenes.get(scene)


SCENES = ShownScenes()
CHOICES, BANDS = Newest("scene memory choices"), Newest("scene memory bands", threads=1)
VIEWS = Newest("scene memory views", threads=1)
VIEW_WIDTH, HATCH = 192, 6
_glances: OrderedDict[str, MemoryGlance] = OrderedDict()


def register() -> None:
    """Adds the routes to ComfyUI's server, where there is one."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.routes.get(ROOT + "/{scene}/path")(path)
        server.routes.get(ROOT + "/{scene}/cameras")(cameras)
        server.routes.get(ROOT + "/{scene}/frame/{index}")(frame)
        server.routes.post(ROOT + "/{scene}/choose")(choose)
        server.routes.post(ROOT + "/{scene}/seen")(seen)
        server.routes.post(ROOT + "/{scene}/view")(view)


def show(scene: RetrievalScene, instead_of: str = "") -> dict[str, Any]:
    """Lets pages ask about a scene, no more about an older one of that id, and gives what a node tells its page."""
    SCENES.add(scene, instead_of)
    return {
        "id": scene.id,
        "bank": scene.newest.bank.name if scene.newest.bank else "",
        "frames": scene.newest.frames,
        "length": len(scene.path),
        "fps": scene.path.fps,
        "segments": [[start, state.frames] for start, state in scene.segments],
        "most": scene.most,
    }


async def path(request: web.Request) -> web.Response:
    """At most 1000 cameras of the path as rows of 17 little-endian float64: the frame, the pose (3 x 4, row by row),
    fx fy cx cy."""
    scene = _scene(request)
    if isinstance(scene, web.Response):
        return scene
    rows = await asyncio.to_thread(path_rows, scene.path, MOST_ROWS)
    return web.Response(body=rows.astype("<f8").tobytes(), content_type="application/octet-stream")


async def cameras(request: web.Request) -> web.Response:
    """Cameras of the newest memory, as the camera path editor is given them (``editor_routes.cameras``)."""
    scene = _scene(request)
    if isinstance(scene, web.Response):
        return scene
    rows = await asyncio.to_thread(camera_rows, scene.newest) if scene.newest.frames else np.empty(0)
    return web.Response(body=rows.astype("<f8").tobytes(), content_type="application/octet-stream")


async def frame(request: web.Request) -> web.Response:
    """One frame of the newest memory as a small JPEG."""
    scene = _scene(request)
    return scene if isinstance(scene, web.Response) else await picture_of(scene.newest, request.match_info["index"])


async def choose(request: web.Request) -> web.Response:
    """What would be chosen for the segment that a frame of the path is in, and why.

    A page sends ``{"frame": 12, "settings": {"k": 20, ...}, "flags": {"exclude": [3, 4]}}``; what is left out of the
    settings is the usual. The reply: the segment's ``number``, its ``first`` frame and ``length``, how many frames were
    ``remembered`` before it, ``chosen`` as columns in the order chosen, and of the view at the frame the shares that
    the whole memory has ``seen`` and that the chosen frames show (``shown``).
    """
    return await _answered(request, CHOICES, lambda scene, given, _: chosen_for(scene, given))


async def seen(request: web.Request) -> web.Response:
    """The shares of 48 views along the path, evenly spread, that the memory before each has seen: ``{"frames": [...],
    "shares": [...]}`` for ``{"settings": {...}}``."""
    return await _answered(request, BANDS, shares_along)


async def view(request: web.Request) -> web.Response:
    """What the frames that would be chosen show of the view at a frame of the path, as a small JPEG; the unknown is
    hatched; no content where all of it is unknown. A page sends what it sends to ``choose``."""
    return await _answered(request, VIEWS, lambda scene, given, _: view_of(scene, given), "image/jpeg")


async def _answered(
    request: web.Request, work: Newest, job: Any, content_type: str = "application/json"
) -> web.Response:
    scene = _scene(request)
    if isinstance(scene, web.Response):
        return scene
    try:
        given = await json_body(request, "The settings of retrieval take")
        if not isinstance(given, Mapping):
            raise ValueError('The question is no JSON object. Send {"frame": 0, "settings": {"k": 20}}.')
        client = f"{request.remote} {str(given.get('client', ''))[:200]}"
        found = await work.run(request, client, lambda stopped: job(scene, given, stopped))
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        return web.Response(body=body, content_type=content_type) if body else web.Response(status=204)
    except Refused as problem:
        return problem.answer
    except Stopped:
        return refused(409, "A newer question took the place of this one.")
    except (BankError, OSError) as problem:
        return refused(404, f"The memory cannot be asked: {problem}")
    except (ValueError, RecursionError) as problem:
        return refused(400, str(problem)[:300])


def chosen_for(scene: RetrievalScene, given: Mapping[str, Any]) -> dict[str, Any]:
    """What ``choose`` sends. Raises ValueError, which names what is wrong with what was given."""
    return told(scene, what_if(scene, frame_of(scene, given), settings_of(given), flags_of(given)))


def view_of(scene: RetrievalScene, given: Mapping[str, Any]) -> bytes:
    """What ``view`` sends, nothing where nothing of the view is known.

    Raises ValueError, which names what is wrong with what was given.
    """
    at = frame_of(scene, given)
    found = what_if(scene, at, settings_of(given), flags_of(given))
    if scene.newest.size is None or not found.reasons:
        return b""
    if scene.id not in _glances:
        height = max(1, round(VIEW_WIDTH * scene.newest.size[0] / scene.newest.size[1]))
        _glances[scene.id] = MemoryGlance(scene.newest, (height, VIEW_WIDTH))
        while len(_glances) > 2:
            _glances.popitem(last=False)
    frames = np.array([one.index for one in found.reasons[: scene.most or None]], dtype=np.int64)
    seen = _glances[scene.id].view(frames, scene.path[at : at + 1], found.size.depth)
    picture, known = seen.pictures[0].copy(), seen.known[0]
    if not known.any():
        return b""
    rows, columns = np.indices(known.shape)
    picture[~known] = np.where(((rows + columns) // HATCH % 2)[..., None], 70, 105)[~known]
    return jpeg(picture)


def frame_of(scene: RetrievalScene, given: Mapping[str, Any]) -> int:
    """The frame of the path that a page asks about. Raises ValueError for one that is not there."""
    asked = given.get("frame", 0)
    if not _is_whole(asked) or not 0 <= asked < len(scene.path):
        raise ValueError(f"frame is {str(asked)[:40]!r}: the camera path has the frames 0 to {len(scene.path) - 1}.")
    return int(asked)


def told(scene: RetrievalScene, found: WhatIf) -> dict[str, Any]:
    """An answer as JSON."""
    part, reasons = scene.part(found.number), found.reasons
    return {
        "number": found.number,
        "first": part.start,
        "length": part.stop - part.start,
        "remembered": found.remembered,
        "candidates": found.candidates,
        "chosen": {
            "frame": [one.index for one in reasons],
            "rule": [one.rule for one in reasons],
            "saw": [round(one.overlap, DIGITS) for one in reasons],
            "adds": [round(one.gain, DIGITS) for one in reasons],
            "age": [round(one.age_s, 2) for one in reasons],
        },
        "seen": round(found.seen, DIGITS),
        "shown": round(found.shown, DIGITS),
        "distances": [float(f"{one:.3g}") for one in (found.size.near, found.size.depth, found.size.far)],
    }


def shares_along(scene: RetrievalScene, given: Mapping[str, Any], stopped: Any) -> dict[str, Any]:
    """What ``seen`` sends. Raises ValueError for settings that make no sense, and Stopped where nobody waits."""
    settings, shares = settings_of(given), list[float]()
    frames = spread(len(scene.path), MOST_VIEWS).tolist()
    for begin in range(0, len(frames), 4):
        if stopped():
            raise Stopped
        shares += np.round(seen_along(scene, frames[begin : begin + 4], settings), DIGITS).tolist()
    return {"frames": frames, "shares": shares}


def settings_of(given: Mapping[str, Any]) -> RetrievalSettings:
    """Settings as a page sends them. Raises ValueError, which names a wrong one."""
    sent = given.get("settings", {})
    if not isinstance(sent, Mapping):
        raise ValueError("settings is no JSON object: send the values of FOV Retriever by name.")
    found: dict[str, Any] = {}
    for field in fields(RetrievalSettings):
        if field.name not in sent:
            continue
        value = sent[field.name]
        if field.name in _TEXT:
            right = isinstance(value, str)
        elif field.name in _WHOLE:
            right = _is_whole(value) and abs(value) < 2**64
        else:
            right = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not right:
            raise ValueError(f"{field.name} is {str(value)[:40]!r}: that is no value for it.")
        found[field.name] = value[:100] if isinstance(value, str) else value
    if found.get("k", 1) > MOST_K:
        raise ValueError(f"k is {found['k']}: at most {MOST_K} frames can be asked for.")
    return RetrievalSettings(**found)


def flags_of(given: Mapping[str, Any]) -> dict[str, list[int]]:
    """Flags to try, as a page sends them. Raises ValueError for others."""
    sent = given.get("flags", {})
    if not isinstance(sent, Mapping) or not set(sent) <= set(FLAGS) or not all(
        isinstance(frames, list) and len(frames) <= MOST_FLAGS and all(map(_is_whole, frames))
        for frames in sent.values()
    ):
        raise ValueError(f"flags may hold lists of at most {MOST_FLAGS} frames under the names {', '.join(FLAGS)}.")
    return {str(kind): frames for kind, frames in sent.items()}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64


def _scene(request: web.Request) -> RetrievalScene | web.Response:
    name = request.match_info["scene"]
    scene = SCENES.get(name) if _SCENE.fullmatch(name) else None
    return scene or refused(404, "This server does not know that run any more. Run the graph again.")
