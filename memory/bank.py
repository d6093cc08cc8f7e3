"""The memory on disk: a folder of content-addressed segment files and one head that is replaced atomically."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import BankError, DamageError, damaged
from .format import FORMAT_VERSION, Document, canonical, parse
from .names import bank_name
from .segment_file import MAX_SIDE, pack_segment, read_cameras, read_pictures
from .state import EMPTY_ID, MemoryState
from .storage import remove_stale_parts, stay_inside, write_whole
from .trajectory import Trajectory

KIND = "scene-memory bank"
MAX_HEAD_BYTES = 64 * 1024 * 1024

_log = logging.getLogger(__name__)
_ID = re.compile(r"[0-9a-f]{64}")
_head_lock = threading.Lock()


@dataclass(frozen=True)
class Bank:
    """A memory bank ``name`` in the folder ``root``; make one with ``Bank.create`` or ``Bank.open``.

    Every method that touches the disk raises ``BankError`` with the file's name and the cure.
    """

    root: Path
    name: str

    @classmethod
    def create(cls, root: Path, name: str) -> Bank:
        """A new, empty bank. Raises ``BankError`` if the name is taken."""
        bank = cls(Path(root).absolute(), bank_name(name))
        bank._check_links()
        if bank.head_path.exists():
            raise BankError(f"There is a memory bank {bank.name!r} already. Continue it, or choose another name.")
        try:
            bank.segments_path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BankError(f"The memory bank {bank.name!r} cannot be made in {bank.root}: {error.strerror or error}. "
                            "Choose another name, or allow writing there.") from error
        if any(bank.segments_path.glob("*.safetensors")):
            raise BankError(f"The folder {bank.path} has segments but no head.json. Restore head.json from its history "
                            "folder, or choose another name.")
        write_whole(bank.head_path, _head_text(bank.empty()))
        return bank

    @classmethod
    def open(cls, root: Path, name: str) -> Bank:
        """The bank of that name. Raises ``BankError`` that lists the banks there are, if there is none."""
        bank = cls(Path(root).absolute(), bank_name(name))
        if not bank.head_path.is_file():
            there = ", ".join(bank_names(bank.root)) or "none"
            raise BankError(f"There is no memory bank {bank.name!r}. Banks that exist: {there}. Choose one, or start a "
                            "new bank.")
        bank._check_links()
        remove_stale_parts(bank.segments_path)
        remove_stale_parts(bank.path)
        return bank

    @classmethod
    def exists(cls, root: Path, name: str) -> bool:
        """Whether there is a bank of that name. Raises ``BankError`` if the name is not allowed."""
        return (Path(root) / bank_name(name) / "head.json").is_file()

    @property
    def path(self) -> Path:
        """The bank's folder."""
        return self.root / self.name

    @property
    def head_path(self) -> Path:
        """The file that says which segments, in order, are the memory."""
        return self.path / "head.json"

    @property
    def segments_path(self) -> Path:
        """The folder of segment files."""
        return self.path / "segments"

    @property
    def history_path(self) -> Path:
        """The folder of heads that were replaced by a memory which does not continue them."""
        return self.path / "history"

    def empty(self) -> MemoryState:
        """A memory with no frames that will be stored here."""
        return MemoryState(bank=self)

    def history(self) -> list[str]:
        """Ids of the earlier memories that ``load`` can bring back."""
        return sorted(path.stem for path in self.history_path.glob("*.json") if _ID.fullmatch(path.stem))

    def load(self, head: str | None = None) -> MemoryState:
        """The memory as it was last written, or the earlier one with the id ``head``.

        Every segment is checked: format version, hashes, shapes, bounds. If one is damaged, the good segments before it
        are used and a warning names it; if none is left, ``DamageError``.
        """
        path = self.head_path if head is None else self._history_file(head)
        document = self._head(path)
        ids = document["segments"]
        state = self.empty()
        for position, segment_id in enumerate(ids):
            try:
                state = self._extended(state, segment_id)
            except (DamageError, OSError) as error:
                if position == 0:
                    raise DamageError(f"The memory bank {self.name!r} cannot be used: its first segment is damaged. "
                                      f"{error}") from error
                _log.warning("Memory bank %r: segment %d of %d is damaged, the %d before it are used. %s",
                             self.name, position + 1, len(ids), position, error)
                break
        return state

    def append(
        self,
        state: MemoryState,
        *,
        frames: ArrayLike,
        trajectory: Trajectory,
        shot: int,
        prompt: str = "",
        info: Mapping[str, Any] | None = None,
    ) -> MemoryState:
        """Writes a segment after ``state`` and returns the new memory; ``state`` stays as it is.

        ``frames`` (F, H, W, 3) uint8 RGB, ``trajectory`` of F frames at the memory's rate, ``shot`` counted from 0,
        ``info`` anything that JSON can hold. The same content gives the same id and is not written twice. The segment
        is on the disk before the head names it, so a crash at any instant leaves the last good memory.
        """
        pictures = _checked_frames(frames, trajectory)
        if state.bank is None and state.frames == 0:
            state = replace(state, bank=self)
        if state.bank is None or state.bank.path.resolve() != self.path.resolve():
            other = f"the bank {state.bank.name!r}" if state.bank else "no bank"
            raise BankError(f"This memory lies in {other}, not in {self.name!r}. Append to the memory's own bank.")
        if not isinstance(shot, int | np.integer) or not 0 <= shot < 2**31:
            raise BankError(f"The shot is {shot!r}: shots are whole numbers from 0. Use {state.shots}.")
        times = state.end_time + np.arange(len(trajectory)) / trajectory.fps
        try:
            record, data = pack_segment(
                pictures, trajectory, times, parent=state.id, start=state.frames, shot=int(shot), prompt=prompt,
                info=info or {},
            )
        except (TypeError, ValueError) as error:
            raise BankError(f"The segment cannot be coded: {error}. Its info must hold plain numbers, texts, lists and "
                            "dicts.") from error
        result = state.with_segment(record, trajectory.poses, trajectory.intrinsics, times)
        path = stay_inside(self._segment_file(record.id), self.path)
        if not (path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data):
            write_whole(path, data)
        self._replace_head(result)
        return result

    def read_frames(self, state: MemoryState, indices: ArrayLike | Sequence[int]) -> NDArray[np.uint8]:
        """Pixels (n, H, W, 3) uint8 of the frames ``indices`` of ``state``, in that order; nothing else is decoded."""
        wanted = np.asarray(indices)
        if wanted.size == 0:
            wanted = wanted.astype(np.int64)
        if wanted.ndim != 1 or not np.issubdtype(wanted.dtype, np.integer):
            raise BankError(f"Frames were asked for with {wanted.dtype} of the shape {wanted.shape}, expected a list "
                            "of whole numbers.")
        outside = (wanted < 0) | (wanted >= state.frames)
        if outside.any():
            raise BankError(f"Frame {wanted[outside][0]} was asked for, but the memory has {state.frames} frames. Ask "
                            f"for 0 to {state.frames - 1}.")
        height, width = state.size or (0, 0)
        result = np.empty((len(wanted), height, width, 3), dtype=np.uint8)
        owners = state.segment_ids[wanted]
        for owner in np.unique(owners):
            record = state.segments[int(owner)]
            places = np.flatnonzero(owners == owner)
            local, back = np.unique(wanted[places] - record.start, return_inverse=True)
            path = stay_inside(self._segment_file(record.id), self.path)
            for which, picture in enumerate(read_pictures(path, record, local.tolist())):
                result[places[back == which]] = picture
        return result

    def read_latents(self, state: MemoryState, indices: ArrayLike | Sequence[int]) -> list[NDArray[Any] | None]:
        """For each frame its latent (C, h, w), where one is kept."""
        return [None] * len(state.checked_indices(indices))

    def read_depth(self, state: MemoryState, segment: int) -> NDArray[np.float16] | None:
        """Depth (F, h, w) of a segment, where it is kept."""
        return None

    def _extended(self, state: MemoryState, segment_id: str) -> MemoryState:
        path = stay_inside(self._segment_file(segment_id), self.path)
        cameras = read_cameras(path, segment_id, state.frames)
        try:
            return state.with_segment(cameras.record, cameras.poses, cameras.intrinsics, cameras.times)
        except ValueError as error:
            raise DamageError(f"{path.name} does not fit into the memory: {error}") from error

    def _replace_head(self, state: MemoryState) -> None:
        with _head_lock:
            old = self._head(self.head_path) if self.head_path.exists() else None
            if old is not None and old["id"] == state.id:
                return
            if old is not None and not _continues(state, old["segments"]):
                stay_inside(self.history_path, self.path)
                write_whole(self.history_path / f"{old['id']}.json", canonical(old).encode("ascii"))
            write_whole(self.head_path, _head_text(state))

    def _head(self, path: Path) -> Document:
        stay_inside(path, self.path)
        what = f"{path.name} of the memory bank {self.name!r}"
        try:
            if path.stat().st_size > MAX_HEAD_BYTES:
                raise damaged(f"{what} is larger than {MAX_HEAD_BYTES} bytes")
            document = parse(path.read_bytes(), KIND, what)
        except OSError as error:
            raise damaged(f"{what} cannot be read: {error.strerror or error}") from error
        ids = document.get("segments")
        if not isinstance(ids, list) or not all(isinstance(one, str) and _ID.fullmatch(one) for one in ids):
            raise damaged(f"{what} does not list its segments by their ids")
        if document.get("id") != (ids[-1] if ids else EMPTY_ID):
            raise damaged(f"{what} does not end with the segment that it names")
        return document

    def _history_file(self, head: str) -> Path:
        path = self.history_path / f"{head}.json"
        if not _ID.fullmatch(head) or not path.is_file():
            raise BankError(f"The memory bank {self.name!r} has no earlier memory {head!r}. It has: "
                            f"{', '.join(self.history()) or 'none'}.")
        return path

    def _segment_file(self, segment_id: str) -> Path:
        return self.segments_path / f"{segment_id}.safetensors"

    def _check_links(self) -> None:
        stay_inside(self.path, self.root)
        for path in (self.segments_path, self.head_path, self.history_path):
            stay_inside(path, self.path)


