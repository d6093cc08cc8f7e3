"""Files of camera paths with bytes changed at random: a sound path or a refusal, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scene_memory.dev.bench._camera_samples import SAMPLES, known_cameras
from scene_memory.memory.camera_files import CameraFileError, read_trajectory
from scene_memory.memory.cameras.trajectory import Trajectory

POSES, LENS = known_cameras(3)
PIECES = [
    b"", b"-", b"9", b"e9", b"nan", b"]", b"[", b",", b" ", b"\n", b'"', b"\0", b"null", b"{}", b"\xff", b"1e999", b".",
]  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_damage_gives_anything_but_a_sound_path_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
):
    folder = tmp_path_factory.getbasetemp()
    files = SAMPLES[name](POSES, LENS)
    for file, content in files.items():
        damaged = bytearray(content)
        for _ in range(data.draw(st.integers(0, 4))):
            place = data.draw(st.integers(0, len(damaged) - 1))
            piece = data.draw(st.sampled_from(PIECES))
            damaged[place : place + data.draw(st.integers(0, 9))] = piece
        (folder / file).write_bytes(bytes(damaged))
    try:
        path = read_trajectory(folder / next(iter(files)), layout=data.draw(st.sampled_from(["auto", name])))
    except CameraFileError as refusal:
        assert str(refusal).startswith(tuple(files))
        return
    assert isinstance(path, Trajectory) and np.isfinite(path.poses).all() and np.isfinite(path.intrinsics).all()
    assert np.allclose(np.linalg.det(path.poses[:, :3, :3]), 1.0)


@pytest.mark.parametrize("place", range(8, 40, 3))
@pytest.mark.parametrize("piece", [b"]", b"(", b"'", b"\0", b"\\"])
def test_a_damaged_head_of_numbers_is_refused_in_words(tmp_path: Path, place: int, piece: bytes):
    for file, content in SAMPLES["LingBot"](POSES, LENS).items():
        first = next(iter(SAMPLES["LingBot"](POSES, LENS)))
        (tmp_path / file).write_bytes(content[:place] + piece + content[place + 1 :] if file == first else content)
    try:
        assert isinstance(read_trajectory(tmp_path / first, layout="LingBot"), Trajectory)
    except CameraFileError as refusal:
        assert str(refusal).startswith(first)
