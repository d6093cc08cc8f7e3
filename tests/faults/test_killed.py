"""`kill -9` at any instant: the last good memory is there, and going on gives the same bytes as never being killed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., dict[str, Any]]


def kill_and_compare(ask: Ask, film: dict[str, Any], folder: Path, number: int) -> int:
    """Kill ``number``, the same instant each time as far as the machine allows. Gives the step the bank opened at."""
    folder.mkdir()
    after = random.Random(number).random() * film["seconds"]
    result = ask("killed", root=str(folder), ids=film["ids"], after=after)
    told = f"kill {number}, after {after * 1000:.1f} ms: {result['reported']} steps reported, found {result['found']}"
    assert result["found"] in (result["reported"] - 1, result["reported"]), f"{told}: a finished step was lost"
    assert result["finished"], f"{told}: filming on failed"
    assert result["tree"] == film["tree"], f"{told}: other files than the film that was never killed"
    return int(result["found"])


def test_a_film_killed_at_any_instant_ends_like_one_that_was_not(ask: Ask, film: dict[str, Any], tmp_path: Path):
    folders = {one.split("/")[0] for one in film["tree"]}
    assert len(film["ids"]) == 14 and {"packs", "edits", "keys", "history"} <= folders
    found = {kill_and_compare(ask, film, tmp_path / str(number), number) for number in range(15)}
    assert len(found) > 3, "the kills did not spread over the film"


@pytest.mark.slow
def test_two_hundred_kills(ask: Ask, film: dict[str, Any], tmp_path: Path):
    found = [kill_and_compare(ask, film, tmp_path / str(number), number) for number in range(1000, 1200)]
    assert len(set(found)) > 10