def bank_names(root: Path) -> list[str]:
    """Names of the banks in the folder ``root``, sorted."""
    return sorted(path.parent.name for path in Path(root).glob("*/head.json") if path.is_file())


def _continues(state: MemoryState, earlier: Sequence[str]) -> bool:
    return not earlier or (len(state.segments) >= len(earlier) and state.segments[len(earlier) - 1].id == earlier[-1])


def _head_text(state: MemoryState) -> bytes:
    height, width = state.size or (None, None)
    document = {
        "format": KIND,
        "version": FORMAT_VERSION,
        "id": state.id,
        "frames": state.frames,
        "height": height,
        "width": width,
        "fps": state.fps,
        "segments": [record.id for record in state.segments],
    }
    return canonical(document).encode("ascii")


def _checked_frames(frames: ArrayLike, trajectory: Trajectory) -> NDArray[np.uint8]:
    pictures = np.asarray(frames)
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
        raise BankError(f"Frames are {pictures.dtype} of the shape {pictures.shape}, expected uint8 (frames, height, "
                        "width, 3) in RGB.")
    if len(pictures) != len(trajectory):
        raise BankError(f"The segment has {len(pictures)} frames, but its camera path has {len(trajectory)}. Give one "
                        "camera for each frame.")
    if not (1 <= pictures.shape[1] <= MAX_SIDE and 1 <= pictures.shape[2] <= MAX_SIDE):
        raise BankError(f"Frames are {pictures.shape[2]} x {pictures.shape[1]}: sides of 1 to {MAX_SIDE} fit.")
    return pictures
