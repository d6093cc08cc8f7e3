"""The router's outer loop over whole shots, for films of very many of them (Mixture of Contexts, appendix I)."""

from __future__ import annotations

import torch
from torch import Tensor

from .layout import MocLayout
from .plan import ShotPlan


def within_reach(q: Tensor, means: Tensor, layout: MocLayout, plan: ShotPlan, shots: int) -> Tensor:
    """Which candidate chunks belong to the `shots` earlier shots that agree best with the mean query of this shot.

    The agreement with a shot is (mean query) . (mean key of the shot), for each batch row and head, in float32.

    q: (B, H, n, D), the queries of the shot. means: (B, H, C, D), the mean keys of all chunks.
    Returns (B, H, 1, candidates) bool.
    """
    numbers = sorted({layout.chunk_shot[chunk] for chunk in plan.candidates})
    of_shot = torch.tensor([numbers.index(layout.chunk_shot[chunk]) for chunk in plan.candidates], device=q.device)
    sizes = torch.tensor([layout.chunk_size(chunk) for chunk in plan.candidates], device=q.device)
    # (candidates, shots): the share of the shot's keys that each candidate holds.
    share = sizes.float().unsqueeze(1) * torch.nn.functional.one_hot(of_shot, len(numbers))
    share = share / share.sum(dim=0)
    candidates = torch.tensor(plan.candidates, device=q.device)
    shot_means = share.T @ means.index_select(2, candidates)
    scores = shot_means @ q.mean(dim=2, dtype=torch.float32).unsqueeze(-1)
    best = scores.squeeze(-1).topk(min(shots, len(numbers)), dim=-1).indices
    kept = torch.zeros(*best.shape[:2], len(numbers), dtype=torch.bool, device=q.device).scatter_(2, best, True)
    return kept.index_select(2, of_shot).unsqueeze(2)
