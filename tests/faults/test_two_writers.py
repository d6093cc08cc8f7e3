"""Two processes with one bank: no memory that was finished is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("attempt", range(3))
def test_two_processes_that_append_at_the_same_time_both_keep_their_films(ask: Ask, tmp_path: Path, attempt: int):
    result = ask("two_writers", root=str(tmp_path), segments=12)
    assert result["good"] == [True, True]
    one, two = (ids[-1] for ids in result["ids"])
    assert len(result["ids"][0]) == len(result["ids"][1]) == 12 and one != two
    kept = {result["head"]: result["frames"], **result["history"]}
    assert kept[one] == kept[two] == 3 * 13, "a finished film is neither the head nor in the history, or not whole"
    assert result["head"] in (one, two)


@pytest.mark.parametrize("whole_bank", [False, True])
def test_two_processes_with_a_limit_leave_each_other_their_films(ask: Ask, tmp_path: Path, whole_bank: bool):
    result = ask("two_writers", root=str(tmp_path), segments=12, most=12_000, whole_bank=whole_bank)
    assert result["good"] == [True, True]
    one, two = (ids[-1] for ids in result["ids"])
    kept = {result["head"]: result["frames"], **result["history"]}
    assert kept[one] == kept[two] == 3 * 13, "a film is gone, or not whole"
