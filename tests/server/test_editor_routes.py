"""The routes of the camera path editor, asked as a page asks them, in the real server."""

from __future__ import annotations

import io
import json
import socket
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dev.support.server import LOCAL, HostServer
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import pose
from scene_memory.memory.cameras.keyframe_path import drawn_path
from scene_memory.memory.cameras.keyframes import parse_keyframes
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.distances import distances
from scene_memory.memory.retrieval.retrieve import retrieve
from scene_memory.memory.retrieval.settings import RetrievalSettings

ROOT = "/scene_memory/editor"
OPEN = Callable[[str], Bank]


def ask(server: HostServer, route: str, body: Any = None) -> tuple[int, bytes]:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with LOCAL.open(urllib.request.Request(f"{server.url}{ROOT}{route}", data=data), timeout=60) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def why(server: HostServer, route: str, body: Any = None) -> tuple[int, str]:
    status, said = ask(server, route, body)
    return status, str(json.loads(said)["error"])


def told(run: Any) -> dict[str, Any]:
    (found,) = [out["scene_memory_path"][0] for out in run.outputs.values() if "scene_memory_path" in out]
    return dict(found)


@pytest.fixture
def film(server: HostServer, kit: Any) -> Callable[..., dict[str, Any]]:
    """Runs a Camera Trajectory with a memory of one frame and gives what the editor is told."""

    def run(bank: str, **changed: Any) -> dict[str, Any]:
        prompt = {key: made for key, made in kit.place(bank).items() if key in ("scene", "bank")}
        prompt["camera"] = kit.camera(["bank", 0], frames=8)
        prompt["camera"]["inputs"].update(changed)
        prompt["fov"] = kit.retriever(memory=["bank", 0], trajectory=["camera", 0])
        prompt["see"] = kit.node("PreviewImage", images=["fov", 1])
        done = server.client.queue(prompt)
        assert done.ok, done.error
        return told(done)

    return run


def test_the_editor_is_told_where_the_path_begins_and_finds_the_memory_there(
    server: HostServer, film: Callable[..., dict[str, Any]], open_bank: OPEN
) -> None:
    info = film("editor told")
    state = open_bank("editor told").load()
    assert info["memory"]["id"] == state.id and info["continues"] and info["fps"] == 8.0
    assert np.allclose(np.reshape(info["start"], (3, 4)), state.last_pose[:3])
    move = make_preset("pan", frames=9, fps=8.0, amount=30.0, fov=70.0, aspect=1.6, radius=2.0)
    size = distances(state, move.after(state.last_pose)[1:], RetrievalSettings())
    assert info["memory"]["far"] == pytest.approx(size.far) and info["memory"]["near"] == pytest.approx(size.near)
    status, raw = ask(server, f"/{state.id}/cameras")
    assert status == 200
    rows = np.frombuffer(raw, "<f8").reshape(-1, 18)
    assert rows[:, 0].tolist() == [0.0] and rows[:, 1].all()
    assert np.array_equal(rows[:, 2:14].reshape(-1, 3, 4), state.poses[:, :3])
    assert np.array_equal(rows[:, 14:], state.intrinsics)
    status, picture = ask(server, f"/{state.id}/frame/0")
    shown = Image.open(io.BytesIO(picture))
    assert status == 200 and shown.format == "JPEG" and shown.width == 192


def test_the_told_path_comes_again_when_nothing_had_to_run(film: Callable[..., dict[str, Any]]) -> None:
    assert film("editor again") == film("editor again")


@pytest.mark.parametrize("name", ["0" * 64, "x", "..%2f..%2fetc", "A" * 64, "0" * 63 + "%00", "0" * 5000])
def test_a_memory_that_no_graph_has_used_is_not_there(server: HostServer, name: str) -> None:
    for route in (f"/{name}/cameras", f"/{name}/frame/0"):
        status, said = ask(server, route)
        assert status == 404 and (b"Run the graph again" in said or b"Not Found" in said)


def test_a_frame_that_is_not_there_is_named(server: HostServer, film: Callable[..., dict[str, Any]]) -> None:
    memory = film("editor frames")["memory"]["id"]
    assert why(server, f"/{memory}/frame/1") == (404, "There is no frame '1': the memory has 1 frames, from 0.")
    for index in ("-1", "1e3", "9" * 30, "0x0", "%C2%B2"):
        assert why(server, f"/{memory}/frame/{index}")[0] == 404


