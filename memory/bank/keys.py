"""Which segment came of which recipe, so that a segment that was made once is not made again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..document import FORMAT_VERSION, canonical, is_id, parse
from ..errors import BankError, damaged
from ..files import no_link, read_small, write_whole

KEY_KIND = "scene-memory key"
_KEY = re.compile(r"[0-9a-f]{16,128}")
_MAX_BYTES = 16384
_MOST_PACKS, _LONGEST_NAME = 16, 40


@dataclass(frozen=True)
class KeyNote:
    """What a key led to: ``segment`` was made after the memory ``parent``. ``code`` names packs of others whose code
    had a part in it, with a digest of the code of then."""

    parent: str
    segment: str
    code: dict[str, str] = field(default_factory=dict)


def check_key(key: str) -> str:
    """The key itself. Raises ``BankError`` if it is not 16 to 128 lower-case hex digits."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise BankError(f"The segment key is {key!r:.80}: expected 16 to 128 hex digits. Use a sha256.")
    return key


def kept_code(code: Mapping[str, str]) -> dict[str, str]:
    """What of the digests of packs is written down: of so many packs and so long names as fit."""
    return {name[:_LONGEST_NAME]: code[name] for name in sorted(code)[:_MOST_PACKS]}


def write_key(folder: Path, key: str, note: KeyNote) -> None:
    """Notes in ``folder`` what ``key`` led to."""
    document = {"format": KEY_KIND, "version": FORMAT_VERSION, "key": key, "parent": note.parent,
                "segment": note.segment}
    if note.code:
        document["code"] = kept_code(note.code)
    data, path = canonical(document).encode("ascii"), no_link(folder / f"{key}.json")
    if path.is_file() and read_small(path, _MAX_BYTES, path.name) == data:
        return
    # A key lost in a power cut costs only making its segment again.
    write_whole(path, data, sync=False)


def read_key(folder: Path, key: str) -> KeyNote | None:
    """What ``key`` led to; None if nothing is known.

    Raises ``DamageError`` for a file that is damaged.
    """
    path = no_link(folder / f"{check_key(key)}.json")
    if not path.is_file():
        return None
    document = parse(read_small(path, _MAX_BYTES, path.name), KEY_KIND, path.name)
    segment, parent, code = document.get("segment"), document.get("parent"), document.get("code", {})
    if document.get("key") != key or not is_id(segment) or not is_id(parent):
        raise damaged(f"{path.name} does not name the segment of its key")
    if not isinstance(code, dict) or not all(isinstance(one, str) for one in code.values()):
        raise damaged(f"{path.name} does not say which code made its segment")
    return KeyNote(str(parent), str(segment), code)
