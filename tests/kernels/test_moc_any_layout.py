"""For any film: gradients, causality, the same bits again, and chunks of any size, in every type."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from scene_memory.kernels import MocLayout, MocSettings, moc_attention, rechunked

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5, torch.float16: 6e-3, torch.bfloat16: 5e-2}


@st.composite
def films(draw: st.DrawFn) -> MocLayout:
    frames = draw(st.lists(st.integers(1, 9), min_size=1, max_size=12))
    shots = draw(st.lists(st.integers(0, 4), min_size=len(frames), max_size=len(frames)))
    return rechunked(MocLayout.sequence(frames, shots, draw(st.integers(0, 4))), draw(st.integers(0, 12)))


def drawn(layout: MocLayout, heads: int, seed: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(1, heads, layout.keys, 8, generator=generator, dtype=torch.float64).to(dtype) for _ in range(3)
    ]


def with_gradients(given: list[Tensor], layout: MocLayout, top_k: int, implementation: str) -> list[Tensor]:
    inputs = [x.detach().clone().requires_grad_() for x in given]
    out = moc_attention(*inputs, layout, MocSettings(top_k), implementation)
    weight = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).reshape(out.shape).to(out.dtype)
    return [out.detach(), *torch.autograd.grad(out, inputs, weight)]


@QUICK
@given(layout=films(), top_k=st.integers(1, 20), heads=st.integers(1, 3), dtype=st.sampled_from(list(TOLERANCE)))
def test_forward_and_backward_equal_the_reference_and_are_the_same_bits_again(
    decided: Callable[..., bool], layout: MocLayout, top_k: int, heads: int, dtype: torch.dtype
) -> None:
    inputs = drawn(layout, heads, 3, dtype)
    assume(decided(inputs[0], inputs[1], layout))
    ours, again, wanted = (
        with_gradients(inputs, layout, top_k, name) for name in ("portable", "portable", "reference")
    )
    for part, same, right in zip(ours, again, wanted, strict=True):
        assert torch.isfinite(part).all() and torch.equal(part, same)
        torch.testing.assert_close(part, right, atol=TOLERANCE[dtype] * 4, rtol=TOLERANCE[dtype] * 4)


@QUICK
@given(layout=films(), top_k=st.integers(1, 5), shot=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_change_in_a_shot_never_moves_those_before_it(
    layout: MocLayout, top_k: int, shot: int, seed: int
) -> None:
    inputs, others = drawn(layout, 2, seed), drawn(layout, 2, seed + 1)
    of_token = torch.tensor([
        number for chunk, number in enumerate(layout.chunk_shot) for _ in range(layout.chunk_size(chunk))
    ])  # fmt: skip
    later = (of_token >= shot).view(1, 1, -1, 1)
    changed = [torch.where(later, 50 * other, given) for given, other in zip(inputs, others, strict=True)]
    earlier = of_token < shot
    if any(layout.chunk_anchor) and min(layout.chunk_shot) >= shot:
        return  # The text itself is part of what was changed.
    for name in ("portable", "reference"):
        before, after = (moc_attention(*x, layout, MocSettings(top_k), name) for x in (inputs, changed))
        torch.testing.assert_close(after[:, :, earlier], before[:, :, earlier], atol=1e-12, rtol=1e-12)
