"""Nodes of stories: keyframes pinned in a real bank, cameras that cut or go on, takes named in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.state.state import MemoryState


@pytest.fixture
def story(comfy: Path) -> Any:
    from types import SimpleNamespace

    from scene_memory.nodes.story import story_camera, story_film, story_keyframes

    return SimpleNamespace(
        camera=story_camera.StoryCamera.execute,
        keyframes=story_keyframes.StoryKeyframes.execute,
        takes=story_film.takes_of,
    )


def with_shot(state: MemoryState, *scenes: int) -> MemoryState:
    """One more shot: a frame for each number, the same number being the same picture."""
    assert state.bank is not None
    frames = np.stack([np.random.default_rng(scene).integers(0, 256, (32, 48, 3), dtype=np.uint8) for scene in scenes])
    path = make_preset("pan", frames=len(scenes), fps=16.0, amount=0.0, fov=70.0, aspect=1.5)
    return state.bank.append(state, frames=frames, trajectory=path, shot=state.shots)


def test_keyframes_of_each_shot_are_pinned_and_the_middle_of_the_story_is_forgotten(story: Any, tmp_path: Path) -> None:
    state = with_shot(Bank.create(tmp_path, "film").empty(), 1, 1, 1, 2)

    def kept(state: MemoryState) -> tuple[MemoryState, list[int]]:
        result = story.keyframes(state, keep=3, fixed=1, per_shot=3, likeness=0.9)
        made, pictures = result.args
        assert len(pictures) == len(made.pinned_frames())
        return made, made.pinned_frames().tolist()

    state, pinned = kept(state)
    assert pinned == [0, 3], "frame 1 is never compared, 2 is like 0"
    assert kept(state) == (state, pinned), "once more changes nothing"
    state, pinned = kept(with_shot(state, 2, 2, 4))
    assert pinned == [0, 3, 6], "4 is like 3, which is remembered"
    state, pinned = kept(with_shot(state, 5, 5, 6))
    assert pinned == [0, 7, 9], "the oldest stays, then the newest"
    assert Bank.open(tmp_path, "film").load() == state, "the edits are in the bank"


def test_a_cut_stands_where_nothing_was_and_going_on_stands_where_the_film_is(story: Any, tmp_path: Path) -> None:
    from scene_memory.film.continuity import continues

    empty = Bank.create(tmp_path, "film").empty()
    (first,) = story.camera(empty, True, 5, 70.0, 16.0, 1.5).args
    assert len(first) == 5 and first.fps == 16.0 and np.array_equal(first.poses[0], np.eye(4))
    state = with_shot(empty, 1, 2)
    (cut,) = story.camera(state, True, 5, 70.0, 24.0, 1.0).args
    (on,) = story.camera(state, False, 4, 70.0, 24.0, 1.0).args
    assert not continues(state, cut) and continues(state, on) and cut.fps == 16.0
    assert np.array_equal(on.poses[0], state.last_pose)
    later = with_shot(state, 3)
    (elsewhere,) = story.camera(later, True, 5, 70.0, 24.0, 1.0).args
    assert np.linalg.norm(elsewhere.poses[0, :3, 3] - cut.poses[0, :3, 3]) >= 1000.0


def test_takes_in_words(story: Any) -> None:
    assert story.takes("") == {} and story.takes("4=2, 7") == {4: 2, 7: 1} and story.takes(" 3 = 1 ,") == {3: 1}
    for wrong in ("two", "4=", "4=x", "-1", "4;5"):
        with pytest.raises(ValueError, match="takes is"):
            story.takes(wrong)


def test_an_empty_memory_has_no_keyframes(story: Any) -> None:
    with pytest.raises(ValueError, match="holds no frames"):
        story.keyframes(MemoryState(), keep=3, fixed=1, per_shot=3, likeness=0.9)
