"""What routed attention looked into, written down while a model samples: small, whatever the length of the film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...kernels import MocLayout, MocSettings, chunk_shares, pairs_kept, route

RECORD_KEY = "scene_memory_record"
"""Where, in transformer_options, a ``RoutingRecord`` waits for what the patch of ``moc/patch`` does."""

Shares = NDArray[np.float64]


@dataclass
class Seen:
    """Sums over the calls of one layer in one step: shares (frames, context), calls, and how many of them routed."""

    shares: Shares
    calls: int = 0
    routed: int = 0


@dataclass
class RoutingRecord:
    """Which context frames each frame being made looked into, by layer and step.

    frames: latent frames being made. levels: noise levels of all steps; () believes what the host tells.
    ``seen`` is by (layer, step); a step is -1 where nobody tells.
    kept, total: query-key pairs that were computed, and those that dense attention has.
    """

    frames: int
    levels: tuple[float, ...] = ()
    seen: dict[tuple[int, int], Seen] = field(default_factory=dict)
    kept: float = 0.0
    total: int = 0

    def saw(
        self,
        transformer_options: dict[str, Any],
        published: MocLayout,
        layout: MocLayout,
        settings: MocSettings,
        q: Tensor,
        k: Tensor,
        routed: bool,
    ) -> None:
        """Notes one call of attention: what it chose or, where it stayed dense, what it would have chosen.

        ``published`` is the adapter's layout, ``layout`` the one that is routed; queries and keys are (B, H, L, D).
        """
        pairs = pairs_kept(layout, settings)
        self.kept += pairs.kept if routed else pairs.total
        self.total += pairs.total
        spans = frame_spans(published, self.frames)
        chosen = route(q, k, layout, settings)
        shares = chunk_shares(chosen, layout, settings, spans).double().numpy() @ _overlap(layout, published)
        step = step_now(transformer_options, self.levels)
        key = (int(transformer_options.get("block_index", 0)), -1 if step is None else step)
        seen = self.seen.get(key)
        if seen is None or seen.shares.shape != shares.shape:
            seen = self.seen[key] = Seen(np.zeros_like(shares))
        seen.shares += shares
        seen.calls += 1
        seen.routed += routed

    @property
    def layers(self) -> list[int]:
        return sorted({layer for layer, _ in self.seen})

    @property
    def steps(self) -> list[int]:
        return sorted({step for _, step in self.seen})

    def shares(self, layer: int | None = None, step: int | None = None) -> Shares:
        """Mean shares (frames, context) of a layer and a step, or of all; 0..1. Empty where nothing was seen."""
        found = [
            seen.shares / seen.calls
            for (at_layer, at_step), seen in self.seen.items()
            if layer in (None, at_layer) and step in (None, at_step)
        ]
        widest = max((shares.shape[1] for shares in found), default=0)
        same = [shares for shares in found if shares.shape[1] == widest]
        return np.mean(same, axis=0) if same else np.zeros((self.frames, 0))

    def routed(self, layer: int, step: int) -> bool:
        """Whether that layer really was routed in that step, and not left dense."""
        seen = self.seen.get((layer, step))
        return seen is not None and seen.routed > 0


def step_now(transformer_options: dict[str, Any], levels: Sequence[float] = ()) -> int | None:
    """The number of the sampling step, from the noise level now and those of all steps; None if one is not known.

    levels: those of all steps, where they are known better than by the host (a second model has the rest of them only).
    """
    now, levels_of_host = transformer_options.get("sigmas"), transformer_options.get("sample_sigmas")
    if now is None or (not levels and levels_of_host is None):
        return None
    level = float(now.flatten()[0]) * (1 + 1e-5)
    return sum(other > level for other in (levels or levels_of_host.flatten().tolist()))


@lru_cache(maxsize=64)
def frame_spans(layout: MocLayout, frames: int) -> tuple[tuple[int, int], ...]:
    """Where the queries of each frame of the newest shot are, in order; tokens beside the frames belong to the first.

    Raises ValueError where the newest shot has fewer queries than frames.
    """
    own = layout.newest_shot
    chunks = layout.chunks_of(own)
    if layout.queries == layout.keys and len(chunks) >= frames:
        # One sequence that attends to itself: every frame is a chunk, and what stands before them is not one.
        last = chunks[-frames:]
        starts = [layout.key_starts[chunks[0]], *(layout.key_starts[c] for c in last[1:])]
        return tuple(zip(starts, [*starts[1:], layout.key_starts[last[-1] + 1]], strict=True))
    runs = [run for run, shot in enumerate(layout.query_shot) if shot == own]
    tokens = [token for run in runs for token in range(layout.query_starts[run], layout.query_starts[run + 1])]
    if len(tokens) < frames:
        raise ValueError(f"the newest shot has {len(tokens)} queries for {frames} frames: expected one at least each.")
    edges = [len(tokens) * frame // frames for frame in range(frames + 1)]
    return tuple((tokens[begin], tokens[end - 1] + 1) for begin, end in zip(edges, edges[1:], strict=False))


@lru_cache(maxsize=64)
def _overlap(layout: MocLayout, published: MocLayout) -> Shares:
    """(C, context): the share of each remembered frame that lies in each chunk of the layout that was routed."""
    # The remembered frames, in the order in which the adapter names them.
    columns = published.chunks_before(published.newest_shot)
    result = np.zeros((layout.chunks, len(columns)))
    for column, frame in enumerate(columns):
        begin, end = published.key_starts[frame], published.key_starts[frame + 1]
        for chunk in range(layout.chunks):
            inside = min(end, layout.key_starts[chunk + 1]) - max(begin, layout.key_starts[chunk])
            result[chunk, column] = max(0, inside) / (end - begin)
    return result
