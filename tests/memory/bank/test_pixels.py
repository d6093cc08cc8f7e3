"""Pictures that were dropped to save space, and depth that is kept beside them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.pixels import drop_pixels
from scene_memory.memory.errors import BankError, DamageError
from scene_memory.memory.state.depth import depth_to_keep
from scene_memory.memory.state.state import MemoryState

Filmed = Callable[..., MemoryState]


def test_a_dropped_picture_is_gone_and_all_else_stays(bank: Bank, filmed: Filmed, move, pictures):
    state = filmed(bank, 3)
    before, shown = bank.size_bytes(), state.read_frames(range(12))
    freed = drop_pixels(bank.path, state, [1, 2, 6])
    assert freed > 0 and bank.size_bytes() == before - freed
    assert np.flatnonzero(~bank.kept(state, range(12))).tolist() == [1, 2, 6]
    loaded = Bank.open(bank.root, "film").load()
    assert loaded == state and loaded.poses.tobytes() == state.poses.tobytes()
    kept = [i for i in range(12) if i not in (1, 2, 6)]
    np.testing.assert_array_equal(loaded.read_frames(kept), shown[kept])
    with pytest.raises(BankError, match="picture of frame 6 was dropped to keep the bank within its size"):
        loaded.read_frames([5, 6])
    assert drop_pixels(bank.path, state, [1, 2]) == 0
    more = bank.append(loaded, frames=pictures(4, 40), trajectory=move("tilt", 4), shot=3)
    assert bank.load() == more


def test_a_dropped_picture_can_be_shown_as_the_kept_one_next_to_it(bank: Bank, filmed: Filmed):
    state = filmed(bank, 3)
    shown = state.read_frames(range(12))
    drop_pixels(bank.path, state, [0, *range(4, 11)])
    near = state.read_frames(range(12), nearest=True)
    np.testing.assert_array_equal(near, shown[[1, 1, 2, 3, 3, 3, 3, 3, 11, 11, 11, 11]])
    drop_pixels(bank.path, state, [1, 2, 3, 11])
    with pytest.raises(BankError, match="All pictures of this memory were dropped"):
        state.read_frames([5], nearest=True)


def test_appending_the_same_segment_again_brings_its_pictures_back(bank: Bank, filmed: Filmed, pictures, move):
    trunk = filmed(bank, 1)
    more = {"frames": pictures(4, 7), "trajectory": move("tilt", 4), "shot": 1}
    state = bank.append(trunk, **more)
    drop_pixels(bank.path, state, [5, 6])
    assert bank.append(trunk, **more) == state and bank.kept(state, range(8)).all()


def test_latents_go_with_the_last_picture_and_depth_stays(bank: Bank, pictures, move):
    state = bank.append(bank.empty(), frames=pictures(2), trajectory=move("pan", 2), shot=0,
                        latents=np.ones((1, 2, 3, 4), np.float16), depth=np.ones((2, 3, 4)))
    drop_pixels(bank.path, state, [0])
    assert state.read_latents([1])[0] is not None
    drop_pixels(bank.path, state, [1])
    assert state.read_latents([1])[0] is None and (bank.load().depth([0]) == 1.0).all()


def test_a_picture_whose_pixels_are_not_those_stored_is_never_shown(bank: Bank, filmed: Filmed, pictures):
    """A good picture in another's place: only its hash tells."""
    state = filmed(bank, 2)
    one, two = (bank.segments_path / f"{record.id}.safetensors" for record in state.segments)
    from scene_memory.memory.bank.segment_file import _opened, _parts, read_coded

    with _opened(two, state.segments[1].id) as (file, _):
        tensors = {name: file.read(name, stored.kind, stored.shape) for name, stored in file.tensors.items()
                   if name not in ("frames", "offsets")}
        coded = [picture.data for picture in read_coded(one, state.segments[0].id, range(4)) if picture]
        parts = _parts(file.metadata["scene_memory"], file.metadata["coding"], tensors, coded)
    two.write_bytes(b"".join(parts))
    assert bank.load() == state
    with pytest.raises(DamageError, match=f"{two.name}, picture 2, does not have the pixels that were stored"):
        state.read_frames([6])


@given(st.integers(1, 200), st.integers(1, 200))
def test_depth_is_kept_at_64_a_side_in_the_shape_of_the_picture(height: int, width: int):
    kept = depth_to_keep(np.ones((2, height, width)), 2)
    assert kept.dtype == np.float16 and max(kept.shape[1:]) == min(64, max(height, width)) and (kept == 1.0).all()
    ratio = (kept.shape[1] / kept.shape[2]) / (height / width)
    assert 0.6 < ratio < 1.7 or min(kept.shape[1:]) <= 2


def test_depth_that_is_no_distance_is_unknown_and_nothing_between_near_and_far_is_made_up():
    depth = np.full((1, 128, 128), 2.0)
    depth[:, :, 64:] = 50.0
    depth[0, 0, 0], depth[0, 2, 0], depth[0, 4, 0], depth[0, 6, 0], depth[0, 8, 0] = np.nan, -1.0, 0.0, np.inf, 1e9
    kept = depth_to_keep(np.repeat(np.repeat(depth[:, ::2, ::2], 2, 1), 2, 2), 1)
    assert np.isnan(kept[0, :3, 0]).all() and (kept[0, 3:5, 0] == 65504.0).all()
    assert set(kept[0, 5:].ravel().tolist()) == {2.0, 50.0}


def test_one_size_of_depth_serves_the_whole_memory(remembered: Callable, move: Callable):
    from scene_memory.memory.state.state import SegmentRecord

    state = remembered(move("pan", 3))
    assert not state.has_depth and state.depth([0, 1]).shape == (2, 1, 1) and np.isnan(state.depth([0])).all()
    for mark, size in ((7, (30, 40)), (8, (60, 90))):
        path = move("tilt", 2)
        record = SegmentRecord(f"{mark:064x}", state.id, state.frames, 2, 1, "", (6, 10), 8.0)
        state = state.with_segment(record, path.poses, path.intrinsics, depth=np.full((2, *size), float(mark)))
    assert state.depth_size == (30, 40) and state.segments[2].depth_size == (30, 40)
    depth = state.depth([6, 0, 3])
    assert (depth[0] == 8.0).all() and np.isnan(depth[1]).all() and (depth[2] == 7.0).all()
