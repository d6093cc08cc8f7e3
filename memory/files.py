"""Files that appear whole or not at all, never outside their folder, and never over another.

What is read is a file and nothing else. What is written is made under a hidden name of its own (``part_files``) first.
A file with the next free number in its name, in a folder that other programs write into as well, takes its number only
when it is done.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import BankError, damaged
from .part_files import part_in, remove_dead_parts

NOT_OFFERED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})
"""What a file system answers that does not know what it was asked for: flushing a folder, or locks."""
_NO_FOLDER_FLUSH = NOT_OFFERED | {errno.EACCES, errno.EPERM, errno.EBADF, errno.EISDIR, errno.ENOTTY}
_TRIES = 50
_MOST_NUMBERS = 10_000
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR})
_NO_LINKS = frozenset({
    errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EMLINK, errno.EXDEV,
})

_log = logging.getLogger(__name__)
_said: set[str] = set()


class NoFileError(OSError):
    """A folder, a pipe or a device stands where a file should."""


def write_whole(path: Path, *data: bytes | memoryview, folder: bool = True, sync: bool = True) -> None:
    """Writes ``data`` to ``path``, making its folder, so that a crash leaves either the old file or the new one.

    The bytes are on the disk before the name is. ``folder`` false leaves it to the next write to bring the name to the
    disk: a file system keeps the order of names, so what is written after it never outlives it. ``sync`` false leaves
    all of it to the system's own time, for what may be lost in a power cut. Raises ``BankError`` if the disk refuses.
    """
    part = part_in(path.parent)
    try:
        path.parent.mkdir(exist_ok=True)
        with open(part, "xb") as file:
            file.writelines(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        replace_file(part, path)
        if folder and sync:
            flush_folder(path.parent)
    except OSError as error:
        raise BankError(f"{path.name} could not be written to {path.parent}: {error.strerror or error}. Free some "
                        "space or allow writing there; what was finished before is kept.") from error
    finally:
        forget(part)


def open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading. Raises ``OSError`` for anything else: a pipe or a device would never end, or never
    begin."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NoFileError(errno.EINVAL, "it is not a file")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_small(path: Path, limit: int, what: str) -> bytes:
    """The bytes of a file of at most ``limit`` bytes. Raises ``DamageError`` that names ``what``."""
    try:
        with open_regular(path) as file:
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise damaged(f"{what} is missing") from error
    except OSError as error:
        raise damaged(f"{what} cannot be read: {error.strerror or error}") from error
    if len(data) > limit:
        raise damaged(f"{what} is larger than {limit} bytes")
    return data


def stay_inside(path: Path, folder: Path) -> Path:
    """``path`` itself, if it lies in ``folder`` with every link followed. Raises ``BankError`` if not."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BankError(f"{path} is a link that leads out of {folder}. Replace the link by the real file or folder.")
    return path


def no_link(path: Path) -> Path:
    """``path`` itself: for files in a folder that was found to stay inside. Raises ``BankError`` if it is a link."""
    if path.is_symlink():
        raise BankError(f"{path} is a link that leads out of {path.parent}. Replace the link by the real file.")
    return path


def forget(path: Path) -> None:
    """Removes a file that is of no use any more, if that can be done."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass


def bytes_in(folder: Path) -> int:
    """Bytes of all files in ``folder`` and the folders in it; links are not followed."""
    total, left = 0, [folder]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        left.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total


def names_in(folder: Path, ending: str) -> Sequence[str]:
    """Names, without ``ending``, of the files in ``folder`` that have it; none if there is no such folder."""
    try:
        return [name[: -len(ending)] for name in os.listdir(folder) if name.endswith(ending) and name[:1] != "."]
    except FileNotFoundError:
        return []


def replace_file(part: Path, path: Path) -> None:
    """``os.replace``, tried again for a second on Windows, where a file that another program reads is not replaced."""
    for tried in range(_TRIES):
        try:
            os.replace(part, path)
            return
        except PermissionError:
            if os.name != "nt" or tried == _TRIES - 1:
                raise
            time.sleep(0.02)


def flush_folder(folder: Path) -> None:
    """Brings the names in ``folder`` to the disk, where the file system can do that.

    Network and foreign file systems often cannot flush a folder. Files are flushed all the same, and appear whole or
    not at all; only a power cut may lose the newest, which the log says once.
    """
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FLUSH:
            raise
        say_once("flush", f"{folder} lies where folders cannot be flushed to the disk ({error.strerror}): after a "
                 "power cut the newest segment may have to be made again.")


def say_once(about: object, line: str) -> None:
    """Writes a line to the log, but only the first one of this process ``about`` the same thing."""
    key = repr(about)
    if key not in _said:
        _said.add(key)
        _log.warning(line)


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A hidden name in ``folder`` under which a file or folder can be made; what is left there in the end is removed.

    What an earlier one left that was killed is removed first. Makes the folder. Raises ``BankError`` if the disk
    refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BankError(f"The folder {folder} cannot be made: {error.strerror or error}. Choose another "
                        "filename_prefix, or allow writing there.") from error
    remove_dead_parts(folder)
    part = part_in(folder)
    try:
        yield part
    finally:
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)
        else:
            forget(part)


def publish(made: Path, folder: Path, stem: str, number: int, ending: str) -> Path:
    """Gives the file or folder ``made`` the name ``stem_00001_ending`` in ``folder``, with the first number from
    ``number`` on that nobody has, and returns it. Raises ``BankError`` if the disk refuses."""
    try:
        for tried in range(number, number + _MOST_NUMBERS):
            path = folder / f"{stem}_{tried:05}_{ending}"
            if _moved(made, path):
                flush_folder(folder)
                return path
    except OSError as error:
        raise BankError(f"{stem}_{number:05}_{ending} could not be written to {folder}: {error.strerror or error}. "
                        "Free some space or allow writing there.") from error
    raise BankError(f"{folder} has no free number for {stem!r} after {number}. Choose another filename_prefix.")


def _moved(made: Path, path: Path) -> bool:
    """Whether ``path`` was free and is now what ``made`` was."""
    if os.name == "nt" or made.is_dir():
        return _renamed(made, path)
    try:
        os.link(made, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _replaced(made, path)
    forget(made)
    return True


def _renamed(made: Path, path: Path) -> bool:
    """Windows never renames onto what is there; elsewhere a folder takes the place of an empty folder only."""
    for tried in range(_TRIES):
        try:
            os.rename(made, path)
            return True
        except PermissionError:
            # A virus scanner may be reading what was just written.
            if os.name != "nt" or tried == _TRIES - 1:
                raise
            time.sleep(0.02)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            return False
    return False


def _replaced(made: Path, path: Path) -> bool:
    """Where there are no links: the name is taken by an empty file, which only its maker replaces."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        return False
    try:
        replace_file(made, path)
    except BaseException:
        forget(path)
        raise
    return True
