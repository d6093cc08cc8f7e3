"""Which segment came of which recipe, so that a segment that was made once is not made again."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import BankError, damaged
from .format import FORMAT_VERSION, canonical, parse
from .storage import no_link, read_small, write_whole

KEY_KIND = "scene-memory key"
_KEY = re.compile(r"[0-9a-f]{16,128}")
_ID = re.compile(r"[0-9a-f]{64}")
_MAX_BYTES = 4096


def check_key(key: str) -> str:
    """The key itself. Raises ``BankError`` if it is not 16 to 128 lower-case hex digits."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise BankError(f"The segment key is {key!r:.80}: expected 16 to 128 hex digits. Use a sha256.")
    return key


def write_key(folder: Path, key: str, parent: str, segment: str) -> None:
    """Notes in ``folder`` that ``key``, after the memory ``parent``, made ``segment``."""
    document = {"format": KEY_KIND, "version": FORMAT_VERSION, "key": key, "parent": parent, "segment": segment}
    data, path = canonical(document).encode("ascii"), no_link(folder / f"{key}.json")
    if path.is_file() and read_small(path, _MAX_BYTES, path.name) == data:
        return
    # A key lost in a power cut costs only making its segment again.
    write_whole(path, data, sync=False)


def read_key(folder: Path, key: str, parent: str) -> str | None:
    """Id of the segment that ``key`` made after the memory ``parent``; None if none is known.

    Raises ``DamageError`` for a file that is damaged.
    """
    path = no_link(folder / f"{check_key(key)}.json")
    if not path.is_file():
        return None
    document = parse(read_small(path, _MAX_BYTES, path.name), KEY_KIND, path.name)
    segment = document.get("segment")
    if document.get("key") != key or not isinstance(segment, str) or not _ID.fullmatch(segment):
        raise damaged(f"{path.name} does not name the segment of its key")
    return segment if document.get("parent") == parent else None
