"""The routes of the retrieval map, asked as a page asks them, in the real server."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dev.support.server import LOCAL, HostServer
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.retrieval.reasons import noted

ROOT = "/scene_memory/retrieval"
SETTINGS = {"k": 6, "strategy": "fov_nonadjacent_far", "seed": 0, "depth": 3.0, "near": 0.1, "far": 30.0,
            "min_overlap": 0.1, "far_share": 0.25}  # fmt: skip


def ask(server: HostServer, route: str, body: Any = None) -> tuple[int, bytes]:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with LOCAL.open(urllib.request.Request(f"{server.url}{ROOT}{route}", data=data), timeout=60) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def answer(server: HostServer, route: str, body: Any) -> dict[str, Any]:
    status, said = ask(server, route, body)
    assert status == 200, said
    return dict(json.loads(said))


def test_with_the_settings_of_the_film_the_map_says_what_the_film_looked_at(
    server: HostServer, kit: Any, open_bank: Callable[[str], Bank]
) -> None:
    done = server.client.queue(kit.film("retrieval map", frames=48))
    assert done.ok, done.error
    (film,) = done.outputs["shot"]["scene_memory_shot"]
    state = open_bank("retrieval map").load()
    assert film["frames"] == state.frames == 49 and film["length"] == 48 and len(film["segments"]) == 6
    for number, (start, remembered) in enumerate(film["segments"]):
        said = answer(server, f"/{film['id']}/choose", {"frame": start + 3, "settings": SETTINGS})
        assert (said["number"], said["first"], said["length"], said["remembered"]) == (number, start, 8, remembered)
        kept = noted(state.segments[number + 1].info) or ()
        assert said["chosen"]["frame"] == [one.index for one in kept]
        assert said["chosen"]["rule"] == [one.rule for one in kept]
        assert said["chosen"]["saw"] == [one.overlap for one in kept]
        assert 0.0 < said["shown"] <= said["seen"] <= 1.0
    fewer = answer(server, f"/{film['id']}/choose", {"frame": 47, "settings": {**SETTINGS, "k": 2}})
    assert len(fewer["chosen"]["frame"]) == 2 and fewer["shown"] <= said["shown"]
    without = {"exclude": said["chosen"]["frame"][1:3], "pin": [0]}
    other = answer(server, f"/{film['id']}/choose", {"frame": 47, "settings": SETTINGS, "flags": without})
    assert not set(without["exclude"]) & set(other["chosen"]["frame"]) and 0 in other["chosen"]["frame"][:2]
    assert open_bank("retrieval map").load().id == state.id, "a question changes nothing"

    status, view = ask(server, f"/{film['id']}/view", {"frame": 47, "settings": SETTINGS})
    assert status == 200 and Image.open(io.BytesIO(view)).size == (192, 120)

    band = answer(server, f"/{film['id']}/seen", {"settings": SETTINGS})
    assert band["frames"][0] == 0 and band["frames"][-1] == 47 and len(band["shares"]) == 48
    assert min(band["shares"][:8]) > 0.3 and min(band["shares"][40:]) > 0.9, "it comes back to what it has seen"
    rows = np.frombuffer(ask(server, f"/{film['id']}/path")[1], "<f8").reshape(-1, 17)
    assert np.array_equal(rows[:, 1:13].reshape(-1, 3, 4), state.poses[1:, :3])
    cameras = np.frombuffer(ask(server, f"/{film['id']}/cameras")[1], "<f8").reshape(-1, 18)
    assert cameras[:, 0].tolist() == list(range(49))
    status, picture = ask(server, f"/{film['id']}/frame/48")
    assert status == 200 and Image.open(io.BytesIO(picture)).size == (192, 120)


NUMBERS = count()


@pytest.fixture
def shown(server: HostServer, kit: Any) -> dict[str, Any]:
    """What FOV Retriever tells its page of a path that nothing was filmed along yet."""
    # A bank of its own each time: nodes that have nothing new to do tell nothing.
    place = kit.place(f"retrieval asked {next(NUMBERS)}")
    prompt = {key: made for key, made in place.items() if key in ("scene", "bank")}
    prompt["camera"] = kit.camera(["bank", 0], frames=20)
    prompt["fov"] = kit.retriever(memory=["bank", 0], trajectory=["camera", 0])
    prompt["see"] = kit.node("PreviewImage", images=["fov", 1])
    done = server.client.queue(prompt)
    assert done.ok, done.error
    (told,) = done.outputs["fov"]["scene_memory_retrieval"]
    return dict(told)


def test_a_path_that_nothing_was_filmed_along_is_asked_of_the_memory_there_is(
    server: HostServer, shown: dict[str, Any]
) -> None:
    assert shown["segments"] == [[0, 1], [8, 1], [16, 1]] and shown["most"] == 0
    said = answer(server, f"/{shown['id']}/choose", {"frame": 19, "settings": {"k": 3}})
    assert said["number"] == 2 and said["length"] == 4 and said["chosen"]["frame"] == [0]
    none = {"exclude": [0]}
    assert ask(server, f"/{shown['id']}/view", {"frame": 19, "flags": none}) == (204, b""), "nothing may be used"


@pytest.mark.parametrize("name", ["0" * 64, "x", "..%2f..%2fetc", "A" * 64, "0" * 63 + "%00", "0" * 5000])
def test_a_run_that_no_graph_has_made_is_not_there(server: HostServer, name: str) -> None:
    read = [(route, None) for route in ("path", "cameras", "frame/0")]
    for route, body in (*read, ("choose", {}), ("seen", {}), ("view", {})):
        status, said = ask(server, f"/{name}/{route}", body)
        assert status == 404 and (b"Run the graph again" in said or b"Not Found" in said)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "no JSON object"),
        ({"frame": 20}, "frames 0 to 19"),
        ({"frame": -1}, "frames 0 to 19"),
        ({"frame": "0"}, "frames 0 to 19"),
        ({"frame": True}, "frames 0 to 19"),
        ({"settings": 3}, "settings is no JSON object"),
        ({"settings": {"k": 0}}, "k is 0"),
        ({"settings": {"k": 10**9}}, "at most 1000"),
        ({"settings": {"k": 10**30}}, "k is '1000"),
        ({"settings": {"k": 2.5}}, "k is '2.5'"),
        ({"settings": {"strategy": "best"}}, "no retrieval strategy 'best'"),
        ({"settings": {"strategy": 1}}, "strategy is '1'"),
        ({"settings": {"near": 5, "far": 1}}, "must rise"),
        ({"settings": {"min_overlap": 2}}, "between 0 and 1"),
        ({"settings": {"depth": 1e999}}, "depth is 'inf'"),
        ({"settings": {"seed": -4}}, "seed"),
        ({"flags": {"drop": [1]}}, "pin, unpin, exclude, include"),
        ({"flags": {"pin": 1}}, "lists of at most 4096"),
        ({"flags": {"pin": list(range(5000))}}, "lists of at most 4096"),
        ({"flags": {"pin": [1.5]}}, "lists of at most 4096"),
    ],
)
def test_a_wrong_question_is_refused_in_words(
    server: HostServer, shown: dict[str, Any], body: Any, said: str
) -> None:
    status, words = ask(server, f"/{shown['id']}/choose", body)
    assert status == 400 and said in json.loads(words)["error"]


def test_a_body_that_is_too_large_or_no_json_is_refused(server: HostServer, shown: dict[str, Any]) -> None:
    for body, wanted in ((b"x" * 70000, 413), (b"{", 400), (b"[" * 60000, 400), (b"\xff\xfe", 400)):
        assert ask(server, f"/{shown['id']}/choose", body)[0] == wanted


def test_a_hundred_questions_at_once_leave_the_server_quick(server: HostServer, shown: dict[str, Any]) -> None:
    with ThreadPoolExecutor(32) as pool:
        asked = [
            pool.submit(ask, server, f"/{shown['id']}/{'seen' if n % 2 else 'choose'}", {"client": str(n % 3)})
            for n in range(100)
        ]
        begun = time.monotonic()
        with LOCAL.open(f"{server.url}/prompt", timeout=60) as reply:
            assert reply.status == 200
        took = time.monotonic() - begun
        statuses = {one.result()[0] for one in asked}
    assert took < 10.0 and statuses <= {200, 409} and 200 in statuses
