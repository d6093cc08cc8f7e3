"""The one entry to MoC attention: checks what it is given and picks the implementation."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache

import torch
from torch import Tensor
from torch.amp.autocast_mode import is_autocast_available

from .fused import available, moc_attention_fused
from .layout import MocLayout
from .portable import moc_attention_portable
from .reference import moc_attention_reference
from .settings import MocSettings

log = logging.getLogger(__name__)

Implementation = Callable[[Tensor, Tensor, Tensor, MocLayout, MocSettings, float, torch.Generator | None], Tensor]

IMPLEMENTATIONS: dict[str, Implementation] = {
    "reference": moc_attention_reference,
    "portable": moc_attention_portable,
    "triton": moc_attention_fused,
}


def moc_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: MocLayout,
    settings: MocSettings | None = None,
    implementation: str = "auto",
    *,
    scale: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mixture-of-Contexts attention (Mixture of Contexts, section 3).

    Each query token and head attends to all text, to its whole own shot, and to the top-k chunks of earlier shots
    whose mean key agrees best with it. Later shots are never seen. With top-k covering everything earlier, a query
    of the last shot gets exactly what dense attention gives.

    ``q`` is (B, H, Lq, D); ``k`` and ``v`` are (B, H, Lk, D), of the same floating dtype and device. The layout holds
    for every batch row. ``settings`` are ``MocSettings()`` if not given.

    ``implementation`` is "auto", "portable" (any device), "triton" (a CUDA device; "portable" takes over where Triton
    is missing or wrong, and the log says why) or "reference" (explicit mask, for tests). All but the reference are
    differentiable once. ``scale`` is the factor on q k^T, 1 / sqrt(D) if not given; it does not change the routing.
    ``generator`` is where drop-off and drop-in take their random numbers from; the same state gives the same choice.

    Returns (B, H, Lq, D) in q's dtype. Raises ``ValueError`` where tensors do not fit each other or the layout, the
    implementation is none, or random numbers are needed and no generator is given.
    """
    _check_tensors(q, k, v)
    _check_layout(q, k, layout)
    name = implementation_for(q) if implementation == "auto" else implementation
    if name not in IMPLEMENTATIONS:
        raise ValueError(f"implementation is {implementation!r}: choose one of auto, {', '.join(IMPLEMENTATIONS)}.")
    if name == "triton" and not available(q.device.type, q.dtype, q.shape[-1]):
        name = "portable"
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else float(scale)
    # Autocast would round the router's scores to half precision.
    off = torch.autocast(q.device.type, enabled=False) if is_autocast_available(q.device.type) else nullcontext()
    with off:
        return IMPLEMENTATIONS[name](q, k, v, layout, settings or MocSettings(), scale, generator)


def implementation_for(q: Tensor) -> str:
    """The fastest implementation that serves tensors like ``q`` (B, H, Lq, D) here.

    "triton" where it proves itself, else "portable".
    """
    return _fastest(q.device.type, q.dtype, q.shape[-1])


@lru_cache(maxsize=64)
def _fastest(device: str, dtype: torch.dtype, size: int) -> str:
    name = "triton" if device != "cpu" and available(device, dtype, size) else "portable"
    log.info("MoC attention on %s, %s, head size %d: %s", device, dtype, size, name)
    return name


def _check_tensors(q: Tensor, k: Tensor, v: Tensor) -> None:
    shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if q.dim() != 4 or k.dim() != 4 or k.shape != v.shape or q.shape[:2] != k.shape[:2] or q.shape[3] != k.shape[3]:
        raise ValueError(
            f"attention got {shapes}: expected q (batch, heads, queries, size) and k, v (batch, heads, keys, size) "
            "with the same batch, heads and size. Split the heads first, and repeat shared key heads."
        )
    if q.shape[0] == 0 or q.shape[1] == 0 or q.shape[3] == 0:
        raise ValueError(f"attention got {shapes}: batch, heads and size must be at least 1.")
    if not q.is_floating_point() or q.dtype != k.dtype or q.dtype != v.dtype:
        raise ValueError(
            f"attention got q {q.dtype}, k {k.dtype}, v {v.dtype}: expected one floating type. Convert them first."
        )
    if q.device != k.device or q.device != v.device:
        raise ValueError(f"attention got q on {q.device}, k on {k.device}, v on {v.device}: move them to one device.")


def _check_layout(q: Tensor, k: Tensor, layout: MocLayout) -> None:
    for name, given, expected in (("q", q.shape[2], layout.queries), ("k", k.shape[2], layout.keys)):
        if given != expected:
            raise ValueError(
                f"{name} has {given} tokens, but the layout describes {expected}. "
                "Make the layout from the frames, text and shots of this very sequence."
            )
