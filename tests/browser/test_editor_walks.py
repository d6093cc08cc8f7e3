"""Walks of an artist round the camera path editor: after each step, what is on the screen is what ComfyUI would run.

`python dev.py bench trust` takes longer ones.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dev.support.editor_walk import Walk
from dev.support.frontend import MODES, Frontend, Mode

Open = Callable[[Mode], Frontend]
STEPS = 14


@pytest.mark.parametrize("mode", MODES)
def test_a_walk_in_the_pinned_frontend_never_shows_what_will_not_run(open_frontend: Open, mode: Mode) -> None:
    assert Walk(open_frontend(mode), 1).go(STEPS) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_walk_in_the_newest_frontend_never_shows_what_will_not_run(open_newest: Open, mode: Mode) -> None:
    assert Walk(open_newest(mode), 3).go(STEPS) == []
