"""Films that this ComfyUI has written already, so that a graph that is run again for another reason writes no copy."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

MOST = 256


class WrittenFilms:
    """Files by what they were made of. One that was changed, moved or deleted since does not count."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, tuple[Path, int, int]] = OrderedDict()

    def note(self, made_of: Hashable, path: Path) -> None:
        """The file holds what it was made of, from now on."""
        status = path.stat()
        self._known[made_of] = path, status.st_size, status.st_mtime_ns
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def find(self, made_of: Hashable) -> Path | None:
        """The file that was made of this and is as it was; None if there is none."""
        path, *then = self._known.get(made_of, (None, 0, 0))
        try:
            status = path.stat() if path is not None else None
        except OSError:
            return None
        return path if status is not None and then == [status.st_size, status.st_mtime_ns] else None