def test_a_ready_made_move_comes_as_keyframes(server: HostServer) -> None:
    given = {"move": "orbit", "frames": 40, "amount": 90.0, "radius": 2.0, "easing": "even", "fov": 60, "seed": 3}
    status, raw = ask(server, "/move", given)
    assert status == 200
    path = drawn_path(parse_keyframes(json.loads(raw)["keyframes"]), frames=41, fps=8.0, fov=60.0, aspect=1.6)
    move = make_preset("orbit", frames=41, fps=8.0, amount=90.0, fov=60.0, aspect=1.6, easing="even", radius=2.0)
    assert np.abs(path.poses - move.poses).max() < 0.02


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", ""),
        (b"\xff\xfe", ""),
        ([], "no JSON object"),
        ({}, "no camera move"),
        ({"move": 5}, "move is '5': expected text"),
        ({"move": "pan", "frames": 0}, "frames is '0': expected a whole number, 1 to 100000"),
        ({"move": "pan", "frames": 10**9}, "frames is"),
        ({"move": "pan", "frames": True}, "frames is"),
        ({"move": "pan", "amount": "much"}, "amount is 'much': expected a number"),
        ({"move": "pan", "amount": 1e300}, "amount is"),
        ({"move": "pan", "fov": 200}, "field of view"),
        ({"move": "pan", "speed": "fast"}, "fast"),
        ({"move": "pan", "easing": "x"}, "no easing"),
        ({"move": "x" * 5000}, "no camera move"),
    ],
)
def test_a_wrong_setting_is_refused_in_words(server: HostServer, body: Any, said: str) -> None:
    status, words = why(server, "/move", body)
    assert status == 400 and said in words and words


def test_a_body_without_end_is_refused(server: HostServer) -> None:
    assert why(server, "/move", b" " * 70_000)[0] == 413


def view(pose: Any, lens: Any) -> list[float]:
    return [*np.asarray(pose)[:3].ravel().tolist(), *np.asarray(lens).tolist()]


def test_what_the_memory_has_seen_is_told_by_the_measure_that_chooses(
    server: HostServer, film: Callable[..., dict[str, Any]], open_bank: OPEN
) -> None:
    memory = film("editor seen")["memory"]
    state = open_bank("editor seen").load()
    size = {name: memory[name] for name in ("scale", "near", "depth", "far", "size", "sure")}
    here, lens = state.last_pose, state.intrinsics[0]
    turned, up, down = (here @ pose([0, 0, 0], rotation(yaw, pitch)) for yaw, pitch in ((20, 0), (0, 50), (0, -50)))
    views = [view(one, lens) for one in (here, turned, up, down)]
    status, raw = ask(server, f"/{memory['id']}/seen", {"views": views, "distances": size})
    same, beside, *away = json.loads(raw)["shares"]
    assert status == 200 and same > 0.999 and 0.5 < beside < 0.9
    assert away == [0.0, 0.0], "seen from above it is the same view"
    found = retrieve(state, Trajectory(turned[None], lens, 8.0), RetrievalSettings(k=1))
    assert beside == pytest.approx(found.reasons[0].overlap, abs=2e-3), "the band is the reason's number"
    status, raw = ask(server, f"/{memory['id']}/seen", {"views": views[1:2], "distances": size, "frames": True})
    told = json.loads(raw)
    assert status == 200 and told["shares"] == pytest.approx([beside], abs=2e-3)
    assert [index for index, _ in told["frames"]] == [0] and told["frames"][0][1] == pytest.approx(beside, abs=2e-3)


SIZE = {"scale": 1.0, "near": 0.1, "depth": 1.0, "far": 6.0}
VIEW = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0.7, 1.1, 0.5, 0.5]


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b"{", 400, ""),
        (b"[" * 60000, 400, ""),
        (b"\xff\xfe{", 400, ""),
        (b" " * 70000, 413, "more than 65536 bytes"),
        ([], 400, "no JSON object"),
        ({"views": [], "distances": SIZE}, 400, "1 to 64 lists of 16 numbers"),
        ({"views": [VIEW] * 65, "distances": SIZE}, 400, "1 to 64 lists of 16 numbers"),
        ({"views": [VIEW[:15]], "distances": SIZE}, 400, "1 to 64 lists of 16 numbers"),
        ({"views": [[*VIEW[:15], "x"]], "distances": SIZE}, 400, "1 to 64 lists of 16 numbers"),
        ({"views": [[2, *VIEW[1:]]], "distances": SIZE}, 400, "no rotation"),
        ({"views": [[*VIEW[:12], 0, 1, 0.5, 0.5]], "distances": SIZE}, 400, "fx and fy above 0"),
        ({"views": [VIEW]}, 400, "scale, near, depth, far"),
        ({"views": [VIEW], "distances": {**SIZE, "far": 0.5}}, 400, "rise"),
        ({"views": [VIEW], "distances": {**SIZE, "size": 0.0}}, 400, "size must be a number above 0"),
        ({"views": [VIEW], "distances": {**SIZE, "sure": "no"}}, 400, "sure true or false"),
        ({"views": [VIEW] * 2, "distances": SIZE, "frames": True}, 400, "a single view"),
    ],
)
def test_a_wrong_question_of_what_was_seen_is_named(
    server: HostServer, film: Callable[..., dict[str, Any]], body: Any, code: int, said: str
) -> None:
    memory = film("editor seen wrong")["memory"]["id"]
    status, words = why(server, f"/{memory}/seen", body)
    assert status == code and said in words


