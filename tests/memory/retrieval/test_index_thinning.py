"""Sharing places among groups, and how much of a long film a question looks at."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.retrieval.index import CameraIndex
from scene_memory.memory.retrieval.index.cones import Cones
from scene_memory.memory.retrieval.index.thinning import CELL, fair_shares, sampled, spread, thinned

Groups = st.lists(st.integers(0, 60), min_size=1, max_size=40)


def numbers(values: list[int]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def starts_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(counts) - counts


@given(groups=Groups, total=st.integers(0, 500))
def test_shares_use_every_place_and_are_as_even_as_can_be(groups: list[int], total: int) -> None:
    counts = numbers(groups)
    shares = fair_shares(counts, total)
    assert shares.sum() == min(total, counts.sum())
    assert ((shares >= 0) & (shares <= counts)).all()
    short = shares < counts
    if short.any():
        assert shares.max() - shares[short].min() <= 1


def test_places_that_do_not_go_round_are_spread_over_the_groups() -> None:
    assert np.flatnonzero(fair_shares(numbers([5] * 12), 3)).tolist() == [0, 4, 8]


@given(groups=Groups, total=st.integers(1, 500))
def test_a_spread_takes_different_members_of_its_groups_and_the_first(groups: list[int], total: int) -> None:
    counts = numbers(groups)
    shares = fair_shares(counts, total)
    group, places = spread(starts_of(counts), counts, shares)
    assert len(np.unique(places)) == len(places) == shares.sum()
    assert ((places >= starts_of(counts)[group]) & (places < (starts_of(counts) + counts)[group])).all()
    taken = np.flatnonzero(shares > 0)
    assert np.isin(starts_of(counts)[taken], places).all()


@given(groups=Groups, total=st.integers(1, 500), share=st.floats(0.0, 1.0), seed=st.integers(0, 99))
def test_a_sample_has_only_usable_members_and_the_oldest_where_it_is(
    groups: list[int], total: int, share: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    counts = np.maximum(numbers(groups), 1)
    starts, oldest = starts_of(counts), starts_of(counts) + random.integers(0, counts)
    allowed = random.random(int(counts.sum())) < share
    shares = fair_shares(counts, total)
    places = sampled(starts, counts, oldest, shares, lambda asked: allowed[asked])
    assert allowed[places].all()
    assert (np.diff(places) > 0).all()
    members = [np.flatnonzero(allowed[start : start + count]) for start, count in zip(starts, counts, strict=True)]
    for g in np.flatnonzero(shares > 0):
        inside = places[(places >= starts[g]) & (places < starts[g] + counts[g])]
        assert len(inside) <= shares[g]
        assert bool(len(inside)) == bool(len(members[g])), "a usable member is found wherever there is one"
        assert not allowed[oldest[g]] or oldest[g] in inside


def test_cells_are_doubled_where_there_are_more_than_places() -> None:
    side = np.arange(8)
    place = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    axis = np.tile(np.array([0, 0, 1], dtype=np.float32), (512, 1))
    cameras = Cones(place, axis, np.ones(512, dtype=np.float32))
    kept = thinned(np.arange(512), cameras, np.zeros(3, dtype=np.float32), reach=1 / CELL, limit=70)
    assert len(kept) == 70
    assert len(np.unique(place[kept] // 2, axis=0)) == 64


def test_a_few_usable_frames_are_found_among_very_many() -> None:
    counts = numbers([100_000])
    allowed = np.zeros(100_000, dtype=bool)
    allowed[40_000:40_400] = True
    found = sampled(numbers([0]), counts, numbers([99_999]), numbers([3]), lambda places: allowed[places])
    assert 0 < len(found) <= 3


@pytest.mark.parametrize("stays", [True, False], ids=["a film that stays in a room", "a film that moves on"])
def test_a_question_looks_at_no_more_of_a_longer_film(stays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    views = importlib.import_module("scene_memory.memory.retrieval.index.views")
    counted = views.meets

    def meets(target: object, place: NDArray[np.float32], *others: object) -> NDArray[np.bool_]:
        looked.append(len(place))
        return counted(target, place, *others)

    for part in ("camera_index", "block"):
        monkeypatch.setattr(importlib.import_module(f"scene_memory.memory.retrieval.index.{part}"), "meets", meets)
    cost = {}
    for frames in (10_000, 300_000):
        poses = film(frames, stays)
        index = CameraIndex.empty().extended(poses, np.tile(intrinsics_from_fov(70, 1.6), (frames, 1)), 0)
        looked.clear()
        found = index.candidates(poses[-81:], np.tile(intrinsics_from_fov(70, 1.6), (81, 1)), reach=5.0, limit=300)
        assert 0 < len(found) <= 300
        cost[frames] = sum(looked)
    assert max(cost.values()) < 12_000
    assert cost[300_000] < 3 * cost[10_000]


def film(frames: int, stays: bool) -> NDArray[np.float64]:
    """A camera that looks about while it sways in a room or walks straight on."""
    clock = np.arange(frames)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    turns = np.stack([pose([0, 0, 0], rotation(yaw=float(angle))) for angle in range(360)])
    poses[:, :3, :3] = turns[np.round(clock * 0.7).astype(int) % 360, :3, :3]
    poses[:, 0, 3] = 2.0 * np.sin(clock * 0.0131)
    poses[:, 2, 3] = 2.0 * np.sin(clock * 0.0173) if stays else 0.06 * clock
    return poses
