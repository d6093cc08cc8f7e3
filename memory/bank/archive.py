"""A memory as one file, for keeping and sharing: a plain zip of the bank's own files, which anyone can unpack.

The archive holds what one memory needs and nothing else: its head, its segments, its edits and its packs. Unpacked into
a folder of its own it is a memory bank again; FORMAT.md describes the files.

An archive may come from anywhere. Names are held against a fixed pattern, sizes are bounded before and while reading,
nothing is unpacked that is not stored as it is, and the bank becomes visible only after everything in it was checked.
Damage stays where it is: what is sound is written and read, and what is not is reported.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..document import ID_PATTERN, is_id, parse
from ..errors import BankError, DamageError, damaged
from ..files import flush_folder, forget, no_link, open_regular, replace_file, write_whole
from ..part_files import part_in, remove_dead_parts
from ..state.state import MemoryState
from .bank import Bank
from .commit import drop_edits, flag_dropped, replace_head
from .damage import film_of, flaws_of, flaws_text, mended, rests_text
from .head import HEAD_KIND, head_of
from .names import bank_name, folder_of
from .packs import pack_parts

ENDING = ".scenememory.zip"
MAX_ENTRIES = 400_000
MAX_BYTES = {"head.json": 4 << 20, "edits": 64 << 20, "packs": 2 << 30, "segments": 64 << 30}
"""Bytes of the largest file of each kind that is taken out of an archive."""

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all; raise an exception in it to stop, and nothing half-made stays."""

_NAME = re.compile(rf"head\.json|(edits)/{ID_PATTERN}\.json|(packs|segments)/{ID_PATTERN}\.safetensors")
_NO_ZIP = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, struct.error, UnicodeError)
_PIECE = 1 << 20
_DATE = (1980, 1, 1, 0, 0, 0)

_log = logging.getLogger(__name__)


