"""Names of memory banks: safe as a folder name on every system."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from ..errors import BankError

MAX_NAME = 64
_MAX_BYTES = 200
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_SIGNS = frozenset(" -_.,'()")
_SCRIPT = ("L", "M", "Nd")
_CURE = 'Use letters, digits, spaces and - _ . , ( ), for example "My film".'


def bank_name(name: str) -> str:
    """The name as it is used for the folder: spaces around it removed, Unicode composed (NFC).

    Raises ``BankError`` for anything that could lead out of the folder of banks, a device, or a hidden file.
    """
    if not isinstance(name, str):
        raise BankError(f"The bank name is {name!r}: expected text. {_CURE}")
    result = unicodedata.normalize("NFC", name).strip(" ")
    if not result:
        raise BankError(f"The bank name is empty. {_CURE}")
    shown = repr(result if len(result) <= MAX_NAME else result[:MAX_NAME] + "…")
    if len(result) > MAX_NAME or len(result.encode("utf-8", "surrogatepass")) > _MAX_BYTES:
        raise BankError(f"The bank name {shown} has {len(result)} characters: at most {MAX_NAME} fit. Shorten it.")
    if "/" in result or "\\" in result or ":" in result:
        raise BankError(f"The bank name {shown} has a path in it: a bank has a name, not a path. {_CURE}")
    if ".." in result or result.startswith("."):
        raise BankError(f'The bank name {shown} has ".." in it or starts with a dot. {_CURE}')
    if result.endswith("."):
        raise BankError(f"The bank name {shown} ends in a dot, which Windows drops. Remove it.")
    for character in result:
        if character not in _SIGNS and not unicodedata.category(character).startswith(_SCRIPT):
            raise BankError(f"The bank name {shown} has the character {character!r} in it. {_CURE}")
    if _DEVICES.fullmatch(result):
        raise BankError(f"The bank name {shown} is the name of a Windows device. Add a word to it.")
    return result


def folder_of(root: Path, name: str) -> Path:
    """The folder of the bank ``name``, which is composed (NFC), in ``root``.

    A copy from a Mac may have decomposed letters (NFD) in its name, which on other systems is another name.
    """
    plain = root / name
    if name.isascii() or os.path.lexists(plain):
        return plain
    try:
        alike = sorted(entry for entry in os.listdir(root) if unicodedata.normalize("NFC", entry) == name)
    except OSError:
        return plain
    return root / alike[0] if alike else plain


def bank_names(root: Path) -> list[str]:
    """Names of the banks in the folder ``root`` that can be opened, sorted."""
    found = (name_of(path.parent.name) for path in Path(root).glob("*/head.json") if path.is_file())
    return sorted({name for name in found if name is not None})


def name_of(folder: str) -> str | None:
    """The name of the bank in a folder that is called so; None if no bank can be called that."""
    try:
        name = bank_name(folder)
    except BankError:
        return None
    return name if name == unicodedata.normalize("NFC", folder) else None
