"""Which coding keeps frames smallest and gives any 20 of a segment back soonest.

A segment of 81 frames is coded whole; then 20 frames drawn at random are decoded by two threads and the sha256 of
their pixels is taken, which is what reading from a bank costs. Three kinds of pictures:

- "shot": the world's renderer, enlarged to 832x480, with the soft edges and mild grain of a video model's frames;
- "small": the same at 96x60, the size of the bundled world model;
- "photo": 832x480 with detail at every scale and the noise of a sensor, as a photograph has;
- "noise": 1279x721 of pure noise, which nothing can make small and which some codings cannot keep.

Intra codings keep each frame by itself. A "group" coding keeps the segment as one video, so any frame costs all.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import logging
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...world.render import render
from ...world.scenes import make_scene
from ...world.walks import random_walk

FRAMES, READ, THREADS = 81, 20, 2
Frames = NDArray[np.uint8]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Coding:
    """``encode`` turns frames (F, H, W, 3) into packets, ``decode`` packets and size (H, W) into frames."""

    name: str
    encode: Callable[[Frames], list[bytes]]
    decode: Callable[[list[bytes], tuple[int, int]], list[Frames]]
    intra: bool = True


@dataclass(frozen=True)
class Row:
    pictures: str
    coding: str
    bytes_per_frame: float
    share_of_raw: float
    write_ms_per_frame: float
    read20_ms: float
    lossless: bool

    def line(self) -> str:
        return (f"{self.pictures:9}{self.coding:28}{self.bytes_per_frame:12.0f}{self.share_of_raw:9.1%}"
                f"{self.write_ms_per_frame:10.2f}{self.read20_ms:12.1f}  {'yes' if self.lossless else 'NO'}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench frame_codings", description="Lossless codings of a bank's frames.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write rows and figures to this file")
    parser.add_argument("--frames", type=int, default=FRAMES, help="frames of the segment, 20 or more")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="only codings whose name has this text in it")
    parser.add_argument("--pictures", nargs="+", choices=list(PICTURES), default=list(PICTURES))
    arguments = parser.parse_args(argv)
    if arguments.frames < READ:
        parser.error(f"{arguments.frames} frames are fewer than the {READ} to read")
    cv2.setNumThreads(1)
    log.info(f"{arguments.frames} frames; read: any {READ} of them with sha256, {THREADS} threads, fastest of "
             f"{arguments.repeats}")
    log.info("pictures coding                      bytes/frame  of raw  write ms  read 20 ms  lossless")
    rows: list[Row] = []
    for kind in arguments.pictures:
        frames = PICTURES[kind](arguments.frames)
        for coding in codings():
            if arguments.only in coding.name:
                rows.append(measure(kind, coding, frames, arguments.repeats))
                log.info(rows[-1].line())
    if arguments.json:
        figures = {f"{row.pictures}, {row.coding}, read 20 ms": row.read20_ms for row in rows}
        content = {"rows": [asdict(row) for row in rows], "figures": figures}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(kind: str, coding: Coding, frames: Frames, repeats: int) -> Row:
    height, width = frames.shape[1:3]
    sample = frames if not coding.intra else frames[:: max(1, len(frames) // READ)]
    write = fastest(lambda: coding.encode(sample), max(1, repeats // 2)) / len(sample)
    packets = coding.encode(frames)
    chosen = np.random.default_rng(0).permutation(len(frames))[:READ].tolist()
    lossless = _gives_back(coding, packets, frames)

    def digests(part: list[int]) -> list[bytes]:
        given = [packets[i] for i in part] if coding.intra else packets
        return [hashlib.sha256(np.ascontiguousarray(frame)).digest() for frame in coding.decode(given, (height, width))]

    with ThreadPoolExecutor(THREADS) as pool:
        shares = [[i] for i in chosen] if coding.intra else [chosen]
        read = fastest(lambda: list(pool.map(digests, shares)), repeats) if lossless else 0.0
    size = sum(len(packet) for packet in packets) / len(frames)
    return Row(kind, coding.name, size, size / (height * width * 3), write * 1e3, read * 1e3, lossless)


def _gives_back(coding: Coding, packets: list[bytes], frames: Frames) -> bool:
    try:
        found = coding.decode(packets, (frames.shape[1], frames.shape[2]))
    except (ValueError, av.FFmpegError):
        return False
    return len(found) == len(frames) and all(np.array_equal(a, b) for a, b in zip(found, frames, strict=True))


def fastest(run: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest run, after one to warm up: other work on the machine can only slow a run down."""
    seconds = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return min(seconds[1:])


