"""The words of the world model's captions, and their token numbers."""

from __future__ import annotations

import re

MAX_TOKENS = 32
PAD = 0

COLOURS = {
    "white": (0.90, 0.89, 0.86),
    "cream": (0.87, 0.80, 0.64),
    "grey": (0.55, 0.56, 0.58),
    "red": (0.72, 0.16, 0.15),
    "orange": (0.88, 0.48, 0.14),
    "yellow": (0.88, 0.76, 0.20),
    "green": (0.22, 0.55, 0.25),
    "teal": (0.14, 0.52, 0.53),
    "blue": (0.18, 0.32, 0.72),
    "purple": (0.46, 0.24, 0.60),
    "pink": (0.86, 0.50, 0.62),
    "brown": (0.45, 0.29, 0.17),
}

WORDS = (
    *COLOURS,
    *("room", "courtyard", "landscape", "walls", "floor", "ground", "sky", "hills"),
    *("plain", "striped", "panelled", "brick", "checkered", "planked", "tiled", "grassy", "sandy", "stone"),
    *("box", "pillar", "ball", "cone", "window", "door", "picture"),
    *("morning", "noon", "evening", "bright", "dim"),
    *("a", "with", "and", "of", "in", "the"),
    # Later words go last: weights trained before know the numbers of those above.
    "rooms",
)

# 0 is padding and 1 the start token that every caption has, so that an empty caption is not an empty sequence.
START = 1
INDEX = {word: number + 2 for number, word in enumerate(WORDS)}
VOCABULARY_SIZE = len(WORDS) + 2


def tokenize(caption: str) -> list[int]:
    """Token numbers of a caption, padded to MAX_TOKENS. Words the model has never seen are left out."""
    known = [INDEX[word] for word in re.findall(r"[a-z]+", caption.lower()) if word in INDEX]
    tokens = [START, *known][:MAX_TOKENS]
    return tokens + [PAD] * (MAX_TOKENS - len(tokens))


def unknown_words(caption: str) -> list[str]:
    """The words of a caption that the model has never seen, in order, each once."""
    return list(dict.fromkeys(word for word in re.findall(r"[a-z]+", caption.lower()) if word not in INDEX))
