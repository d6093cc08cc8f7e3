"""A path as far as a memory knows it, against the truth of the scene's own renderer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.geometry.memory_view import FILLS, MemoryGlance, ViewSettings, known_shares, memory_view
from scene_memory.memory.geometry.view import View
from scene_memory.memory.retrieval.distances import distances
from scene_memory.memory.retrieval.retrieve import retrieve
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.state.state import MemoryState
from scene_memory.world.render import render_with_depth
from scene_memory.world.scenes import make_scene

HEIGHT, WIDTH = 60, 96
K = RetrievalSettings(k=5)
Rendered = tuple[NDArray[np.uint8], NDArray[np.float32]]


def preset(name: str, frames: int, amount: float) -> Trajectory:
    return make_preset(name, frames=frames, fps=8.0, amount=amount, fov=70.0, aspect=WIDTH / HEIGHT)


def rendered(path: Trajectory) -> Rendered:
    room = make_scene(7, "room")
    pictures, depth = render_with_depth(room, path.poses, path.intrinsics, WIDTH, HEIGHT, supersample=2)
    return np.asarray(pictures, dtype=np.uint8), depth.numpy()


AROUND = preset("look around", 18, 340.0)
ASIDE = preset("truck", 10, 0.4)


@pytest.fixture(scope="module")
def photographs() -> Rendered:
    return rendered(AROUND)


@pytest.fixture
def remembered(tmp_path: Path, photographs: Rendered) -> Callable[..., MemoryState]:
    """The room, photographed all around from one place: with depth, or without for those left of ``deep``."""
    bank = Bank.create(tmp_path, "room")

    def make(first_with_depth: int = 0) -> MemoryState:
        pictures, depth = photographs
        known = depth.copy()
        known[:first_with_depth] = np.nan
        given = None if first_with_depth >= len(known) else known
        return bank.append(bank.empty(), frames=pictures, trajectory=AROUND, shot=0, depth=given)

    return make


def whole(state: MemoryState, path: Trajectory, **settings: object) -> View:
    parts = list(memory_view(state, path, K, ViewSettings(**settings)))  # type: ignore[arg-type]
    return View(*(np.concatenate([getattr(part, name) for part in parts])
                  for name in ("pictures", "confidence", "depth", "source")))  # fmt: skip


def psnr(shown: View, truth: NDArray[np.uint8]) -> float:
    error = (shown.pictures.astype(float) - truth)[shown.known]
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def test_with_depth_a_path_aside_is_known_and_like_the_truth(remembered: Callable[..., MemoryState]) -> None:
    truth, depth = rendered(ASIDE)
    shown = whole(remembered(), ASIDE, segment=4)
    assert shown.pictures.shape == truth.shape and known_shares(shown).min() > 0.85
    assert psnr(shown, truth) > 26
    off = np.abs(shown.depth - depth)[shown.known] / depth[shown.known]
    assert np.median(off) < 0.02
    assert set(np.unique(shown.source)) <= {-1, *range(len(AROUND))}


def test_without_depth_turning_alone_is_known_and_a_path_aside_is_not(remembered: Callable[..., MemoryState]) -> None:
    state = remembered(len(AROUND))
    turned = preset("pan", 10, 40.0)
    shown = whole(state, turned)
    assert known_shares(shown).min() > 0.95 and psnr(shown, rendered(turned)[0]) > 26
    assert np.isinf(shown.depth).all()
    assert known_shares(whole(state, ASIDE))[-1] == 0.0


def test_frames_with_and_without_depth_serve_together(remembered: Callable[..., MemoryState]) -> None:
    """The first three have none: where they look, turning is known and moving aside is not."""
    state = remembered(3)
    turned = preset("pan", 6, 20.0)
    shown = whole(state, turned)
    assert known_shares(shown).min() > 0.95 and psnr(shown, rendered(turned)[0]) > 26
    assert {0, 1, 2} & set(np.unique(shown.source)) and np.isfinite(shown.depth).any() and np.isinf(shown.depth).any()


def test_views_come_a_few_frames_at_a_time_in_order_and_end_with_the_path(
    remembered: Callable[..., MemoryState],
) -> None:
    sizes = [len(part.pictures) for part in memory_view(remembered(), preset("pan", 11, 30.0), K, ViewSettings(6))]
    assert sum(sizes) == 11 and max(sizes) <= 4


def test_what_is_unknown_is_filled_as_asked(remembered: Callable[..., MemoryState]) -> None:
    """Half of what the camera looks at was never seen."""
    state = remembered(len(AROUND))
    away = preset("tilt", 6, 36.0)
    shown = {fill: whole(state, away, fill=fill) for fill in FILLS}
    hole = ~shown["grey"].known
    assert 0.2 < hole[-1].mean() < 1.0 and all(np.array_equal(~one.known, hole) for one in shown.values())
    assert (shown["grey"].pictures[hole] == 128).all()
    assert all((one.confidence[hole] == 0).all() and (one.source[hole] == -1).all() for one in shown.values())
    held = shown["left as it was"].pictures
    for row in range(1, 6):
        assert np.array_equal(held[row][hole[row]], held[row - 1][hole[row]])
    blurred = shown["blurred"].pictures[-1].astype(int)
    rim = hole[-1] & np.roll(~hole[-1], -1, axis=0)
    assert np.abs(blurred - np.roll(blurred, -1, axis=0))[rim].mean() < 12, "it goes on from the known without a step"


def test_the_unknown_grows_by_so_many_pixels(remembered: Callable[..., MemoryState]) -> None:
    state = remembered(len(AROUND))
    away = preset("tilt", 4, 60.0)
    before, after = (~whole(state, away, grow=grow).known for grow in (0, 3))
    for row in range(4):
        places = np.argwhere(before[row])
        for y, x in np.argwhere(after[row] & ~before[row])[::50]:
            assert np.hypot(*(places - (y, x)).T).min() <= 3.5
    assert after.sum() > before.sum() and not (before & ~after).any()


def test_what_lies_beside_an_edge_is_cut_away(remembered: Callable[..., MemoryState]) -> None:
    state = remembered()
    truth = rendered(ASIDE)[0]
    kept, cut = whole(state, ASIDE), whole(state, ASIDE, edges=1)

    def wrong(shown: View) -> float:
        return float((np.abs(shown.pictures.astype(int) - truth).max(axis=-1) > 24)[shown.known].mean())

    assert cut.known.mean() < kept.known.mean() - 0.02
    assert wrong(cut) < 0.02 and wrong(kept) < 0.02


def test_another_size_is_drawn_at_that_size(remembered: Callable[..., MemoryState]) -> None:
    shown = whole(remembered(), preset("pan", 2, 5.0), size=(30, 48))
    assert shown.pictures.shape == (2, 30, 48, 3) and known_shares(shown).min() > 0.9


def test_half_the_detail_is_of_the_whole_size_and_nearly_the_same(remembered: Callable[..., MemoryState]) -> None:
    state = remembered()
    full, half = whole(state, ASIDE, grow=0), whole(state, ASIDE, grow=0, detail="half (quick)")
    assert half.pictures.shape == full.pictures.shape and half.source.shape == full.source.shape
    assert abs(float(half.known.mean() - full.known.mean())) < 0.05
    assert psnr(half, rendered(ASIDE)[0]) > 22 and (half.pictures[~half.known] == 128).all()


def test_pictures_that_were_dropped_are_not_asked_for(photographs: Rendered, tmp_path: Path) -> None:
    """Also not by a memory of before they were dropped, which does not know it."""
    pictures, depth = photographs
    bank = Bank.create(tmp_path, "tight")
    state = bank.empty()
    for part in (slice(0, 14), slice(14, 18)):
        state = bank.append(state, frames=pictures[part], trajectory=AROUND[part], shot=0, depth=depth[part])
    after = Bank.open(tmp_path, "tight", max_bytes=bank.size_bytes() * 3 // 4).within(state)
    assert after.flags(range(18)).dropped.any() and not state.flags(range(18)).dropped.any()
    for one in (state, after):
        shown = whole(one, preset("pan", 4, 20.0))
        assert known_shares(shown).min() > 0.3
        assert not set(np.flatnonzero(after.flags(range(18)).dropped)) & set(np.unique(shown.source))


def test_what_cannot_be_drawn_is_refused_in_words(tmp_path: Path) -> None:
    empty = Bank.create(tmp_path, "empty").empty()
    with pytest.raises(ValueError, match="The memory is empty"):
        list(memory_view(empty, AROUND, K))
    with pytest.raises(ValueError, match="fill is 'black'. Use one of: grey, blurred, left as it was"):
        ViewSettings(fill="black")
    with pytest.raises(ValueError, match="detail is 'most'. Use one of: full, half"):
        ViewSettings(detail="most")
    with pytest.raises(ValueError, match="segment is 0"):
        ViewSettings(segment=0)
    with pytest.raises(ValueError, match="The size is 0 x 60"):
        ViewSettings(size=(60, 0))


@pytest.mark.parametrize("without", [0, 9, len(AROUND)])
def test_a_glance_is_the_view_of_these_frames_however_many_came_before(
    remembered: Callable[..., MemoryState], without: int
) -> None:
    state = remembered(without)
    glance = MemoryGlance(state, (HEIGHT, WIDTH))
    for frame in (0, 5, 9, 5):
        camera = ASIDE[frame : frame + 1]
        found = retrieve(state, camera, K).indices
        shown = glance.view(found, camera, distances(state, camera, K).depth)
        right = whole(state, camera, segment=1)
        for name in ("pictures", "confidence", "depth", "source"):
            assert np.array_equal(getattr(shown, name), getattr(right, name)), name
    small = MemoryGlance(state, (HEIGHT // 2, WIDTH // 2)).view(found, camera, 3.0)
    assert small.pictures.shape == (1, HEIGHT // 2, WIDTH // 2, 3)
