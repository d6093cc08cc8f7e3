"""The pictures of a VIDEO one at a time, as many as asked for: a long one never lies in RAM whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np
from comfy_api.latest import Input, InputImpl
from numpy.typing import NDArray

from ..film.video import count_frames, read_video
from .pictures import to_uint8

Pixels = NDArray[np.uint8]


class VideoPictures:
    """Of a VIDEO from a file, or one of pictures that lie in RAM already.

    `count` is the number of its frames, `rate` how many come a second.
    """

    def __init__(self, video: Input.Video) -> None:
        self._video = video
        self._images = None
        if isinstance(video, InputImpl.VideoFromComponents):
            self._images = video.get_components().images
            self.count = len(self._images)
        else:
            self.count = count_frames(self._source(), *video.get_active_trim_window())
        self.rate = float(video.get_frame_rate())

    @property
    def duration(self) -> float:
        """Seconds that it lasts."""
        return self.count / self.rate

    def every(self) -> Iterator[tuple[float, Pixels]]:
        """Seconds and picture (H, W, 3) of each frame."""
        if self._images is not None:
            for number in range(self.count):
                yield number / self.rate, to_uint8(self._images[number : number + 1])[0]
            return
        yield from read_video(self._source(), *self._video.get_active_trim_window())

    def rows(self, rows: range) -> Iterator[Pixels]:
        """Pictures (H, W, 3) by their number, ascending."""
        for number, (_, picture) in enumerate(self.every()):
            if number in rows:
                yield picture
            if number >= rows[-1]:
                return

    def at(self, seconds: NDArray[np.float64]) -> Iterator[Pixels]:
        """For each of the seconds (n,), ascending, the picture that is nearest in time.

        Raises ValueError where one picture is the nearest to two of them.
        """
        coming = self.every()
        nearest, ahead = next(coming, None), next(coming, None)
        given: float | None = None
        for number, moment in enumerate(seconds.tolist()):
            if nearest is None:
                return
            while ahead is not None and abs(ahead[0] - moment) <= abs(nearest[0] - moment):
                nearest, ahead = ahead, next(coming, None)
            if nearest[0] == given:
                raise ValueError(
                    f"The cameras {number - 1} and {number} are nearest to the same picture of the video, at "
                    f"{given:.3f} s: it has {self.rate:g} a second. Give each camera a time of its own."
                )
            given = nearest[0]
            yield nearest[1]

    def _source(self) -> str | IO[bytes]:
        return self._video.get_stream_source()
