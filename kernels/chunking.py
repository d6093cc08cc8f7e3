"""Chunks of another size: frames cut into pieces, or joined with their neighbours, never across a shot."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate, groupby

from .layout import MocLayout

LEAST_TOKENS = 32
"""Smallest chunk that the automatic choice makes: smaller ones cost more to choose among than they save."""


@lru_cache(maxsize=64)
def rechunked(layout: MocLayout, tokens: int = 0) -> MocLayout:
    """The layout with context chunks of about `tokens` keys each; 0 chooses automatically.

    Automatic keeps one frame a chunk, as the layout has it, and joins neighbours of a shot that are smaller than
    32 tokens. A frame larger than `tokens` is cut into pieces of nearly the same size; smaller ones are joined whole.
    Anchors stay as they are, and so does the latest shot, because nobody chooses among its chunks.

    Raises ValueError for a negative number.
    """
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0:
        raise ValueError(f"the chunk size is {tokens!r}: it counts tokens. Use 0 for one frame a chunk.")
    latest = max(layout.chunk_shot)
    sizes: list[int] = []
    shots: list[int] = []
    anchors: list[bool] = []
    chunks = zip(layout.chunk_shot, layout.chunk_anchor, (layout.chunk_size(c) for c in range(layout.chunks)),
                 strict=True)
    for (shot, anchor), members in groupby(chunks, key=lambda chunk: chunk[:2]):
        frames = [size for _, _, size in members]
        pieces = frames if anchor or shot == latest else list(_pieces(frames, tokens))
        sizes += pieces
        shots += [shot] * len(pieces)
        anchors += [anchor] * len(pieces)
    return MocLayout(
        key_starts=tuple(accumulate(sizes, initial=0)),
        chunk_shot=tuple(shots),
        chunk_anchor=tuple(anchors),
        query_starts=layout.query_starts,
        query_shot=layout.query_shot,
    )


def _pieces(frames: list[int], tokens: int) -> Iterator[int]:
    wanted = tokens or LEAST_TOKENS
    joined = 0
    for frame in frames:
        count = max(1, round(frame / wanted)) if tokens else 1
        if joined and (count > 1 or joined + frame / 2 > wanted):
            yield joined
            joined = 0
        if count > 1:
            yield from (frame * (piece + 1) // count - frame * piece // count for piece in range(count))
        else:
            joined += frame
    if joined:
        yield joined
