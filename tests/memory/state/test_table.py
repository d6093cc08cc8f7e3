"""Shared columns: equal to plain lists, whatever branches off where."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.state.table import Column, Table

COLUMNS = (Column("number", (), "i8"), Column("pair", (2,), "f4"))


def appended(table: Table, values: list[int]) -> Table:
    numbers = np.array(values, dtype=np.int64)
    return table.appended(numbers, np.stack([numbers, -numbers], axis=1).astype(np.float32))


@given(
    steps=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40)), min_size=1, max_size=30),
    block=st.integers(1, 48),
    seed=st.integers(0, 9),
)
def test_a_table_is_a_list_that_branches_share(steps: list[tuple[int, int]], block: int, seed: int):
    """Grows a tree of tables from any earlier one; each equals a list that nobody shares, by every way of reading."""
    tables: list[tuple[Table, list[int]]] = [(Table(COLUMNS, block), [])]
    for mark, (origin, count) in enumerate(steps):
        table, expected = tables[origin % len(tables)]
        new = [len(expected) + mark + i for i in range(count)]
        tables.append((appended(table, new), expected + new))
    random = np.random.default_rng(seed)
    for table, expected in tables:
        assert table.rows == len(expected)
        assert table.whole("number").tolist() == expected
        assert table.whole("pair")[:, 1].tolist() == [-one for one in expected]
        if expected:
            rows = random.integers(0, len(expected), 20)
            assert table.take("number", rows).tolist() == [expected[i] for i in rows]
            assert table.take("pair", rows)[:, 0].tolist() == [expected[i] for i in rows]
            start = int(rows[0])
            pieces = [one for piece in table.chunks("number", start) for one in piece.tolist()]
            assert pieces == expected[start:]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 16))
def test_search_finds_the_last_row_that_is_not_above(steps: list[int], block: int):
    starts = np.cumsum([0, *steps[:-1]])
    table = appended(Table(COLUMNS, block), starts.tolist())
    frames = np.arange(sum(steps))
    assert table.search("number", frames).tolist() == (np.searchsorted(starts, frames, side="right") - 1).tolist()


def test_appending_to_an_old_table_copies_one_block_at_most():
    table = appended(Table(COLUMNS, 64), list(range(1000)))
    longer, other = appended(table, [1]), appended(table, [2])
    first = [next(one.chunks("number")) for one in (table, longer, other)]
    assert np.shares_memory(first[0], first[1]) and np.shares_memory(first[0], first[2])
    assert longer.whole("number")[-1] == 1 and other.whole("number")[-1] == 2
