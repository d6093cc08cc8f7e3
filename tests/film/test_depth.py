"""Depth is read off new frames as they are made, joins what the film knows, and is kept; misfits are left out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from scene_memory.film.depth import AS_IT_IS, DepthSource, DepthVideo, Pixels, depth_report, depth_words, segment_depth
from scene_memory.film.identity import Identity
from scene_memory.film.keys import ShotKey
from scene_memory.film.loop import SegmentDone, generate_shot
from scene_memory.film.model import VideoModel
from scene_memory.film.plan import ShotPlan
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState
from scene_memory.world.render import render_with_depth
from scene_memory.world.scenes import make_scene

SEGMENT, SEGMENTS = 6, 3
SIZE = (32, 48)
SCENE = make_scene(5, "room")
PATH = make_preset("pan", frames=SEGMENT * SEGMENTS, fps=8.0, amount=80.0, fov=70.0, aspect=1.5)


def truth(frames: Any) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Pictures (n, 32, 48, 3) of frames of the path, and their z-depth (n, 32, 48)."""
    rows = np.asarray(frames)
    made = render_with_depth(SCENE, PATH.poses[rows], PATH.intrinsics[rows], SIZE[1], SIZE[0])
    return made[0].numpy(), made[1].numpy()


class Camera(VideoModel):
    """Films the scene itself."""

    name, version = "camera", 1
    default_segment, longest_segment = SEGMENT, SEGMENT
    default_size, size_multiple = (SIZE[1], SIZE[0]), 8
    context_without_retriever, most_context = 0, 8

    def sample(self, plan: Any, segment: Any, seed: int, on_step: Any) -> torch.Tensor:
        path = segment.trajectory
        return torch.as_tensor(render_with_depth(SCENE, path.poses, path.intrinsics, SIZE[1], SIZE[0])[0])

    def decode(self, plan: Any, latent: torch.Tensor) -> NDArray[np.uint8]:
        return latent.numpy()

    def latents(self, vae: Any) -> None:
        return None

    def shot_key(self, plan: Any, size: tuple[int, int]) -> ShotKey:
        return ShotKey.of(Identity(), model=(self.name, self.version), size=size)

    def check_interrupted(self) -> None:
        pass


@dataclass
class Estimator:
    """True depth at a scale and shift of each map's own; of some frames, nonsense."""

    off: float = 0.15
    wrong: tuple[int, ...] = ()
    metric: bool = False
    name: str = "estimator"
    frames: int = 0
    asked: list[int] = field(default_factory=list)

    @property
    def identity(self) -> Any:
        return (self.off, self.wrong)

    def maps(self, pictures: Pixels, cameras: Trajectory, frames: NDArray[np.int64]) -> NDArray[np.float32]:
        seen, depth = truth(frames)
        assert np.array_equal(pictures, seen), "each picture comes with its number in the shot"
        self.asked += frames.tolist()
        for number, one in zip(frames.tolist(), depth, strict=True):
            rng = np.random.default_rng(number)
            one[:] = 1 / ((1 / one - rng.uniform(-self.off, self.off) / np.median(one)) * rng.uniform(0.8, 1.25))
            if number in self.wrong:
                one[:] = np.exp(rng.normal(0, 1) + 3 * np.sin(np.arange(SIZE[1]) / 5) * np.ones((SIZE[0], 1)))
        return depth


def plan(source: Any = None, **changed: Any) -> ShotPlan:
    asked: dict[str, Any] = {"retriever": RetrievalSettings(k=4), "depth_source": source, **changed}
    return ShotPlan("model", None, "a room", None, None, torch.tensor([1.0, 0.0]), 3, 1.0, PATH, **asked)


def film(root: Path, plan: ShotPlan) -> list[SegmentDone]:
    bank = Bank.open(root, "film") if Bank.exists(root, "film") else Bank.create(root, "film")
    return list(generate_shot(bank.empty(), plan, Camera()))


def kept(state: MemoryState) -> NDArray[np.float32]:
    return state.depth(range(state.frames))


def off(state: MemoryState, scale: float = 1.0) -> NDArray[np.float64]:
    """By what share each frame's depth is off in the median, once all of it is ``scale`` times as far."""
    return np.abs(np.nanmedian(scale * kept(state) / truth(range(state.frames))[1], axis=(1, 2)) - 1)


