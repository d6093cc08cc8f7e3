"""Cameras as they were: a model that does not obey its path, films of the scenes' own renderer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from scene_memory.film.identity import Identity
from scene_memory.film.keys import ShotKey
from scene_memory.film.loop import SegmentDone, generate_shot
from scene_memory.film.measured_path import (
    AS_MEASURED,
    AS_PLANNED,
    DROPPED,
    camera_report,
    camera_words,
    coming_path,
    planned_path,
    segment_cameras,
)
from scene_memory.film.model import VideoModel
from scene_memory.film.plan import ShotPlan
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.geometry.measure_camera import FROM_DEPTH
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.state.state import MemoryState
from scene_memory.world.render import render_with_depth
from scene_memory.world.scenes import make_scene

SEGMENT, SEGMENTS = 6, 3
SIZE = (192, 320)
SCENE = make_scene(5, "room")
PLANNED = make_preset("pan", frames=SEGMENT * SEGMENTS, fps=8.0, amount=30.0, fov=70.0, aspect=SIZE[1] / SIZE[0],
                      easing="even")  # fmt: skip
REALLY = make_preset("pan", frames=SEGMENT * SEGMENTS, fps=8.0, amount=54.0, fov=70.0, aspect=SIZE[1] / SIZE[0],
                     easing="even")  # fmt: skip
"""What the disobedient model films: it turns 1.8 times as far."""


def filmed(poses: NDArray[np.float64], intrinsics: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.asarray(render_with_depth(SCENE, poses, intrinsics, SIZE[1], SIZE[0], supersample=2)[0], dtype=np.uint8)


@dataclass
class Disobedient(VideoModel):
    """Films along a path of its own, whatever it is asked for; ``asked`` are the paths that it was given."""

    blank: bool = False
    asked: list[Trajectory] = field(default_factory=list)
    name, version = "disobedient", 1
    default_segment, longest_segment = SEGMENT, SEGMENT
    default_size, size_multiple = (SIZE[1], SIZE[0]), 8
    context_without_retriever, most_context = 0, 8

    def sample(self, plan: Any, segment: Any, seed: int, on_step: Any) -> torch.Tensor:
        self.asked.append(segment.trajectory)
        part = slice(segment.first_frame, segment.first_frame + len(segment))
        if self.blank:
            return torch.full((len(segment), *SIZE, 3), 90, dtype=torch.uint8)
        return torch.as_tensor(filmed(REALLY.poses[part], REALLY.intrinsics[part]))

    def decode(self, plan: Any, latent: torch.Tensor) -> NDArray[np.uint8]:
        return latent.numpy()

    def latents(self, vae: Any) -> None:
        return None

    def shot_key(self, plan: Any, size: tuple[int, int]) -> ShotKey:
        return ShotKey.of(Identity(), model=(self.name, self.version, self.blank), size=size)

    def check_interrupted(self) -> None:
        return None


@pytest.fixture
def shoot(tmp_path: Path) -> Callable[..., list[SegmentDone]]:
    def run(model: Disobedient, bank: str = "film", segments: int = SEGMENTS, **changed: Any) -> list[SegmentDone]:
        home = Bank.open(tmp_path, bank) if Bank.exists(tmp_path, bank) else Bank.create(tmp_path, bank)
        plan = ShotPlan(
            model=None, vae=None, positive=None, negative=None, sampler=None, sigmas=torch.tensor([1.0, 0.0]), seed=1,
            cfg=1.0, trajectory=PLANNED[: SEGMENT * segments], retriever=RetrievalSettings(k=3),
            **{"cameras": AS_MEASURED, **changed},
        )  # fmt: skip
        return list(generate_shot(home.empty(), plan, model))

    return run


def degrees_off(state: MemoryState, truth: Trajectory) -> NDArray[np.float64]:
    turns = np.einsum("nji,njk->nik", state.poses[:, :3, :3], truth.poses[: state.frames, :3, :3])
    return np.asarray(np.degrees(np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1))))


def test_the_memory_knows_where_the_camera_really_went(shoot: Any) -> None:
    planned = shoot(Disobedient(), "planned", cameras=AS_PLANNED)[-1].state
    measured = shoot(Disobedient(), "measured")[-1].state
    assert degrees_off(planned, PLANNED).max() == 0.0 and degrees_off(planned, REALLY).max() > 20.0
    assert degrees_off(measured, REALLY).max() < 1.5
    assert np.abs(measured.poses[:, :3, 3]).max() < 1e-9, "without depth or a planned way none can be told"
    assert np.array_equal(planned.read_frames(range(18)), measured.read_frames(range(18)))
    assert camera_report(planned) == []
    report = camera_report(measured)
    assert report[1] == "Cameras as they were measured:" and len(report) == 2 + SEGMENTS
    assert all("parts from its plan by" in line for line in report[2:])


def test_the_rest_of_the_path_goes_on_from_there(shoot: Any) -> None:
    model = Disobedient()
    state = shoot(model)[-1].state
    for index in range(1, SEGMENTS):
        start = index * SEGMENT
        here, plan = model.asked[index], PLANNED[start - 1 : start + SEGMENT]
        assert np.allclose(here.poses, plan.after(state.poses[start - 1]).poses[1:], atol=1e-12)
        kept = planned_path(state, index)
        assert kept is not None and np.allclose(kept.poses, here.poses, atol=1e-6), "the bank keeps both"


def test_what_is_in_the_bank_has_the_cameras_that_it_had(shoot: Any, tmp_path: Path) -> None:
    whole = shoot(Disobedient(), "whole")[-1].state
    for there in range(1, SEGMENTS + 1):
        name = f"stopped {there}"
        begun = Disobedient()
        shoot(begun, name, there)
        model = Disobedient()
        again = shoot(model, name)
        assert [done.made for done in again] == [False] * there + [True] * (SEGMENTS - there)
        assert again[-1].state.id == whole.id and np.array_equal(again[-1].state.poses, whole.poses)
        assert len(model.asked) == SEGMENTS - there


def test_another_choice_of_cameras_makes_no_pictures_of_the_first_segment_anew(shoot: Any) -> None:
    planned = shoot(Disobedient(), "both", cameras=AS_PLANNED)
    model = Disobedient()
    measured = shoot(model, "both")
    assert not measured[0].made and len(model.asked) < SEGMENTS, "taken over, and its cameras measured"
    assert measured[-1].state.id == shoot(Disobedient(), "alone")[-1].state.id
    back = shoot(Disobedient(), "both", cameras=AS_PLANNED)
    assert not any(done.made for done in back) and back[-1].state.id == planned[-1].state.id


def test_where_nothing_can_be_seen_the_plan_stays_and_says_so(shoot: Any) -> None:
    state = shoot(Disobedient(blank=True), segments=2)[-1].state
    assert np.array_equal(state.poses, PLANNED.poses[: 2 * SEGMENT])
    for number in range(2):
        (line,) = camera_words(state, number)
        assert line.startswith("Camera kept as planned: ")


def test_with_depth_the_way_is_measured_too(shoot: Any, tmp_path: Path) -> None:
    """It was asked to go forward by half a unit, and goes aside by one."""
    aside = make_preset("truck", frames=12, fps=8.0, amount=1.0, fov=70.0, aspect=SIZE[1] / SIZE[0], easing="even")
    pictures, depth = render_with_depth(SCENE, aside.poses, aside.intrinsics, SIZE[1], SIZE[0], supersample=2)
    frames = np.asarray(pictures, dtype=np.uint8)
    bank = Bank.create(tmp_path, "room")
    known = bank.append(bank.empty(), frames=frames[:6], trajectory=aside[:6], shot=0, depth=depth.numpy()[:6])
    ahead = make_preset("dolly", frames=7, fps=8.0, amount=0.5, fov=70.0, aspect=SIZE[1] / SIZE[0])
    planned = ahead.after(known.last_pose)[1:]
    found = segment_cameras(known, planned, frames[6:], True)
    assert found.notes["measured"] and found.notes["scale_from"] == FROM_DEPTH
    off = np.linalg.norm(found.trajectory.poses[:, :3, 3] - aside.poses[6:, :3, 3], axis=1)
    assert off.max() < 0.05 and np.linalg.norm(planned.poses[-1, :3, 3] - aside.poses[-1, :3, 3]) > 0.5


def test_lost_pictures_keep_the_plan() -> None:
    found = segment_cameras(MemoryState(), PLANNED[:4], None, False)
    assert found.trajectory is not None and np.array_equal(found.trajectory.poses, PLANNED[:4].poses)
    assert found.notes["why"] == DROPPED and not found.notes["measured"]


def test_the_coming_path_is_the_planned_one_until_something_was_measured(shoot: Any) -> None:
    state = shoot(Disobedient(), "short", 1, cameras=AS_PLANNED)[-1].state
    part = slice(SEGMENT, 2 * SEGMENT)
    for way in (AS_PLANNED, AS_MEASURED):
        assert np.array_equal(coming_path(PLANNED, part, state, way).poses, PLANNED[part].poses)


def test_an_unknown_way_is_refused(shoot: Any) -> None:
    with pytest.raises(ValueError, match="cameras is 'guessed': expected one of as planned, as measured. Use as plan"):
        shoot(Disobedient(), cameras="guessed")


def test_frames_between_sure_ones_stand_between_them(shoot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single frame that is not sure takes its place from its neighbours, not from the plan."""
    from scene_memory.film import measured_path

    real = measured_path.measure_camera

    def doubting(*given: Any, **more: Any) -> Any:
        found = real(*given, **more)
        sure, poses = found.sure.copy(), found.trajectory.poses.copy()
        sure[3] = False
        poses[3] = np.eye(4)
        reasons = tuple("blurred" if number == 3 else why for number, why in enumerate(found.reasons))
        return replace(found, sure=sure, trajectory=replace(found.trajectory, poses=poses), reasons=reasons)

    monkeypatch.setattr(measured_path, "measure_camera", doubting)
    state = shoot(Disobedient(), "doubt", 1)[-1].state
    assert degrees_off(state, REALLY).max() < 1.5
