"""Which tokens belong to which frame, shot and text, and how they are cut into the chunks that the router chooses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, groupby, pairwise
from operator import index

LEAST_TOKENS = 32
"""Smallest chunk that the automatic choice makes: smaller ones cost more to choose among than they save."""


@dataclass(frozen=True)
class MocLayout:
    """The chunks of the keys and the shots of the queries.

    Keys are cut at content boundaries (a frame, the text) into C contiguous chunks, queries into R contiguous runs.
    A query of shot s attends to every anchor chunk, to every chunk of shot s, and to the top-k chunks among those
    of shots < s. Chunks of later shots are never seen, so information only flows forward in shot order.
    Shot numbers only say the order; gaps and negative numbers are fine.

    ``key_starts`` (C+1) is the first key of each chunk, then the number of keys; ``chunk_shot`` (C) the shot of each
    chunk; ``chunk_anchor`` (C) is True for chunks that every query attends to (the text). ``query_starts`` (R+1) is the
    first query of each run, then the number of queries; ``query_shot`` (R) the shot of each run.

    A layout is a value: it is hashable, and equal layouts are interchangeable. Raises ``ValueError`` where the numbers
    do not fit each other, or a query would have nothing to attend to.
    """

    key_starts: tuple[int, ...]
    chunk_shot: tuple[int, ...]
    chunk_anchor: tuple[bool, ...]
    query_starts: tuple[int, ...]
    query_shot: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("key_starts", "chunk_shot", "query_starts", "query_shot"):
            object.__setattr__(self, name, _integers(name, getattr(self, name)))
        object.__setattr__(self, "chunk_anchor", tuple(bool(anchor) for anchor in self.chunk_anchor))
        _check_starts("key_starts", self.key_starts, "chunk")
        _check_starts("query_starts", self.query_starts, "run")
        _check_count("chunk_shot", len(self.chunk_shot), self.chunks, "chunks")
        _check_count("chunk_anchor", len(self.chunk_anchor), self.chunks, "chunks")
        _check_count("query_shot", len(self.query_shot), len(self.query_starts) - 1, "runs of queries")
        if not any(self.chunk_anchor) and min(self.query_shot) < min(self.chunk_shot):
            raise ValueError(
                f"queries of shot {min(self.query_shot)} have nothing to attend to: there is no text, and the earliest "
                f"chunk is of shot {min(self.chunk_shot)}. Give every query its own shot's keys, or text."
            )

    @classmethod
    def cross(cls, text: int, context: Sequence[int], own: int) -> MocLayout:
        """Layout for a model whose queries are the tokens of the segment being made and nothing else.

        Keys in the order [text | context frames, oldest first | own]; queries are the own tokens. ``text`` is the
        number of text tokens, 0 for none; ``context`` the tokens of each context frame, of which each is one chunk (may
        be empty); ``own`` the tokens of the segment being made, which are always attended densely. Raises
        ``ValueError`` for a frame without tokens, or nothing of its own.
        """
        frames = _sizes("context", context)
        own = _size("own", own, least=1)
        anchors = _text_chunk(text)
        return cls(
            key_starts=_starts([*anchors, *frames, own]),
            chunk_shot=(0,) * (len(anchors) + len(frames)) + (1,),
            chunk_anchor=(True,) * len(anchors) + (False,) * (len(frames) + 1),
            query_starts=(0, own),
            query_shot=(1,),
        )

    @classmethod
    def sequence(cls, frame_tokens: Sequence[int], frame_shots: Sequence[int], text: int = 0) -> MocLayout:
        """Layout for a model that attends from one sequence to itself.

        Queries and keys in the order [text | frames]. Frames may stand in any order: their shot number, not their
        place, says what is earlier, so context frames may be appended after the frames being made.
        Text queries count as part of the earliest shot: with one shot every token sees every other, and with
        several the text carries nothing from a later shot back into an earlier one.

        ``frame_tokens`` is the tokens of each frame, of which each is one chunk; ``frame_shots`` the shot of each
        frame; ``text`` the number of text tokens in front of the frames, 0 for none. Raises ``ValueError`` where there
        is no frame, a frame has no tokens, or frames and shots are not as many.
        """
        frames = _sizes("frame_tokens", frame_tokens)
        shots = _integers("frame_shots", frame_shots)
        if not frames:
            raise ValueError("frame_tokens is empty: a sequence needs at least 1 frame. Give the tokens of each frame.")
        _check_count("frame_shots", len(shots), len(frames), "frames")
        anchors = _text_chunk(text)
        chunk_tokens = [*anchors, *frames]
        chunk_shot = (min(shots),) * len(anchors) + shots
        runs = [
            (shot, sum(tokens for _, tokens in run))
            for shot, run in groupby(zip(chunk_shot, chunk_tokens, strict=True), key=lambda chunk: chunk[0])
        ]
        return cls(
            key_starts=_starts(chunk_tokens),
            chunk_shot=chunk_shot,
            chunk_anchor=(True,) * len(anchors) + (False,) * len(frames),
            query_starts=_starts(tokens for _, tokens in runs),
            query_shot=tuple(shot for shot, _ in runs),
        )

    @property
    def chunks(self) -> int:
        """The number of chunks, C."""
        return len(self.key_starts) - 1

    @property
    def keys(self) -> int:
        """The number of key tokens, Lk."""
        return self.key_starts[-1]

    @property
    def queries(self) -> int:
        """The number of query tokens, Lq."""
        return self.query_starts[-1]

    @property
    def newest_shot(self) -> int:
        """The latest shot that has queries."""
        return max(self.query_shot)

    def chunk_size(self, chunk: int) -> int:
        """The number of keys of a chunk."""
        return self.key_starts[chunk + 1] - self.key_starts[chunk]

    def chunks_of(self, shot: int) -> tuple[int, ...]:
        """The chunks of a shot that are no anchors, in order."""
        return tuple(c for c in range(self.chunks) if self.chunk_shot[c] == shot and not self.chunk_anchor[c])

    def chunks_before(self, shot: int) -> tuple[int, ...]:
        """The chunks of earlier shots that are no anchors, in order: what queries of ``shot`` may choose among."""
        return tuple(c for c in range(self.chunks) if self.chunk_shot[c] < shot and not self.chunk_anchor[c])


@lru_cache(maxsize=64)
def rechunked(layout: MocLayout, tokens: int = 0) -> MocLayout:
    """The layout with context chunks of about ``tokens`` keys each; 0 chooses automatically.

    Automatic keeps one frame a chunk, as the layout has it, and joins neighbours of a shot that are smaller than
    ``LEAST_TOKENS``. A frame larger than ``tokens`` is cut into pieces of nearly the same size; smaller ones are joined
    whole. Anchors stay as they are, and so does the latest shot, because nobody chooses among its chunks.

    Raises ``ValueError`` for a negative number.
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


