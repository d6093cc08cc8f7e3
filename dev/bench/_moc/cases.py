"""Films for the measurement: their layout, and queries and keys that choose unevenly, as a video model's do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ....kernels import MocLayout, MocSettings, rechunked

FRAMES = 128
"""Latent frames of a film on the CPU; each is a chunk unless it has fewer than 32 tokens."""


@dataclass(frozen=True)
class Case:
    """A film that attends to itself: `tokens` in `shots` shots of equal length.

    grows: it stands in a row of longer and longer films whose shots and frames keep their length.
    """

    tokens: int
    shots: int
    heads: int
    head_size: int
    frame: int
    settings: MocSettings
    grows: bool = False

    @property
    def layout(self) -> MocLayout:
        """One chunk a frame; frames of fewer than 32 tokens share one. Shots are equal to a frame."""
        whole, rest = divmod(self.tokens, self.frame)
        frames = [self.frame] * whole + ([rest] if rest else [])
        return rechunked(MocLayout.sequence(frames, [n * self.shots // len(frames) for n in range(len(frames))]))


def cpu_case(tokens: int) -> Case:
    """8 shots, 4 heads of 64, and 128 frames."""
    return Case(tokens, 8, 4, 64, max(1, tokens // FRAMES), MocSettings())


def growing_cpu_case(tokens: int) -> Case:
    """Frames of 64 tokens and shots of 1024, however long the film is."""
    return Case(tokens, max(1, tokens // 1024), 4, 64, 64, MocSettings(), grows=True)


def gpu_case(tokens: int, heads: int, shots: int) -> Case:
    """Frames of 1280 tokens, the paper's smallest chunk; shorter ones where the film is short."""
    return Case(tokens, shots, heads, 128, min(1280, max(256, tokens // FRAMES)), MocSettings())


def growing_gpu_case(tokens: int, heads: int) -> Case:
    """Frames of 1280 tokens and shots of 7 of them, however long the film is."""
    return Case(tokens, max(1, tokens // (7 * 1280)), heads, 128, 1280, MocSettings(), grows=True)


def leaning_tensors(
    case: Case, dtype: torch.dtype, device: str = "cpu", seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """q, k, v (1, heads, tokens, size): keys lean to their chunk's direction, queries to those of three chunks."""
    layout = case.layout
    generator = torch.Generator(device).manual_seed(seed)

    def noise(tokens: int) -> Tensor:
        shape = (1, case.heads, tokens, case.head_size)
        return torch.randn(shape, generator=generator, device=device)

    directions = noise(layout.chunks) * 0.7
    sizes = torch.tensor([layout.chunk_size(chunk) for chunk in range(layout.chunks)], device=device)
    k = noise(layout.keys).add_(directions.repeat_interleave(sizes, dim=2)).to(dtype)
    q = noise(layout.queries)
    for _ in range(3):
        liked = torch.randint(layout.chunks, (layout.queries,), generator=generator, device=device)
        q.add_(directions.index_select(2, liked), alpha=0.5)
    return q.to(dtype), k, noise(layout.keys).to(dtype)
