"""The exact reference at any length: for some query tokens only, in float32, from the very choices of the router."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....kernels import MocLayout, MocSettings, route
from ....kernels.plan import shot_keys

ROWS = 1024
"""Query tokens at which a result is compared, evenly spread; all of a film that has no more."""


def relative_error(given: Tensor, q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings) -> float:
    """|given - exact| / |exact| over ROWS query tokens of all heads; given (1, H, Lq, D) is what was computed."""
    tokens = torch.linspace(0, layout.queries - 1, min(ROWS, layout.queries), device=q.device).round().long().unique()
    chosen = route(q, k, layout, settings)
    difference = size = 0.0
    for head in range(q.shape[1]):
        picked = None if chosen is None else chosen[0, head, tokens]
        exact = exact_rows(q[0, head, tokens], k[0, head], v[0, head], mask_rows(tokens, picked, layout, settings))
        difference += (given[0, head, tokens].float() - exact).square().sum().item()
        size += exact.square().sum().item()
    return math.sqrt(difference / size)


def mask_rows(tokens: Tensor, chosen: Tensor | None, layout: MocLayout, settings: MocSettings) -> Tensor:
    """Which keys these query tokens attend to, (n, Lk) bool; chosen (n, width) is what `route` gave them."""
    chunks = torch.zeros(len(tokens), layout.chunks + 1, dtype=torch.bool, device=tokens.device)
    if chosen is not None:
        chunks.scatter_(1, chosen.long().remainder(layout.chunks + 1), True)
    for shot in shot_keys(layout, settings):
        dense = torch.tensor(shot.dense_chunks, dtype=torch.long, device=tokens.device)
        for begin, end in shot.queries:
            rows = ((tokens >= begin) & (tokens < end)).nonzero()
            chunks[rows, dense] = True
    sizes = torch.tensor([layout.chunk_size(chunk) for chunk in range(layout.chunks)], device=tokens.device)
    return chunks[:, :-1].repeat_interleave(sizes, dim=1)


def exact_rows(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention of queries (n, D) over the keys (L, D) that their rows of the mask allow, float32."""
    scores = q.float() @ k.float().T / math.sqrt(q.shape[-1])
    return scores.masked_fill_(~mask, -torch.inf).softmax(dim=-1) @ v.float()
