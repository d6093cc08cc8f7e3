"""Whether the Triton programs run and are right on this machine; asked once for each device, type and head size."""

from __future__ import annotations

import importlib.util
import logging
import os
from functools import lru_cache

import torch

from ..layout import MocLayout
from ..portable import moc_attention_portable
from ..settings import MocSettings
from .attention import moc_attention_fused

log = logging.getLogger(__name__)

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
LARGEST_HEAD = 256


@lru_cache(maxsize=64)
def available(device: str, dtype: torch.dtype, size: int) -> bool:
    """Whether Triton serves these tensors: it runs a small example forward and backward, and the result is right.

    ``device`` is "cuda", or "cpu" where TRITON_INTERPRET is set, for tests. Says why not in one line of the log.
    """
    why = _refusal(device, dtype, size)
    if why is None:
        try:
            why = _wrong(device, dtype, size)
        except Exception as error:  # a compiler, driver or version that fails in whatever way must not stop a film
            text = str(error).strip().splitlines()
            why = f"{type(error).__name__}: {text[0] if text else 'no message'}"
    if why is not None:
        log.info("Triton does not serve MoC attention on %s, %s, head size %d: %s", device, dtype, size, why)
    return why is None


def _refusal(device: str, dtype: torch.dtype, size: int) -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    if dtype not in DTYPES or size > LARGEST_HEAD:
        return f"it takes float16, bfloat16 and float32, and heads up to {LARGEST_HEAD}"
    if device != "cuda" and not (device == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"):
        return "it needs a CUDA device"
    return None


def _wrong(device: str, dtype: torch.dtype, size: int) -> str | None:
    layout = MocLayout.sequence([9, 20, 7, 16, 5], [0, 0, 0, 1, 1], text=3)
    settings = MocSettings(2)
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(1, 2, 60, size, generator=generator).to(device, dtype) for _ in range(4)]
    results = []
    for attention in (moc_attention_fused, moc_attention_portable):
        q, k, v = (x.detach().requires_grad_() for x in given[:3])
        with torch.inference_mode(False), torch.enable_grad():
            out = attention(q, k, v, layout, settings, size**-0.5)
            results.append([out, *torch.autograd.grad(out, (q, k, v), given[3])])
    tolerance = 1e-3 if dtype == torch.float32 else 5e-2
    for ours, wanted in zip(*results, strict=True):
        if not torch.allclose(ours.float(), wanted.float(), atol=tolerance, rtol=tolerance):
            return "its result differs from the portable path's"
    return None