def codings() -> list[Coding]:
    huffman = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
    runs = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    up = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    every = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_ALL_FILTERS]
    slices = {"level": "3", "slices": "4"}
    lossless = {"qp": "0", "preset": "ultrafast"}
    return [
        Coding("raw", lambda frames: [frame.tobytes() for frame in frames], _raw),
        Coding("zlib 1", lambda frames: [zlib.compress(frame.tobytes(), 1) for frame in frames],
               lambda packets, size: _raw([zlib.decompress(packet) for packet in packets], size)),
        opencv("png 1", ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]),
        opencv("png 3", ".png", [cv2.IMWRITE_PNG_COMPRESSION, 3]),
        opencv("png 6", ".png", [cv2.IMWRITE_PNG_COMPRESSION, 6]),
        opencv("png 1 up", ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1, *up]),
        opencv("png 1 up, runs", ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1, *up, *runs]),
        opencv("png 1 up, huffman", ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1, *up, *huffman]),
        opencv("png 1 all, runs", ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1, *every, *runs]),
        opencv("png 1 all, huffman", ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1, *every, *huffman]),
        pillow("png 1 by pillow", "PNG", compress_level=1),
        opencv("webp (opencv's effort)", ".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
        *(pillow(f"webp {effort} by pillow", "WEBP", lossless=True, exact=True, method=effort, quality=20)
          for effort in (0, 1, 3)),
        intra("utvideo left", "utvideo", "gbrp", {"pred": "left"}),
        intra("utvideo median", "utvideo", "gbrp", {"pred": "median"}),
        intra("magicyuv gradient", "magicyuv", "gbrp", {"pred": "gradient"}),
        intra("magicyuv median", "magicyuv", "gbrp", {"pred": "median"}),
        intra("ffvhuff median", "ffvhuff", "gbrp", {"pred": "median"}),
        intra("qoi", "qoi", "rgb24", {}),
        intra("ffv1 range", "ffv1", "bgr0", {**slices, "coder": "range_tab"}),
        intra("ffv1 rice", "ffv1", "bgr0", {**slices, "coder": "rice"}),
        group("ffv1 rice group", "ffv1", "bgr0", {**slices, "coder": "rice", "g": "250"}),
        intra("h264 lossless", "libx264rgb", "rgb24", {**lossless, "g": "1"}),
        group("h264 lossless group", "libx264rgb", "rgb24", {**lossless, "g": "250"}),
    ]


def opencv(name: str, kind: str, settings: list[int]) -> Coding:
    def encode(frame: Frames) -> bytes:
        return cv2.imencode(kind, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), settings)[1].tobytes()

    def decode(packets: list[bytes], size: tuple[int, int]) -> list[Frames]:
        return [cv2.imdecode(np.frombuffer(packet, np.uint8), cv2.IMREAD_COLOR_RGB) for packet in packets]

    return Coding(name.strip(), lambda frames: [encode(frame) for frame in frames], decode)


def pillow(name: str, kind: str, **settings: object) -> Coding:
    def encode(frame: Frames) -> bytes:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, kind, **settings)
        return file.getvalue()

    def decode(packets: list[bytes], size: tuple[int, int]) -> list[Frames]:
        return [np.asarray(Image.open(io.BytesIO(packet)).convert("RGB")) for packet in packets]

    return Coding(name, lambda frames: [encode(frame) for frame in frames], decode)


def intra(name: str, codec: str, pixels: str, options: dict[str, str]) -> Coding:
    """One packet a frame, each decoded by itself; what the codec says about itself goes in front of every packet."""

    def encode(frames: Frames) -> list[bytes]:
        result = []
        for frame in frames:
            head, packets = _video(codec, pixels, options, frame[None])
            result.append(len(head).to_bytes(2, "little") + head + b"".join(packets))
        return result

    def decode(packets: list[bytes], size: tuple[int, int]) -> list[Frames]:
        result = []
        for packet in packets:
            start = 2 + int.from_bytes(packet[:2], "little")
            result += _decoded(codec, pixels, packet[2:start], [packet[start:]], size)
        return result

    return Coding(name, encode, decode)


def group(name: str, codec: str, pixels: str, options: dict[str, str]) -> Coding:
    """The whole segment as one video."""

    def encode(frames: Frames) -> list[bytes]:
        head, packets = _video(codec, pixels, options, frames)
        return [head, *packets]

    def decode(packets: list[bytes], size: tuple[int, int]) -> list[Frames]:
        return _decoded(codec, pixels, packets[0], packets[1:], size)

    return Coding(name, encode, decode, intra=False)


