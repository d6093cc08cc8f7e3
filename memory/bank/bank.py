"""The memory on disk: a folder of content-addressed files and one small head that is replaced atomically."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cameras.trajectory import Trajectory
from ..errors import BankError, DamageError
from ..files import bytes_in, names_in, no_link, stay_inside, write_whole
from ..part_files import remove_dead_parts
from ..state.edits import Edit
from ..state.state import MemoryState, SegmentBatch
from . import writers
from .commit import check_still_there, commit, commit_edit, current_head
from .damage import Rest, film_of, rests_in, rests_of, rests_text
from .head import Head, earlier_head, earlier_ids, head_of
from .keys import KeyNote, check_key, read_key, write_key
from .limit import SizeLimit, above_limit, dropped_then, keep_within
from .loading import load_state, with_file
from .names import bank_name, bank_names, folder_of
from .pending import PendingSegment, check_rate, checked_frames, checked_latents, checked_shot
from .pixels import extra_or_none, kept_frames, read_pixels
from .segment_file import (
    copy_segment,
    describe_again,
    describe_segment,
    is_sound,
    read_hashes,
    read_segment_pixels,
)
from .segment_text import MAX_TEXT_BYTES, MAX_TIME

_FOLDERS = ("segments", "edits", "packs", "keys", "history", writers.FOLDER)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bank:
    """A memory bank ``name`` in the folder ``root``; make one with ``Bank.create`` or ``Bank.open``.

    ``max_bytes`` bounds its size on disk: when it is passed after something new was made, the least useful pictures of
    that film are dropped. With ``whole_bank`` earlier memories go before, the oldest first; else they stay.
    Every method that touches the disk raises ``BankError`` with the file's name and the cure.
    """

    root: Path
    name: str
    max_bytes: int | None = None
    whole_bank: bool = False
    path: Path = field(init=False, repr=False, compare=False)
    """The bank's folder."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", folder_of(self.root, self.name))

    @classmethod
    def create(cls, root: Path, name: str, max_bytes: int | None = None, whole_bank: bool = False) -> Bank:
        """A new, empty bank. Raises ``BankError`` if the name is taken."""
        bank = cls(Path(root).absolute(), bank_name(name), max_bytes, whole_bank)
        bank._check_links()
        taken = BankError(f"There is a memory bank {bank.name!r} already. Continue it, or choose another name.")
        if bank.head_path.exists():
            raise taken
        try:
            bank.segments_path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BankError(f"The memory bank {bank.name!r} cannot be made in {bank.root}: {error.strerror or error}. "
                            "Choose another name, or allow writing there.") from error
        if names_in(bank.segments_path, ".safetensors"):
            raise taken
        with writers.head_lock(bank.path):
            if bank.head_path.exists():
                raise taken
            write_whole(bank.head_path, head_of(bank.empty()).text)
        return bank

    @classmethod
    def open(cls, root: Path, name: str, max_bytes: int | None = None, whole_bank: bool = False) -> Bank:
        """The bank of that name. Raises ``BankError`` that lists the banks there are, if there is none."""
        bank = cls(Path(root).absolute(), bank_name(name), max_bytes, whole_bank)
        if not bank._is_there():
            there = ", ".join(bank_names(bank.root)) or "none"
            raise BankError(f"There is no memory bank {bank.name!r}. Banks that exist: {there}. Choose one, or start a "
                            "new bank.")
        bank._check_links()
        for folder in (bank.path, *(bank.path / part for part in _FOLDERS)):
            remove_dead_parts(folder)
        bank.head()
        return bank

    @classmethod
    def exists(cls, root: Path, name: str) -> bool:
        """Whether there is a bank of that name. Raises ``BankError`` if the name is not allowed."""
        return cls(Path(root), bank_name(name))._is_there()

    @property
    def head_path(self) -> Path:
        """The file that says which memory the bank holds."""
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
        return earlier_ids(self.path)

    def load(self, head: str | None = None) -> MemoryState:
        """The memory as it was last written, or the earlier one with the id ``head``.

        Format version, hashes, shapes, bounds and cameras are checked; a picture is checked when it is read. If a
        segment is damaged, those before it are used and a warning names it; if none is left, ``DamageError``. A pack
        vouches for the cameras of a segment whose file is lost: the film keeps it, without its pictures.
        """
        if head is not None and not (self.history_path / f"{head}.json").is_file():
            for rest in self.rests(of_all=True):
                if rest.id == head:
                    return film_of(self.path, self.empty(), rest)
        named = self.head(head)
        try:
            state = load_state(self.path, named, self.empty())
        except DamageError as problem:
            found = rests_text(rests_of(self.path, named, self.empty()))
            raise DamageError(f"{problem} {found}".strip()) from problem
        if state.id != named.id and (found := rests_text(rests_of(self.path, named, state))):
            _log.warning("Memory bank %r: %s", self.name, found)
        return state

    def rests(self, of_all: bool = False) -> list[Rest]:
        """What is sound behind a damaged segment of the bank's memory, or ``of_all`` its memories: ``load`` makes a
        memory of its own of one whose id it is given."""
        heads: list[Head] = []
        for one in (None, *(self.history() if of_all else ())):
            try:
                heads.append(self.head(one))
            except DamageError:
                continue
        return rests_in(self.path, heads, self.empty())

    def keep(self, state: MemoryState) -> None:
        """Puts ``state`` among the earlier memories, so that ``load`` brings it back also when the film has gone on."""
        state = self._own(state)
        write_whole(no_link(self.history_path / f"{state.id}.json"), head_of(state).text)

    def append(self, state: MemoryState, **segment: Any) -> MemoryState:
        """Writes a segment after ``state`` and returns the new memory; ``state`` stays as it is.

        ``segment`` is described as for ``prepare``, which says what may be given. The segment is on the disk before the
        head names it, so a crash at any instant leaves the last good memory.
        """
        return self.prepare(state, **segment).write()

    def prepare(
        self,
        state: MemoryState,
        *,
        frames: ArrayLike,
        trajectory: Trajectory,
        shot: int,
        prompt: str = "",
        info: Mapping[str, Any] | None = None,
        latents: ArrayLike | None = None,
        latent_space: str = "",
        depth: ArrayLike | None = None,
        key: str | Sequence[str] | None = None,
        code: Mapping[str, str] | None = None,
    ) -> PendingSegment:
        """A segment after ``state`` that is checked, but not on the disk before ``write`` of it has returned.

        ``frames`` (F, H, W, 3) uint8 RGB, ``trajectory`` of F frames at the memory's rate, ``shot`` counted from 0,
        ``info`` anything that JSON can hold, ``latents`` (C, T, h, w) float16 or float32 in the space called
        ``latent_space``, ``depth`` (F, h, w) along the line of sight in scene units, ``key`` (or several) under
        which ``recall`` and ``take_over`` find the segment again, ``code`` by pack of others a digest of its code that
        had a part in it. The same content gives the same id and is not written twice.

        Meanwhile the cameras of its ``state`` may be looked at, not the new frames. Raises ``BankError`` for what
        cannot be kept, ``ValueError`` for what does not continue ``state``.
        """
        state = self._own(state)
        pictures, kept_latents = checked_frames(frames, trajectory), checked_latents(latents)
        number = checked_shot(shot, state)
        check_rate(trajectory)
        try:
            record, tensors = describe_segment(
                state, pictures, trajectory, shot=number, prompt=prompt, info=info, latents=kept_latents,
                latent_space=latent_space, depth=None if depth is None else np.asarray(depth),
            )
        except (TypeError, ValueError) as error:
            raise BankError(f"The segment cannot be coded: {error}. Its info must hold plain numbers, texts, lists and "
                            "dicts.") from error
        if len(record.text) > MAX_TEXT_BYTES:
            raise BankError(f"The prompt and info of the segment take {len(record.text)} bytes: at most "
                            f"{MAX_TEXT_BYTES} fit. Shorten them.")
        state.check_fit(record)
        keys = tuple(check_key(one) for one in ([key] if isinstance(key, str) else key or ()))
        times = state.end_time + np.arange(record.frames) / record.fps
        if not times[-1] <= MAX_TIME:
            raise BankError(f"The film would last {times[-1]:g} s. Give its camera paths more frames a second.")
        result = state.with_batch(SegmentBatch(
            [record.id], [state.frames], [record.shot], [record.text], record.size, record.fps, record.depth_size,
            trajectory.poses[:, :3], trajectory.intrinsics, times,
        ))
        note = KeyNote(state.id, record.id, dict(code or {}))
        return PendingSegment(result, state, self.path, self.limit, record, tensors, pictures, keys, note)

    @property
    def limit(self) -> SizeLimit | None:
        """What the bank may take on disk, None if nothing bounds it."""
        return None if self.max_bytes is None else SizeLimit(self.max_bytes, self.whole_bank)

    def within(self, state: MemoryState) -> MemoryState:
        """The memory after what the bank's limit asks for, ``state`` itself mostly; see ``limit.keep_within``.

        To be called before something is made after a memory that ``recall`` gave; ``append`` does so itself.
        """
        return state if self.limit is None else keep_within(self.path, state, self.limit)

    def above_limit(self) -> str:
        """Why the bank takes more than its limit, and the cure, in one line; empty while it does not."""
        return "" if self.limit is None else above_limit(self.path, self.limit, self.size_bytes())

    def newest(self) -> str:
        """Id of the memory that the bank's head names."""
        return self.head().id

    def edit(self, state: MemoryState, edit: Edit) -> MemoryState:
        """Writes ``edit`` of ``state`` and returns the memory in which it is in force."""
        return commit_edit(self.path, self._own(state), edit)

    def knows(self, key: str) -> bool:
        """Whether something was made with ``key``: if not, ``recall`` and ``take_over`` give None."""
        return (self.path / "keys" / f"{check_key(key)}.json").is_file()

    def note_of(self, key: str) -> KeyNote | None:
        """What ``key`` led to, if that is known. Raises ``DamageError`` for a file that is damaged."""
        return read_key(self.path / "keys", key)

    def recall(self, state: MemoryState, key: str) -> MemoryState | None:
        """The memory with the segment that was made with ``key`` after exactly this ``state``, and now the bank's head.

        None if there is no such segment, or it is damaged, which is logged: then it is to be made again. Pictures that
        were dropped since to keep a limit may be missing, and the memory says so as it did then. Nothing is removed.
        """
        state = self._own(state)
        check_still_there(self.path, state)
        try:
            note = self.note_of(key)
            if note is None or note.parent != state.id:
                return None
            return self._recalled(state, note.segment)
        except BankError as problem:
            self._made_again(problem)
            return None

    def take_over(
        self,
        state: MemoryState,
        key: str,
        *,
        trajectory: Trajectory,
        shot: int,
        prompt: str = "",
        info: Mapping[str, Any] | None = None,
        depth: ArrayLike | None = None,
        also: Sequence[str] = (),
    ) -> MemoryState | None:
        """The memory ``state`` with the pictures and latents that ``key`` led to after whatever memory, described as
        for ``prepare``, and now the bank's head. What was made after this very memory and described alike is recalled.

        ``also`` names keys that lead there from now on, too. None as for ``recall``. Pictures that were dropped there
        are missing here as well.
        """
        state = self._own(state)
        check_still_there(self.path, state)
        try:
            note = self.note_of(key)
            if note is None:
                return None
            source = no_link(self._segment_file(note.segment))
            record, tensors = describe_again(
                state, source, note.segment, trajectory, shot=shot, prompt=prompt, info=info,
                depth=None if depth is None else np.asarray(depth),
            )
            path = no_link(self._segment_file(record.id))
            if record.id != note.segment and not (
                path.is_file() and is_sound(path, record, state.end_time, dropped=True)
            ):
                write_whole(path, *copy_segment(source, note.segment, record, tensors), folder=False)
            result = self._recalled(state, record.id)
        except BankError as problem:
            self._made_again(problem)
            return None
        for one in (key, *also):
            write_key(self.path / "keys", check_key(one), replace(note, parent=state.id, segment=record.id))
        return result

    def pictures_of(self, key: str) -> NDArray[np.uint8] | None:
        """Pixels (F, H, W, 3) of the segment that ``key`` led to; None if it is not known, or lacks one of them."""
        try:
            note = self.note_of(key)
            if note is None:
                return None
            return read_segment_pixels(no_link(self._segment_file(note.segment)), note.segment)
        except BankError:
            return None

    def frame_hashes(self, state: MemoryState, indices: ArrayLike | Sequence[int]) -> list[bytes]:
        """For each of the frames ``indices`` of ``state`` the sha256 of its pixels, also where they were dropped."""
        wanted = state.checked_indices(indices)
        result: list[bytes] = []
        for frame, owner in zip(wanted.tolist(), state.segment_at(wanted).tolist(), strict=True):
            entry = state.segments.id_of(owner)
            known = _frame_hashes(self._segment_file(entry), entry)
            start = int(state.segments.starts(np.array([owner]))[0])
            result.append(hashlib.sha256(self.read_frames(state, [frame])[0].data).digest() if known is None
                          else known[frame - start].tobytes())
        return result

    def read_frames(
        self,
        state: MemoryState,
        indices: ArrayLike | Sequence[int],
        nearest: bool = False,
        damaged: list[int] | None = None,
    ) -> NDArray[np.uint8]:
        """Pixels (n, H, W, 3) uint8 of the frames ``indices`` of ``state``, in that order; nothing else is decoded.

        A frame whose pixels were dropped or are damaged is refused, or with ``nearest`` the sound frame next to it
        stands in. Those that are damaged are then named in the log and appended to ``damaged``.
        """
        return read_pixels(self.path, state, state.checked_indices(indices), nearest, damaged)

    def kept(self, state: MemoryState, indices: ArrayLike | Sequence[int]) -> NDArray[np.bool_]:
        """(n,) whether the pixels of the frames ``indices`` are still on the disk."""
        return kept_frames(self.path, state, state.checked_indices(indices))

    def read_latents(self, state: MemoryState, indices: ArrayLike | Sequence[int]) -> list[NDArray[Any] | None]:
        """For each frame its latent (C, h, w), where its segment keeps one latent a frame; else None."""
        wanted = state.checked_indices(indices)
        result: list[NDArray[Any] | None] = [None] * len(wanted)
        owners = state.segment_at(wanted)
        for owner in np.unique(owners):
            latents, record = self.segment_latents(state, int(owner)), state.segments[int(owner)]
            if latents is not None and latents.shape[1] == record.frames:
                for index in np.flatnonzero(owners == owner):
                    result[index] = latents[:, wanted[index] - record.start]
        return result

    def segment_latents(self, state: MemoryState, segment: int) -> NDArray[Any] | None:
        """Latents (C, T, h, w) of a segment as they were given, None if none are kept."""
        entry = state.segments.id_of(segment)
        return extra_or_none(self._segment_file(entry), entry, "latents")

    def read_depth(self, state: MemoryState, segment: int) -> NDArray[np.float16] | None:
        """Depth (F, h, w) of a segment, None if none is kept. The last ones read stay in RAM."""
        entry = state.segments.id_of(segment)
        return _depth(self._segment_file(entry), entry)

    def size_bytes(self) -> int:
        """Bytes of all files of the bank."""
        return bytes_in(self.path)

    def _recalled(self, state: MemoryState, segment: str) -> MemoryState:
        """``state`` with the segment that lies in its file, now the bank's head. Raises ``BankError`` for damage."""
        result = with_file(self.path, state, segment)
        path = no_link(self._segment_file(segment))
        if not is_sound(path, result.segments[-1], state.end_time, dropped=True):
            raise BankError(f"{segment}.safetensors does not hold all of its pictures.")
        return commit(self.path, dropped_then(self.path, result))

    def _made_again(self, problem: BankError) -> None:
        _log.warning("Memory bank %r: a segment that was made before is made again. %s", self.name, problem)

    def _own(self, state: MemoryState) -> MemoryState:
        if state.bank is None and state.frames == 0:
            state = replace(state, bank=self)
        if state.bank is None or (state.bank.path != self.path and state.bank.path.resolve() != self.path.resolve()):
            other = f"the bank {state.bank.name!r}" if state.bank else "no bank"
            raise BankError(f"This memory lies in {other}, not in {self.name!r}. Append to the memory's own bank.")
        return state

    def head(self, head: str | None = None) -> Head:
        """The head of the bank, or of the earlier memory with the id ``head``."""
        return current_head(self.path) if head is None else earlier_head(self.path, head)

    def _is_there(self) -> bool:
        """Whether there is a bank: one whose head is lost still has segments."""
        return self.head_path.is_file() or bool(names_in(self.segments_path, ".safetensors"))

    def _segment_file(self, segment_id: str) -> Path:
        return self.segments_path / f"{segment_id}.safetensors"

    def _check_links(self) -> None:
        stay_inside(self.path, self.root)
        for part in (*_FOLDERS, "head.json", "head.lock"):
            stay_inside(self.path / part, self.path)


@lru_cache(maxsize=4096)
def _frame_hashes(path: Path, entry: str) -> NDArray[np.uint8] | None:
    return read_hashes(no_link(path), entry)


@lru_cache(maxsize=128)
def _depth(path: Path, entry: str) -> NDArray[np.float16] | None:
    return extra_or_none(path, entry, "depth")