def export_bank(state: MemoryState, path: Path, progress: Progress | None = None) -> Path:
    """Writes the memory ``state`` to the one file ``path``, whose name gets the ending ``.scenememory.zip``.

    As ``write_archive``, which says what becomes of damage; the log tells. The file appears whole or not at all, in the
    place of an older one. Returns the path. Raises ``BankError`` if there is nothing to save or the disk refuses.
    """
    path = Path(path)
    path = path if path.name.endswith(ENDING) else path.with_name(path.name + ENDING)
    part = part_in(path.parent)
    try:
        if damage := write_archive(state, part, progress):
            _log.warning("%s: %s", path.name, damage)
        replace_file(part, path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        forget(part)
    return path


def write_archive(state: MemoryState, path: Path, progress: Progress | None = None) -> str:
    """Writes the memory ``state`` to the new file ``path``. Returns what was damaged, in words; empty if nothing was.

    Every picture is decoded and checked on the way. One that is damaged is left out, and in the archive's memory an
    edit "drop" says so; a segment whose file is lost keeps its cameras. The same memory gives the same bytes.
    ``progress`` is called with bytes done and in all. Raises ``BankError`` if there is nothing to save or the disk
    refuses.
    """
    bank = state.bank
    if bank is None or not state.frames:
        raise BankError("This memory has no pictures on the disk to save. Save a memory that a shot was made with.")
    files = [no_link(bank.path / name) for name in _segments_of(state)]
    sizes = [file.stat().st_size if file.is_file() else 0 for file in files]
    steps = _Steps(2 * sum(sizes), progress or _silent)
    flaws = [flaws_of(file, state, number, steps.share(size))
             for number, (file, size) in enumerate(zip(files, sizes, strict=True))]
    lost = [frame for one in flaws for frame in one.frames]
    if len(lost) == state.frames:
        raise damaged(f"No picture of this memory can be read. {next(one.problem for one in flaws if one)}")
    whole = state
    for edit in drop_edits(lost):
        whole = whole.with_edit(edit)
    try:
        with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, data in _texts_of(whole):
                _add(archive, name, [data], len(data))
            for number, file in enumerate(files):
                parts = mended(file, state, number, flaws[number]) if flaws[number] else None
                size = sum(map(len, parts)) if parts else sizes[number]
                _add(archive, f"segments/{file.name}", parts or _pieces(file, steps), size)
        with open(path, "rb+") as written:
            os.fsync(written.fileno())
    except OSError as error:
        raise _not_written(path, error) from error
    steps.end()
    return flaws_text(flaws)


def import_bank(
    root: Path, name: str, path: Path, progress: Progress | None = None, warn: Callable[[str], None] | None = None
) -> Bank:
    """Makes the memory bank ``name`` in the folder ``root`` from the archive ``path`` and returns it.

    Every picture is decoded and checked before the bank is there. What is damaged is left out and ``warn`` is given
    words for it (the log, if there is none); if nothing can be used, the bank never is. If the name is taken by the
    very same memory, that bank is returned. Raises ``BankError`` that says what to do.
    """
    root, path = Path(root).absolute(), Path(path)
    name = bank_name(name)
    with _opened(path) as (file, archive, entries):
        head = _head_id(archive, entries, path.name)
        if os.path.lexists(folder_of(root, name)):
            return _same_bank(root, name, head)
        steps = _Steps(2 * sum(entry.file_size for entry in entries), progress or _silent)
        folder = part_in(root)
        try:
            root.mkdir(parents=True, exist_ok=True)
            remove_dead_parts(root)
            (folder / name).mkdir(parents=True)
            for kind in ("segments", "edits", "packs"):
                (folder / name / kind).mkdir()
            for entry in entries:
                _take_out(file, entry, folder / name, path.name, steps)
            damage = _checked(Bank(folder, name), head, entries, steps)
            _publish(folder / name, root, head)
        except OSError as error:
            raise BankError(f"{path.name} could not be unpacked into {root}: {error.strerror or error}. Free some "
                            "space or allow writing there.") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if damage:
        (warn or _log.warning)(f"{path.name}: {damage}")
    return Bank.open(root, name)


def archive_memory(path: Path) -> str:
    """Id of the memory that the archive ``path`` holds, without unpacking it. Raises ``BankError`` as above."""
    path = Path(path)
    with _opened(path) as (_, archive, entries):
        return _head_id(archive, entries, path.name)


class _Steps:
    """Tells how far the work on so many bytes is, never backwards."""

    def __init__(self, total: int, report: Progress) -> None:
        self._total, self._report, self._done, self._reported = total, report, 0.0, 0

    def add(self, count: float) -> None:
        self._done += count
        self._reported = max(self._reported, min(round(self._done), self._total))
        self._report(self._reported, self._total)

    def share(self, count: int) -> Callable[[float], None]:
        """A tick for one file of ``count`` bytes, to be called with shares up to 1."""
        start = self._done
        self._done += count

        def tick(share: float) -> None:
            self._reported = max(self._reported, min(round(start + count * share), self._total))
            self._report(self._reported, self._total)

        return tick

    def end(self) -> None:
        self._report(self._total, self._total)


def _texts_of(state: MemoryState) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files of a memory that need no picture: they are made again, not copied."""
    yield "head.json", head_of(state).text
    yield from {f"edits/{entry.id}.json": entry.text.encode("ascii") for entry in state.edit_entries}.items()
    for number, pack in enumerate(state.packs):
        yield f"packs/{pack.id}.safetensors", b"".join(pack_parts(state, number))


def _segments_of(state: MemoryState) -> list[str]:
    return [f"segments/{entry}.safetensors" for entry in state.segments.ids(0, len(state.segments))]


def _pieces(file: Path, steps: _Steps) -> Iterator[bytes]:
    with open_regular(file) as source:
        while piece := source.read(_PIECE):
            yield piece
            steps.add(len(piece))


def _add(archive: zipfile.ZipFile, name: str, parts: Iterable[bytes | memoryview], size: int) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.file_size = size
    with archive.open(entry, "w") as target:
        for part in parts:
            target.write(part)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """The file, the archive and what is in it, the head first, every name and size found to be allowed."""
    try:
        with open_regular(path) as file:
            _check_directory(file, path.name)
            try:
                with zipfile.ZipFile(file) as archive:
                    yield file, archive, _checked_entries(archive, file.seek(0, os.SEEK_END), path.name)
            except _NO_ZIP as error:
                raise damaged(f"{path.name} is not a whole zip file ({error})") from error
    except FileNotFoundError as error:
        raise BankError(f"There is no file {path.name} in {path.parent}. Choose a file whose name ends in {ENDING}."
                        ) from error
    except OSError as error:
        raise BankError(f"{path.name} cannot be read: {error.strerror or error}. Allow reading it.") from error


def _check_directory(file: BinaryIO, what: str) -> None:
    """Refuses an archive whose table of contents is larger than any that ``export_bank`` writes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 98))
    end = file.read(98)[-98:]
    if len(end) < 22 or end[-22:-18] != b"PK\5\6" or end[-2:] != b"\0\0":
        raise damaged(f"{what} is not a whole {ENDING} file: its end is missing")
    entries, length = struct.unpack("<HI", end[-12:-6])
    if len(end) == 98 and end[-42:-38] == b"PK\6\7" and end[:4] == b"PK\6\6":
        entries, length = struct.unpack("<QQ", end[32:48])
    if entries > MAX_ENTRIES or length > 128 * MAX_ENTRIES or length > size:
        raise BankError(f"{what} lists {entries} files in {length} bytes; a memory has at most {MAX_ENTRIES}. Save "
                        "it again from Memory Bank.")


