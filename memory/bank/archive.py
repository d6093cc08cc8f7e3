"""A memory as one file, for keeping and sharing: a plain zip of the bank's own files, which anyone can unpack.

The archive holds what one memory needs and nothing else: its head, its segments, its edits and its packs. Unpacked into
a folder of its own it is a memory bank again; FORMAT.md describes the files.

An archive may come from anywhere. Names are held against a fixed pattern, sizes are bounded before and while reading,
nothing is unpacked that is not stored as it is, and the bank becomes visible only after everything in it was checked.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import BankError, DamageError, damaged
from ..state.state import MemoryState
from .bank import Bank
from .format import parse
from .head import HEAD_KIND, ID, head_of
from .names import bank_name
from .segment_file import decode_all, kept_pictures, read_coded, read_extra

ENDING = ".scenememory.zip"
MAX_ENTRIES = 400_000
MAX_BYTES = {"head.json": 4 << 20, "edits": 64 << 20, "packs": 2 << 30, "segments": 64 << 30}
"""Bytes of the largest file of each kind that is taken out of an archive."""

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all; raise an exception in it to stop, and nothing half-made stays."""

_NAME = re.compile(r"head\.json|(edits)/[0-9a-f]{64}\.json|(packs|segments)/[0-9a-f]{64}\.safetensors")
_NO_ZIP = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, struct.error, UnicodeError)
_PIECE = 1 << 20
_AT_ONCE = 64 << 20
_DATE = (1980, 1, 1, 0, 0, 0)
_STALE_SECONDS = 24 * 3600


def export_bank(state: MemoryState, path: Path, progress: Progress | None = None) -> Path:
    """Writes the memory ``state`` to the one file ``path``, whose name gets the ending ``.scenememory.zip``.

    The file appears whole or not at all; the same memory gives the same bytes. ``progress`` is called with bytes done
    and in all. Returns the path. Raises ``BankError`` if there is nothing to save, a file is missing, or the disk
    refuses.
    """
    bank = state.bank
    if bank is None or not state.frames:
        raise BankError("This memory has no pictures on the disk to save. Save a memory that a shot was made with.")
    path = Path(path)
    path = path if path.name.endswith(ENDING) else path.with_name(path.name + ENDING)
    part = path.parent / f".{uuid.uuid4().hex}.part"
    files = [bank.path / name for name in _names_of(state)]
    head, report = head_of(state).text, progress or _silent
    try:
        total = len(head) + sum(file.stat().st_size for file in files)
        with zipfile.ZipFile(part, "x", zipfile.ZIP_STORED, allowZip64=True) as archive:
            archive.writestr(zipfile.ZipInfo("head.json", _DATE), head)
            done = len(head)
            report(done, total)
            for file in files:
                done = _add(archive, file, bank.path, done, total, report)
        _to_the_disk(part)
        os.replace(part, path)
    except FileNotFoundError as error:
        raise damaged(f"{Path(error.filename or '?').name} is missing from the memory bank {bank.name!r}") from error
    except OSError as error:
        raise BankError(f"{path.name} could not be written to {path.parent}: {error.strerror or error}. Free some "
                        "space or allow writing there.") from error
    finally:
        _forget(part)
    return path


def import_bank(root: Path, name: str, path: Path, progress: Progress | None = None) -> Bank:
    """Makes the memory bank ``name`` in the folder ``root`` from the archive ``path`` and returns it.

    Every picture is decoded and checked before the bank is there; if anything is wrong, it never is. If the name is
    taken by the very same memory, that bank is returned. Raises ``BankError`` that says what to do.
    """
    root, path = Path(root).absolute(), Path(path)
    name = bank_name(name)
    folder, report = root / f".{uuid.uuid4().hex}.part", progress or _silent
    with _opened(path) as (archive, entries):
        head = _head_id(archive, entries, path.name)
        if os.path.lexists(root / name):
            return _same_bank(root, name, head)
        total = 2 * sum(entry.file_size for entry in entries)
        try:
            root.mkdir(parents=True, exist_ok=True)
            _remove_stale(root)
            (folder / name).mkdir(parents=True)
            for kind in ("segments", "edits", "packs"):
                (folder / name / kind).mkdir()
            done = 0
            for entry in entries:
                done = _take_out(archive, entry, folder / name, path.name, done, total, report)
            _check(Bank.open(folder, name), head, entries, done, total, report)
            _publish(folder / name, root / name)
        except OSError as error:
            raise BankError(f"{path.name} could not be unpacked into {root}: {error.strerror or error}. Free some "
                            "space or allow writing there.") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return Bank.open(root, name)


