"""The camera path editor beside a memory: the browser's numbers are Python's, and the film follows the drawn path."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from dev.paths import PACK_FOLDER, ROOT
from dev.support.editor_hand import EditorHand
from dev.support.frontend import MODES, Frontend, Mode
from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.angles import rotations
from scene_memory.memory.cameras.camera import FloatArray, intrinsics_from_fov, pose
from scene_memory.memory.cameras.keyframe_path import drawn_path, sampled
from scene_memory.memory.cameras.keyframes import KINDS, Keyframe, keyframes_text, parse_keyframes
from scene_memory.memory.retrieval.distances import Distances, distances
from scene_memory.memory.retrieval.retrieve import frames_that_saw, seen_shares
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.state.state import MemoryState

Open = Callable[[Mode], Frontend]
WORKFLOW = ROOT / "workflows" / "A minute in one take.json"
PATHS, MOMENTS = 120, 20

IN_THE_BROWSER = """async ([root, cases]) => {
  const { CameraPath } = await import(root + '/path.js')
  const { parse, toText } = await import(root + '/keyframes.js')
  const { lensOf, poseOf } = await import(root + '/camera.js')
  return cases.map(({ text, at }) => {
    const path = new CameraPath(parse(toText(parse(text))), 70)
    return at.map(frame => {
      const values = path.at(frame)
      return [[...values], [...poseOf(values)], [...lensOf(values[6], 1.6)]]
    })
  })
}"""


def random_path(random: np.random.Generator) -> tuple[Keyframe, ...]:
    frames = np.concatenate([[0], np.cumsum(random.integers(1, 60, random.integers(0, 10)))])
    return tuple(
        Keyframe(
            float(frame),
            *random.uniform(-6.0, 6.0, 3).round(6),
            *random.uniform(-400.0, 400.0, 3).round(6),
            fov=None if random.random() < 0.3 else float(random.uniform(20.0, 110.0).__round__(6)),
            kind=str(random.choice(KINDS)),
        )
        for frame in frames
    )


def cameras(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Poses (n, 4, 4) and lenses (n, 4) of rows of right, up, forward, yaw, pitch, roll, fov."""
    poses = np.stack([pose((one[0], -one[1], one[2]), np.eye(3)) for one in values])
    poses[:, :3, :3] = rotations(values[:, 3], values[:, 4], values[:, 5])
    return poses, np.stack([intrinsics_from_fov(one[6], 1.6) for one in values])


