"""Frames as PNG: lossless, one by one, so that any frame can be read alone."""

from __future__ import annotations

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import damaged

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COMPRESSION = 3


def encode_frame(frame: NDArray[np.uint8]) -> bytes:
    """PNG bytes of one RGB frame (H, W, 3) uint8."""
    settings = [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION]
    done, coded = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), settings)
    if not done:
        raise ValueError(f"A frame of {frame.shape[1]} x {frame.shape[0]} could not be coded as PNG.")
    return coded.tobytes()


def decode_frame(data: bytes, size: tuple[int, int], what: str) -> NDArray[np.uint8]:
    """The RGB frame (H, W, 3) uint8 in PNG ``data``; its header must state ``size`` before anything is decoded.

    Raises ``DamageError`` that names ``what``.
    """
    if len(data) < 33 or data[:8] != _SIGNATURE or data[12:16] != b"IHDR":
        raise damaged(f"{what} is not a PNG picture")
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if (height, width) != size or (depth, colour) != (8, 2):
        raise damaged(f"{what} is a picture of {width} x {height}, expected {size[1]} x {size[0]} in 8-bit RGB")
    decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if decoded is None or decoded.shape != (*size, 3):
        raise damaged(f"{what} cannot be decoded")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)
