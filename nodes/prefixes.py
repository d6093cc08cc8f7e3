"""Where a file that a node saves goes: the host's own rules for filename_prefix, with dates, and refusals in words."""

from __future__ import annotations

import os
import re
import time

import folder_paths
from comfy_api.latest import io

LONGEST = 180
"""Bytes of a name before its number and ending: file systems take 255, and a file has a longer name while it grows."""

_DATE = re.compile(r"%date:([^%]*)%")
_PART = re.compile(r"yyyy|yyy|yy|MM?|dd?|hh?|mm?|ss?")
_WORDS = {"M": "%m", "d": "%d", "h": "%H", "m": "%M", "s": "%S"}
_NOT_ON_WINDOWS = '<>:"|?*'


def filename_prefix(usual: str, recommended: str) -> io.String.Input:
    """The input of a node that saves a file."""
    return io.String.Input(
        "filename_prefix",
        default=usual,
        tooltip="Folder and start of the file's name in the output folder. %date:yyyy-MM-dd%, %year%, %month%, %day%, "
        "%hour%, %minute%, %second% and, in the page, %Node name.widget% are filled in, as in Save Video. "
        f"Recommended: {recommended}.",
    )


def check_prefix(prefix: str | None) -> bool | str:
    """For ``validate_inputs``: True, or why no file can have such a name. None comes over a wire."""
    try:
        if prefix is not None:
            _checked(prefix)
    except ValueError as error:
        return str(error)
    return True


def save_place(prefix: str, width: int = 0, height: int = 0) -> tuple[str, str, int, str]:
    """Folder, start of the name, number, and the folder inside the output folder, for a file to be saved.

    Raises ``ValueError`` where no file can have such a name.
    """
    found = folder_paths.get_save_image_path(_checked(prefix), folder_paths.get_output_directory(), width, height)
    return found[:4]


def with_dates(prefix: str, now: time.struct_time | None = None) -> str:
    """Fills in %date:yyyy-MM-dd hh.mm.ss% as the page does for the host's own nodes."""
    now = now or time.localtime()

    def part(found: re.Match[str]) -> str:
        word = found[0]
        if word[0] == "y":
            return {"yyyy": f"{now.tm_year}", "yy": f"{now.tm_year}"[2:]}.get(word, word)
        number = int(time.strftime(_WORDS[word[0]], now))
        return f"{number:0{len(word)}}"

    return _DATE.sub(lambda found: _PART.sub(part, found[1]), prefix)


def _checked(prefix: str) -> str:
    """The prefix with its dates filled in."""
    filled = with_dates(prefix.strip())
    inside = os.path.normpath(filled) if filled else ""
    name = os.path.basename(inside)
    if name in ("", ".", ".."):
        raise ValueError(
            f"filename_prefix is {prefix!r}: the file would have no name. Use a folder and a name, such as "
            "video/my film."
        )
    if any(ord(letter) < 32 for letter in filled):
        raise ValueError(
            "filename_prefix holds a letter that cannot be seen, such as a line break. Write it on one line."
        )
    output = folder_paths.get_output_directory()
    if not folder_paths.is_within_directory(output, os.path.join(output, inside)):
        raise ValueError(
            f"filename_prefix is {prefix[:100]!r}, which leads out of the output folder. Use a folder and a name "
            "inside it, such as video/my film."
        )
    longest = max(inside.split(os.sep), key=lambda part: len(os.fsencode(part)))
    if (length := len(os.fsencode(longest))) > LONGEST:
        raise ValueError(
            f"filename_prefix has a name of {length} bytes ({longest[:20]!r} ...); with number and ending it would be "
            f"too long for a file. Use {LONGEST} at most."
        )
    if os.name == "nt" and (wrong := [letter for letter in os.path.splitdrive(filled)[1] if letter in _NOT_ON_WINDOWS]):
        raise ValueError(
            f"filename_prefix is {prefix!r}, and Windows allows no {wrong[0]} in names. Leave it out, such as "
            "%date:hh.mm% for %date:hh:mm%."
        )
    return filled
