"""MoC attention in Triton, forward and backward.

Importing this folder needs no Triton; ``available`` says whether it runs.
"""

from __future__ import annotations

from .attention import moc_attention_fused
from .probe import available

__all__ = ["available", "moc_attention_fused"]