def _checked_entries(archive: zipfile.ZipFile, size: int, what: str) -> list[zipfile.ZipInfo]:
    seen: set[str] = set()
    for entry in archive.infolist():
        match = _NAME.fullmatch(entry.orig_filename)
        if match is None or entry.filename != entry.orig_filename:
            raise BankError(f"{what} holds {entry.orig_filename[:80]!r}, which is no part of a memory. Save it again "
                            "from Memory Bank, and do not add files.")
        if entry.filename in seen:
            raise damaged(f"{what} holds {entry.filename} twice")
        seen.add(entry.filename)
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
            raise BankError(f"{what} was packed again, compressed or with a password. Unpack it, and put the folder "
                            "into the folder of memory banks instead.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise damaged(f"{what}: {entry.filename} is a link")
        limit = MAX_BYTES[match[1] or match[2] or "head.json"]
        if entry.file_size > limit:
            raise damaged(f"{what}: {entry.filename} claims {entry.file_size} bytes, more than {limit}")
    if "head.json" not in seen:
        raise damaged(f"{what} has no head.json")
    if sum(entry.file_size for entry in archive.infolist()) > size:
        raise damaged(f"{what} claims more bytes than it has")
    return sorted(archive.infolist(), key=lambda entry: (entry.filename != "head.json", entry.header_offset))


def _head_id(archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], what: str) -> str:
    """Id of the memory in the archive; of the last segment in it, where the head is damaged."""
    try:
        head = parse(archive.read(entries[0]), HEAD_KIND, f"head.json in {what}").get("id")
        if isinstance(head, str) and is_id(head):
            return head
        raise damaged(f"head.json in {what} does not name its memory")
    except (DamageError, zipfile.BadZipFile):
        ends = [Path(entry.filename).stem for entry in entries if entry.filename.startswith("segments/")]
        if not ends:
            raise
        return ends[-1]


def _same_bank(root: Path, name: str, head: str) -> Bank:
    if Bank.exists(root, name):
        bank = Bank.open(root, name)
        if bank.load().id == head:
            return bank
    raise BankError(f"The name {name!r} is taken by another memory bank. Choose another name for the one you import.")


def _take_out(file: BinaryIO, entry: zipfile.ZipInfo, folder: Path, what: str, steps: _Steps) -> None:
    """Copies one entry as it lies there: whether it is sound, the hashes in it say better than zip's checksum."""
    file.seek(entry.header_offset)
    start = file.read(30)
    if len(start) < 30 or start[:4] != b"PK\3\4":
        raise damaged(f"{what}: {entry.filename} is not where it should be")
    file.seek(entry.header_offset + 30 + sum(struct.unpack("<HH", start[26:])))
    left = entry.file_size
    with open(folder / entry.filename, "xb") as target:
        while left:
            piece = file.read(min(left, _PIECE))
            if not piece:
                raise damaged(f"{what}: {entry.filename} is cut off")
            left -= len(piece)
            target.write(piece)
            steps.add(len(piece))
        target.flush()
        os.fsync(target.fileno())


def _checked(bank: Bank, head: str, entries: Sequence[zipfile.ZipInfo], steps: _Steps) -> str:
    """Makes the unpacked bank one of which every picture, latent and depth is sound, and says what had to go.

    Whatever it became, it can be found under the id ``head`` of the archive, so that the file is known again.
    """
    state, said = _loaded(bank)
    other = bool(said)
    if state.id != head:
        said.append(f"The file is damaged: of the memory {head[:12]} only {state.frames} frames can be used. "
                    f"{'' if other else rests_text(bank.rests())}")
    extra = {entry.filename for entry in entries} - {name for name, _ in _texts_of(state)} - set(_segments_of(state))
    if not said and extra:
        raise damaged(f"The archive holds {min(extra)}, which its memory does not use")
    sizes = {entry.filename: entry.file_size for entry in entries}
    found = []
    for number, name in enumerate(_segments_of(state)):
        flaws = flaws_of(bank.path / name, state, number, steps.share(sizes.get(name, 0)))
        parts = mended(bank.path / name, state, number, flaws) if flaws else None
        if parts is not None:
            write_whole(bank.path / name, *parts)
        found.append(flaws)
    lost = [frame for flaws in found for frame in flaws.frames]
    if len(lost) == state.frames:
        raise damaged(f"No picture in the file can be read. {next(flaws.problem for flaws in found if flaws)}")
    if said or any(found):
        state = flag_dropped(bank.path, state, np.asarray(lost, dtype=np.int64))
        replace_head(bank.path, state)
        if state.id != head and (other or head not in bank.history()):
            write_whole(bank.history_path / f"{head}.json", head_of(state).text)
    steps.end()
    return " ".join([*said, flaws_text(found)]).strip()


def _loaded(bank: Bank) -> tuple[MemoryState, list[str]]:
    """The bank's memory, or where nothing of its beginning is left the longest part that is sound, and words for it."""
    try:
        return bank.load(), []
    except DamageError as problem:
        rests = bank.rests()
        if not rests:
            raise
        longest = max(rests, key=lambda rest: rest.frames)
        return film_of(bank.path, bank.empty(), longest), [f"Its beginning is lost. {problem}"]


def _publish(made: Path, root: Path, head: str) -> None:
    """The bank appears in one step; on a name that was taken meanwhile by another memory it does not."""
    target = root / made.name
    try:
        if not os.path.lexists(target):
            os.rename(made, target)
            flush_folder(root)
            return
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise
    _same_bank(root, made.name, head)


def _not_written(path: Path, error: OSError) -> BankError:
    return BankError(f"{path.name} could not be written to {path.parent}: {error.strerror or error}. Free some space "
                     "or allow writing there.")


def _silent(done: int, total: int) -> None:
    pass
