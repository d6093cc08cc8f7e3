"""The sparse path learns what the reference learns."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from scene_memory.kernels import MocLayout, MocSettings, moc_attention
from scene_memory.kernels.portable import partial

MakeTensors = Callable[..., tuple[Tensor, Tensor, Tensor]]

LAYOUTS = [
    MocLayout.sequence([6] * 12, [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3, text=5),
    MocLayout.sequence([1, 7, 3, 12, 5, 2, 9, 4, 1], [0, 0, 1, 1, 3, 3, 3, 2, 2]),
    MocLayout.sequence([9], [0]),
    MocLayout.cross(4, [6, 3, 8, 2, 5], 12),
    MocLayout.cross(0, [], 12),
    MocLayout((0, 4, 8, 11, 16), (0, 0, 0, 1), (False,) * 4, (0, 6), (2,)),
]


def gradients(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, top_k: int, implementation: str
) -> tuple[Tensor, ...]:
    inputs = [x.detach().clone().requires_grad_() for x in (q, k, v)]
    out = moc_attention(*inputs, layout, MocSettings(top_k), implementation)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(9)).to(out.dtype)
    return torch.autograd.grad(out, inputs, weight)


@pytest.mark.parametrize("top_k", [1, 3, 50])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_equal_those_of_the_reference(layout: MocLayout, top_k: int, tensors: MakeTensors) -> None:
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 1e-5), (torch.bfloat16, 5e-2)):
        q, k, v = tensors(layout, batch=2, dtype=dtype)
        portable = gradients(q, k, v, layout, top_k, "portable")
        reference = gradients(q, k, v, layout, top_k, "reference")
        for given, wanted in zip(portable, reference, strict=True):
            assert given.dtype == dtype
            torch.testing.assert_close(given, wanted, atol=tolerance, rtol=tolerance)


def test_gradients_in_small_blocks_equal_those_in_one(tensors: MakeTensors, monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = tensors(LAYOUTS[0], dtype=torch.float64)
    whole = gradients(q, k, v, LAYOUTS[0], 2, "portable")
    monkeypatch.setattr("scene_memory.kernels.portable.gradients.ATTENTION_SCORES_AT_ONCE", 100)
    for given, wanted in zip(gradients(q, k, v, LAYOUTS[0], 2, "portable"), whole, strict=True):
        torch.testing.assert_close(given, wanted)


def test_chunks_that_nobody_chose_get_no_gradient() -> None:
    layout = MocLayout.cross(0, [4, 4, 4], 5)
    q, k, v = torch.ones(1, 1, 5, 8), torch.zeros(1, 1, layout.keys, 8), torch.randn(1, 1, layout.keys, 8)
    k[:, :, 4:8] = 1
    _, grad_k, grad_v = gradients(q, k, v, layout, 1, "portable")
    for grad in (grad_k, grad_v):
        assert not grad[:, :, :4].any() and not grad[:, :, 8:12].any()
    assert grad_v[:, :, 4:8].any()


def test_only_what_asks_for_a_gradient_gets_one(tensors: MakeTensors) -> None:
    q, k, v = tensors(LAYOUTS[0])
    v.requires_grad_()
    moc_attention(q, k, v, LAYOUTS[0], MocSettings(2)).sum().backward()
    assert v.grad is not None and q.grad is None and k.grad is None


def test_plain_pytorch_takes_over_where_the_native_kernel_is_missing_or_wrong(
    tensors: MakeTensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = LAYOUTS[1]
    q, k, v = tensors(layout)
    expected = moc_attention(q, k, v, layout, MocSettings(2), "reference")

    def missing(*_: object) -> tuple[Tensor, Tensor]:
        raise AttributeError("no such kernel")

    def wrong(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        out, lse = partial.plain(q, k, v, scale)
        return out, lse / 2

    for kernel in (missing, wrong):
        partial._fastest.cache_clear()
        monkeypatch.setitem(partial._NATIVE, "cpu", kernel)
        assert partial._fastest("cpu", q.dtype, q.shape[-1]) is partial.plain
        torch.testing.assert_close(moc_attention(q, k, v, layout, MocSettings(2)), expected, atol=1e-5, rtol=1e-5)
    partial._fastest.cache_clear()


def test_plain_pytorch_in_small_blocks_equals_one_block(tensors: MakeTensors, monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = tensors(MocLayout.sequence([40], [0]))
    whole = partial.plain(q, k, v, 0.3)
    monkeypatch.setattr(partial, "ATTENTION_SCORES_AT_ONCE", 200)
    for given, wanted in zip(partial.plain(q, k, v, 0.3), whole, strict=True):
        torch.testing.assert_close(given, wanted)
