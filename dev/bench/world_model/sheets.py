"""One picture that shows what each rule made of the same scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

LABEL, INK, PAPER = 132, (40, 40, 40), (250, 250, 248)


def side_by_side(folder: Path, scene: int, kind: str, strategies: Sequence[str], k: int) -> Path | None:
    """Save `table-KIND-SCENE.png`: the truth, then a row for each strategy, from the sheets that the exams left there.

    None where a sheet is missing.
    """
    files = [folder / f"{kind}-{scene:02d}-{strategy}-k{k}.png" for strategy in strategies]
    if not files or not all(file.is_file() for file in files):
        return None
    sheets = [cv2.imread(str(file)) for file in files]
    height = sheets[0].shape[0] // 2
    rows = [("truth", sheets[0][:height])]
    rows += [(name, sheet[height:]) for name, sheet in zip(strategies, sheets, strict=True)]
    canvas = np.concatenate([np.concatenate([_label(name, height), row], axis=1) for name, row in rows])
    path = folder / f"table-{kind}-{scene:02d}.png"
    cv2.imwrite(str(path), canvas)
    return path


def _label(name: str, height: int) -> np.ndarray:
    label = np.full((height, LABEL, 3), PAPER, np.uint8)
    for number, part in enumerate(name.split("_")):
        cv2.putText(label, part, (6, 22 + 15 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
    return label
