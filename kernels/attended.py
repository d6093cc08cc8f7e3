"""Who looks where: the share of the queries of a span that attend to each chunk."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .layout import MocLayout
from .plan import Span, plan_shots
from .routing import NOTHING
from .settings import MocSettings


def chunk_shares(
    chosen: Tensor | None, layout: MocLayout, settings: MocSettings, spans: Sequence[Span]
) -> Tensor:
    """For spans of query tokens (a frame, say), how much of each looks into which chunk, over batch rows and heads.

    chosen: (B, H, Lq, width), what `route` gave for this layout and these settings.
    Returns (spans, C) float32 on the CPU, 0..1: 1 for chunks that all attend to anyway, 0 for those of later shots.
    """
    shares = torch.zeros(len(spans), layout.chunks)
    for row, (begin, end) in enumerate(spans):
        if not 0 <= begin < end <= layout.queries:
            raise ValueError(f"spans[{row}] is {begin} to {end}: the layout has queries 0 to {layout.queries}.")
        if chosen is not None:
            picked = chosen[:, :, begin:end].flatten().long() - NOTHING
            counts = torch.bincount(picked, minlength=layout.chunks + 1)[1:]
            shares[row] = counts.cpu() / (chosen.shape[0] * chosen.shape[1] * (end - begin))
    for plan in plan_shots(layout, settings):
        dense = [c for c in range(layout.chunks) if any(a <= layout.key_starts[c] < b for a, b in plan.dense)]
        for row, (begin, end) in enumerate(spans):
            inside = sum(max(0, min(end, b) - max(begin, a)) for a, b in plan.queries)
            shares[row, dense] += inside / (end - begin)
    return shares
