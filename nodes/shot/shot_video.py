"""A shot as VIDEO that becomes a file when somebody looks at it: most shots only go on as memory."""

from __future__ import annotations

import threading
import uuid
from fractions import Fraction
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import Input, InputImpl

from ...film.video import write_video
from ...memory.state.state import MemoryState

LEAST_WIDTH = 512


class ShotVideo(Input.Video):
    """Frames of a memory from ``first`` on, enlarged by whole numbers if small."""

    def __init__(self, memory: MemoryState, first: int) -> None:
        self._memory, self._first = memory, first
        self._lock = threading.Lock()
        self._path: Path | None = None

    def _file(self) -> InputImpl.VideoFromFile:
        """The shot in the temp folder, written when it is not there."""
        with self._lock:
            if self._path is None or not self._path.is_file():
                folder = Path(folder_paths.get_temp_directory())
                folder.mkdir(parents=True, exist_ok=True)
                path = folder / f"SceneMemory_shot_{uuid.uuid4().hex[:12]}.mp4"
                assert self._memory.size is not None
                scale = max(1, LEAST_WIDTH // self._memory.size[1])
                write_video(self._memory, path, first=self._first, scale=scale)
                self._path = path
        return InputImpl.VideoFromFile(file=str(self._path))

    def get_components(self) -> Any:
        return self._file().get_components()

    def save_to(self, *arguments: Any, **named: Any) -> Any:
        return self._file().save_to(*arguments, **named)

    def as_trimmed(self, *arguments: Any, **named: Any) -> Any:
        return self._file().as_trimmed(*arguments, **named)

    def get_stream_source(self) -> Any:
        return self._file().get_stream_source()

    def get_dimensions(self) -> tuple[int, int]:
        return self._file().get_dimensions()

    def get_duration(self) -> float:
        return self._file().get_duration()

    def get_frame_count(self) -> int:
        return self._file().get_frame_count()

    def get_frame_rate(self) -> Fraction:
        return self._file().get_frame_rate()

    def get_container_format(self) -> str:
        return self._file().get_container_format()
