"""Large wrong files: refused soon, and without many times their size in memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from scene_memory.memory.camera_files import READABLE, CameraFileError, numbers, read_trajectory

MEGABYTES = 24
SIZE = MEGABYTES * 10**6
Put = Callable[[dict[str, bytes]], Path]


def filled(piece: bytes) -> bytes:
    return piece * (SIZE // len(piece))


WRONG = {
    "comments": (filled(b"# a word\n"), "its layout is not recognised"),
    "comments of Windows": (filled(b"# a longer comment, as a log has it\r\n"), "its layout is not recognised"),
    "blanks": (filled(b" \n"), "is empty"),
    "one line of numbers": (filled(b"0.25 "), "its layout is not recognised"),
    "one line of letters": (filled(b"abcdefgh"), "its layout is not recognised"),
    "one line of brackets": (filled(b"["), "values are more than 1000000 cameras can need"),
    "short cameras": (filled(b"0 0 0 0 0 0 0 1\n"), "it has more than 1000 cameras, the most that are read"),
    "comments and a camera": (filled(b"# a word\n") + b"0 0 0 0 0 0 0 1 2\n", "its layout is not recognised"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_large_wrong_file_is_refused_with_little_memory(put: Put, case: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(numbers, "MAX_POSES", 1000)
    data, words = WRONG[case]
    file = put({"large.txt": data})
    tracemalloc.start()
    begin = time.perf_counter()
    try:
        with pytest.raises(CameraFileError, match=words):
            read_trajectory(file)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3.05 * SIZE
    assert time.perf_counter() - begin < 20.0


@pytest.mark.parametrize("name", READABLE)
def test_a_layout_chosen_by_name_does_not_take_more(put: Put, name: str):
    file = put({"large.txt": WRONG["comments"][0]})
    tracemalloc.start()
    try:
        with pytest.raises(CameraFileError):
            read_trajectory(file, layout=name)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3.05 * SIZE


def test_the_place_of_a_mistake_is_counted_in_lines_of_the_file(put: Put):
    text = "# head\n\n0 0 0 0 0 0 0 1\n   \n# more\n1 0 0 0 0 0 0 1\n\n2 0 0 0 0 0 x 1\n"
    with pytest.raises(CameraFileError, match="line 8: 'x' is no number"):
        read_trajectory(put({"a.txt": text.encode()}), layout="TUM")
    with pytest.raises(CameraFileError, match="line 8: 'x' is no number"):
        read_trajectory(put({"a.txt": text.replace("\n", "\r\n").encode()}), layout="TUM")
