"""A drawn camera path in the real server: the film follows it, and wrong ones are refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.keyframe_path import drawn_path
from scene_memory.memory.cameras.keyframes import parse_keyframes

DRAWING = json.dumps({"version": 1, "keyframes": [
    {"frame": 0, "kind": "stop"}, {"frame": 5, "forward": 0.4, "yaw": 30}, {"frame": 8, "right": 0.3, "yaw": 10},
]})  # fmt: skip


def test_the_films_cameras_are_those_of_the_drawn_path(
    server: HostServer, kit: Any, open_bank: Callable[[str], Bank]
) -> None:
    prompt = kit.film("drawn film", frames=8)
    prompt["camera"]["inputs"].update(move="drawn", keyframes=DRAWING)
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank("drawn film").load()
    path = drawn_path(parse_keyframes(DRAWING), frames=9, fps=8.0, fov=70.0, aspect=1.6).after(state.poses[0])
    assert state.frames == 9
    assert np.abs(state.poses - path.poses).max() < 1e-12


@pytest.mark.parametrize(
    ("text", "said"), [("", "keyframes is empty"), ("{}", "expected"), ("nonsense", "no drawn path")]
)
def test_a_drawn_move_without_a_path_says_what_to_do(server: HostServer, kit: Any, text: str, said: str) -> None:
    prompt = {"camera": kit.camera(None), "fov": kit.retriever(trajectory=["camera", 0])}
    prompt["camera"]["inputs"].update(move="drawn", keyframes=text)
    prompt["see"] = kit.node("PreviewImage", images=["fov", 1])
    run = server.client.queue(prompt)
    assert run.error is not None and said in run.error["exception_message"]
