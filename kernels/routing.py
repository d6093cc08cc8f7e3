"""The router: which chunks of context each query token and head looks into (Mixture of Contexts, section 3).

Two of its options come from the same paper. The outer loop first chooses among whole shots, for films of very many of
them (appendix I). In training, drop-off leaves out some chosen chunks and drop-in lets in some random ones: that keeps
the model from leaning on a few chunks, and gives the others a gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .layout import MocLayout
from .plan import ShotKeys, put, shot_keys, take
from .settings import MocSettings

ROUTER_SCORES_AT_ONCE = 1 << 17
"""Scores of queries with chunks held at a time, in entries."""

NOTHING = -1
"""A choice that was not made: there was less to choose from than top-k, or the chunk was dropped."""


def route(
    q: Tensor, k: Tensor, layout: MocLayout, settings: MocSettings, generator: torch.Generator | None = None
) -> Tensor | None:
    """The chunks that every query token and head chose; None where no shot has anything to choose.

    ``q`` is (B, H, Lq, D) and ``k`` (B, H, Lk, D). Scores are q . mean(keys of a chunk) in float32; only chunks of
    earlier shots are candidates. No gradient flows through the choice. No query chooses a chunk twice, or one that it
    attends to anyway. ``generator`` is needed where the settings drop or add chunks at random.

    Returns (B, H, Lq, width) int16 (int32 beyond 32767 chunks), ``NOTHING`` where a query chose fewer than width.
    Raises ``ValueError`` where random numbers are needed and no generator is given.
    """
    choosing = [shot for shot in shot_keys(layout, settings) if shot.candidates]
    drops = _draw_drops(settings, generator)
    if not choosing:
        return None
    q, k = q.detach(), k.detach()
    means = chunk_means(k, layout)
    dtype = torch.int16 if layout.chunks <= torch.iinfo(torch.int16).max else torch.int32
    width = settings.top_k + (drops.added if drops else 0)
    chosen = torch.full((*q.shape[:3], width), NOTHING, dtype=dtype, device=q.device)
    for shot in choosing:
        put(chosen, shot.queries, _choice(take(q, shot.queries), means, layout, shot, settings, drops, dtype))
    return chosen


def routing_mask(
    q: Tensor, k: Tensor, layout: MocLayout, settings: MocSettings, generator: torch.Generator | None = None
) -> Tensor:
    """Which key each query token of each head attends to after ``route``: (B, H, Lq, Lk) bool.

    For attention that is dense anyway, over sequences short enough for a mask. ``q`` is (B, H, Lq, D) and ``k``
    (B, H, Lk, D). Raises ``ValueError`` as ``route`` does.
    """
    mask = torch.zeros(*q.shape[:3], layout.keys, dtype=torch.bool, device=q.device)
    for shot in shot_keys(layout, settings):
        for begin, end in shot.queries:
            for first, last in shot.dense:
                mask[:, :, begin:end, first:last] = True
    chosen = route(q, k, layout, settings, generator)
    if chosen is not None:
        for chunk, (first, last) in enumerate(pairwise(layout.key_starts)):
            mask[..., first:last] |= (chosen == chunk).any(dim=-1, keepdim=True)
    return mask


def chunk_means(k: Tensor, layout: MocLayout) -> Tensor:
    """The mean key of every chunk: ``k`` (B, H, Lk, D) -> (B, H, C, D) float32."""
    edges = layout.key_starts
    if layout.keys == edges[1] * layout.chunks and all(end - begin == edges[1] for begin, end in pairwise(edges)):
        return k.reshape(*k.shape[:2], layout.chunks, edges[1], k.shape[3]).mean(dim=3, dtype=torch.float32)
    means = [k[:, :, begin:end].mean(dim=2, dtype=torch.float32) for begin, end in pairwise(edges)]
    return torch.stack(means, dim=2)


def _choice(
    q: Tensor, means: Tensor, layout: MocLayout, shot: ShotKeys, settings: MocSettings, drops: _Drops | None,
    dtype: torch.dtype,
) -> Tensor:
    """What the queries (B, H, n, D) of one shot choose: (B, H, n, width) chunks or NOTHING, in dtype."""
    candidates = torch.tensor(shot.candidates, device=q.device)
    keys = means.index_select(2, candidates).transpose(-1, -2)
    candidates = candidates.to(dtype)
    reach = _within_reach(q, means, layout, shot, settings.outer_shots) if settings.outer_shots else None
    asking = q
    if settings.query_block:
        blocks = torch.split(q, settings.query_block, dim=2)
        asking = torch.stack([block.mean(dim=2, dtype=torch.float32) for block in blocks], dim=2)
    step = max(1, ROUTER_SCORES_AT_ONCE // (keys.shape[-1] * q.shape[0] * q.shape[1]))
    parts = []
    for rows in torch.split(asking, step, dim=2):
        scores = rows.float() @ keys
        if reach is not None:
            scores.masked_fill_(~reach, -torch.inf)
        best = scores.topk(settings.top_k, dim=-1, sorted=False)
        picked = best.indices if reach is None else best.indices.masked_fill_(best.values == -torch.inf, NOTHING)
        if drops is not None:
            picked = _dropped_in(_dropped_off(picked, drops), drops, len(shot.candidates))
        chunks = candidates[picked]
        parts.append(chunks if reach is None and drops is None else chunks.masked_fill_(picked < 0, NOTHING))
    choice = torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]
    if settings.query_block:
        choice = choice.repeat_interleave(settings.query_block, dim=2)[:, :, : q.shape[2]]
    return choice


def _within_reach(q: Tensor, means: Tensor, layout: MocLayout, shot: ShotKeys, most: int) -> Tensor:
    """Which candidate chunks belong to the ``most`` earlier shots that agree best with the mean query of this shot.

    The agreement with a shot is (mean query) . (mean key of the shot), for each batch row and head, in float32.
    ``q`` (B, H, n, D) are the queries of the shot, ``means`` (B, H, C, D) the mean keys of all chunks.
    Returns (B, H, 1, candidates) bool.
    """
    numbers = sorted({layout.chunk_shot[chunk] for chunk in shot.candidates})
    of_shot = torch.tensor([numbers.index(layout.chunk_shot[chunk]) for chunk in shot.candidates], device=q.device)
    sizes = torch.tensor([layout.chunk_size(chunk) for chunk in shot.candidates], device=q.device)
    # (candidates, shots): the share of the shot's keys that each candidate holds.
    share = sizes.float().unsqueeze(1) * torch.nn.functional.one_hot(of_shot, len(numbers))
    share = share / share.sum(dim=0)
    candidates = torch.tensor(shot.candidates, device=q.device)
    shot_means = share.T @ means.index_select(2, candidates)
    scores = shot_means @ q.mean(dim=2, dtype=torch.float32).unsqueeze(-1)
    best = scores.squeeze(-1).topk(min(most, len(numbers)), dim=-1).indices
    kept = torch.zeros(*best.shape[:2], len(numbers), dtype=torch.bool, device=q.device).scatter_(2, best, True)
    return kept.index_select(2, of_shot).unsqueeze(2)


@dataclass(frozen=True)
class _Drops:
    """What one call draws: how many chunks are left out of, and added to, the choice of every query."""

    removed: int
    added: int
    generator: torch.Generator

    def even(self, *shape: int) -> Tensor:
        """Random numbers in [0, 1) of this shape, drawn on the generator's device."""
        return torch.rand(shape, generator=self.generator, device=self.generator.device)


