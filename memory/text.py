"""Text that people save: its encoding, and what stands in a file's place by mistake."""

from __future__ import annotations

import codecs

_BEGINNING = 4096
_PAGES = (b"<!doctype html", b"<html")


def decoded(data: bytes) -> str | None:
    """Text in UTF-8, or in UTF-16 with a byte order mark as PowerShell's ``>`` writes it; None for anything else.

    Every line ends in a newline alone.
    """
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    if "\0" in text[:_BEGINNING]:
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def stand_in(data: bytes) -> tuple[str, str] | None:
    """What is wrong and the cure, where ``data`` is not the file but what git or a browser saved in its place."""
    if data.startswith(b"version https://git-lfs.github.com/spec/"):
        return (
            "it is a git-lfs pointer: a few lines that stand for the file, which was not downloaded",
            "Run `git lfs pull` in the repository that it comes from, or download the file itself",
        )
    if data[:_BEGINNING].removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith(_PAGES):
        return (
            "it is a web page (HTML), not the file that the page shows",
            "Download the file itself: on GitHub with the button Raw, or Download raw file",
        )
    return None