def test_the_browser_works_out_what_python_works_out(open_frontend: Open) -> None:
    random = np.random.default_rng(5)
    cases, expected = [], []
    for _ in range(PATHS):
        keyframes = random_path(random)
        at = random.uniform(-3.0, keyframes[-1].frame + 3.0, MOMENTS)
        values = sampled(keyframes, at, 70.0)
        poses, lenses = cameras(values)
        cases.append({"text": keyframes_text(keyframes), "at": at.tolist()})
        expected.append((values, poses[:, :3].reshape(-1, 12), lenses))
    page = open_frontend("classic").page
    found = page.evaluate(IN_THE_BROWSER, [f"/extensions/{PACK_FOLDER}/editor", cases])
    apart = [0.0] * 3
    for case, wanted in zip(found, expected, strict=True):
        for number in range(3):
            got = np.array([moment[number] for moment in case], dtype=np.float64)
            apart[number] = max(apart[number], float(np.abs(got - wanted[number]).max()))
    assert max(apart) < 1e-6, dict(zip(("values", "poses", "lenses"), apart, strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_the_film_follows_the_drawn_path_and_its_frames_appear_on_the_map(
    open_frontend: Open, server: HostServer, mode: Mode
) -> None:
    bank = f"drawn in the page {mode}"
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    for node in workflow["nodes"]:
        if node["type"] == "SceneMemoryBank":
            node["widgets_values"][0] = bank
        if node["type"] == "SceneMemoryCameraTrajectory":
            node["widgets_values"][1] = 8
    frontend = open_frontend(mode)
    frontend.page.set_viewport_size({"width": 1500, "height": 1500})
    frontend.load(workflow)
    first = EditorHand.of_node(frontend, 6)
    first.look()
    assert "Run the graph once" in first.hint()
    first.button("▸ Path")
    first.button("New path")
    first.double_click(0.4, 0.6)
    first.press("e", "e")
    first.set_field("frame", 8)
    drawn = first.value("keyframes")
    frontend.page.evaluate("async () => { await app.queuePrompt(0, 1) }")
    ahead = EditorHand.of_node(frontend, 12)
    ahead.wait_for("editor.seen.told", 240_000)
    ahead.look()
    ahead.button("▸ Path")
    ahead.wait_for("editor.seen.memory && editor.seen.band && editor.keyframes.length")
    state = Bank.open(server.output / "scene_memory", bank).load()
    path = drawn_path(parse_keyframes(drawn), frames=9, fps=8.0, fov=70.0, aspect=1.6).after(state.poses[0])
    assert np.abs(state.poses[:9] - path.poses).max() < 1e-12, "the film went where it was drawn"

    info = frontend.page.evaluate("root => root.cameraEditor.seen.told", ahead.root)
    assert info["memory"]["id"] == state.id and info["memory"]["frames"] == state.frames == 25
    places = np.array(
        frontend.page.evaluate(
            "root => { const m = root.cameraEditor.seen.memory; return [[...m.right], [...m.forward]] }", ahead.root
        )
    )
    seen = np.linalg.inv(state.last_pose) @ state.poses
    assert np.abs(places - seen[:, [0, 2], 3].T).max() < 1e-9
    frontend.page.evaluate("root => root.cameraEditor.goTo(4)", ahead.root)
    settled = "!editor.seen.asking && editor.seen.wanted.now?.asked && editor.seen.wanted.band?.asked"
    ahead.wait_for(settled)
    move = drawn_path(ahead_keyframes(ahead), frames=9, fps=8.0, fov=70.0, aspect=1.6).after(state.last_pose)
    size = distances(state, move[1:], RetrievalSettings())
    now = state.last_pose @ cameras(np.array([[0, 0, 0, *frontend_yaw(ahead, 4), 0, 0, 70.0]]))[0][0]
    lens = intrinsics_from_fov(70.0, 1.6)
    share, frames, shares = frames_that_saw(state, now, lens, size)
    assert f"the memory has seen {round(100 * share)} % of this view" in ahead.words()
    lit = frontend.page.evaluate("root => [...root.cameraEditor.seen.memory.shares]", ahead.root)
    assert np.abs(np.array(lit)[frames] - shares).max() < 1e-3
    level = band_of(ahead, state, size)
    look_up = "root => { const e = root.cameraEditor; e.keep(e.keyframes.map((k, i) => i ? { ...k, pitch: 75 } : k)) }"
    frontend.page.evaluate(look_up, ahead.root)
    ahead.page.wait_for_timeout(500)
    ahead.wait_for(settled)
    raised = band_of(ahead, state, size)
    assert level[-1] > 0.9 and raised[0] > 0.9 and raised[-1] < 0.2, "the camera never looked up"
    ahead.page.mouse.move(*ahead.point(float(places[0][3]), float(places[1][3])))
    ahead.page.wait_for_function(
        """root => {
          const picture = root.querySelector('.smce-thumb img')
          return !picture.closest('[hidden]') && picture.naturalWidth === 192
        }""",
        arg=ahead.root,
    )
    assert "of this view" in ahead.part(".smce-thumb").inner_text()
    frontend.screenshot(f"editor with a memory-{mode}")
    assert frontend.errors == []


def frontend_yaw(hand: EditorHand, frame: int) -> list[float]:
    return [float(hand.root.evaluate("(root, frame) => root.cameraEditor.path.at(frame)[3]", frame))]


def band_of(hand: EditorHand, state: MemoryState, size: Distances) -> FloatArray:
    """The green band, which is what Python says of the views that the page asked for."""
    band, views = (
        np.array(hand.page.evaluate(f"root => {script}", hand.root))
        for script in ("[...root.cameraEditor.seen.band]", "root.cameraEditor.seen.wanted.band.views")
    )
    poses = np.tile(np.eye(4), (len(views), 1, 1))
    poses[:, :3] = views[:, :12].reshape(-1, 3, 4)
    assert np.abs(band - seen_shares(state, poses, views[:, 12:], size)).max() < 1e-3
    return band


def ahead_keyframes(hand: EditorHand) -> tuple[Keyframe, ...]:
    """The keyframes that the editor shows, also of a ready-made move."""
    script = """async ([root, folder]) => {
      const { toText } = await import(`/extensions/${folder}/editor/keyframes.js`)
      return toText(root.cameraEditor.keyframes)
    }"""
    return parse_keyframes(str(hand.page.evaluate(script, [hand.root, PACK_FOLDER])))
