"""Walks of an artist round the camera path editor: after each step, what is on the screen is what ComfyUI would run.

Each frontend is walked round in one of its two ways of drawing, in the other with -m slow; `python dev.py bench trust`
takes longer walks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dev.support.editor_walk import Walk
from dev.support.frontend import MODES, Frontend, Mode

Open = Callable[[Mode], Frontend]
STEPS = 14


def one_quick(quick: Mode) -> list[Any]:
    return [pytest.param(mode, marks=() if mode == quick else pytest.mark.slow) for mode in MODES]


@pytest.mark.parametrize("mode", one_quick("nodes2"))
def test_a_walk_in_the_pinned_frontend_never_shows_what_will_not_run(open_frontend: Open, mode: Mode) -> None:
    assert Walk(open_frontend(mode), 1).go(STEPS) == []


@pytest.mark.parametrize("mode", one_quick("classic"))
def test_a_walk_in_the_newest_frontend_never_shows_what_will_not_run(open_newest: Open, mode: Mode) -> None:
    assert Walk(open_newest(mode), 3).go(STEPS) == []
