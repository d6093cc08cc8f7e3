"""What a story says of a shot beside its prompt, in words: camera, length, cut, seed, take, first frame."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any

from ..cameras.presets import PRESETS

MOST_FRAMES, MOST_SECONDS, MOST_SEED, MOST_TAKE = 100_000, 3600.0, 2**48 - 1, 1_000_000

_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_CAMERA = re.compile(rf"(?P<name>.*?)(?:\s+(?P<amount>{_NUMBER})\s*(?:°|degrees?|deg|scene units?|units?|m)?)?", re.I)
_LENGTH = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<unit>s|sec|seconds?|frames?)", re.I)
_BACK = {"left", "down", "out", "back", "backward", "backwards"}
_FORTH = {"right", "up", "in", "forward", "forwards"}
_ALSO = {"push": "dolly", "pull": "dolly", "still": "static", "stand still": "static"}
"""What people say for a move."""
_YES, _NO = {"yes", "true", "on", "1"}, {"no", "false", "off", "0"}


def camera_move(text: str) -> dict[str, Any]:
    """``move`` and ``amount`` of "pan left 30": a move of Camera Trajectory, perhaps a direction, perhaps how far.

    Without a number the move goes as far as shows it well. Raises ``ValueError`` for a move that there is not.
    """
    match = _CAMERA.fullmatch(text.strip())
    assert match is not None, "the name takes whatever there is"
    words = match["name"].lower().split()
    name, way = " ".join(words), 1.0
    if name not in PRESETS and words and words[-1] in _BACK | _FORTH:
        name, way = " ".join(words[:-1]), -1.0 if words[-1] in _BACK else 1.0
    name = _ALSO.get(name, name)
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, 1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"{text.strip()!r:.60} is no camera move. {hint}Use one of: {', '.join(PRESETS)}.")
    amount = way * (PRESETS[name].amount if match["amount"] is None else float(match["amount"]))
    if abs(amount) > 3600.0:
        raise ValueError(f"{text.strip()!r:.60} goes too far: 3600 at most. Use {PRESETS[name].amount:g}.")
    return {"move": name, "amount": amount}


def shot_length(text: str) -> dict[str, Any]:
    """``frames`` or ``seconds`` of "81 frames" or "5 s". Raises ``ValueError`` for anything else."""
    match = _LENGTH.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text.strip()!r:.60} is no length. Use '81 frames' or '5 s'.")
    number = float(match["number"])
    if match["unit"].lower().startswith("f"):
        if not (1 <= number <= MOST_FRAMES and number.is_integer()):
            raise ValueError(f"{text.strip()!r:.60}: use 1 to {MOST_FRAMES} frames, a whole number. Use '81 frames'.")
        return {"frames": int(number)}
    if not 0.0 < number <= MOST_SECONDS:
        raise ValueError(f"{text.strip()!r:.60}: use more than 0 and at most {MOST_SECONDS:g} s. Use '5 s'.")
    return {"seconds": number}


def _cut(text: str) -> dict[str, Any]:
    word = text.strip().lower().rstrip(".")
    if word not in _YES | _NO:
        raise ValueError(f"{text.strip()!r:.60} is neither yes nor no. Use 'yes' where a cut comes before the shot.")
    return {"cut": word in _YES}


def _whole(name: str, most: int) -> Callable[[str], dict[str, Any]]:
    def parse(text: str) -> dict[str, Any]:
        word = text.strip()
        if not re.fullmatch(r"\d{1,15}", word) or int(word) > most:
            raise ValueError(f"{word!r:.60} is no {name}. Use a whole number from 0 to {most}.")
        return {name: int(word)}

    return parse


SETTINGS: dict[str, Callable[[str], dict[str, Any]]] = {
    "camera": camera_move,
    "length": shot_length,
    "cut": _cut,
    "seed": _whole("seed", MOST_SEED),
    "take": _whole("take", MOST_TAKE),
    "first frame": lambda text: {"first_frame": text.strip()},
}
"""What can be said of a shot, by the word that stands before the colon: from a text to fields of ``StoryShot``. Each
raises ``ValueError`` for a text that it cannot read."""


def meant(word: str) -> str | None:
    """The setting that a word is surely meant to be, misspelt; None if it is one, or like none."""
    if word in SETTINGS or len(word) < 3:
        return None
    near = difflib.get_close_matches(word, SETTINGS, 1, 0.8)
    return near[0] if near else None
