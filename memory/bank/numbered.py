"""Finished files with the next free number in their name, in a folder that other programs write into as well.

A file is made under a hidden name of its own. Its number is only a wish until it is done: then the name is taken so
that nothing that is there already is ever replaced.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BankError
from ..files import flush_folder, forget, replace_file
from .parts import part_in, remove_dead_parts

_MOST_TRIES = 10_000
_WINDOWS_TRIES = 50
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR})
_NO_LINKS = frozenset({
    errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EMLINK, errno.EXDEV,
})


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
        for tried in range(number, number + _MOST_TRIES):
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
    for tried in range(_WINDOWS_TRIES):
        try:
            os.rename(made, path)
            return True
        except PermissionError:
            # A virus scanner may be reading what was just written.
            if os.name != "nt" or tried == _WINDOWS_TRIES - 1:
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
