"""Which tokens are one chunk, in which order: the layout of a Wan sequence for the router."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from ..kernels import MocLayout, rechunked
from .options import Routing


@lru_cache(maxsize=64)
def layout_of(routing: Routing, frame: int, own: int, context: int) -> MocLayout:
    """Layout of the sequence [own frames | context frames, oldest first], from the grid of frames.

    Every context frame is a shot of its own, older ones earlier: it sees itself whole, chooses among those before it,
    and never sees the noisy frames being made. The frames being made are the last shot.

    Args:
        frame: tokens of one latent frame.
        own, context: latent frames being made, and remembered.
    """
    layout = MocLayout.sequence([frame] * (own + context), [context] * own + list(range(context)))
    if routing.anchor_frames:
        anchors = tuple(shot < min(routing.anchor_frames, context) for shot in layout.chunk_shot)
        layout = replace(layout, chunk_anchor=anchors)
    return rechunked(layout, routing.chunk_tokens) if routing.chunk_tokens else layout


def leaves_something_out(layout: MocLayout, routing: Routing) -> bool:
    """Whether the newest shot has more chunks to choose from than it chooses; if not, dense attention is the same."""
    newest = max(layout.query_shot)
    chunks = zip(layout.chunk_shot, layout.chunk_anchor, strict=True)
    return sum(shot < newest and not anchor for shot, anchor in chunks) > routing.settings.top_k
