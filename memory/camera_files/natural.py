"""The order of pictures by name: frame_9 comes before frame_10."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBER = re.compile(r"\d+")


def natural_order(names: Sequence[str]) -> list[int]:
    """Indices of ``names`` in their order, with their numbers counted as numbers; equal names keep theirs."""
    keys = [_NUMBER.sub(_padded, name) for name in names]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _padded(match: re.Match[str]) -> str:
    return match[0].zfill(20)
