"""Files whose text is not plain UTF-8, and what git or a browser leaves in a file's place."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scene_memory.dev.bench._camera_samples import SAMPLES, Files, known_cameras
from scene_memory.memory.camera_files import CameraFileError, read_trajectory
from scene_memory.memory.camera_files.source import Source

POSES, LENS = known_cameras(5)
Put = Callable[[Files], Path]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 98304\n"
PAGE = b'\xef\xbb\xbf\n<!DOCTYPE html>\n<html lang="en"><body>cameras</body></html>'


def text_samples() -> list[str]:
    return [name for name, make in SAMPLES.items() if is_text(make)]


def is_text(make: Callable[[np.ndarray, np.ndarray], Files]) -> bool:
    first = next(iter(make(POSES, LENS).values()))
    return b"\0" not in first


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF8], ids=["le", "be", "utf8"])
@pytest.mark.parametrize("name", text_samples())
def test_every_layout_of_text_is_read_in_the_encodings_that_windows_writes(put: Put, name: str, mark: bytes):
    """PowerShell's `>` writes UTF-16 with a byte order mark and CR LF; Notepad writes UTF-8 with one."""
    coding = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}.get(mark, "utf-8")
    files = SAMPLES[name](POSES, LENS)
    wide = {file: mark + data.decode().replace("\n", "\r\n").encode(coding) for file, data in files.items()}
    camera = "cam02" if name == "ReCamMaster" else ""
    path = read_trajectory(put(wide), camera=camera)
    assert np.abs(path.poses - POSES).max() < 1e-9
    assert np.array_equal(path.intrinsics, read_trajectory(put(files), camera=camera).intrinsics)


@pytest.mark.parametrize("layout", ["auto", "LingBot", "nerfstudio"])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (POINTER, "it is a git-lfs pointer: .* not downloaded. Run `git lfs pull` in the repository"),
        (PAGE, r"it is a web page \(HTML\), not the file that the page shows. Download the file itself"),
        (b"  <HTML><head>", r"it is a web page"),
    ],
)
def test_what_stands_in_a_files_place_is_called_by_its_name(put: Put, data: bytes, words: str, layout: str):
    with pytest.raises(CameraFileError, match=f"poses.npy: {words}"):
        read_trajectory(put({"poses.npy": data}), layout=layout)


def test_a_pointer_beside_a_good_file_is_told_too(put: Put):
    files = {**SAMPLES["LingBot"](POSES, LENS), "intrinsics.npy": POINTER}
    with pytest.raises(CameraFileError, match="intrinsics.npy: it is a git-lfs pointer"):
        read_trajectory(put(files))


def test_binary_that_begins_like_a_byte_order_mark_is_no_text(put: Put):
    """65,279 as a 64-bit number, as COLMAP begins a file of so many pictures, begins with UTF-16's mark."""
    assert not Source(put({"a.bin": (65279).to_bytes(8, "little") + bytes(64)})).is_text
