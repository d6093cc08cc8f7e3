"""Mixture-of-Contexts attention: each token attends to its own shot, the text and the few chunks it needs."""

from __future__ import annotations

from .attended import chunk_shares
from .attention import IMPLEMENTATIONS, moc_attention
from .choice import Expectation, expectation, implementation_for
from .chunking import rechunked
from .layout import MocLayout
from .reference import moc_mask
from .report import PairsKept, pairs_kept, pairs_measured
from .routing import route
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
]
