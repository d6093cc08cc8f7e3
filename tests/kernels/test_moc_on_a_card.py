"""The Triton programs as a graphics card runs them. Only where there is one: `python dev.py test -m slow`."""

from __future__ import annotations

import pytest
import torch

from scene_memory.kernels import MocLayout, MocSettings, implementation_for, moc_attention
from scene_memory.kernels.fused import available

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]

FILM = MocLayout.sequence([130] * 16, [shot for shot in range(4) for _ in range(4)], text=77)
TOLERANCE = {torch.bfloat16: 6e-2, torch.float16: 2e-2, torch.float32: 1e-3}


@pytest.mark.parametrize("size", [64, 80, 128, 256])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_it_equals_the_reference_forward_and_backward(dtype: torch.dtype, size: int) -> None:
    assert available("cuda", dtype, size), "the log says why"
    random = torch.Generator("cuda").manual_seed(0)
    # Heads split from (B, L, H * D), as models hand them over.
    given = [
        torch.randn(2, FILM.keys, 3, size, generator=random, device="cuda").to(dtype).transpose(1, 2) for _ in range(4)
    ]
    results = []
    for name in ("triton", "triton", "reference"):
        q, k, v = (x.detach().clone().requires_grad_() for x in given[:3])
        out = moc_attention(q, k, v, FILM, MocSettings(3), name)
        results.append([out.detach(), *torch.autograd.grad(out, (q, k, v), given[3])])
    for ours, again, wanted in zip(*results, strict=True):
        assert torch.equal(ours, again)
        torch.testing.assert_close(ours, wanted, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


def test_it_is_what_auto_takes_and_a_change_later_moves_nothing_before() -> None:
    random = torch.Generator("cuda").manual_seed(0)
    q, k, v = (torch.randn(1, 4, FILM.keys, 64, generator=random, device="cuda").bfloat16() for _ in range(3))
    assert implementation_for(q) == "triton"
    before = moc_attention(q, k, v, FILM, MocSettings(3))
    last = slice(77 + 12 * 130, None)
    for part in (q, k, v):
        part[:, :, last] *= 3
    after = moc_attention(q, k, v, FILM, MocSettings(3))
    assert torch.equal(after[:, :, : last.start], before[:, :, : last.start])
    assert not torch.equal(after, before)
