"""The version of what a bank writes, and the way from older versions. FORMAT.md describes version 2."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from .errors import BankError, damaged

FORMAT_VERSION = 2
ID_PATTERN = "[0-9a-f]{64}"
"""How the id of a memory, a segment, an edit or a pack is written: sha256 in hex."""
MAX_DEPTH = 100
"""How deep lists and objects may lie in each other, so that what can be read does not depend on who reads it."""

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)

Document = dict[str, Any]
Migration = Callable[[Document], Document]


def canonical(document: Mapping[str, Any]) -> str:
    """JSON text with sorted keys, no spaces and ASCII only: equal documents give equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def text_id(text: str | bytes) -> str:
    """The id of what a text describes: its sha256 in hex. Lone surrogates, which no sound text has, are allowed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text).hexdigest()


def is_id(value: object) -> bool:
    """Whether ``value`` is written as ids are."""
    return isinstance(value, str) and re.fullmatch(ID_PATTERN, value) is not None


def _from_version_1(document: Document) -> Document:
    """Version 1 listed all segments in the head, stored times, and hashed the pictures as they were coded."""
    if document.get("format") == "scene-memory bank":
        ids = document.get("segments")
        count = len(ids) if isinstance(ids, list) else None
        return {**document, "version": 2, "segments": count, "edits": 0, "recent": ids, "pack": None}
    return {**document, "version": 2, "time": None, "latent_space": ""}


MIGRATIONS: Mapping[int, Migration] = {1: _from_version_1}
"""For each older version, the function that turns its document into the next version's."""


def is_deep(text: str | bytes) -> bool:
    """Whether lists and objects in a JSON text lie deeper in each other than ``MAX_DEPTH``."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for one in _BRACKETS.findall(data):
        depth += 1 if one in b"[{" else -1 if one in b"]}" else 0
        if depth > MAX_DEPTH:
            return True
    return False


def parse(text: str | bytes, kind: str, what: str, migrations: Mapping[int, Migration] = MIGRATIONS) -> Document:
    """The document in ``text``, brought to the present version; ``kind`` is its "format", ``what`` names the file.

    Raises ``DamageError`` if it is no such document, ``BankError`` if it is newer than this pack.
    """
    try:
        if is_deep(text):
            raise ValueError(f"its lists lie more than {MAX_DEPTH} deep")
        document: Document = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise damaged(f"{what} is not JSON ({error})") from error
    if not isinstance(document, dict) or document.get("format") != kind:
        raise damaged(f'{what} is not a "{kind}" document')
    version = document.get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise damaged(f"{what} states no format version")
    if version > FORMAT_VERSION:
        raise BankError(f"{what} has format version {version}; this version of the pack reads up to {FORMAT_VERSION}. "
                        "Update ComfyUI-SceneMemory.")
    while version < FORMAT_VERSION:
        if version not in migrations:
            raise damaged(f"{what} has format version {version}, which was never published")
        document = migrations[version](document)
        version += 1
    return document


def _finite(text: str) -> float:
    """A number of a JSON text. Refuses 1e999 and NaN, which JSON does not have."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value
