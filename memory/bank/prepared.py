"""A segment between the model and the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..state.state import MemoryState


@dataclass(frozen=True)
class Prepared:
    """A segment that is ready to be written: the memory with it, and the way to the disk, which gives that memory."""

    state: MemoryState
    write: Callable[[], MemoryState]
