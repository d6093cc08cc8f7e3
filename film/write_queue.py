"""A finished segment goes to the disk while the next one is made."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor

from ..memory.bank.pending import PendingSegment
from ..memory.state.state import MemoryState

log = logging.getLogger(__name__)


class WriteQueue:
    """Writes one segment at a time, in order, on a thread of its own.

    What was begun is on the disk when ``wait`` has returned, and not before; ``close`` waits too.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scene memory writer")
        self._running: Future[MemoryState] | None = None
        self.first_frame: int | None = None
        """First of the frames that are on their way to the disk."""

    def begin(self, segment: PendingSegment, first_frame: int) -> None:
        """Starts writing a segment; the one before must have been waited for."""
        assert self._running is None, "a segment is on its way already"
        self.first_frame = first_frame
        self._running = self._thread.submit(segment.write)

    def wait(self) -> MemoryState | None:
        """The memory with the segment that was begun last, now on the disk; None if there is none to wait for.

        Raises whatever the writing raised.
        """
        running, self._running, self.first_frame = self._running, None, None
        return running.result() if running is not None else None

    def settle(self, frame: int) -> None:
        """Returns when a frame that is on its way can be read; the segment is still to be waited for."""
        if self._running is not None and self.first_frame is not None and frame >= self.first_frame:
            self._running.exception()

    def close(self) -> None:
        """Waits for what was begun; another error is already on its way, so one here is only logged."""
        try:
            self.wait()
        except Exception:
            log.exception("The last segment could not be written.")
        self._thread.shutdown()
