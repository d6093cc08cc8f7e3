"""Shot Generator with cameras as measured, in the real server: what is kept, what is said, and found again."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np

from dev.support.server import LOCAL, HostServer
from scene_memory.film.measured_path import CAMERAS_NOTE, camera_words, planned_path
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.retrieval.reasons import noted

SETTINGS = {"k": 6, "strategy": "fov_nonadjacent_far", "seed": 0, "depth": 3.0, "near": 0.1, "far": 30.0,
            "min_overlap": 0.1, "far_share": 0.25}  # fmt: skip


def test_cameras_are_measured_kept_beside_the_plan_and_found_again(
    server: HostServer, kit: Any, open_bank: Callable[[str], Bank]
) -> None:
    prompt = kit.changed(kit.film("measured", frames=24), "shot", cameras="as measured")
    prompt["info"] = kit.node("SceneMemoryInfo", memory=["shot", 0], thumbnails=0)
    prompt["report"] = kit.node("PreviewAny", source=["info", 1])
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank("measured").load()
    made = range(1, len(state.segments))
    assert [CAMERAS_NOTE in state.segments[number].info for number in range(len(state.segments))] == [False, True, True,
                                                                                                      True]  # fmt: skip
    for number in made:
        planned, (words,) = planned_path(state, number), camera_words(state, number)
        assert planned is not None and len(planned) == state.segments[number].frames
        assert f"Segment {number + 1}: {words}" in run.outputs["report"]["text"][0]
    assert camera_words(state, 3)[0] in run.texts("shot")[-1]

    # The map asks of each segment along the path that it was really asked for.
    (film,) = run.outputs["shot"]["scene_memory_shot"]
    for number, (start, _) in enumerate(film["segments"]):
        body = json.dumps({"frame": start + 3, "settings": SETTINGS}).encode()
        with LOCAL.open(urllib.request.Request(
            f"{server.url}/scene_memory/retrieval/{film['id']}/choose", data=body), timeout=60) as reply:  # fmt: skip
            said = json.loads(reply.read())
        kept = noted(state.segments[number + 1].info) or ()
        assert said["chosen"]["frame"] == [one.index for one in kept]

    server.client.free()
    again = server.client.queue(prompt)
    assert again.ok and "0 made, 3 from the bank" in again.texts("shot")[-1]
    assert open_bank("measured").load().id == state.id
    planned = kit.changed(kit.film("measured", frames=24), "shot", cameras="as planned")
    assert server.client.queue(planned).ok
    plan = open_bank("measured").load()
    assert np.array_equal(plan.poses[0], state.poses[0]) and CAMERAS_NOTE not in plan.segments[1].info
