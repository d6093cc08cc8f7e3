"""Memory as known pixels in the loop: what a segment is told of its views, what its keys hold, and what is noted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.film.identity import Identity
from scene_memory.film.keys import ShotKey
from scene_memory.film.loop import ENTERED, KNOWN_SHARE, SegmentDone, generate_shot
from scene_memory.film.model import VideoModel
from scene_memory.film.plan import BOTH, CONTEXT_FRAMES, KNOWN_PIXELS, MEMORY_WAYS, ShotPlan
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.settings import RetrievalSettings

WIDTH, HEIGHT, PAST, SEGMENT = 32, 16, 9, 5


class Echo(VideoModel):
    """Gives back what it is told of each picture; grey where nothing is known."""

    name, version, frame_numbers = "echo", 1, False
    default_segment, longest_segment, frame_grid, overlap = SEGMENT, 9, (4, 1), 1
    default_size, size_multiple = (WIDTH, HEIGHT), 8
    context_without_retriever, most_context = 0, 2
    memory_ways = MEMORY_WAYS

    def __init__(self, reads: float | None = None) -> None:
        self.given: list[Any] = []
        self.reads, self.asked = reads, 0

    def sample(self, plan: Any, segment: Any, seed: int, on_step: Any) -> torch.Tensor:
        self.given.append(segment)
        shape = (len(segment), segment.height, segment.width, 3)
        told = np.full(shape, 128, np.uint8) if segment.view is None else segment.view.pictures
        return torch.from_numpy(told.copy()).permute(3, 0, 1, 2)[None].float() / 255

    def decode(self, plan: Any, latent: torch.Tensor) -> np.ndarray:
        return (latent[0].permute(1, 2, 3, 0) * 255).round().byte().numpy()

    def latents(self, vae: Any) -> None:
        return None

    def depth_of(self, plan: Any, frames: Any) -> Any:
        self.asked += 1
        return None if self.reads is None else np.full((len(frames), 4, 8), self.reads, np.float32)

    def shot_key(self, plan: Any, size: Any) -> ShotKey:
        return ShotKey.of(Identity(), model=(self.name, self.version), size=size)

    def check_interrupted(self) -> None:
        pass


def camera(degrees: float, frames: int = PAST) -> Trajectory:
    return make_preset("pan", frames=frames, fps=8.0, amount=degrees, fov=70.0, aspect=WIDTH / HEIGHT, easing="even")


def remembered(root: Path, name: str = "film", **kept: Any) -> Any:
    """A memory of a wall of soft colours, seen in a pan of 8 degrees."""
    path, bank = camera(8.0), Bank.create(root, name)
    angles = np.linspace(0, 8, PAST)[:, None] + np.linspace(-35, 35, WIDTH)[None]
    rows = np.linspace(0, 1, HEIGHT)[None, :, None]
    waves = [np.sin(np.deg2rad(angles * turns))[:, None, :] * 60 + 120 + 40 * rows for turns in (3, 5, 7)]
    pictures = np.stack(waves, axis=-1).round().astype(np.uint8)
    return bank.append(bank.empty(), frames=pictures, trajectory=path, shot=0, **kept)


def shot(state: Any, model: VideoModel, way: str = KNOWN_PIXELS, path: Trajectory | None = None, **changed: Any) -> Any:
    path = path if path is not None else camera(-8.0, 8).after(state.last_pose)
    plan = ShotPlan("model", None, "a room", None, None, torch.tensor([1.0, 0.0]), 3, 1.0, path,
                    **{"retriever": RetrievalSettings("recent", k=6), "memory_enters_as": way, **changed})  # fmt: skip
    return list(generate_shot(state, plan, model))


def info(done: SegmentDone) -> dict[str, Any]:
    return dict(done.state.segments[len(done.state.segments) - 1].info)


def test_known_pixels_are_the_remembered_frames_where_the_camera_looks(tmp_path: Path) -> None:
    state, model = remembered(tmp_path), Echo()
    done = shot(state, model)
    first = model.given[0]
    assert first.context is None and len(first.view.frames) == 6, "the model's own limit is one of context frames"
    assert np.array_equal(first.view.pictures[0], state.read_frames([PAST - 1])[0]), "the newest picture, as it is"
    assert (first.view.confidence[0] == 1).all() and first.view.share > 0.9
    back = first.trajectory.poses[:, :3, :3]
    old = state.cameras(range(PAST))[0][:, :3, :3]
    for number in range(1, SEGMENT):
        nearest = int(np.abs(old - back[number]).sum(axis=(1, 2)).argmin())
        known, true = first.view.known[number], state.read_frames([nearest])[0].astype(int)
        assert np.abs(first.view.pictures[number].astype(int) - true)[known].mean() < 12
    assert info(done[0])[ENTERED] == KNOWN_PIXELS and 0.9 < info(done[0])[KNOWN_SHARE] <= 1
    assert len(info(done[0])["context"]) == 6


def test_context_frames_and_both_keep_to_the_models_limit(tmp_path: Path) -> None:
    for way, context, view in ((CONTEXT_FRAMES, 2, False), (BOTH, 2, True), (KNOWN_PIXELS, 0, True)):
        model = Echo()
        done = shot(remembered(tmp_path, way), model, way)
        segment = model.given[0]
        assert (0 if segment.context is None else len(segment.context)) == context
        assert (segment.view is not None) is view and (ENTERED in info(done[0])) is view


def test_with_nothing_remembered_nothing_is_known(tmp_path: Path) -> None:
    model = Echo()
    shot(Bank.create(tmp_path, "film").empty(), model, path=camera(8.0, SEGMENT), width=WIDTH, height=HEIGHT)
    assert model.given[0].view is None


def test_without_a_retriever_the_newest_frame_is_what_is_known(tmp_path: Path) -> None:
    model = Echo()
    shot(remembered(tmp_path), model, retriever=None)
    assert model.given[0].view.frames.numbers == (PAST - 1,)


def test_depth_comes_from_the_memory_and_where_it_has_none_from_the_model(tmp_path: Path) -> None:
    known = remembered(tmp_path, "deep", depth=np.full((PAST, HEIGHT, WIDTH), 3.0))
    sideways = make_preset("truck", frames=SEGMENT - 1, fps=8.0, amount=0.3, fov=70.0, aspect=WIDTH / HEIGHT)
    flat, deep, reading = Echo(), Echo(5.0), Echo(5.0)
    for state, model in ((remembered(tmp_path, "flat"), flat), (known, deep), (remembered(tmp_path, "read"), reading)):
        shot(state, model, path=sideways.after(state.last_pose))
    assert flat.asked and reading.asked and not deep.asked
    last = [model.given[0].view for model in (flat, deep, reading)]
    assert last[0].share < 0.5 < last[1].share, "turning alone says nothing of a camera that has moved"
    depths = [view.depth[-1][view.known[-1]] for view in last[1:]]
    # Of frames that were turned by up to 8 degrees.
    assert np.allclose(depths[0], 3.0, atol=0.4) and np.allclose(depths[1], 5.0, atol=0.6)


def test_the_same_is_found_again_and_each_way_has_keys_of_its_own(tmp_path: Path) -> None:
    state = remembered(tmp_path)
    ways: list[dict[str, Any]] = [
        {"way": CONTEXT_FRAMES}, {"way": KNOWN_PIXELS}, {"way": BOTH}, {"way": KNOWN_PIXELS, "hold_known": True}
    ]  # fmt: skip
    first = []
    for way in ways:
        model = Echo()
        first.append(shot(state, model, **way)[-1].state.id)
        assert len(model.given) == 2
    for way, made in zip(ways, first, strict=True):
        model = Echo()
        assert shot(state, model, **way)[-1].state.id == made and not model.given
    fewer = Echo()
    shot(state, fewer, retriever=RetrievalSettings("recent", k=5))
    assert fewer.given, "what is known follows from other frames"
    same = Echo()
    shot(state, same, retriever=RetrievalSettings("recent", k=6, seed=7))
    assert not same.given, "the same frames are known: taken over by what the model would be given"


def test_other_depth_makes_anew(tmp_path: Path) -> None:
    for depth in (3.0, 4.0):
        state, model = remembered(tmp_path, f"{depth:g}", depth=np.full((PAST, HEIGHT, WIDTH), depth)), Echo()
        shot(state, model)
        assert model.given


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"way": "pixels"}, "memory_enters_as is 'pixels': expected one of context frames, known pixels, both"),
        ({"way": CONTEXT_FRAMES, "hold_known": True}, "hold_known is on, but memory_enters_as is context frames"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    model = Echo()
    with pytest.raises(ValueError, match=words):
        shot(remembered(tmp_path), model, **changed)
    assert not model.given


def test_a_model_that_takes_context_frames_only_refuses_known_pixels(tmp_path: Path) -> None:
    model = Echo()
    model.memory_ways = (CONTEXT_FRAMES,)
    with pytest.raises(ValueError, match="memory_enters_as is both, but echo takes context frames only. Use context"):
        shot(remembered(tmp_path), model, BOTH)


def test_colours_are_anchored_to_the_frames_that_are_known(tmp_path: Path) -> None:
    """An anchor with known pixels alone looks at the frames that they come from."""
    state = remembered(tmp_path)

    class Redder(Echo):
        def decode(self, plan: Any, latent: torch.Tensor) -> np.ndarray:
            return (super().decode(plan, latent).astype(int) + [30, 0, -30]).clip(0, 255).astype(np.uint8)

    warm = []
    for anchor in (0.0, 1.0):
        done = shot(state, Redder(), colour_anchor=anchor)
        frames = done[0].state.read_frames(range(PAST, PAST + SEGMENT - 1)).astype(int)
        warm.append(float((frames[..., 0] - frames[..., 2]).mean()))
    old = state.read_frames(range(PAST)).astype(int)
    true = float((old[..., 0] - old[..., 2]).mean())
    assert abs(warm[1] - true) < abs(warm[0] - true) - 20


def test_a_view_that_a_frame_was_taken_from_is_that_frame(tmp_path: Path) -> None:
    """Not a mixture of the frames around it, and not moved: a film that comes back is not softened by coming back."""
    state, model = remembered(tmp_path), Echo()
    back = state.cameras([7, 6, 5, 4])
    shot(state, model, path=Trajectory(*back, 8.0))
    view = model.given[0].view
    assert view.frames.numbers == (3, 4, 5, 6, 7, 8)
    assert np.array_equal(view.pictures[1:], state.read_frames([7, 6, 5, 4])) and (view.confidence == 1).all()