def _video(codec: str, pixels: str, options: dict[str, str], frames: Frames) -> tuple[bytes, list[bytes]]:
    context = av.CodecContext.create(codec, "w")
    context.height, context.width = frames.shape[1:3]
    context.pix_fmt, context.time_base, context.thread_count = pixels, Fraction(1, 24), 1
    context.options = options
    packets = []
    for time_stamp, frame in enumerate(frames):
        picture = _picture(frame, pixels)
        picture.pts = time_stamp
        packets += [bytes(packet) for packet in context.encode(picture)]
    packets += [bytes(packet) for packet in context.encode(None)]
    return context.extradata or b"", packets


def _decoded(codec: str, pixels: str, head: bytes, packets: list[bytes], size: tuple[int, int]) -> list[Frames]:
    context = av.CodecContext.create({"libx264rgb": "h264"}.get(codec, codec), "r")
    context.height, context.width = size
    context.pix_fmt, context.thread_count = pixels, 1
    if codec == "utvideo":
        context.codec_tag = "ULRG"
    context.extradata = head or None
    found = [picture for packet in packets for picture in context.decode(av.Packet(packet))]
    found += context.decode(None)
    return [_pixels(picture) for picture in found]


def _picture(frame: Frames, pixels: str) -> av.VideoFrame:
    if pixels != "gbrp":
        return av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format=pixels)
    picture = av.VideoFrame(frame.shape[1], frame.shape[0], pixels)
    for plane, channel in zip(_planes(picture), (1, 2, 0), strict=True):
        plane[:] = frame[:, :, channel]
    return picture


def _pixels(picture: av.VideoFrame) -> Frames:
    if picture.format.name != "gbrp":
        return picture.to_ndarray(format="rgb24")
    green, blue, red = _planes(picture)
    return cv2.merge([red, green, blue])


def _planes(picture: av.VideoFrame) -> list[Frames]:
    """The planes where they lie: FFmpeg's conversion of colours costs as much as decoding."""
    return [np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: picture.height, : picture.width]
            for plane in picture.planes]


def _raw(packets: list[bytes], size: tuple[int, int]) -> list[Frames]:
    return [np.frombuffer(packet, np.uint8).reshape(*size, 3) for packet in packets]


def shot(count: int, width: int = 832, height: int = 480) -> Frames:
    """A walk through a rendered scene with soft edges and grain of one level, as a video model makes it."""
    scene = make_scene(3)
    poses, lenses = random_walk(scene, count, np.random.default_rng(3))
    small = render(scene, poses, lenses, width // 2, height // 2).numpy()
    grain = np.random.default_rng(4)
    large = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32) for frame in small]
    noise = (cv2.GaussianBlur(grain.normal(0, 2, frame.shape).astype(np.float32), (0, 0), 0.7) for frame in large)
    return np.stack([(frame + more).round().clip(0, 255).astype(np.uint8)
                     for frame, more in zip(large, noise, strict=True)])


def photo(count: int, width: int = 832, height: int = 480) -> Frames:
    """A slow pan over one picture with detail at every scale (1/f) and hard edges, under the noise of a sensor."""
    random = np.random.default_rng(5)
    picture = np.full((height + 64, width + 4 * count, 3), 120, dtype=np.float32)
    for level in range(9):
        step = 2**level
        shape = (picture.shape[0] // step + 2, picture.shape[1] // step + 2, 1)
        detail = random.normal(0, 1.2 * step**0.8, shape) + random.normal(0, 0.3 * step**0.8, (*shape[:2], 3))
        picture += cv2.resize(detail.astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    for _ in range(60):
        centre = (int(random.integers(picture.shape[1])), int(random.integers(picture.shape[0])))
        cv2.circle(picture, centre, int(random.integers(10, 80)), random.uniform(30, 220, 3).tolist(), -1, cv2.LINE_AA)
    frames = []
    for i in range(count):
        view = picture[32 : 32 + height, 4 * i : 4 * i + width]
        frames.append((view + random.normal(0, 1.5, view.shape)).round().clip(0, 255).astype(np.uint8))
    return np.stack(frames)


PICTURES: dict[str, Callable[[int], Frames]] = {
    "shot": shot,
    "small": lambda count: shot(count, 96, 60),
    "photo": photo,
    "noise": lambda count: np.random.default_rng(6).integers(0, 256, (count, 721, 1279, 3), dtype=np.uint8),
}