def _starts(sizes: Iterable[int]) -> tuple[int, ...]:
    return tuple(accumulate(sizes, initial=0))


def _text_chunk(text: int) -> list[int]:
    text = _size("text", text, least=0)
    return [text] if text else []


def _integers(name: str, values: Iterable[int]) -> tuple[int, ...]:
    try:
        return tuple(index(value) for value in values)
    except TypeError:
        raise ValueError(f"{name} is {values!r}: it must be a list of whole numbers.") from None


def _size(name: str, value: int, least: int) -> int:
    (size,) = _integers(name, [value])
    if size < least:
        raise ValueError(f"{name} is {size}: it counts tokens and must be at least {least}.")
    return size


def _sizes(name: str, values: Sequence[int]) -> tuple[int, ...]:
    sizes = _integers(name, values)
    for frame, size in enumerate(sizes):
        if size < 1:
            raise ValueError(f"{name}[{frame}] is {size}: every frame needs at least 1 token. Leave the frame out.")
    return sizes


def _check_starts(name: str, starts: tuple[int, ...], part: str) -> None:
    if len(starts) < 2 or starts[0] != 0:
        raise ValueError(f"{name} is {starts}: it must begin with 0, end with the token count and name one {part}.")
    for number, (begin, end) in enumerate(pairwise(starts)):
        if end <= begin:
            raise ValueError(
                f"{name} goes from {begin} to {end} at {part} {number}: "
                f"every {part} needs at least 1 token. Leave empty ones out."
            )


def _check_count(name: str, given: int, expected: int, of: str) -> None:
    if given != expected:
        raise ValueError(f"{name} has {given} entries for {expected} {of}: give one for each.")
