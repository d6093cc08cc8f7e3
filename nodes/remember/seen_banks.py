"""Banks that this server has given to graphs, so that a graph notices when one was deleted by hand."""

from __future__ import annotations

import threading
from pathlib import Path


class SeenBanks:
    """How often a bank's folder was found gone after a node had given out a memory in it.

    ComfyUI keeps a node's memory in its cache for as long as this process lives. A bank that was deleted meanwhile
    makes another fingerprint, and the node runs again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._there: set[Path] = set()
        self._gone: dict[Path, int] = {}

    def add(self, bank: Path) -> None:
        """The bank is on the disk now."""
        with self._lock:
            self._there.add(bank)

    def times_gone(self, bank: Path) -> int:
        """How often it was found gone, this time included."""
        with self._lock:
            if bank in self._there and not (bank / "head.json").is_file():
                self._there.discard(bank)
                self._gone[bank] = self._gone.get(bank, 0) + 1
            return self._gone.get(bank, 0)


SEEN = SeenBanks()
