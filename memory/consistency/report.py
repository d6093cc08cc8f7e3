"""What is said of how a film agrees with itself: in words, and as JSON and CSV for other programs."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict, dataclass, fields

import numpy as np

from .revisits import Revisit

STILL = 2.0
"""Levels a second below which a film hardly moves, so that agreeing with itself is no art."""
CLEAR = 3.0
"""Decibels by which revisits must beat the first picture to say anything."""


@dataclass(frozen=True)
class ConsistencyReport:
    """Of a film of ``frames`` and ``seconds`` in ``shots``: its ``revisits``, and by how many levels of 255 its pixels
    ``change`` within a second.

    ``features`` is how alike frames are by what CLIP or DINO sees, ``between_shots`` how alike shots are by it; NaN
    where no such model was asked.
    """

    frames: int
    seconds: float
    shots: int
    revisits: tuple[Revisit, ...]
    change: float
    features: float = math.nan
    between_shots: float = math.nan

    @property
    def psnr(self) -> float:
        """The mean of all revisits in dB, NaN if there are none."""
        return float(np.mean([one.psnr for one in self.revisits])) if self.revisits else math.nan

    @property
    def ssim(self) -> float:
        """The mean of all revisits, NaN if there are none."""
        return float(np.mean([one.ssim for one in self.revisits])) if self.revisits else math.nan

    @property
    def first_psnr(self) -> float:
        """What the first picture, shown again in place of each revisit, would have in dB; NaN if there are none."""
        return float(np.mean([one.first_psnr for one in self.revisits])) if self.revisits else math.nan

    def words(self) -> str:
        """The report in lines to read."""
        lines = [f"{self.frames} frames, {self.seconds:.1f} s, {_counted(self.shots, 'shot')}."]
        if not self.revisits:
            lines.append("No place is seen again after a look away, so there is nothing to compare. Let the camera "
                         "come back, or remember depth where it moves.")
        else:
            worst = min(self.revisits, key=lambda one: one.psnr)
            lines += [
                f"{_counted(len(self.revisits), 'look')} at a place that was seen before: {self.psnr:.1f} dB and SSIM "
                f"{self.ssim:.3f} on average, over {np.mean([one.known for one in self.revisits]):.0%} of the picture.",
                f"Worst: {worst.psnr:.1f} dB at {worst.seconds:.1f} s (frame {worst.now}), beside "
                f"{worst.seconds_then:.1f} s (frame {worst.then}).",
                f"A film that showed its first picture again instead would have {self.first_psnr:.1f} dB.",
            ]
            if self.psnr < self.first_psnr + CLEAR:
                lines.append("That is nearly as much: these revisits say little about a memory. Look at other places, "
                             "or turn farther away.")
        if not math.isnan(self.change):
            lines.append(f"Within a second pixels change by {self.change:.1f} levels of 255 on average.")
            if self.change < STILL:
                lines.append("The film hardly moves: a still film always agrees with itself.")
        if not math.isnan(self.features):
            lines.append(f"By what the vision model sees, frames agree by {self.features:.3f} (with the one before and "
                         "the first).")
        if not math.isnan(self.between_shots):
            lines.append(f"Shots agree by {self.between_shots:.3f}.")
        return "\n".join(lines)

    def json(self) -> str:
        """All figures; what there is not is null."""
        figures = {name: getattr(self, name) for name in ("psnr", "ssim", "first_psnr", "change", "features",
                                                          "between_shots")}  # fmt: skip
        return json.dumps(
            {
                "frames": self.frames,
                "seconds": self.seconds,
                "shots": self.shots,
                **{name: None if math.isnan(value) else value for name, value in figures.items()},
                "revisits": [asdict(one) for one in self.revisits],
            },
            indent=1,
        )

    def csv(self) -> str:
        """The revisits as a table, a line each."""
        names = [field.name for field in fields(Revisit)]
        text = io.StringIO()
        table = csv.DictWriter(text, names, lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(one) for one in self.revisits)
        return text.getvalue()


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
