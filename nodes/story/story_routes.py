"""The route for the node Story: what its text comes to, and what a model would not understand, while it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ...memory.cameras.keyframe_fit import Stopped
from ...memory.story.prompts import remarks
from ...memory.story.script import parse_story
from ..requests import Newest, Refused, json_body, refused

ROUTE = "/scene_memory/story/check"
MOST_REMARKS = 50
CHECKS = Newest("scene memory stories", threads=1)


def register() -> None:
    """Adds the route to ComfyUI's server, where there is one."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.routes.post(ROUTE)(check)


async def check(request: web.Request) -> web.Response:
    """What a text says: a page sends ``{"text": "..."}`` and is given ``checked``."""
    try:
        given = await json_body(request, "The story takes")
        if not isinstance(given, Mapping) or not isinstance(given.get("text"), str):
            return refused(400, 'Send the story as {"text": "..."}.')
        client = f"{request.remote} {str(given.get('client', ''))[:200]}"
        return web.json_response(await CHECKS.run(request, client, lambda _: checked(given["text"])))
    except Refused as problem:
        return problem.answer
    except Stopped:
        return refused(409, "A newer question took the place of this one.")


def checked(text: str) -> dict[str, Any]:
    """The number of ``shots`` of a story, ``remarks`` on them, and the ``problem`` where it is none."""
    try:
        story = parse_story(text)
    except (ValueError, RecursionError) as problem:
        return {"shots": 0, "remarks": [], "problem": str(problem)[:500]}
    found = [{"shot": one.shot, "line": one.line, "text": one.text} for one in remarks(story)[:MOST_REMARKS]]
    return {"shots": len(story), "remarks": found, "problem": ""}