def _draw_drops(settings: MocSettings, generator: torch.Generator | None) -> _Drops | None:
    """One draw for one call; None where the settings ask for neither. Raises ``ValueError`` without a generator."""
    if not settings.random:
        return None
    if generator is None:
        raise ValueError(
            f"drop_off is {settings.drop_off} and drop_in is {settings.drop_in}, but no generator was given: "
            "pass generator=torch.Generator().manual_seed(...), or set both to 0."
        )
    draw = torch.rand((), generator=generator, device=generator.device).item()
    mean = torch.tensor(float(settings.drop_in), device=generator.device)
    return _Drops(
        removed=math.floor(draw * settings.drop_off * settings.top_k),
        added=int(torch.poisson(mean, generator=generator).item()),
        generator=generator,
    )


def _dropped_off(picked: Tensor, drops: _Drops) -> Tensor:
    """``drops.removed`` of the choices (..., top_k) of every query, each as likely as the others, become NOTHING."""
    if not drops.removed:
        return picked
    least = drops.even(*picked.shape).to(picked.device).topk(drops.removed, dim=-1, largest=False).indices
    return picked.scatter(-1, least, NOTHING)


def _dropped_in(picked: Tensor, drops: _Drops, candidates: int) -> Tensor:
    """``drops.added`` random candidates more for every query, NOTHING where one was chosen already."""
    for _ in range(drops.added):
        more = (drops.even(*picked.shape[:-1], 1) * candidates).long().clamp_(max=candidates - 1).to(picked.device)
        more = more.masked_fill((picked == more).any(dim=-1, keepdim=True), NOTHING)
        picked = torch.cat([picked, more], dim=-1)
    return picked
