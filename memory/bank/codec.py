"""Frames as bytes: lossless, each by itself, so that any frame can be read alone. FORMAT.md has the measurements.

New frames are PNG, filtered against the line above and packed by run lengths: the fastest and smallest way to write PNG
that was measured. Some video codecs are written faster and are no larger, but a memory has to last: any program reads
PNG, and its decoder is safe with files from strangers.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import BankError, damaged

MAX_PIXELS = 8192 * 8192
"""Pixels of the largest frame that is coded or decoded: three bytes each must fit into memory a few times."""

Size = tuple[int, int]
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_SETTINGS = (
    cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP,
    cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE,
)


@dataclass(frozen=True)
class Coding:
    """``encode`` turns a frame (H, W, 3) uint8 into bytes; ``decode`` bytes and (H, W) into the frame.

    ``decode`` checks that the data may be a frame of that size before it decodes anything. ``ValueError`` with a text
    that begins like "is not a PNG picture" says what is wrong.
    """

    encode: Callable[[NDArray[np.uint8]], bytes]
    decode: Callable[[bytes, Size], NDArray[np.uint8]]


def encode_frame(frame: NDArray[np.uint8], coding: str | None = None) -> bytes:
    """Bytes of one RGB frame (H, W, 3) uint8 in ``coding``, one of ``CODINGS``; ``DEFAULT_CODING`` if left out.

    Raises ``BankError`` if the frame is too large to be kept.
    """
    height, width = frame.shape[:2]
    if not 1 <= height * width <= MAX_PIXELS:
        raise BankError(f"A frame of {width} x {height} cannot be kept: {MAX_PIXELS} pixels fit, such as 8192 x 8192. "
                        "Make the pictures smaller.")
    return CODINGS[coding or DEFAULT_CODING].encode(frame)


def decode_frame(data: bytes, size: Size, what: str, coding: str = "png") -> NDArray[np.uint8]:
    """The RGB frame (H, W, 3) uint8 in ``data``, which must be one of ``size`` (height, width) in ``coding``.

    Nothing is decoded before the data are known to be of that size. Raises ``DamageError`` that names ``what``,
    ``BankError`` for a coding that this version does not know.
    """
    if coding not in CODINGS:
        raise BankError(f"{what} is coded as {coding[:40]!r}; this version of the pack reads {', '.join(CODINGS)}. "
                        "Update ComfyUI-SceneMemory.")
    if not 1 <= size[0] * size[1] <= MAX_PIXELS:
        raise damaged(f"{what} claims to be {size[1]} x {size[0]}, more than {MAX_PIXELS} pixels")
    try:
        return CODINGS[coding].decode(data, size)
    except (ValueError, cv2.error) as error:
        raise damaged(f"{what} {error if type(error) is ValueError else 'cannot be decoded'}") from error


def in_parallel(work: Callable[[_Given], _Made], items: Iterable[_Given]) -> list[_Made]:
    """``work`` of each item, in order, on a few threads: coding, decoding and hashing let other threads run."""
    given = list(items)
    workers = min(len(given), 4, os.cpu_count() or 1)
    if workers < 2:
        return [work(item) for item in given]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, given))


def _to_png(frame: NDArray[np.uint8]) -> bytes:
    done, coded = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), _PNG_SETTINGS)
    if not done:
        raise BankError(f"A frame of {frame.shape[1]} x {frame.shape[0]} could not be coded as PNG. Use another size.")
    return coded.tobytes()


def _from_png(data: bytes, size: Size) -> NDArray[np.uint8]:
    if len(data) < 33 or data[:8] != _PNG_SIGNATURE or data[12:16] != b"IHDR":
        raise ValueError("is not a PNG picture")
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if (height, width) != size or (depth, colour) != (8, 2):
        raise ValueError(f"is a picture of {width} x {height}, expected {size[1]} x {size[0]} in 8-bit RGB")
    decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if decoded is None or decoded.shape != (*size, 3):
        raise ValueError("cannot be decoded")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


CODINGS: Mapping[str, Coding] = MappingProxyType({"png": Coding(_to_png, _from_png)})
"""Codings by the name that a segment's metadata states. A name stays readable for ever."""

DEFAULT_CODING = "png"
"""What new segments are written in."""
