"""What holds whatever is inside: cause before effect, any order of memory, no NaN, the same bits again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from scene_memory.kernels import MocLayout, MocSettings, moc_attention, moc_mask, pairs_kept, pairs_measured

MakeTensors = Callable[..., tuple[Tensor, Tensor, Tensor]]

FILM = MocLayout.sequence([6] * 16, [shot for shot in range(4) for _ in range(4)], text=5)
BOTH = pytest.mark.parametrize("implementation", ["portable", "reference"])


@BOTH
@pytest.mark.parametrize("changed_shot", [1, 2, 3])
def test_a_change_in_a_later_shot_never_moves_an_earlier_one(
    changed_shot: int, implementation: str, tensors: MakeTensors
) -> None:
    first, second = tensors(FILM, dtype=torch.float64), tensors(FILM, dtype=torch.float64, seed=1)
    begin = 5 + changed_shot * 24
    changed = [torch.cat([x[:, :, :begin], 100 * y[:, :, begin:]], dim=2) for x, y in zip(first, second, strict=True)]
    before = moc_attention(*first, FILM, MocSettings(2), implementation)
    after = moc_attention(*changed, FILM, MocSettings(2), implementation)
    torch.testing.assert_close(after[:, :, :begin], before[:, :, :begin], atol=1e-13, rtol=1e-13)
    assert (after[:, :, begin:] - before[:, :, begin:]).abs().max() > 1


@BOTH
@pytest.mark.parametrize("last_shot", [0, 1, 2])
def test_an_earlier_shot_has_no_gradient_at_all_in_later_tokens(
    last_shot: int, implementation: str, tensors: MakeTensors
) -> None:
    inputs = [x.requires_grad_() for x in tensors(FILM)]
    end = 5 + (last_shot + 1) * 24
    moc_attention(*inputs, FILM, MocSettings(2), implementation)[:, :, :end].square().sum().backward()
    for x in inputs:
        assert x.grad is not None and x.grad[:, :, :end].any() and not x.grad[:, :, end:].any()


def test_the_choice_of_an_earlier_shot_is_the_same_to_the_bit(tensors: MakeTensors) -> None:
    q, k, _ = tensors(FILM)
    before = moc_mask(q, k, FILM, MocSettings(2))
    later = slice(5 + 3 * 24, None)
    q[:, :, later], k[:, :, later] = q[:, :, later] * 50 - 1, k[:, :, later] * 50 + 1
    after = moc_mask(q, k, FILM, MocSettings(2))
    assert torch.equal(after[:, :, : later.start], before[:, :, : later.start])
    assert not torch.equal(after, before)


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(7)), seed=st.integers(0, 2**16))
def test_the_order_of_context_chunks_does_not_matter(order: list[int], seed: int) -> None:
    sizes = [3, 7, 1, 5, 8, 2, 6]
    layout, shuffled = MocLayout.cross(4, sizes, 10), MocLayout.cross(4, [sizes[chunk] for chunk in order], 10)
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(1, 2, 10, 8, generator=generator)
    k, v = torch.randn(2, 1, 2, layout.keys, 8, generator=generator)
    spans = [(layout.key_starts[chunk + 1], layout.key_starts[chunk + 2]) for chunk in order]
    places = torch.cat([torch.arange(4), *(torch.arange(*span) for span in spans), torch.arange(36, 46)])
    straight = moc_attention(q, k, v, layout, MocSettings(3))
    permuted = moc_attention(q, k[:, :, places], v[:, :, places], shuffled, MocSettings(3))
    torch.testing.assert_close(permuted, straight, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_huge_scores_give_no_nan(dtype: torch.dtype, tensors: MakeTensors) -> None:
    q, k, v = tensors(FILM, dtype=dtype)
    for factor in (1e2, 1e4):
        out = moc_attention(q * factor, k * factor, v, FILM, MocSettings(2))
        assert torch.isfinite(out).all()
        assert out.abs().max() <= v.abs().max() * 1.01


def test_equal_chunks_and_zero_queries_give_no_nan() -> None:
    layout = MocLayout.cross(0, [4] * 8, 6)
    q, k, v = torch.zeros(1, 2, 6, 8), torch.ones(1, 2, layout.keys, 8), torch.ones(1, 2, layout.keys, 8)
    for implementation in ("portable", "reference"):
        torch.testing.assert_close(
            moc_attention(q, k, v, layout, MocSettings(3), implementation), torch.ones(1, 2, 6, 8)
        )


def test_running_twice_gives_the_same_bits(tensors: MakeTensors) -> None:
    q, k, v = (x.requires_grad_() for x in tensors(FILM, batch=2, heads=3))
    runs = []
    for _ in range(2):
        out = moc_attention(q, k, v, FILM, MocSettings(2))
        runs.append((out, *torch.autograd.grad(out.square().sum(), (q, k, v))))
    for first, second in zip(*runs, strict=True):
        assert torch.equal(first, second)


def test_each_batch_row_and_head_routes_for_itself(tensors: MakeTensors) -> None:
    q, k, v = tensors(FILM, batch=2, heads=3)
    whole = moc_attention(q, k, v, FILM, MocSettings(2))
    for row in range(2):
        for head in range(3):
            here = (slice(row, row + 1), slice(head, head + 1))
            alone = moc_attention(q[here], k[here], v[here], FILM, MocSettings(2))
            torch.testing.assert_close(whole[here], alone, atol=1e-5, rtol=1e-5)


def test_inputs_are_left_as_they_were(tensors: MakeTensors) -> None:
    given_tensors = tensors(FILM)
    copies = [x.clone() for x in given_tensors]
    moc_attention(*given_tensors, FILM, MocSettings(2))
    assert all(torch.equal(x, copy) for x, copy in zip(given_tensors, copies, strict=True))


@pytest.mark.parametrize("top_k", [1, 3, 12, 40])
@pytest.mark.parametrize("layout", [FILM, MocLayout.cross(4, [5] * 9, 7), MocLayout.cross(0, [], 7)])
def test_pairs_kept_equals_the_count_in_the_mask(layout: MocLayout, top_k: int, tensors: MakeTensors) -> None:
    q, k, _ = tensors(layout, batch=2, heads=3)
    report = pairs_kept(layout, MocSettings(top_k))
    mask = moc_mask(q, k, layout, MocSettings(top_k))
    assert report.kept == report.least == report.most == mask.sum().item() / 6
    assert report.total == layout.queries * layout.keys
    assert report.share * report.ideal_speed_up == pytest.approx(1)


def test_pairs_kept_bounds_the_count_where_chunks_differ_in_size(tensors: MakeTensors) -> None:
    layout = MocLayout.sequence([1, 9, 3, 12, 5, 2, 7], [0, 0, 0, 1, 1, 2, 2], text=2)
    q, k, _ = tensors(layout, batch=2, heads=3)
    settings_ = MocSettings(2)
    count = moc_mask(q, k, layout, settings_).sum().item() / 6
    report = pairs_kept(layout, settings_)
    assert report.least < report.kept < report.most
    assert report.least <= count <= report.most
    assert pairs_measured(q, k, layout, settings_).kept == pytest.approx(count)


def test_inference_mode_gives_the_same(tensors: MakeTensors) -> None:
    """ComfyUI samples under inference mode."""
    given_tensors = tensors(FILM)
    expected = moc_attention(*given_tensors, FILM, MocSettings(2))
    with torch.inference_mode():
        inside = moc_attention(*(x.clone() for x in given_tensors), FILM, MocSettings(2))
        assert inside.is_inference() and torch.equal(inside, expected)
