"""What a film's segments looked at and why, as Memory Info tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.pictures import picture_of_bank
from scene_memory.memory.pictures.picture_of_bank import bank_picture
from scene_memory.memory.retrieval.reasons import looked_at, notes_of, recalled, report
from scene_memory.memory.retrieval.retrieve import retrieve
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.state.state import MemoryState
from scene_memory.memory.state.summary import summarise, summary_text


def filmed(folder: Path, notes: str) -> MemoryState:
    """Four segments that turn away and back, with notes as they are kept now, as they were before, or none."""
    bank = Bank.create(folder, f"film {notes}")
    state = bank.empty()
    for shot, amount in enumerate((60.0, 60.0, -60.0, -60.0)):
        path = make_preset("pan", frames=8, fps=8.0, amount=amount, fov=70.0, aspect=1.6).after(state.last_pose)
        info: dict[str, Any] = notes_of(retrieve(state, path, RetrievalSettings(k=6)).reasons)
        if notes == "before":
            del info["reasons"]
        pictures = np.full((8, 10, 16, 3), 40 * shot, dtype=np.uint8)
        state = bank.append(
            state, frames=pictures, trajectory=path, shot=shot // 2, info={} if notes == "none" else info
        )
    return state


def test_each_segment_says_what_it_looked_at_and_by_which_rule(tmp_path: Path) -> None:
    state = filmed(tmp_path, "now")
    told = recalled(state)
    where = [(one.number, one.shot, one.start, one.stop) for one in told]
    assert where == [(2, 0, 8, 16), (3, 1, 16, 24), (4, 1, 24, 32)]
    for one in told:
        context = state.segments[one.number - 1].info["context"]
        assert [frame.index for frame in one.frames] == context and one.frames[0].rule == "most recent"
        assert max(frame.overlap for frame in one.frames) > 0.5
    text = summary_text(summarise(state), None, (), report(state))
    assert "What each segment looked at" in text
    assert "Segment 4, shot 1, frames 24-31: most recent: 23 (saw " in text and "shows what the others lack: " in text
    best = max(told[2].frames, key=lambda frame: frame.overlap)
    assert looked_at(told[2].frames).startswith(f"{best.index} (") and looked_at(told[2].frames).endswith(" +4")


def test_segments_of_before_still_show_their_frames(tmp_path: Path) -> None:
    state = filmed(tmp_path, "before")
    line = report(state)[-1]
    assert line.startswith("Segment 4, shot 1, frames 24-31: 23, ") and "saw" not in line and "%" not in line
    assert "%" not in looked_at(recalled(state)[0].frames)
    assert len(bank_picture(state)) > len(bank_picture(filmed(tmp_path, "none")))


def test_a_film_without_notes_has_no_such_part(tmp_path: Path) -> None:
    state = filmed(tmp_path, "none")
    assert report(state) == [] and "looked at" not in summary_text(summarise(state), None, (), report(state))


def test_frames_that_a_stranger_made_up_are_left_out(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path, "film")
    path = make_preset("pan", frames=2, fps=8.0, amount=9.0, fov=70.0, aspect=1.6)
    frames = np.zeros((2, 6, 10, 3), dtype=np.uint8)
    state = bank.append(bank.empty(), frames=frames, trajectory=path, shot=0, info={"context": [0, 7]})
    state = bank.append(state, frames=frames, trajectory=path, shot=0, info={"context": [10**12, 1, 3]})
    assert [[one.index for one in segment.frames] for segment in recalled(state)] == [[1]]
    bank_picture(state)


def test_the_chart_has_a_mark_for_each_frame_and_only_the_newest_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = filmed(tmp_path, "now")
    colours = {0: (200, 40, 40), 1: (40, 200, 40)}
    chart = picture_of_bank.recall_picture(state, colours, 90 + 8 + 640, 90)
    across = 640 / state.frames
    for place, row in enumerate(recalled(state)):
        strip = chart[place * picture_of_bank.ROW + 5]
        assert tuple(strip[90 + int((row.start + 4) * across)]) == tuple(part // 2 for part in colours[row.shot])
        lit = [index for index in range(row.start) if strip[90 + int(index * across) + 1].mean() > 60]
        assert lit == sorted(frame.index for frame in row.frames)
    monkeypatch.setattr(picture_of_bank, "MOST_ROWS", 1)
    assert len(picture_of_bank.recall_picture(state, colours, 738, 90)) < len(chart)
