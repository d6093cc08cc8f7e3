"""Files that appear whole or not at all, and never outside their folder."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

from .errors import BankError

_PART = ".part"
_STALE_SECONDS = 24 * 3600


def write_whole(path: Path, data: bytes) -> None:
    """Writes ``data`` to ``path``, making its folder, so that a crash leaves either the old file or the new one."""
    part = path.parent / f".{uuid.uuid4().hex}{_PART}"
    try:
        path.parent.mkdir(exist_ok=True)
        with open(part, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise BankError(f"{path.name} could not be written to {path.parent}: {error.strerror or error}. Free some "
                        "space or allow writing there; what was finished before is kept.") from error
    finally:
        part.unlink(missing_ok=True)


def remove_stale_parts(folder: Path) -> None:
    """Removes the unfinished files that a crash left in ``folder`` more than a day ago."""
    for part in folder.glob(f".*{_PART}"):
        try:
            if time.time() - part.lstat().st_mtime > _STALE_SECONDS:
                part.unlink(missing_ok=True)
        except OSError:
            continue


def stay_inside(path: Path, folder: Path) -> Path:
    """``path`` itself, if it lies in ``folder`` with every link followed; else ``BankError``."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BankError(f"{path} is a link that leads out of {folder}. Replace the link by the real file or folder.")
    return path


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
