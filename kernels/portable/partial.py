"""Attention over part of the keys, with the log-sum-exp that lets parts be merged into exact attention."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Partial = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]

FEW_KEYS = 512
"""Up to so many keys of float32 or float64, plain products are faster on a CPU than its own kernel."""

ATTENTION_SCORES_AT_ONCE = 1 << 22
"""Largest score matrix, in entries, that plain PyTorch attention holds at a time."""


def accumulator_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 stays float64, everything else is summed in float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def partial_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """softmax(q k^T scale) v and the natural-log sum of exponentials of each row of scores. Not differentiable.

    ``q`` is (B, H, n, D); ``k`` and ``v`` are (B, H, m, D) with m >= 1.
    Returns (B, H, n, D) in q's dtype or wider and (B, H, n) in float32 (float64 for float64).
    """
    return _fastest(q.device.type, q.dtype, q.shape[-1])(q, k, v, scale)


def attention_above(
    q: Tensor, k: Tensor, v: Tensor, level: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """exp(q k^T scale - level) v and the row sums of that exponential: attention whose parts add up. q may be lost.

    ``q`` is (g, n, D); ``k`` and ``v`` are (g, m, D). ``level`` is (g, n), infinite where a row shall count for
    nothing; None is 0 everywhere.
    Returns (g, n, D) and (g, n) in the dtype of ``accumulator_dtype``; not finite where level is far too low.
    """
    if q.device.type == "cpu" and q.dtype == accumulator_dtype(q.dtype) and k.shape[1] <= FEW_KEYS:
        scores = torch.baddbmm(q.new_empty(()), q, k.transpose(1, 2), beta=0, alpha=scale)
        if level is not None:
            scores.sub_(level.unsqueeze(-1))
        scores.exp_()
        return torch.bmm(scores, v, out=q), scores.sum(dim=-1)
    part, lse = partial_attention(q.unsqueeze(1), k.unsqueeze(1), v.unsqueeze(1), scale)
    weight = lse.squeeze(1) if level is None else lse.squeeze(1) - level
    weight = weight.exp()
    return part.squeeze(1) * weight.unsqueeze(-1), weight


def plain(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """``partial_attention`` in ordinary PyTorch, any device and dtype, a bounded block of scores at a time.

    ``q`` is (B, H, n, D); ``k`` and ``v`` are (B, H, m, D). Returns (B, H, n, D) and (B, H, n), as it does.
    """
    dtype = accumulator_dtype(q.dtype)
    k, v = k.to(dtype), v.to(dtype)
    outs, sums = [], []
    step = max(1, ATTENTION_SCORES_AT_ONCE // (q.shape[0] * q.shape[1] * k.shape[2]))
    for rows in torch.split(q, step, dim=2):
        scores = (rows.to(dtype) * scale) @ k.transpose(-1, -2)
        total = scores.logsumexp(dim=-1)
        outs.append((scores - total.unsqueeze(-1)).exp_() @ v)
        sums.append(total)
    return torch.cat(outs, dim=2), torch.cat(sums, dim=2)


def _cpu_flash(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, scale=scale)
    return out, lse


def _cuda_flash(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    out, lse, *_ = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, scale=scale)
    return out, lse


_NATIVE: dict[str, Partial] = {"cpu": _cpu_flash, "cuda": _cuda_flash}


@lru_cache(maxsize=64)
def _fastest(device: str, dtype: torch.dtype, head_size: int) -> Partial:
    """PyTorch's own kernel where it exists and proves itself on a small example, else ``plain``.

    The kernels that return the log-sum-exp are not public API, so their name, signature and result are checked.
    """
    native = _NATIVE.get(device)
    if native is None:
        return plain
    try:
        agrees = _agrees(native, device, dtype, head_size)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        log.info("MoC attention on %s, %s, head size %d: plain PyTorch (%s)", device, dtype, head_size, error)
        return plain
    if not agrees:
        log.warning("MoC attention on %s, %s, head size %d: plain PyTorch, because the native kernel's result differs",
                    device, dtype, head_size)
        return plain
    return native


def _agrees(kernel: Partial, device: str, dtype: torch.dtype, head_size: int) -> bool:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, n, head_size, generator=generator).to(device, dtype) for n in (5, 7, 7))
    scale = 1 / math.sqrt(head_size)
    tolerance = 0.05 if dtype.itemsize < 4 else 1e-4
    return all(
        given.shape == wanted.shape and torch.allclose(given.float(), wanted.float(), atol=tolerance, rtol=tolerance)
        for given, wanted in zip(kernel(q, k, v, scale), plain(q, k, v, scale), strict=True)
    )
