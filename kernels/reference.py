"""MoC attention as the paper writes it: an explicit mask, then ordinary attention. Slow, exact, the truth for tests.

It stands alone: it reads a layout and settings, and shares no router, no plan and no arithmetic with what it judges.

Keys are cut into chunks at the boundaries of content: a frame, the text. A query i attends to the keys of the chunks in
its set Ω(i) alone (Mixture of Contexts, arXiv 2508.21058, section 3)::

    Attn(q_i, K, V) = Softmax(q_i · K_Ω(i)^T / sqrt(d)) · V_Ω(i)
    Ω(i)            = M(i) ∪ top-k over the chunks ω of earlier shots of  q_i · φ(K_ω)
    φ(K_ω)          = mean of the keys of ω

M(i) are the mandatory links, which do not count among the k: the text (every anchor of the layout), and the whole shot
of the query. Chunks of later shots are never seen (causal routing). Every token and head chooses for itself. Where no
more than k chunks are earlier, all of them are seen.

With ``query_block`` the mean of some neighbouring queries of a shot stands for each of them in the choice. With
``outer_shots`` (appendix I) only chunks of those earlier shots can be chosen whose mean key agrees best with the mean
query of the shot. Drop-off and drop-in: u is drawn from U(0, drop_off) and m from Poisson(drop_in), once for a call; of
what each query chose floor(u · k) chunks are left out at random, and m random earlier chunks join what is left.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .layout import MocLayout
from .settings import MocSettings


def moc_attention_reference(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """MoC attention with the whole (Lq, Lk) matrix in memory: q (B, H, Lq, D), k and v (B, H, Lk, D) -> (B, H, Lq, D).

    Half-precision input is computed in float32 and rounded once at the end. A query that attends to nothing gets zeros.
    Raises ``ValueError`` where random numbers are needed and no generator is given.
    """
    dtype = torch.float64 if q.dtype == torch.float64 else torch.float32
    scores = q.to(dtype) @ k.to(dtype).transpose(-1, -2) * scale
    mask = moc_mask(q, k, layout, settings, generator)
    weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
    weights = weights.masked_fill(~mask.any(dim=-1, keepdim=True), 0)
    return (weights @ v.to(dtype)).to(q.dtype)


def moc_mask(
    q: Tensor, k: Tensor, layout: MocLayout, settings: MocSettings, generator: torch.Generator | None = None
) -> Tensor:
    """Which key each query token of each head attends to, (B, H, Lq, Lk) bool: q (B, H, Lq, D), k (B, H, Lk, D).

    The choice is made in float32. Raises ``ValueError`` where random numbers are needed and no generator is given.
    """
    q, k = q.detach().float(), k.detach().float()
    removed, added = _drawn(settings, generator)
    keys = [slice(*layout.key_starts[chunk : chunk + 2]) for chunk in range(layout.chunks)]
    query_shot = torch.tensor([
        shot for run, shot in enumerate(layout.query_shot)
        for _ in range(layout.query_starts[run], layout.query_starts[run + 1])
    ], device=q.device)  # fmt: skip
    mask = torch.zeros(*q.shape[:3], layout.keys, dtype=torch.bool, device=q.device)
    for shot in sorted(set(layout.query_shot)):
        own = query_shot == shot
        seen = torch.zeros(*q[:, :, own].shape[:3], layout.keys, dtype=torch.bool, device=q.device)
        earlier = []
        for chunk, (chunk_shot, anchor) in enumerate(zip(layout.chunk_shot, layout.chunk_anchor, strict=True)):
            if anchor or chunk_shot == shot:
                seen[..., keys[chunk]] = True
            elif chunk_shot < shot:
                earlier.append(chunk)
        if len(earlier) <= settings.top_k:
            chosen = torch.ones(*seen.shape[:3], len(earlier), dtype=torch.bool, device=q.device)
        else:
            shots = [layout.chunk_shot[chunk] for chunk in earlier]
            parts = [k[:, :, keys[chunk]] for chunk in earlier]
            chosen = _chosen(q[:, :, own], parts, shots, settings, removed, added, generator)
        for column, chunk in enumerate(earlier):
            seen[..., keys[chunk]] = chosen[..., column : column + 1]
        mask[:, :, own] = seen
    return mask


def _chosen(
    q: Tensor, chunks: list[Tensor], shots: list[int], settings: MocSettings, removed: int, added: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Which of the earlier chunks, keys (B, H, m, D) each, the queries (B, H, n, D) of a shot choose: (B, H, n, C)."""
    block = settings.query_block or 1
    asking = torch.stack([queries.mean(dim=2) for queries in torch.split(q, block, dim=2)], dim=2)
    scores = asking @ torch.stack([keys.mean(dim=2) for keys in chunks], dim=3)
    if settings.outer_shots:
        numbers = sorted(set(shots))
        whole = [torch.cat([x for x, of in zip(chunks, shots, strict=True) if of == s], dim=2) for s in numbers]
        agreement = torch.stack([(q.mean(dim=2) * keys.mean(dim=2)).sum(dim=-1) for keys in whole], dim=-1)
        best = agreement.topk(min(settings.outer_shots, len(numbers)), dim=-1).indices
        for column, of in enumerate(shots):
            out_of_reach = (best != numbers.index(of)).all(dim=-1)
            scores[..., column].masked_fill_(out_of_reach.unsqueeze(-1), -torch.inf)
    # Not sorted: drop-off counts the choices in the very order in which the router has them.
    top = scores.topk(settings.top_k, dim=-1, sorted=False)
    picked = top.indices.masked_fill(top.values == -torch.inf, -1)
    if removed:
        order = _even(picked.shape, generator, q.device).argsort(dim=-1)
        picked = picked.scatter(-1, order[..., :removed], -1)
    for _ in range(added):
        joins = _even((*picked.shape[:3], 1), generator, q.device) * len(chunks)
        picked = torch.cat([picked, joins.long().clamp(max=len(chunks) - 1)], dim=-1)
    chosen = torch.stack([(picked == column).any(dim=-1) for column in range(len(chunks))], dim=-1)
    return chosen.repeat_interleave(block, dim=2)[:, :, : q.shape[2]]


def _drawn(settings: MocSettings, generator: torch.Generator | None) -> tuple[int, int]:
    """How many chunks are left out and how many join. Raises ``ValueError`` without a generator."""
    if not settings.random:
        return 0, 0
    if generator is None:
        raise ValueError("drop_off and drop_in draw random numbers, but no generator was given: pass one.")
    share = settings.drop_off * float(torch.rand((), generator=generator, device=generator.device))
    mean = torch.tensor(float(settings.drop_in), device=generator.device)
    return math.floor(share * settings.top_k), int(torch.poisson(mean, generator=generator))


def _even(shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Random numbers in [0, 1), drawn where the generator is: for a whole shot at once, as the router draws for as many
    queries as it holds at a time."""
    assert generator is not None
    return torch.rand(shape, generator=generator, device=generator.device).to(device)
