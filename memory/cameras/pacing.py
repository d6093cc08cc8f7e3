"""How a camera move spends its time: easings, speed curves that an artist draws, and frames spread evenly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from .camera import FloatArray

Easing = Callable[[FloatArray], FloatArray]

MOST_SPEEDS = 1000
_SOFT = 0.15


def _soft_ends(u: FloatArray) -> FloatArray:
    """One speed, reached within the first 15 % of the time and left within the last 15 %."""
    top = 1.0 / (1.0 - _SOFT)
    begun = top * u * u / (2.0 * _SOFT)
    middle = top * (u - _SOFT / 2.0)
    ended = 1.0 - top * (1.0 - u) ** 2 / (2.0 * _SOFT)
    return np.where(u < _SOFT, begun, np.where(u > 1.0 - _SOFT, ended, middle))


EASINGS: dict[str, Easing] = {
    "smooth": lambda u: u * u * (3.0 - 2.0 * u),
    "even": lambda u: u,
    "ease in": lambda u: u * u,
    "ease out": lambda u: u * (2.0 - u),
    "smoother": lambda u: u**3 * (10.0 + u * (6.0 * u - 15.0)),
    "soft ends": _soft_ends,
}
"""Progress 0..1 over time 0..1, ends exact. ``smooth`` starts and stops gently, ``smoother`` more so; ``even`` keeps
one speed; ``ease in`` only starts gently and ``ease out`` only stops gently; ``soft ends`` keeps one speed between."""


def spread(frames: int, most: int) -> NDArray[np.int64]:
    """Numbers (n,) of ``most`` of 0 to ``frames`` - 1, evenly spread, the first and the last among them; all if fewer.

    >>> spread(100, 4).tolist(), spread(2, 4).tolist()
    ([0, 33, 66, 99], [0, 1])
    """
    return np.unique(np.linspace(0, frames - 1, min(frames, most)).round().astype(np.int64))


def progress(frames: int, easing: str = "even", speed: Sequence[float] = ()) -> FloatArray:
    """How much of the way (F,) a move has covered in each of F = ``frames`` frames: 0 in the first, 1 in the last.

    ``speed`` holds relative speeds at evenly spaced moments, none below 0; between them the speed follows a smooth
    curve that never overshoots. The easing goes on top of it.

    Raises ``ValueError`` for an easing that there is not, and speeds as `checked_speeds` does.
    """
    if easing not in EASINGS:
        raise ValueError(f"There is no easing {easing!r}. Use one of: {', '.join(EASINGS)}.")
    return EASINGS[easing](_covered(np.linspace(0.0, 1.0, frames), checked_speeds(speed)))


def checked_speeds(speed: Sequence[float]) -> tuple[float, ...]:
    """Relative speeds as a speed curve takes them.

    Raises:
        ValueError: one is below 0 or not finite, all are 0, or there are more than 1000.
    """
    given = tuple(float(value) for value in speed)
    if len(given) > MOST_SPEEDS:
        raise ValueError(f"The speed curve has {len(given)} numbers: it may have at most {MOST_SPEEDS}. Use 2 to 8.")
    for index, value in enumerate(given):
        if not (math.isfinite(value) and value >= 0.0):
            raise ValueError(
                f"Number {index + 1} of the speed curve is {value:g}: a speed is 0 or above. To go "
                "backwards, give the move the opposite amount."
            )
    if given and max(given) == 0.0:
        raise ValueError(
            "All numbers of the speed curve are 0: the camera would never get there. Use 1 for its usual "
            "speed, such as 1, 0.2, 1."
        )
    return given


def speeds_from_text(text: str) -> tuple[float, ...]:
    """Relative speeds from words such as ``"1, 0.2, 1"``, split by commas, semicolons or spaces; none from ``""``.
    Raises ``ValueError`` for words that are no numbers, and as `checked_speeds` does."""
    words = text.replace(",", " ").replace(";", " ").split()
    try:
        given = [float(word) for word in words[: MOST_SPEEDS + 1]]
    except ValueError:
        raise ValueError(
            f"The speed curve is {text[:80]!r}: give numbers, such as 1, 0.2, 1 for slow in the middle, "
            "or leave it empty."
        ) from None
    return checked_speeds(given)


def _covered(time: FloatArray, speeds: tuple[float, ...]) -> FloatArray:
    """The share of the way covered at each ``time`` 0..1."""
    if len(set(speeds)) <= 1:
        return time
    top = max(speeds)
    curve = PchipInterpolator(np.linspace(0.0, 1.0, len(speeds)), np.array(speeds) / top).antiderivative()
    way = np.asarray(curve(time), dtype=np.float64)
    share = np.clip(way / float(curve(1.0)), 0.0, 1.0)
    share[time == 0.0], share[time == 1.0] = 0.0, 1.0
    return np.maximum.accumulate(share)
