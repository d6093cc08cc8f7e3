"""Files and nothing else: what is opened here has an end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


class NoFileError(OSError):
    """A folder, a pipe or a device stands where a file should."""


def open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading. ``OSError`` for anything else: a pipe or a device would never end, or never begin."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NoFileError(errno.EINVAL, "it is no file")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise
