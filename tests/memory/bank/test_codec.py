"""Codings of frames: every picture comes back bit for bit, and hostile bytes are refused before they cost anything."""

from __future__ import annotations

import re
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scene_memory.memory.bank.codec import (
    CODINGS,
    DEFAULT_CODING,
    MAX_PIXELS,
    decode_frame,
    encode_frame,
    in_parallel,
)
from scene_memory.memory.errors import BankError, DamageError


def picture(kind: str, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A picture that is hard for a coding in one way or another."""
    random, shape = np.random.default_rng(seed), (height, width, 3)
    if kind == "flat":
        return np.full(shape, random.integers(256), dtype=np.uint8)
    if kind == "black and white":
        return (random.integers(0, 2, shape) * 255).astype(np.uint8)
    if kind == "steep":
        return np.minimum(random.geometric(0.5, shape), 255).astype(np.uint8)
    if kind == "ramp":
        return (np.arange(height * width * 3).reshape(shape) % 256).astype(np.uint8)
    return random.integers(0, 256, shape, dtype=np.uint8)


def peak_kilobytes(anew: bool = False) -> int:
    """The most RAM that this process ever had, or has had since it was asked ``anew``; 0 where nobody counts it."""
    if sys.platform != "linux":
        return 0
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


KINDS = ["noise", "flat", "black and white", "steep", "ramp"]


@pytest.mark.parametrize("coding", CODINGS)
@given(kind=st.sampled_from(KINDS), height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 9))
def test_any_picture_of_any_size_comes_back_bit_for_bit(coding: str, kind: str, height: int, width: int, seed: int):
    frame = picture(kind, height, width, seed)
    np.testing.assert_array_equal(decode_frame(encode_frame(frame, coding), (height, width), "it", coding), frame)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [(480, 832), (721, 1279), (1, 16384), (16384, 1)])
def test_large_and_odd_sizes_come_back_even_if_they_are_noise(coding: str, size: tuple[int, int]):
    for kind in KINDS:
        frame = picture(kind, *size)
        np.testing.assert_array_equal(decode_frame(encode_frame(frame, coding), size, "it", coding), frame)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_frame_that_is_a_view_of_others_is_coded_as_it_looks(coding: str):
    whole = picture("noise", 40, 60)
    for frame in (whole[::2, ::3], whole[::-1], whole[5:9, 3:30], whole[:, :, ::-1]):
        coded = encode_frame(frame, coding)
        np.testing.assert_array_equal(decode_frame(coded, frame.shape[:2], "it", coding), frame)


def test_the_first_formats_coding_is_read_without_being_named():
    frame = picture("noise", 6, 10)
    np.testing.assert_array_equal(decode_frame(encode_frame(frame, "png"), (6, 10), "it"), frame)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_frame_of_another_size_is_refused_with_both_sizes(coding: str):
    with pytest.raises(DamageError, match="frame 3 is a picture of 10 x 6, expected 6 x 10"):
        decode_frame(encode_frame(picture("noise", 6, 10), coding), (10, 6), "frame 3", coding)


def test_other_bytes_are_refused():
    for data in (b"", b"x" * 100, b"MAGY" + bytes(100)):
        with pytest.raises(DamageError, match="is not a PNG picture"):
            decode_frame(data, (6, 10), "it", "png")


def test_a_coding_of_the_future_asks_for_an_update():
    with pytest.raises(BankError, match="coded as 'neural'; this version of the pack reads png. Update"):
        decode_frame(b"", (6, 10), "it", "neural")


def test_frames_too_large_for_memory_are_refused_both_ways():
    huge = np.broadcast_to(np.zeros((1, 1, 3), dtype=np.uint8), (MAX_PIXELS // 8, 9, 3))
    for coding in CODINGS:
        with pytest.raises(BankError, match="cannot be kept: .* Make the pictures smaller"):
            encode_frame(huge, coding)
        with pytest.raises(DamageError, match="claims to be 16384 x 16384"):
            decode_frame(b"MAGY", (16384, 16384), "it", coding)


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.data())
def test_damaged_bytes_give_a_picture_of_the_right_size_or_a_named_error(coding: str, data: st.DataObject):
    coded = bytearray(encode_frame(picture("steep", 20, 30), coding))
    for _ in range(data.draw(st.integers(1, 4))):
        coded[data.draw(st.integers(0, len(coded) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    coded = coded[: data.draw(st.integers(0, len(coded)))]
    try:
        assert decode_frame(bytes(coded), (20, 30), "frame 7", coding).shape == (20, 30, 3)
    except DamageError as error:
        assert "frame 7" in str(error)


def test_a_picture_that_would_unpack_to_very_much_costs_no_more_than_its_stated_size():
    """A PNG of 6 x 10 whose compressed data hold 64 MiB: the decoder stops at the size that the header states."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    header = struct.pack(">IIBBBBB", 10, 6, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", bomb) + chunk(b"IEND", b"")
    decode_frame(encode_frame(picture("noise", 6, 10)), (6, 10), "it")
    before = peak_kilobytes(anew=True)
    try:
        assert not decode_frame(data, (6, 10), "it", "png").any()
    except DamageError:
        pass
    assert peak_kilobytes() - before < 6 * 1024


def test_work_in_parallel_keeps_its_order_and_its_errors():
    assert in_parallel(lambda n: n * n, range(50)) == [n * n for n in range(50)]
    assert in_parallel(str, []) == []
    with pytest.raises(ZeroDivisionError):
        in_parallel(lambda n: 1 / n, [2, 1, 0])


def test_new_segments_are_written_in_a_coding_that_can_be_read():
    assert DEFAULT_CODING in CODINGS
