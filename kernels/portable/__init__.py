"""MoC attention in PyTorch alone, forward and backward, on any device."""

from __future__ import annotations

from .attention import attend_chosen, head_parts, moc_attention_portable
from .batches import batch_rows

__all__ = ["attend_chosen", "batch_rows", "head_parts", "moc_attention_portable"]