def test_depth_of_a_few_frames_joins_and_reaches_all_frames(tmp_path: Path) -> None:
    source = Estimator()
    done = film(tmp_path, plan(DepthSource(source, keyframes=2)))
    assert source.asked == [0, 5, 6, 11, 12, 17], "the first and the last of each segment"
    state = done[-1].state
    assert state.has_depth and state.depth_size == SIZE
    first = float(np.median(truth([0])[1] / kept(state)[0]))
    assert off(state, first).max() < 0.03, "all of the film is at the scale of its first map"
    assert np.isfinite(kept(state)).mean() > 0.8
    for one in done:
        assert one.depth["frames"] == [0, 5] and one.depth["source"] == "estimator"
        assert max(one.depth["residual"]) < 0.03 and "left_out" not in one.depth
        assert depth_words(one.depth)[0].startswith("Depth of 2 frames joins to ")


def test_without_the_fit_the_scale_is_that_of_each_map(tmp_path: Path) -> None:
    state = film(tmp_path, plan(DepthSource(Estimator(), 2, AS_IT_IS)))[-1].state
    assert off(state).max() > 0.1


def test_a_map_that_does_not_fit_is_left_out_and_said(tmp_path: Path) -> None:
    done = film(tmp_path, plan(DepthSource(Estimator(wrong=(11, 12, 17)), keyframes=2)))
    assert [one.depth["frames"] for one in done] == [[0, 5], [0], []]
    assert [len(one.depth.get("left_out", [])) for one in done] == [0, 1, 2]
    state = done[-1].state
    assert np.isnan(kept(state)[12:]).all(), "never averaged in"
    assert np.isfinite(kept(state)[:7]).mean() > 0.8
    words = depth_words(done[-1].depth)
    assert words[0] == "Depth of 2 frames is left out:" and words[1].startswith("The new depth ")
    assert max(map(len, words)) < 45, "a node does not wrap lines"
    assert done[-1].state.segments[2].info["depth"]["left_out"] == done[-1].depth["left_out"]
    told = depth_report(done[-1].state)
    assert told[1] == "Depth that was read off new frames:" and len(told) == 5
    assert told[2].startswith("Segment 1, estimator: Depth of 2 frames joins to 0.")
    assert told[4].startswith("Segment 3, estimator: Depth of 2 frames is left out: The new depth ")
    assert len(depth_report(done[-1].state, 1)) == 3 and depth_report(MemoryState()) == []


def test_the_first_map_of_a_film_has_the_scale_that_is_set_or_is_metric(tmp_path: Path) -> None:
    first = truth([0])[1]
    rng = np.random.default_rng(0)
    rng.uniform()
    for name, source in {
        "set": DepthSource(Estimator(off=0.0), 2, scale=7.0),
        "metric": DepthSource(Estimator(off=0.0, metric=True), 2),
    }.items():
        state = film(tmp_path / name, plan(source))[-1].state
        expected = first * (7.0 if name == "set" else 1.0) / np.random.default_rng(0).uniform(0.8, 1.25, 2)[1]
        np.testing.assert_allclose(kept(state)[0], expected[0], rtol=2e-3)


def test_a_place_that_nothing_is_known_of_goes_on_with_the_scale_of_before(tmp_path: Path) -> None:
    @dataclass
    class Steady(Estimator):
        def maps(self, pictures: Any, cameras: Any, frames: Any) -> Any:
            return truth(frames)[1] / 3

    bank = Bank.create(tmp_path, "film")
    state = bank.empty()
    source = DepthSource(Steady(), 2, scale=3.0)
    (first, *_) = generate_shot(state, plan(source), Camera())
    turned = PATH.poses.copy()
    turned[:, :3, 0], turned[:, :3, 2] = -turned[:, :3, 0], -turned[:, :3, 2]
    away = Trajectory(turned[:2], PATH.intrinsics[:2], 8.0)
    found = segment_depth(first.state, DepthSource(Steady(), 2), away, truth([0, 1])[0])
    assert found.notes["scale"][0] == pytest.approx(3.0, rel=0.01)


