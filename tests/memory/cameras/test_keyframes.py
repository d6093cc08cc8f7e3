"""Drawn camera paths: what the text may hold, where the path goes, and ready-made moves as keyframes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scene_memory.memory.cameras import keyframe_fit
from scene_memory.memory.cameras.angles import rotation, rotations
from scene_memory.memory.cameras.camera import horizontal_fov
from scene_memory.memory.cameras.keyframe_fit import fit_keyframes, pose_values
from scene_memory.memory.cameras.keyframe_path import drawn_path, sampled
from scene_memory.memory.cameras.keyframes import KINDS, LIMITS, MAX_TEXT, Keyframe, keyframes_text, parse_keyframes
from scene_memory.memory.cameras.presets import PRESETS, make_preset
from scene_memory.memory.cameras.trajectory import Trajectory

ANGLES = st.floats(-720.0, 720.0)
PLACES = st.floats(-50.0, 50.0)


@st.composite
def drawings(draw: st.DrawFn) -> tuple[Keyframe, ...]:
    steps = draw(st.lists(st.integers(1, 60), min_size=0, max_size=8))
    return tuple(
        Keyframe(
            float(frame),
            *(draw(PLACES) for _ in range(3)),
            *(draw(ANGLES) for _ in range(3)),
            fov=draw(st.none() | st.floats(20.0, 110.0)),
            kind=draw(st.sampled_from(KINDS)),
        )
        for frame in np.cumsum([0, *steps])
    )


def drawn(keyframes: tuple[Keyframe, ...], frames: int) -> Trajectory:
    return drawn_path(keyframes, frames=frames, fps=8.0, fov=70.0, aspect=1.6)


def text(*keyframes: Any, **more: Any) -> str:
    return json.dumps({"version": 1, "keyframes": list(keyframes), **more})


@given(drawings())
def test_the_text_gives_the_same_keyframes_back(keyframes: tuple[Keyframe, ...]) -> None:
    assert parse_keyframes(keyframes_text(keyframes)) == keyframes


@given(drawings())
@settings(deadline=None)
def test_the_path_goes_through_every_keyframe_and_has_proper_rotations(keyframes: tuple[Keyframe, ...]) -> None:
    last = int(keyframes[-1].frame)
    path = drawn(keyframes, last + 1)
    assert np.allclose(np.linalg.det(path.poses[:, :3, :3]), 1.0)
    for one in keyframes:
        pose = path.poses[int(one.frame)]
        assert np.allclose(pose[:3, 3], (one.right, -one.up, one.forward), atol=1e-9)
        assert np.allclose(pose[:3, :3], rotation(one.yaw, one.pitch, one.roll), atol=1e-9)
        assert horizontal_fov(path.intrinsics[int(one.frame)]) == pytest.approx(one.fov or 70.0)


@given(drawings())
@settings(deadline=None)
def test_speed_and_bend_are_continuous_where_the_camera_passes_through(keyframes: tuple[Keyframe, ...]) -> None:
    for one in keyframes[1:-1]:
        step = 1e-3
        near = sampled(keyframes, one.frame + step * np.arange(-2, 3), 70.0)[:, :6]
        before, after = near[2] - near[1], near[3] - near[2]
        size = 1.0 + np.abs(sampled(keyframes, np.arange(0.0, keyframes[-1].frame + 1.0), 70.0)[:, :6]).max()
        if one.kind == "stop":
            assert np.abs(before).max() < 1e-4 * size and np.abs(after).max() < 1e-4 * size
        elif one.kind == "through":
            assert np.allclose(before, after, atol=1e-4 * size)
            bends = near[:3] - 2 * near[1:4] + near[2:]
            assert np.abs(bends[0] - bends[2]).max() < 1e-7 * size, "the bend does not jump"


def test_a_longer_film_takes_the_same_way_more_slowly() -> None:
    keyframes = (Keyframe(0), Keyframe(24, forward=2.0), Keyframe(48, right=1.0, yaw=90.0))
    once, twice = drawn(keyframes, 49), drawn(keyframes, 97)
    assert np.allclose(twice.poses[::2], once.poses)
    assert np.array_equal(twice.poses[-1], once.poses[-1])


def test_a_whole_turn_is_a_whole_turn() -> None:
    path = drawn((Keyframe(0, kind="stop"), Keyframe(36, yaw=360.0, kind="stop")), 37)
    assert np.array_equal(path.poses[-1], path.poses[0])
    assert np.allclose(path.poses[18, :3, :3], rotation(yaw=180.0))


def test_a_zoom_never_overshoots() -> None:
    keyframes = (Keyframe(0, fov=30), Keyframe(10, fov=170), Keyframe(12, fov=170), Keyframe(30, fov=35))
    assert sampled(keyframes, np.linspace(0, 30, 301), 70.0)[:, 6].max() <= 170.0


def test_one_keyframe_is_a_camera_that_stands() -> None:
    path = drawn((Keyframe(0, up=1.0, pitch=-20.0),), 5)
    assert (path.poses == path.poses[0]).all()


@given(st.lists(st.tuples(ANGLES, ANGLES, ANGLES), min_size=1, max_size=20))
def test_many_rotations_are_those_of_one(angles: list[tuple[float, float, float]]) -> None:
    yaw, pitch, roll = np.array(angles).T
    assert np.allclose(rotations(yaw, pitch, roll), [rotation(*one) for one in angles], atol=1e-12)


WRONG = [
    ("", "keyframes is empty"),
    ("  ", "Edit this move"),
    ("{", "no drawn path"),
    ("[1]", 'expected {"version": 1'),
    ('{"keyframes": [{"frame": 0}]}', "version None"),
    (json.dumps({"version": 2, "keyframes": [{"frame": 0}]}), "version 2.*Update SceneMemory"),
    (text(), "holds 0 keyframes"),
    (text(*({"frame": i} for i in range(1001))), "holds 1001 keyframes"),
    (text(5), "keyframe 1 is 5"),
    (text({"right": 1}), "keyframe 1 has no frame"),
    (text({"frame": 3}), "frame is 3, expected 0"),
    (text({"frame": 0}, {"frame": 0}), "keyframe 2: frame is 0, not after 0"),
    (text({"frame": 0}, {"frame": 9}, {"frame": 4}), "keyframe 3: frame is 4, not after 9"),
    (text({"frame": 0, "yaw": "left"}), "keyframe 1: yaw is 'left', expected a number from -36000 to 36000"),
    (text({"frame": 0, "yaw": True}), "yaw is True"),
    (text({"frame": 0, "fov": 0}), "fov is 0, expected a number from 1 to 170. Use 70"),
    (text({"frame": 0, "fov": None}), "fov is None"),
    (text({"frame": 0, "up": 1e7}), "up is 10000000.0"),
    (text({"frame": 0}, {"frame": 200000}), "frame is 200000"),
    (text({"frame": 0}, {"frame": 10**400}), "keyframe 2: frame is 1000"),
    ('{"version":1,"keyframes":[{"frame":0,"up":NaN}]}', "holds NaN"),
    ('{"version":1,"keyframes":[{"frame":0,"up":1e999}]}', "up is inf"),
    (text({"frame": 0, "kind": "fast"}), "kind is 'fast'. Use one of: through, stop, corner"),
    (text({"frame": 0, "kind": ["stop"]}), "kind is"),
    (text({"frame": 0, "speed": 1}), "no field 'speed'"),
    ("[" * 100_000, "no drawn path|nested"),
    (" " * MAX_TEXT + "{}", "characters: at most"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[said[:24] for _, said in WRONG])
def test_a_wrong_text_is_refused_in_words(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        parse_keyframes(given)
    assert len(str(refused.value)) < 400


def test_every_number_is_refused_beyond_its_limits_and_taken_at_them() -> None:
    for name, (least, most) in LIMITS.items():
        if name == "frame":
            continue
        for value in (least, most):
            assert getattr(parse_keyframes(text({"frame": 0, name: value}))[0], name) == value
        for value in (least - 1, most + 1):
            with pytest.raises(ValueError, match=f"keyframe 1: {name} is"):
                parse_keyframes(text({"frame": 0, name: value}))


@pytest.mark.parametrize("easing", ["smooth", "even"])
@pytest.mark.parametrize("name", [name for name in PRESETS if name != "handheld"])
def test_a_ready_made_move_as_keyframes_goes_where_the_move_goes(name: str, easing: str) -> None:
    amount = {"dolly zoom": 1.0, "zoom": 35.0}.get(name, PRESETS[name].amount)
    move = make_preset(name, frames=97, fps=8.0, amount=amount, fov=70.0, aspect=1.6, easing=easing, radius=2.0)
    keyframes = fit_keyframes(move)
    assert len(keyframes) <= 24 and keyframes == parse_keyframes(keyframes_text(keyframes))
    path = drawn(keyframes, 97)
    wanted, got = pose_values(move), pose_values(path)
    assert np.abs(wanted[:, 3:] - got[:, 3:]).max() <= 0.51, "half a degree"
    assert np.abs(wanted[:, :3] - got[:, :3]).max() <= 0.0041 * np.ptp(wanted[:, :3], axis=0).max() + 1e-8
    assert np.allclose(path.poses[0], move.poses[0]) and np.allclose(path.poses[-1], move.poses[-1])


def test_plain_moves_take_few_keyframes_and_are_exact() -> None:
    for name, kinds in {"pan": "ss", "dolly": "ss", "turn away and come back": "sts", "look around": "ss"}.items():
        move = make_preset(name, frames=97, fps=8.0, amount=100.0, fov=70.0, aspect=1.6)
        keyframes = fit_keyframes(move)
        assert "".join(one.kind[0] for one in keyframes) == kinds
        assert np.abs(drawn(keyframes, 97).poses - move.poses).max() < 1e-9


@pytest.mark.parametrize(("name", "frames"), [("handheld", 96), ("handheld", 100_000), ("walk", 100_000)])
def test_a_path_that_no_keyframes_follow_is_given_up_early(
    name: str, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, plain = [], keyframe_fit.sampled

    def counting(keyframes: Any, at: Any, fov: float) -> Any:
        tried.append(len(at))
        return plain(keyframes, at, fov)

    monkeypatch.setattr(keyframe_fit, "sampled", counting)
    move = make_preset(name, frames=frames + 1, fps=8.0, amount=3.0, fov=70.0, aspect=1.6, radius=2.0)
    keyframes = fit_keyframes(move)
    assert 90 <= len(keyframes) <= 100 and keyframes[0].frame == 0 and keyframes[-1].frame == frames
    assert len(tried) <= 12 * 40 and max(tried) <= 2000


def test_a_fit_that_is_called_off_ends_at_once() -> None:
    move = make_preset("spiral", frames=97, fps=8.0, amount=400.0, fov=70.0, aspect=1.6)
    asked = iter([False, False, True])
    with pytest.raises(keyframe_fit.Stopped):
        fit_keyframes(move, stopped=lambda: next(asked))


@given(st.integers(1, 40))
def test_a_path_of_any_length_has_keyframes(frames: int) -> None:
    move = make_preset("pan", frames=frames, fps=8.0, amount=30.0, fov=70.0, aspect=1.6)
    keyframes = fit_keyframes(move)
    assert keyframes[0].frame == 0 and keyframes[-1].frame == frames - 1
    assert np.allclose(drawn(keyframes, frames).poses, move.poses, atol=1e-9)
