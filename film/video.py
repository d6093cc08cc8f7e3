"""Frames of a bank to an H.264 file, and pictures of a video file, a few at a time: RAM is bounded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from ..memory.state.state import MemoryState

BT709 = 1
"""Its number in H.264, for primaries, transfer and matrix alike."""

LOWEST_CRF = 1
"""A rate factor of 0 gives a profile (High 4:4:4 Predictive) that many players do not play."""

BATCH = 32
"""Frames in memory at a time, fewer of large ones."""
BATCH_BYTES = 128 * 2**20
LEAST_FPS, MOST_FPS = 0.1, 1000.0
MOST_SIDE, MOST_PIXELS = 16384, 200_000_000
"""What H.264 can hold."""


def write_video(
    state: MemoryState,
    path: Path,
    *,
    first: int = 0,
    last: int | None = None,
    fps: float = 0.0,
    scale: int = 1,
    quality: int = 18,
    metadata: dict[str, Any] | None = None,
    on_frame: Callable[[int, int], None] | None = None,
    on_damage: Callable[[list[int]], None] | None = None,
) -> int:
    """Encode frames first..last (exclusive) of a memory and return how many.

    Args:
        fps: 0 takes the memory's rate.
        scale: whole-number enlargement, smooth.
        quality: H.264 constant rate factor; lower is better and larger, 18 looks lossless; 0 is written as 1.
        metadata: written into the file as JSON under each key (the host reads workflows back from it).
        on_frame: called with frames done and frames in all, often enough to cancel from.
        on_damage: called with the numbers of frames whose pictures are damaged; the ones next to them stand in.

    Raises:
        ValueError: there are no such frames, or rate and size are none that a video can have; names the field.
    """
    last = state.frames if last is None else last
    if not 0 <= first < last <= state.frames:
        raise ValueError(f"There are no frames {first} to {last} in a memory of {state.frames}. Generate a shot first.")
    rate = _rate(state, fps)
    width, height = _size(state, scale)
    with av.open(str(path), "w", format="mp4", options={"movflags": "use_metadata_tags+faststart"}) as output:
        for key, value in (metadata or {}).items():
            output.metadata[key] = json.dumps(value)
        options = {"crf": str(max(LOWEST_CRF, quality)), "preset": "veryfast"}
        stream = output.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.color_primaries = stream.color_trc = stream.colorspace = BT709
        stream.color_range = ColorRange.MPEG
        for done, picture in enumerate(_pictures(state, first, last, scale, on_damage), start=1):
            output.mux(stream.encode(_frame(picture[:height, :width])))
            if on_frame is not None:
                on_frame(done, last - first)
        output.mux(stream.encode(None))
    return last - first


def _frame(picture: NDArray[np.uint8]) -> av.VideoFrame:
    """A picture (H, W, 3) as BT.709, and tagged so: players take that for large pictures and guess for small ones."""
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    frame = rgb.reformat(
        format="yuv420p",
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        dst_colorspace=Colorspace.ITU709,
        interpolation=Interpolation.AREA,
    )
    frame.colorspace, frame.color_range = BT709, ColorRange.MPEG
    return frame


def _rate(state: MemoryState, fps: float) -> Fraction:
    rate = fps or state.fps or 0.0
    if not LEAST_FPS <= rate <= MOST_FPS:
        whose = "fps is" if fps else "fps is 0, which takes the memory's rate of"
        raise ValueError(
            f"{whose} {rate:g} frames a second: a video has {LEAST_FPS:g} to {MOST_FPS:g}. Set fps, such as to 24."
        )
    return Fraction(rate).limit_denominator(1001)


def _size(state: MemoryState, scale: int) -> tuple[int, int]:
    """Width and height of the video. H.264 in its common form needs even sides: an odd one loses its last line."""
    assert state.size is not None
    height, width = (side * scale // 2 * 2 for side in state.size)
    shown = f"scale is {scale}, which makes pictures of {state.size[1] * scale} x {state.size[0] * scale}"
    if min(width, height) < 2:
        raise ValueError(f"{shown}: a video has at least 2 x 2. Set scale to 2 or more.")
    if max(width, height) > MOST_SIDE or width * height > MOST_PIXELS:
        raise ValueError(
            f"{shown}: a video has sides of at most {MOST_SIDE} and {MOST_PIXELS // 10**6} million pixels. "
            "Choose a smaller scale."
        )
    return width, height


def _pictures(
    state: MemoryState, first: int, last: int, scale: int, on_damage: Callable[[list[int]], None] | None
) -> Iterator[NDArray[np.uint8]]:
    assert state.size is not None and state.bank is not None
    batch = max(1, min(BATCH, BATCH_BYTES // (3 * state.size[0] * state.size[1])))
    for start in range(first, last, batch):
        # Where a picture was dropped to keep the bank within its size, or is damaged, the next one stands in.
        damaged: list[int] = []
        wanted = range(start, min(start + batch, last))
        pictures = state.bank.read_frames(state, wanted, nearest=True, damaged=damaged)
        if damaged and on_damage is not None:
            on_damage(damaged)
        for picture in pictures:
            if scale > 1:
                size = (picture.shape[1] * scale, picture.shape[0] * scale)
                picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
            yield picture


def count_frames(source: str | IO[bytes], start: float = 0.0, duration: float = 0.0) -> int:
    """How many frames of a video `read_video` gives; nothing is decoded."""
    with av.open(source, mode="r") as container:
        stream = _video_stream(container)
        first, end = _window(stream, start, duration)
        return sum(
            packet.pts is not None and first <= packet.pts < end for packet in container.demux(stream) if packet.size
        )


def read_video(
    source: str | IO[bytes], start: float = 0.0, duration: float = 0.0
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Seconds since the first of them and the picture (H, W, 3) uint8 RGB of each frame of a video, decoded one at a
    time.

    Args:
        source: a path, or an open file.
        start, duration: the part that is read, in seconds; a duration of 0 is all the rest.

    Raises:
        ValueError: there is no video in it.
    """
    with av.open(source, mode="r") as container:
        stream = _video_stream(container)
        stream.thread_type = "AUTO"
        first, end = _window(stream, start, duration)
        if first:
            container.seek(first, stream=stream)
        begun: int | None = None
        for frame in container.decode(stream):
            if frame.pts is None or frame.pts < first:
                continue
            if frame.pts >= end:
                break
            begun = frame.pts if begun is None else begun
            picture = frame.to_ndarray(format="rgb24")
            turns = round(frame.rotation / 90)
            picture = np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture
            yield float((frame.pts - begun) * (stream.time_base or 0)), picture


def _video_stream(container: av.container.InputContainer) -> av.VideoStream:
    if not container.streams.video:
        raise ValueError("There is no video in the file that is connected. Choose another one in Load Video.")
    return container.streams.video[0]


def _window(stream: av.VideoStream, start: float, duration: float) -> tuple[int, float]:
    """First time stamp of the part that is read, and the one behind it."""
    base = stream.time_base or Fraction(1)
    return int(start / base), int((start + duration) / base) if duration else float("inf")
