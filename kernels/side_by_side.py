"""Heads side by side: every thread of a processor computes some heads alone, from beginning to end.

Routed attention is thousands of short operations. Where all threads share each of them, they wait for one another at
its end: a film of 32k tokens took two threads about 8 % longer, both ways measured in turn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

LONG = 24_576
"""Queries from which it pays; operations on fewer are so short that the threads wait for the interpreter instead."""

_one_at_a_time = threading.Lock()


def head_parts(q: Tensor) -> int:
    """In how many parts the heads of q (B, H, L, D) are computed at the same time; 1 where that does not pay.

    As many as PyTorch has threads, each with the same number of heads.
    """
    threads = torch.get_num_threads()
    pays = q.device.type == "cpu" and q.shape[2] >= LONG and q.shape[1] % threads == 0
    return threads if pays else 1


def by_heads(compute: Callable[..., None], parts: int, *tensors: Tensor) -> None:
    """compute(*tensors), which writes its results into some of them; for `parts` equal parts of the heads at once.

    tensors: (B, H, ...) each. `compute` must give the same for all heads together as for parts of them.
    While another call is at it, this one computes all heads together.
    """
    if parts == 1 or not _one_at_a_time.acquire(blocking=False):
        compute(*tensors)
        return
    threads, inference = torch.get_num_threads(), torch.is_inference_mode_enabled()

    def alone(part: tuple[Tensor, ...]) -> None:
        with torch.inference_mode(inference), torch.no_grad():
            compute(*part)

    try:
        # One thread for each operation: a new thread takes the number that it finds.
        torch.set_num_threads(1)
        with ThreadPoolExecutor(parts) as pool:
            list(pool.map(alone, zip(*(x.tensor_split(parts, dim=1) for x in tensors), strict=True)))
    finally:
        torch.set_num_threads(threads)
        _one_at_a_time.release()
