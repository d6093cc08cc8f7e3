"""Mixture-of-Contexts attention: each token attends to its own shot, the text and the few chunks it needs."""

from __future__ import annotations

from .attention import IMPLEMENTATIONS, implementation_for, moc_attention
from .layout import MocLayout, rechunked
from .reference import moc_mask
from .report import Expectation, PairsKept, chunk_shares, expectation, pairs_kept, pairs_measured
from .routing import route, routing_mask
from .settings import MocSettings

__all__ = [
    "IMPLEMENTATIONS",
    "Expectation",
    "MocLayout",
    "MocSettings",
    "PairsKept",
    "chunk_shares",
    "expectation",
    "implementation_for",
    "moc_attention",
    "moc_mask",
    "pairs_kept",
    "pairs_measured",
    "rechunked",
    "route",
    "routing_mask",
]
