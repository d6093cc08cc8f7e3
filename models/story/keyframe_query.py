"""Memento's KeyframeQuery: learned queries that ask the next shot's text and then the remembered frames who is needed.

Names, shapes and formula are those of the authors' code (``KeyframeQuery`` in wan/modules/model_memory.py): two sets of
queries, of the shot and of the story, look at a text each, then at the patches of all candidates, and score each patch
by QK^T / sqrt(d). The score of a frame is the mean over heads, patches and queries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..host import CHOOSES_ONLY as ATTACHMENT
from ..wan.options import options_of
from .options import TRAINED

PART = "keyframe_query."
QUERIES, STORY = "queries", "queries_global"
TEXT, VISUAL, PATCHER = "query_to_text", "query_to_visual", "memory_patcher"
CHANNELS, PATCH, EPS, THETA = 16, 2, 1e-6, 10000.0
FARTHEST, NEWEST = -512, 511
STORY_FRAMES = 2
"""Frames that the story's queries choose, of those that are kept (the authors' script)."""


@dataclass(frozen=True, eq=False)
class KeyframeQuery:
    """The weights by their names after ``keyframe_query.``."""

    weights: dict[str, Tensor]

    @property
    def has_story(self) -> bool:
        """Whether there are queries of the story beside those of the shot."""
        return STORY in self.weights

    def scores(
        self, latents: Tensor, times: Sequence[int], shot: Tensor, story: Tensor | None, heads: int
    ) -> tuple[Tensor, Tensor | None]:
        """Scores (F,) of candidates by the shot's queries, and by the story's.

        Args:
            latents: (1, 16, F, h, w), each frame encoded alone, as the network sees latents.
            times: (F,) latent frames from the next shot's first to each candidate, -512 to 511.
            shot, story: (1, L, width) the next shot's whole prompt, and what it says of the story, after the network's
                own text embedding. Without a story text the story's queries read the shot's.
        """
        like = {"device": latents.device, "dtype": torch.float32}
        w = {name: weight.to(**like) for name, weight in self.weights.items()}
        shot = shot.to(**like)
        patches = F.conv3d(latents.float(), w[f"{PATCHER}.weight"], w[f"{PATCHER}.bias"], stride=(1, PATCH, PATCH))
        grid = patches.shape[2:]
        tokens = patches.flatten(2).transpose(1, 2)
        asking = [(w[QUERIES], shot)]
        if self.has_story:
            asking.append((w[STORY], shot if story is None else story.to(**like)))
        asked = torch.cat([rows[None] + _read(w, TEXT, rows[None], text, heads) for rows, text in asking], dim=1)
        angles = _angles(times, *grid[1:], asked.shape[-1] // heads).to(latents.device)
        asked = asked + _read(w, VISUAL, asked, tokens, heads, angles)
        query = _heads(F.linear(asked, w[f"{VISUAL}.q.weight"], w[f"{VISUAL}.q.bias"]), heads)
        key = _rotated(_heads(F.linear(tokens, w[f"{VISUAL}.k.weight"], w[f"{VISUAL}.k.bias"]), heads), angles)
        found = (query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])).mean(dim=(0, 1))
        frames = found.unflatten(1, (grid[0], -1)).mean(dim=-1)
        own = len(w[QUERIES])
        return frames[:own].mean(dim=0), (frames[own:].mean(dim=0) if self.has_story else None)


def query_in(weights: Mapping[str, Any], what: str) -> KeyframeQuery | None:
    """The KeyframeQuery in a file of Memento's; None where it has none.

    Raises:
        ValueError: it is not whole.
    """
    held = weights[TRAINED] if isinstance(weights.get(TRAINED), Mapping) else weights
    found = {name.split(PART, 1)[1]: weight for name, weight in held.items() if PART in name}
    if not found:
        return None
    width = found[QUERIES].shape[-1] if QUERIES in found else 0
    square, row = (width, width), (width,)
    wanted: dict[str, tuple[int, ...]] = {
        f"{PATCHER}.weight": (width, CHANNELS, 1, PATCH, PATCH),
        f"{PATCHER}.bias": row,
        QUERIES: (*found[QUERIES].shape[:1], width) if width else (0, 0),
    }
    for part in (TEXT, VISUAL):
        for layer in "qkvo":
            wanted |= {f"{part}.{layer}.weight": square, f"{part}.{layer}.bias": row}
        wanted |= {f"{part}.norm_q.weight": row, f"{part}.norm_k.weight": row}
    if STORY in found:
        wanted[STORY] = (*found[STORY].shape[:1], width)
    for name, shape in wanted.items():
        if name not in found or found[name].shape != shape:
            got = "missing" if name not in found else f"{tuple(found[name].shape)}"
            raise ValueError(f"{what}: keyframe_query.{name} is {got}, expected {shape}. Download the file anew.")
    return KeyframeQuery({name: found[name] for name in wanted})


def with_query(model: Any, query: KeyframeQuery) -> Any:
    """A copy of a MODEL that carries it."""
    marked = model.clone()
    marked.set_attachments(key=ATTACHMENT, attachment=query)
    return marked


def query_of(model: Any) -> tuple[Any, KeyframeQuery] | None:
    """The MODEL and the KeyframeQuery that it carries: of a pair that of the low noise half, as in the authors' code
    where both halves share one memory, else the other."""
    for one in (options_of(model).low_noise, model):
        found = None if one is None else one.get_attachment(key=ATTACHMENT)
        if isinstance(found, KeyframeQuery):
            return one, found
    return None


def choose(shot: Tensor, story: Tensor | None, keep: int, fixed: int = 0) -> list[int]:
    """Which of F candidates, oldest first, stay, by the scores (F,) of the shot's queries and of the story's.

    ``fixed`` oldest, the best by the shot's queries, and of the others the best two by the story's; ``keep`` in all,
    ascending. While there are no more than ``keep``, all stay.
    """
    count = len(shot)
    if count <= keep:
        return list(range(count))
    of_story = min(STORY_FRAMES, keep - 1) if story is not None else 0
    best = sorted(range(count), key=lambda index: (index >= fixed, -float(shot[index])))[: keep - of_story]
    if story is not None:
        left = [index for index in range(count) if index not in best]
        best += sorted(left, key=lambda index: -float(story[index]))[:of_story]
    return sorted(best)


def _read(w: Mapping[str, Tensor], part: str, asking: Tensor, seen: Tensor, heads: int, angles: Any = None) -> Tensor:
    """Cross-attention with norms over all heads; ``angles`` rotate the keys alone."""
    q, k, v = (
        F.linear(x, w[f"{part}.{layer}.weight"], w[f"{part}.{layer}.bias"])
        for layer, x in (("q", asking), ("k", seen), ("v", seen))
    )
    query, key = (
        _heads(x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + EPS) * w[f"{part}.{norm}.weight"], heads)
        for norm, x in (("norm_q", q), ("norm_k", k))
    )
    if angles is not None:
        key = _rotated(key, angles)
    read = F.scaled_dot_product_attention(query, key, _heads(v, heads)).transpose(1, 2).flatten(2)
    return F.linear(read, w[f"{part}.o.weight"], w[f"{part}.o.bias"])


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _angles(times: Sequence[int], rows: int, columns: int, size: int) -> Tensor:
    """RoPE's angles (F * rows * columns, size / 2): by time, row and column, as Wan shares a head's numbers out."""
    axis = 2 * (size // 6)
    parts = []
    for at, share, shape in (
        ([max(FARTHEST, min(NEWEST, time)) for time in times], size - 2 * axis, (-1, 1, 1)),
        (range(rows), axis, (1, -1, 1)),
        (range(columns), axis, (1, 1, -1)),
    ):
        speeds = THETA ** (-torch.arange(0, share, 2, dtype=torch.float64) / share)
        turns = torch.outer(torch.tensor(list(at), dtype=torch.float64), speeds)
        parts.append(turns.view(*shape, turns.shape[-1]).expand(len(times), rows, columns, -1))
    return torch.cat(parts, dim=-1).flatten(0, 2).float()


def _rotated(key: Tensor, angles: Tensor) -> Tensor:
    even, odd = key.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)