def archive_memory(path: Path) -> str:
    """Id of the memory that the archive ``path`` holds, without unpacking it. Raises ``BankError`` as above."""
    path = Path(path)
    with _opened(path) as (archive, entries):
        return _head_id(archive, entries, path.name)


def _names_of(state: MemoryState) -> Iterator[str]:
    yield from (f"edits/{one}.json" for one in dict.fromkeys(entry.id for entry in state.edit_entries))
    yield from (f"packs/{pack.id}.safetensors" for pack in state.packs)
    yield from (f"segments/{state.segments.id_of(i)}.safetensors" for i in range(len(state.segments)))


def _add(archive: zipfile.ZipFile, file: Path, root: Path, done: int, total: int, report: Progress) -> int:
    entry = zipfile.ZipInfo(file.relative_to(root).as_posix(), _DATE)
    entry.file_size = file.stat().st_size
    with open(file, "rb") as source, archive.open(entry, "w") as target:
        while piece := source.read(_PIECE):
            target.write(piece)
            done += len(piece)
            report(min(done, total), total)
    return done


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """The archive and what is in it, the head first, every name and size found to be allowed."""
    try:
        with open(path, "rb") as file:
            _check_directory(file, path.name)
            try:
                with zipfile.ZipFile(file) as archive:
                    yield archive, _checked_entries(archive, file.seek(0, os.SEEK_END), path.name)
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
    head = parse(archive.read(entries[0]), HEAD_KIND, f"head.json in {what}").get("id")
    if not isinstance(head, str) or not ID.fullmatch(head):
        raise damaged(f"head.json in {what} does not name its memory")
    return head


def _same_bank(root: Path, name: str, head: str) -> Bank:
    if Bank.exists(root, name):
        bank = Bank.open(root, name)
        if bank.load().id == head:
            return bank
    raise BankError(f"The name {name!r} is taken by another memory bank. Choose another name for the one you import.")


def _take_out(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, what: str, done: int, total: int, report: Progress
) -> int:
    left = entry.file_size
    with archive.open(entry) as source, open(folder / entry.filename, "xb") as target:
        while piece := source.read(_PIECE):
            left -= len(piece)
            if left < 0:
                raise damaged(f"{what}: {entry.filename} is larger than it claims")
            target.write(piece)
            done += len(piece)
            report(done, total)
        target.flush()
        os.fsync(target.fileno())
    if left:
        raise damaged(f"{what}: {entry.filename} is cut off")
    return done


def _check(
    bank: Bank, head: str, entries: Sequence[zipfile.ZipInfo], done: int, total: int, report: Progress
) -> None:
    """Loads the unpacked bank and reads every picture, latent and depth in it; nothing may be missing or left over."""
    state = bank.load()
    if state.id != head:
        raise DamageError(f"The archive holds only a part of the memory {head[:12]}: {state.frames} frames. It is "
                          "damaged: restore it from a copy.")
    extra = {entry.filename for entry in entries} - {"head.json", *_names_of(state)}
    if extra:
        raise damaged(f"The archive holds {min(extra)}, which its memory does not use")
    sizes = {entry.filename: entry.file_size for entry in entries}
    height, width = state.size or (1, 1)
    at_once = max(1, _AT_ONCE // (3 * height * width))
    done += sum(size for file, size in sizes.items() if not file.startswith("segments/"))
    for i in range(len(state.segments)):
        segment = state.segments.id_of(i)
        file = bank.segments_path / f"{segment}.safetensors"
        kept = kept_pictures(file, segment).nonzero()[0].tolist()
        for first in range(0, len(kept), at_once):
            coded = read_coded(file, segment, kept[first : first + at_once])
            decode_all([picture for picture in coded if picture is not None])
        for extra_name in ("latents", "depth"):
            read_extra(file, segment, extra_name)
        done += sizes[f"segments/{file.name}"]
        report(min(done, total), total)
    report(total, total)


def _publish(made: Path, place: Path) -> None:
    """The bank appears in one step; on a name that was taken meanwhile it does not."""
    if os.path.lexists(place):
        raise BankError(f"The name {place.name!r} was taken meanwhile. Choose another name for the one you import.")
    os.rename(made, place)


def _remove_stale(root: Path) -> None:
    for part in root.glob(".*.part"):
        if part.is_dir() and not part.is_symlink() and time.time() - part.lstat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(part, ignore_errors=True)


def _to_the_disk(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _forget(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError:
        pass


def _silent(done: int, total: int) -> None:
    pass
