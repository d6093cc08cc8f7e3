"""What the person at the terminal reads: steps, one progress line, and one sentence when something is in the way."""

from __future__ import annotations

import sys
import threading
import time

LINE = 100
HEARTBEAT_S = 20.0


class SetupError(Exception):
    """Something that the person must change; the text says what, in one sentence."""


def say(text: str) -> None:
    """One line about what happens now."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Progress:
    """A line that is rewritten in a terminal, and repeated now and then where the output is a file.

    Used as a context: `with Progress("Installing packages") as progress: progress.update("torch")`.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""
        self.started = time.monotonic()
        self._live = sys.stdout.isatty()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def update(self, detail: str) -> None:
        self.detail = detail

    def __enter__(self) -> Progress:
        if not self._live:
            say(f"{self.title} ...")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._done.set()
        self._thread.join()
        end = "stopped after" if kind else "done in"
        say(("\r" if self._live else "") + f"{self.title}: {end} {self.seconds:.0f} s".ljust(LINE if self._live else 0))

    def _tick(self) -> None:
        while not self._done.wait(0.5 if self._live else HEARTBEAT_S):
            line = f"{self.title} ({self.seconds:.0f} s) {self.detail}"[:LINE]
            if self._live:
                sys.stdout.write("\r" + line.ljust(LINE))
                sys.stdout.flush()
            else:
                say(line)


def bar(share: float, width: int = 30) -> str:
    """A progress bar for a share from 0 to 1."""
    filled = round(max(0.0, min(1.0, share)) * width)
    return "[" + "#" * filled + "." * (width - filled) + "]"
