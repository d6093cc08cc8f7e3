"""Edits: what an artist says about frames, in force from there on, part of the memory's identity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.errors import BankError
from scene_memory.memory.state.edits import Edit, EditLog, Marks
from scene_memory.memory.state.state import MemoryState

Filmed = Callable[..., MemoryState]


def run_lists(most: int = 40) -> st.SearchStrategy:
    """Some runs of frames below ``most``, ascending and apart or touching."""
    ends = st.lists(st.integers(0, most), min_size=2, max_size=8, unique=True).map(sorted)
    return ends.map(lambda one: tuple(zip(one[::2], one[1::2], strict=False)))


@given(st.lists(st.tuples(run_lists(), st.sampled_from([0.0, 0.5, 1.0])), max_size=8))
def test_marks_are_a_number_for_every_frame(changes: list):
    marks, plain = Marks(), np.zeros(40, np.float32)
    for runs, value in changes:
        marks = marks.overlaid(runs, value)
        for start, stop in runs:
            plain[start:stop] = value
    np.testing.assert_array_equal(marks.at(np.arange(40)), plain)
    listed = [i for start, stop in marks.runs(33) for i in range(start, stop)]
    assert listed == np.flatnonzero(plain[:33]).tolist()
    assert len(marks.edges) + 1 == len(marks.values) and (np.diff(marks.values) != 0).all()


def frames(*indices: int) -> tuple[tuple[int, int], ...]:
    return tuple((i, i + 1) for i in indices)


def test_nothing_is_said_about_a_frame_at_first(remembered: Callable, move: Callable):
    flags = remembered(move("pan", 5)).flags(range(5))
    assert flags.usable.all() and not flags.pinned.any() and (flags.strength == 1.0).all()


def test_later_edits_win_over_earlier_ones_of_the_same_family(remembered: Callable, move: Callable):
    state = remembered(move("pan", 10))
    for edit in (
        Edit("pin", ((0, 4),)), Edit("unpin", ((1, 2),)), Edit("exclude", ((2, 6),)), Edit("include", ((5, 6),)),
        Edit("strength", ((6, 8),), 0.5), Edit("strength", ((7, 8),), 0.0), Edit("supersede", ((8, 9),), by=9),
    ):
        state = state.with_edit(edit)
    flags = state.flags(range(10))
    assert np.flatnonzero(flags.pinned).tolist() == [0, 2, 3]
    assert np.flatnonzero(flags.excluded).tolist() == [2, 3, 4]
    assert flags.strength.tolist() == [1, 1, 1, 1, 1, 1, 0.5, 0, 1, 1]
    assert np.flatnonzero(flags.usable).tolist() == [0, 1, 5, 6, 9]
    assert state.pinned_frames().tolist() == [0]
    assert [edit.kind for edit in state.edits][-1] == "supersede" and state.edits[-1].by == 9


def test_a_restored_frame_is_usable_again_and_a_dropped_one_never(remembered: Callable, move: Callable):
    state = remembered(move("pan", 4)).with_edit(Edit("supersede", ((0, 4),))).with_edit(Edit("drop", ((1, 2),)))
    state = state.with_edit(Edit("restore", ((0, 4),)))
    assert state.flags(range(4)).usable.tolist() == [True, False, True, True]


def test_an_edit_changes_the_id_and_leaves_the_memory_before_it(remembered: Callable, move: Callable):
    state = remembered(move("pan", 4))
    ids = {state.id, *(state.with_edit(edit).id for edit in (
        Edit("pin", ((0, 1),)), Edit("pin", ((0, 2),)), Edit("exclude", ((0, 1),)), Edit("strength", ((0, 1),), 0.5),
        Edit("supersede", ((0, 1),)), Edit("supersede", ((0, 1),), by=3),
    ))}
    assert len(ids) == 7
    assert state.with_edit(Edit("pin", ((0, 1),))) == state.with_edit(Edit("pin", ((np.int64(0), 1),)))
    assert not state.flags([0]).pinned[0] and state.edits == ()


def test_frames_that_do_not_exist_cannot_be_edited(remembered: Callable, move: Callable):
    state = remembered(move("pan", 4))
    for edit in (Edit("pin", ((3, 5),)), Edit("supersede", ((0, 1),), by=4)):
        with pytest.raises(ValueError, match="names frame 4, but the memory has 4 frames. Name frames from 0 to 3"):
            state.with_edit(edit)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "paint"}, "There is no edit 'paint'. Use one of: pin"),
        ({"runs": ()}, "names 0 runs"),
        ({"runs": ((2, 2),)}, "end after they start"),
        ({"runs": ((-1, 2),)}, "start at 0 or above"),
        ({"runs": ((3, 5), (4, 6))}, "follow each other"),
        ({"runs": ((0, 2**31 + 1),)}, "Sort and join"),
        ({"runs": ((0.5, 1),)}, "whole numbers"),
        ({"runs": ((True, 2),)}, "whole numbers"),
        ({"kind": "strength", "value": float("nan")}, "strength is nan"),
        ({"kind": "strength", "value": -0.1}, "between 0 and 10"),
        ({"value": 0.5}, "only 'strength' has one"),
        ({"by": 3}, "only 'supersede' names a frame"),
    ],
)
def test_an_edit_checks_itself(change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Edit(**{"kind": "pin", "runs": ((0, 1),), **change})


def test_edits_survive_in_the_bank_between_segments(bank: Bank, filmed: Filmed, move: Callable, pictures: Callable):
    state = bank.edit(filmed(bank, 2), Edit("pin", frames(1, 3)))
    state = bank.append(state, frames=pictures(4, 8), trajectory=move("tilt", 4), shot=2)
    state = bank.edit(state, Edit("strength", ((0, 9),), 0.25))
    loaded = Bank.open(bank.root, "film").load()
    assert loaded == state and loaded.edits == state.edits
    assert [entry.segments for entry in loaded.edit_entries] == [2, 3]
    assert loaded.segments[2].parent == loaded.edit_entries[0].id
    np.testing.assert_array_equal(loaded.flags(range(12)).strength, state.flags(range(12)).strength)
    assert loaded.pinned_frames().tolist() == [1, 3]
    np.testing.assert_array_equal(loaded.read_frames([9]), pictures(4, 8)[1:2])


def test_the_same_edit_is_written_once_and_another_memory_goes_to_the_history(bank: Bank, filmed: Filmed):
    state = filmed(bank, 1)
    one = bank.edit(state, Edit("pin", frames(0)))
    written = {path: path.stat().st_mtime_ns for path in bank.path.rglob("*.json")}
    assert bank.edit(state, Edit("pin", frames(0))) == one
    assert {path: path.stat().st_mtime_ns for path in bank.path.rglob("*.json")} == written
    two = bank.edit(state, Edit("exclude", frames(0)))
    assert bank.load() == two and bank.history() == [one.id] and bank.load(one.id) == one


@pytest.mark.parametrize("harm", ["missing", "changed", "another", "[" * 10**6, '{"runs":[[0,1]]}'])
def test_a_damaged_edit_ends_the_good_part_and_is_named(bank, filmed, move, pictures, caplog, harm: str):
    trunk = filmed(bank, 2)
    state = bank.edit(trunk, Edit("pin", frames(1)))
    bank.append(state, frames=pictures(4, 8), trajectory=move("tilt", 4), shot=2)
    path = bank.path / "edits" / f"{state.id}.json"
    if harm == "missing":
        path.unlink()
    else:
        path.write_text({"changed": path.read_text().replace("pin", "drop"), "another": "{}"}.get(harm, harm))
    assert bank.load() == trunk
    assert state.id in caplog.text and "the 2 before it are used" in caplog.text


def test_an_edit_that_the_disk_refuses_is_named(bank: Bank, filmed: Filmed, monkeypatch: pytest.MonkeyPatch):
    from scene_memory.memory import files as storage

    def full(*_):
        raise OSError(28, "No space left on device")

    state = filmed(bank, 1)
    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(BankError, match="No space left on device. Free some space"):
        bank.edit(state, Edit("pin", frames(0)))
    monkeypatch.undo()
    assert bank.load() == state


def test_a_thousand_edits_cost_what_is_in_force(remembered: Callable, move: Callable):
    state = remembered(move("pan", 100))
    for i in range(1000):
        state = state.with_edit(Edit("pin" if i % 2 else "unpin", frames(i % 100)))
    log: EditLog = state._edits
    assert len(state.edits) == 1000 and len(log.pinned.edges) <= 200