DEAR = {"move": "walk", "frames": 100_000, "amount": 60.0, "easing": "smooth"}
SMALL = {"move": "pan", "frames": 96, "amount": 60.0}


def left_alone(server: HostServer, route: str, body: bytes, headers: str = "") -> socket.socket:
    """A connection on which a question was sent, and nothing read."""
    link = socket.create_connection(("127.0.0.1", server.port))
    head = f"POST {ROOT}{route} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(body)}\r\n"
    link.sendall(f"{head}{headers}\r\n".encode() + body)
    return link


def reply_to(link: socket.socket) -> tuple[int, str]:
    """The status, and the words of a refusal."""
    with link, link.makefile("rb") as said:
        status = int(said.readline().split()[1])
        while line := said.readline().strip().lower():
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, str(json.loads(said.read(length)).get("error", ""))


def test_a_body_that_unpacks_to_much_more_is_refused_and_holds_nobody_up(server: HostServer) -> None:
    packed = zlib.compress(b"[" + b"1," * 30_000_000 + b"1]", 9)
    assert len(packed) < 65_536
    link = left_alone(server, "/move", packed, "Content-Encoding: deflate\r\n")
    begun = time.monotonic()
    server.client.request("/queue")
    waited = time.monotonic() - begun
    status, words = reply_to(link)
    assert status == 413 and "65536 bytes" in words and waited < 1.5


@pytest.mark.parametrize("charset", ["bogus", "hex", "zip", "utf-16", "rot13"])
def test_letters_of_no_known_kind_are_refused_in_words(server: HostServer, charset: str) -> None:
    body = json.dumps(SMALL).encode() + b" "
    kind = f"Content-Type: application/json; charset={charset}\r\n"
    status, words = reply_to(left_alone(server, "/move", body, kind))
    assert status == 400 and "no JSON" in words


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"move":' * 8000, b'{"move":' + b"[" * 900 + b"]" * 900 + b"}"])
def test_json_that_is_nested_deep_is_refused_in_words(server: HostServer, body: bytes) -> None:
    status, words = why(server, "/move", body)
    assert status == 400 and words


def test_questions_whose_pages_have_gone_are_not_worked_on(server: HostServer) -> None:
    links = [
        left_alone(server, "/move", json.dumps({**DEAR, "seed": seed, "client": str(seed)}).encode())
        for seed in range(40)
    ]
    time.sleep(0.3)
    for link in links:
        link.close()
    begun = time.monotonic()
    status, _ = ask(server, "/move", SMALL)
    assert status == 200 and time.monotonic() - begun < 10, "it took 98 s"


def test_of_one_page_the_newest_question_is_answered(server: HostServer) -> None:
    many = [left_alone(server, "/move", json.dumps({**DEAR, "client": "a page"}).encode()) for _ in range(6)]
    replies = [reply_to(link) for link in many]
    assert [status for status, _ in replies[:-1]] == [409] * 5 and replies[-1][0] == 200, replies
    assert "A newer request" in replies[0][1]


def test_the_sway_of_a_hand_is_left_out_of_the_keyframes(server: HostServer) -> None:
    assert ask(server, "/move", {**SMALL, "handheld": 1.0}) == ask(server, "/move", SMALL)


@pytest.mark.parametrize("move", ["orbit", "turn away and come back", "walk"])
def test_a_very_long_move_comes_soon_and_ends_at_its_last_frame(server: HostServer, move: str) -> None:
    for frames in (99_999, 100_000):
        status, raw = ask(server, "/move", {**DEAR, "move": move, "frames": frames, "amount": 60.0})
        keyframes = parse_keyframes(json.loads(raw)["keyframes"])
        assert status == 200 and keyframes[0].frame == 0 and keyframes[-1].frame == frames
        if move != "walk":
            path = drawn_path(keyframes, frames=101, fps=8.0, fov=70.0, aspect=1.6)
            short = make_preset(move, frames=101, fps=8.0, amount=60.0, fov=70.0, aspect=1.6)
            assert np.abs(path.poses - short.poses).max() < 0.03
