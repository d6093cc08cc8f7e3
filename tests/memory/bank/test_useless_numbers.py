"""Numbers and texts that a stranger may write: what no later stage can use is damage, and costs no sound segment."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.film.video import write_video
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.segment_file import _parts, read_coded
from scene_memory.memory.bank.segment_text import MAX_SHOTS
from scene_memory.memory.bank.tensor_file import open_tensors
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.document import MAX_DEPTH, is_deep
from scene_memory.memory.errors import BankError
from scene_memory.memory.pictures.picture_of_bank import bank_picture
from scene_memory.memory.state.state import MemoryState
from scene_memory.memory.state.summary import summarise, summary_text

Filmed = Callable[..., MemoryState]


def forged(bank: Bank, state: MemoryState, number: int, text: Callable[[str], str]) -> str:
    """Puts a segment with an honest hash and another text where segment ``number`` was, as a forger would: its id."""
    path = bank.segments_path / f"{state.segments[number].id}.safetensors"
    with open_tensors(path) as file:
        new = text(file.metadata["scene_memory"])
        tensors = {name: file.read(name, file.tensors[name].kind, file.tensors[name].shape)
                   for name in ("poses", "intrinsics", "hashes")}
    coded = [one.data for one in read_coded(path, state.segments[number].id, range(4)) if one is not None]
    entry = hashlib.sha256(new.encode()).hexdigest()
    target = bank.segments_path / f"{entry}.safetensors"
    target.write_bytes(b"".join(_parts(new, "png", tensors, coded)))
    head = json.loads(bank.head_path.read_bytes())
    ids = [state.segments[i].id for i in range(number)] + [entry]
    head.update(id=entry, segments=len(ids), recent=ids)
    bank.head_path.write_text(json.dumps(head))
    return entry


def number(field: str, value: str) -> Callable[[str], str]:
    return lambda text: re.sub(rf'"{field}":[^,}}]+', f'"{field}":{value}', text)


def info(value: str) -> Callable[[str], str]:
    return lambda text: re.sub(r'"info":{[^}]*}', f'"info":{value}', text)


USELESS = {
    "info with NaN": info('{"a":NaN}'),
    "info with infinity": info('{"a":-Infinity}'),
    "info with 1e999": info('{"a":1e999}'),
    "info with a number of 5000 digits": info('{"a":' + "9" * 5000 + "}"),
    "info nested 980 deep": info('{"a":' + "[" * 980 + "]" * 980 + "}"),
    "info nested 101 deep": info('{"a":' * 101 + "1" + "}" * 101),
    "fps 10 ** 400": number("fps", "1" + "0" * 400),
    "fps 1e-308": number("fps", "1e-308"),
    "fps 1e-300": number("fps", "1e-300"),
    "fps 1e300": number("fps", "1e300"),
    "fps 2 ** 31": number("fps", str(2**31)),
    "fps true": number("fps", "true"),
    "fps NaN": number("fps", "NaN"),
    "time 1e300": number("time", "1e300"),
    "time below 0": number("time", "-1.0"),
    "shot 2 ** 31 - 1": number("shot", str(2**31 - 1)),
    "shot of a million": number("shot", str(MAX_SHOTS)),
}


@pytest.mark.parametrize("text", USELESS.values(), ids=USELESS)
@pytest.mark.parametrize("place", [0, 2], ids=["first", "third"])
def test_what_no_later_stage_can_use_is_damage_and_costs_nothing_before_it(bank, filmed, caplog, text, place: int):
    state = filmed(bank, 3)
    entry = forged(bank, state, place, text)
    if not place:
        with pytest.raises(BankError, match=entry):
            bank.load()
        return
    assert bank.load().frames == 8 and entry in caplog.text
    summary_text(summarise(bank.load())), bank_picture(bank.load())


ALLOWED = [number("shot", str(MAX_SHOTS - 1)), info('{"a":' + "[" * 98 + "1e300" + "]" * 98 + "}")]


@pytest.mark.parametrize("text", ALLOWED, ids=["shot", "info"])
def test_what_is_just_allowed_is_used_by_every_stage(bank: Bank, filmed: Filmed, text, tmp_path: Path):
    state = filmed(bank, 2)
    forged(bank, state, 1, text)
    loaded = bank.load()
    assert loaded.frames == 8 and list(loaded.segments)[1].info is not None
    summary_text(summarise(loaded)), bank_picture(loaded)
    assert write_video(loaded, tmp_path / "film.mp4", scale=2) == 8


def test_how_deep_texts_may_be_does_not_depend_on_who_reads_them(bank: Bank, filmed: Filmed):
    state = filmed(bank, 2)
    forged(bank, state, 1, info('{"a":' + "[" * 98 + "]" * 98 + "}"))

    def deep(calls: int) -> int:
        return deep(calls - 1) if calls else bank.load().frames

    assert deep(0) == deep(sys.getrecursionlimit() - 300) == 8
    assert is_deep("[" * (MAX_DEPTH + 1)) and not is_deep("[" * MAX_DEPTH) and not is_deep('"' + "[" * 999 + '"')
    assert not is_deep('{"a":"' + '\\"[' * 999 + '"}') and is_deep('{"a":' * (MAX_DEPTH + 1))


def test_a_film_of_strange_rates_from_version_0_3_still_opens(tmp_path: Path, pictures, move):
    """Camera files without times led to a million frames a second, or 3e-8."""
    for place, fps in enumerate((1e6, 24390.2, 3e-8, 1000.0, 0.1)):
        bank, path = Bank.create(tmp_path, f"film {place}"), move("pan", 4)
        state = bank.append(bank.empty(), frames=pictures(4), shot=0,
                            trajectory=Trajectory(path.poses, path.intrinsics, fps, "odd"))
        assert bank.load() == state
        summary_text(summarise(state)), bank_picture(state)
        if not 0.1 <= fps <= 1000:
            with pytest.raises(ValueError, match="fps is 0, which takes the memory's rate of .*Set fps, such as to 24"):
                write_video(state, tmp_path / "x.mp4")
        assert write_video(state, tmp_path / "x.mp4", fps=24.0 if fps != 1000 else 0.0, scale=2) == 4


@pytest.mark.parametrize("fps", [1e-12, 1e12])
def test_a_rate_that_could_not_be_read_again_is_not_written(bank: Bank, pictures, move, fps: float):
    path = move("pan", 4)
    with pytest.raises(BankError, match="frames a second: a film has 1e-09 to 1e\\+09. Give the path another fps"):
        bank.append(bank.empty(), frames=pictures(4), shot=0,
                    trajectory=Trajectory(path.poses, path.intrinsics, fps, "odd"))


def test_the_cure_for_a_shot_is_never_the_number_that_was_refused(bank: Bank, filmed: Filmed, pictures, move):
    more: dict[str, Any] = {"frames": pictures(4, 7), "trajectory": move("tilt", 4)}
    state = filmed(bank, 2)
    with pytest.raises(BankError, match="The shot is 1000000: shots are whole numbers from 0 to 999999. Use 1."):
        bank.append(state, **more, shot=MAX_SHOTS)
    forged(bank, state, 1, number("shot", str(MAX_SHOTS - 1)))
    full = bank.load()
    with pytest.raises(BankError, match="shots are whole numbers from 0 to 999999. Go on in a new memory bank."):
        bank.append(full, **more, shot=full.shots)


def test_a_prompt_of_a_megabyte_takes_no_time_to_show(bank: Bank, pictures, move):
    """Measured by shares: a hundred times the letters, a few times the seconds."""
    seconds = []
    for letters in (10_000, 900_000):
        own = Bank.create(bank.root, f"of {letters}")
        state = own.empty()
        for shot in range(3):
            state = own.append(state, frames=pictures(2, shot), trajectory=move("pan", 2), shot=shot,
                               prompt="Wide shot. " * (letters // 11))
        begin = time.process_time()
        bank_picture(state)
        text = summary_text(summarise(state))
        seconds.append(time.process_time() - begin)
        assert len(text) < 62_000
    assert seconds[1] < 8 * seconds[0] + 0.5


@pytest.mark.parametrize(("room", "size"), [(60, 1.0), (200, 1.3), (7, 1.0), (1, 1.0)])
def test_text_is_cut_where_it_was_before_it_was_quick(room: int, size: float):
    """As much as fits, with dots, and nothing beyond the room; a short line stays whole."""
    from scene_memory.memory.pictures.drawing import canvas, text_width, write

    line = "a wide shot of the courtyard at dusk, iiii WWWW, with a well in its middle"
    picture, expected = canvas(30, 400), canvas(30, 400)
    write(picture, line, (0, 20), size=size, room=room)
    cut = line
    while cut and text_width(f"{cut}...", size) > room:
        cut = cut[:-1]
    write(expected, f"{cut}...", (0, 20), size=size)
    np.testing.assert_array_equal(picture, expected)
