"""Text of any script on pictures, with the fonts of OpenCV 5 and, where that is older, with those of the system."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from scene_memory.memory.pictures import drawing, letters
from scene_memory.memory.pictures.drawing import canvas, text_width, write
from scene_memory.memory.pictures.letters import BOX, OpenCvLetters, SystemLetters, readable

BY = [SystemLetters(), *([OpenCvLetters()] if hasattr(cv2, "FontFace") else [])]


@pytest.fixture(params=BY, ids=[type(by).__name__ for by in BY], autouse=True)
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[letters.Letters]:
    for place in (letters, drawing):
        monkeypatch.setattr(place, "letters", lambda: request.param)
    yield request.param


def drawn(line: str, size: float = 2.0, room: int = 0) -> np.ndarray:
    picture = canvas(40, 400)
    write(picture, line, (4, 30), size=size, room=room)
    return picture


def test_an_accent_stays_on_its_letter(by: letters.Letters) -> None:
    if not by.has("é"):
        assert readable("café") == "cafe", "no font of this machine has it"
        return
    assert readable("café") == readable("cafe\u0301") == "café"
    plain, accented = drawn("cafe"), drawn("café")
    higher = np.abs(plain.astype(int) - accented).sum(axis=(1, 2))
    assert higher.any() and not np.array_equal(plain, drawn("caf?"))
    assert np.array_equal(accented, drawn("cafe\u0301"))


def test_no_letter_becomes_a_question_mark(by: letters.Letters) -> None:
    name = "我的房间 café"
    shown = readable(name)
    assert "?" not in shown and shown.endswith("café") and len(shown) == len(name)
    assert all(kept in (given, BOX) for kept, given in zip(shown, name, strict=True))
    nothing = readable("\u0378\U000f0000x\u200b\n\ty")
    assert nothing == f"{BOX}x  y" or nothing.replace(BOX, "") == "x  y"
    assert not np.array_equal(drawn("我"), drawn("?")), "a box, where no font has it"
    assert drawn(BOX).std() > 0


def test_opencv_has_the_scripts_that_artists_name_banks_in() -> None:
    if not hasattr(cv2, "FontFace"):
        return
    fonts = OpenCvLetters()
    assert all(fonts.has(letter) for letter in "我的房间日本語カナ한국어Žťμя№×°→")


@pytest.mark.parametrize("line", ["", "x", "a line that is far too long to fit", "我的房间" * 40, "y" * 2_000_000])
def test_a_line_stays_within_its_room_whatever_it_is(line: str) -> None:
    picture = drawn(line, 1.0, room=120)
    lit = np.flatnonzero((picture != canvas(40, 400)).any(axis=(0, 2)))
    assert not len(lit) or lit.max() <= 4 + 120 + 2
    assert text_width("wider", 2.0) > text_width("wider") > text_width("wide")
