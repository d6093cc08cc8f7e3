"""Text of any script on pictures.

OpenCV 5 brings fonts for Latin, Greek, Cyrillic, Arabic, Hebrew, Chinese, Japanese and Korean. OpenCV 4 has plain
letters only; there a font of the system is taken, drawn by Pillow, which ComfyUI needs too. A letter that no font has
is a box: a question mark would be another letter.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

BOX = "\u25a1"
SYSTEM_FONTS = (
    "segoeui.ttf", "DejaVuSans.ttf", "LiberationSans-Regular.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "Helvetica.ttc",
    "msyh.ttc", "PingFang.ttc", "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "meiryo.ttc", "malgun.ttf",
    "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc",
)  # fmt: skip
"""Of Windows, Linux and macOS; each letter is drawn with the first that has it."""


class Letters(Protocol):
    """Draws lines of text of some height in pixels, and measures them."""

    def __hash__(self) -> int:
        """There is one of a kind."""

    def has(self, letter: str) -> bool:
        """Whether there is a picture of a letter."""

    def width(self, line: str, pixels: int) -> int:
        """How far a line reaches."""

    def draw(self, picture: Pixels, line: str, at: tuple[int, int], colour: Colour, pixels: int) -> None:
        """Draws a line whose left end of the baseline is ``at`` (x, y)."""


class OpenCvLetters:
    """The fonts that OpenCV 5 brings."""

    def __init__(self) -> None:
        self._face: Any = cv2.FontFace("uni")  # type: ignore[attr-defined, unused-ignore]

    def has(self, letter: str) -> bool:
        """Whether its picture is not that of the question mark, which OpenCV draws for what it lacks."""
        if letter == "?":
            return True
        own, none = (np.zeros((48, 48, 3), dtype=np.uint8) for _ in range(2))
        self.draw(own, letter, (8, 36), (255, 255, 255), 24)
        self.draw(none, "?", (8, 36), (255, 255, 255), 24)
        return not np.array_equal(own, none)

    def width(self, line: str, pixels: int) -> int:
        left, _, across, _ = cv2.getTextSize((0, 0), line, (0, 0), self._face, pixels)  # type: ignore[call-overload, unused-ignore]
        return int(left + across)

    def draw(self, picture: Pixels, line: str, at: tuple[int, int], colour: Colour, pixels: int) -> None:
        """Draws on a picture (H, W, 3)."""
        cv2.putText(picture, line, at, colour, self._face, pixels)  # type: ignore[call-overload, unused-ignore]


class SystemLetters:
    """Fonts that this machine happens to have; Pillow's own of plain letters if it has none."""

    def has(self, letter: str) -> bool:
        return _font_of(letter, 24) is not None

    def width(self, line: str, pixels: int) -> int:
        return round(sum(float(font.getlength(part)) for part, font in self._runs(line, pixels)))

    def draw(self, picture: Pixels, line: str, at: tuple[int, int], colour: Colour, pixels: int) -> None:
        """Draws on a picture (H, W, 3)."""
        image = Image.fromarray(picture)
        pen, x = ImageDraw.Draw(image), float(at[0])
        for part, font in self._runs(line, pixels):
            pen.text((x, at[1]), part, fill=colour, font=font, anchor="ls")
            x += font.getlength(part)
        picture[:] = np.asarray(image)

    def _runs(self, line: str, pixels: int) -> list[tuple[str, Any]]:
        """Parts of a line that one font has."""
        runs: list[tuple[str, Any]] = []
        for letter in line:
            font = _font_of(letter, pixels) or _fonts(pixels)[0]
            if runs and runs[-1][1] is font:
                runs[-1] = (runs[-1][0] + letter, font)
            else:
                runs.append((letter, font))
        return runs


@lru_cache(maxsize=1)
def letters() -> Letters:
    """What text is drawn with here."""
    return OpenCvLetters() if hasattr(cv2, "FontFace") else SystemLetters()


def readable(line: str) -> str:
    """A line as it can be drawn, composed. A letter that no font here has loses its accent, or is a box."""
    composed = unicodedata.normalize("NFC", line)
    return "".join(_drawn(" " if letter.isspace() else letter, letters()) for letter in composed)


@lru_cache(maxsize=4096)
def _drawn(letter: str, by: Letters) -> str:
    if letter == " " or unicodedata.category(letter).startswith("C"):
        return " " if letter == " " else ""
    if letter.isascii() or by.has(letter):
        return letter
    plain = "".join(part for part in unicodedata.normalize("NFKD", letter) if part.isascii())
    return plain or (BOX if by.has(BOX) else "_")


@lru_cache(maxsize=16)
def _fonts(pixels: int) -> tuple[Any, ...]:
    found: list[Any] = []
    for name in SYSTEM_FONTS:
        try:
            found.append(ImageFont.truetype(name, pixels))
        except OSError:
            continue
    return (*found, ImageFont.load_default(pixels))


@lru_cache(maxsize=4096)
def _font_of(letter: str, pixels: int) -> Any | None:
    """The first font that draws another picture of a letter than of one that does not exist."""
    for font in _fonts(pixels):
        if letter == " " or bytes(font.getmask(letter)) != bytes(font.getmask("\uffff")):
            return font
    return None