def test_the_same_film_is_found_again_with_its_depth(tmp_path: Path) -> None:
    deep = plan(DepthSource(Estimator(), 2))
    done = film(tmp_path, deep)
    again = film(tmp_path, replace(deep, depth_source=DepthSource(Estimator(), 2)))
    assert [one.made for one in again] == [False] * SEGMENTS
    assert again[-1].state == done[-1].state and again[-1].depth == done[-1].depth


def test_pictures_are_taken_over_and_depth_is_read_off_them(tmp_path: Path) -> None:
    # The choice of frames must not hang on depth here, for then other pictures are due.
    recent = RetrievalSettings("recent", k=2)
    plain = film(tmp_path, plan(retriever=recent))
    assert not plain[-1].state.has_depth and plain[-1].depth == {}
    source = Estimator()
    done = film(tmp_path, plan(DepthSource(source, 2), retriever=recent))
    assert [one.made for one in done] == [False] * SEGMENTS and len(source.asked) == 2 * SEGMENTS
    state = done[-1].state
    assert state.has_depth and state.id != plain[-1].state.id
    assert [one.depth["frames"] for one in done] == [[0, 5]] * SEGMENTS, "also in the notes of the first segment"
    fresh = film(tmp_path / "fresh", plan(DepthSource(Estimator(), 2), retriever=recent))
    assert np.array_equal(kept(state), kept(fresh[-1].state), equal_nan=True)
    other = film(tmp_path, plan(DepthSource(Estimator(), 3), retriever=recent))
    assert [one.made for one in other] == [False] * SEGMENTS and other[0].depth["frames"] == [0, 2, 5]
    back = film(tmp_path, plan(retriever=recent))
    assert back[-1].state == plain[-1].state, "and without it the film is what it was"


def test_pictures_that_were_dropped_are_taken_over_without_depth(tmp_path: Path) -> None:
    recent = RetrievalSettings("recent", k=2)
    plain = film(tmp_path, plan(retriever=recent))[-1].state
    bank = plain.bank
    assert isinstance(bank, Bank)
    bank.edit(plain, Edit("drop", ((3, 4),)))
    from scene_memory.memory.bank.pixels import drop_pixels

    drop_pixels(bank.path, plain, [3])
    done = list(generate_shot(bank.empty(), plan(DepthSource(Estimator(), 2), retriever=recent), Camera()))
    assert done[0].depth.get("left_out") == ["Its pictures were dropped."] if not done[0].made else done[0].depth


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    source = DepthSource(Estimator())
    with pytest.raises(ValueError, match="Both 'depth' and 'depth_source' are connected"):
        film(tmp_path, plan(source, depth=truth(range(len(PATH)))[1]))
    with pytest.raises(ValueError, match="3 depth pictures for a camera path of 18 frames"):
        film(tmp_path, plan(DepthSource(Estimator(frames=3))))
    with pytest.raises(ValueError, match="fit is 'well'. Use one of: scale and shift, scale, as it is"):
        DepthSource(Estimator(), fit="well")
    with pytest.raises(ValueError, match="keyframes is -1"):
        DepthSource(Estimator(), keyframes=-1)
    with pytest.raises(ValueError, match="scale is nan"):
        DepthSource(Estimator(), scale=float("nan"))


def test_a_source_without_any_depth_is_said_and_the_film_goes_on(tmp_path: Path) -> None:
    @dataclass
    class Blind(Estimator):
        def maps(self, pictures: Any, cameras: Any, frames: Any) -> Any:
            return np.full((len(frames), 4, 6), np.nan, dtype=np.float32)

    done = film(tmp_path, plan(DepthSource(Blind(), 2)))
    assert not done[-1].state.has_depth and len(done) == SEGMENTS
    assert depth_words(done[0].depth)[1] == "estimator gives no depth for these pictures."


def test_a_depth_video_goes_frame_by_frame_and_is_told_by_what_it_holds(tmp_path: Path) -> None:
    deep = truth(range(len(PATH)))[1]
    source = DepthSource(DepthVideo(deep / 20), keyframes=0, fit=AS_IT_IS, scale=20.0)
    state = film(tmp_path, plan(source))[-1].state
    np.testing.assert_allclose(kept(state), deep, rtol=2e-3)
    same, other = DepthVideo(deep / 20), DepthVideo(deep / 10)
    assert same.identity == source.source.identity != other.identity
    with pytest.raises(ValueError, match="frame 18 has none"):
        same.maps(truth([0])[0], PATH[:1], np.array([18]))
