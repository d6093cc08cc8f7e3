"""The sparse path gives what the readable reference gives, and the reference what the rules say."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from scene_memory.kernels import MocLayout, MocSettings, moc_attention, moc_mask

MakeTensors = Callable[..., tuple[Tensor, Tensor, Tensor]]

LAYOUTS = {
    "film of four shots with text": MocLayout.sequence([6] * 12, [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3, text=5),
    "film without text": MocLayout.sequence([6] * 12, [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3),
    "ragged frames": MocLayout.sequence([1, 7, 3, 12, 5, 2, 9, 4, 1], [0, 0, 1, 1, 2, 2, 2, 3, 3], text=3),
    "one frame": MocLayout.sequence([9], [0]),
    "one frame and text": MocLayout.sequence([9], [0], text=2),
    "one shot": MocLayout.sequence([4, 4, 4, 4], [7, 7, 7, 7], text=2),
    "every frame a shot": MocLayout.sequence([5] * 9, list(range(9)), text=1),
    "context behind the frames being made": MocLayout.sequence([8] * 8, [5, 5, 0, 1, 2, 3, 4, 4], text=3),
    "a shot in two pieces": MocLayout.sequence([4, 5, 6, 7, 8, 3], [0, 2, 1, 0, 2, 1]),
    "segment with context": MocLayout.cross(4, [6] * 9, 12),
    "segment with ragged context": MocLayout.cross(4, [3, 1, 8, 5, 2, 9], 12),
    "segment without text": MocLayout.cross(0, [6] * 9, 12),
    "segment without context": MocLayout.cross(4, [], 12),
    "segment alone": MocLayout.cross(0, [], 12),
    "text of a later shot": MocLayout((0, 3, 8, 12), (5, 0, 1), (True, False, False), (0, 6), (1,)),
    "queries with nothing but routed chunks": MocLayout((0, 4, 8, 11, 16), (0, 0, 0, 1), (False,) * 4, (0, 6), (2,)),
}
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


@pytest.mark.parametrize("top_k", [1, 2, 3, 50])
@pytest.mark.parametrize("name", LAYOUTS)
def test_portable_equals_reference(name: str, top_k: int, tensors: MakeTensors) -> None:
    layout = LAYOUTS[name]
    q, k, v = tensors(layout, batch=2, heads=3)
    portable = moc_attention(q, k, v, layout, MocSettings(top_k), "portable")
    reference = moc_attention(q, k, v, layout, MocSettings(top_k), "reference")
    torch.testing.assert_close(portable, reference, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", [4, 24, 64, 80, 128])
def test_portable_equals_reference_in_every_dtype_and_head_size(
    size: int, dtype: torch.dtype, tensors: MakeTensors
) -> None:
    layout = LAYOUTS["ragged frames"]
    q, k, v = tensors(layout, size=size, dtype=dtype)
    portable = moc_attention(q, k, v, layout, MocSettings(2))
    assert portable.dtype == dtype and portable.shape == q.shape
    reference = moc_attention(q, k, v, layout, MocSettings(2), "reference")
    torch.testing.assert_close(portable, reference, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


@st.composite
def layouts(draw: st.DrawFn) -> MocLayout:
    frames = draw(st.lists(st.integers(1, 9), min_size=1, max_size=14))
    text = draw(st.integers(0, 5))
    if draw(st.booleans()):
        return MocLayout.cross(text, frames, draw(st.integers(1, 12)))
    shots = draw(st.lists(st.integers(-2, 5), min_size=len(frames), max_size=len(frames)))
    return MocLayout.sequence(frames, shots, text)


@settings(max_examples=120, deadline=None)
@given(layout=layouts(), top_k=st.integers(1, 6), heads=st.integers(1, 5), seed=st.integers(0, 2**16))
def test_portable_equals_reference_for_any_layout(
    decided: Callable[..., bool], layout: MocLayout, top_k: int, heads: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(1, heads, layout.queries, 6, generator=generator)
    k, v = torch.randn(2, 1, heads, layout.keys, 6, generator=generator)
    assume(decided(q, k, layout))
    portable = moc_attention(q, k, v, layout, MocSettings(top_k))
    assert torch.isfinite(portable).all()
    torch.testing.assert_close(
        portable, moc_attention(q, k, v, layout, MocSettings(top_k), "reference"), atol=1e-5, rtol=1e-5
    )


@settings(max_examples=60, deadline=None)
@given(
    layout=layouts(),
    top_k=st.integers(1, 4),
    query_block=st.sampled_from([0, 0, 3]),
    outer_shots=st.sampled_from([0, 0, 1, 2]),
    seed=st.integers(0, 2**16),
)
def test_the_reference_follows_the_rules_token_by_token(
    decided: Callable[..., bool], layout: MocLayout, top_k: int, query_block: int, outer_shots: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(1, 1, layout.queries, 4, generator=generator)
    k = torch.randn(1, 1, layout.keys, 4, generator=generator)
    assume(decided(q, k, layout))
    mask = moc_mask(q, k, layout, MocSettings(top_k, query_block=query_block, outer_shots=outer_shots))[0, 0]
    spans = list(zip(layout.key_starts, layout.key_starts[1:], strict=False))
    chunks = list(zip(spans, layout.chunk_shot, layout.chunk_anchor, strict=True))
    tokens_of: dict[int, list[int]] = {}
    for run, shot in enumerate(layout.query_shot):
        tokens_of.setdefault(shot, []).extend(range(layout.query_starts[run], layout.query_starts[run + 1]))
    for shot, tokens in tokens_of.items():
        earlier = [(span, of) for span, of, anchor in chunks if of < shot and not anchor]
        reach = {of for _, of in earlier}
        if outer_shots and len(earlier) > top_k:
            mean_query = q[0, 0, tokens].double().mean(0)
            keys_of = {of: [key for span, shot_ in earlier if shot_ == of for key in range(*span)] for of in reach}
            agreement = {of: float(mean_query @ k[0, 0, keys].double().mean(0)) for of, keys in keys_of.items()}
            ordered = sorted(agreement.values())
            assume(all(b - a > 1e-5 for a, b in zip(ordered, ordered[1:], strict=False)))
            reach = set(sorted(reach, key=lambda of: agreement[of])[-outer_shots:])
        for place, token in enumerate(tokens):
            asking = [token]
            if query_block:
                first = place - place % query_block
                asking = tokens[first : first + query_block]
            mean = q[0, 0, asking].double().mean(0)
            expected = torch.zeros(layout.keys, dtype=torch.bool)
            for (begin, end), of, anchor in chunks:
                expected[begin:end] = anchor or of == shot
            scored = sorted(
                (float(mean @ k[0, 0, begin:end].double().mean(0)), begin, end)
                for (begin, end), of in earlier if of in reach
            )  # fmt: skip
            assume(all(b[0] - a[0] > 1e-5 for a, b in zip(scored, scored[1:], strict=False)))
            for _, begin, end in scored[-top_k:]:
                expected[begin:end] = True
            assert torch.equal(mask[token], expected)


def test_reference_is_dense_attention_under_its_mask(tensors: MakeTensors) -> None:
    layout = LAYOUTS["ragged frames"]
    q, k, v = tensors(layout, batch=2)
    dense = scaled_dot_product_attention(q, k, v, attn_mask=moc_mask(q, k, layout, MocSettings(2)))
    torch.testing.assert_close(moc_attention(q, k, v, layout, MocSettings(2), "reference"), dense, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("implementation", ["portable", "reference"])
@pytest.mark.parametrize(
    "layout",
    [MocLayout.cross(4, [6, 2, 9], 12), MocLayout.sequence([4, 5, 6], [1, 1, 1], text=3)],
    ids=["segment with context", "one shot with text"],
)
def test_top_k_that_covers_everything_equals_dense_attention(
    layout: MocLayout, implementation: str, tensors: MakeTensors
) -> None:
    q, k, v = tensors(layout)
    routed = moc_attention(q, k, v, layout, MocSettings(3), implementation)
    torch.testing.assert_close(routed, scaled_dot_product_attention(q, k, v), atol=1e-5, rtol=1e-5)


def test_last_shot_of_a_film_equals_dense_attention_when_top_k_covers_the_rest(tensors: MakeTensors) -> None:
    layout = MocLayout.sequence([4] * 6, [0, 0, 1, 1, 2, 2], text=3)
    q, k, v = tensors(layout)
    routed = moc_attention(q, k, v, layout, MocSettings(4))
    dense = scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(routed[:, :, 19:], dense[:, :, 19:], atol=1e-5, rtol=1e-5)


def test_heads_of_very_different_taste_still_equal_the_reference() -> None:
    """One head wants a single chunk, the others spread: groups of the heads differ much in size."""
    layout = MocLayout.cross(0, [8] * 20, 600)
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, 4, n, 8, generator=generator) for n in (layout.queries, layout.keys, layout.keys))
    q[:, 0] = q[:, 0] * 0.1 + 1
    k[:, 0, :8] += 3
    settings_ = MocSettings(2)
    torch.testing.assert_close(
        moc_attention(q, k, v, layout, settings_),
        moc_attention(q, k, v, layout, settings_, "reference"),
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize("factor", [0.0, 1.0, 30.0, 300.0])
def test_routed_scores_far_above_or_below_the_dense_ones_are_summed_exactly(
    factor: float, tensors: MakeTensors
) -> None:
    """Exponentials are taken relative to the dense part, which overflows where routed keys are so much larger."""
    layout = LAYOUTS["film of four shots with text"]
    q, k, v = tensors(layout, dtype=torch.float64)
    k[:, :, 5:23] *= factor
    q = q.requires_grad_()
    outs = [moc_attention(q, k, v, layout, MocSettings(2), name) for name in ("portable", "reference")]
    assert outs[0].isfinite().all()
    torch.testing.assert_close(outs[0], outs[1], atol=1e-11, rtol=1e-11)
    grads = [torch.autograd.grad(out.square().sum(), q)[0] for out in outs]
    torch.testing.assert_close(grads[0], grads[1], atol=1e-9, rtol=1e-9)
    single = [moc_attention(q.float(), k.float(), v.float(), layout, MocSettings(2), name)
              for name in ("portable", "reference")]  # fmt: skip
    torch.testing.assert_close(single[0], single[1], atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("shift", [-300.0, -45.0, -35.0, 35.0, 45.0, 85.0, 300.0])
@pytest.mark.parametrize("name", ["film of four shots with text", "ragged frames"])
def test_all_scores_higher_or_lower_by_one_number_give_the_same(
    name: str, shift: float, tensors: MakeTensors
) -> None:
    """Softmax does not see the shift; exponentials of the routed part are taken with and without a level."""
    layout = LAYOUTS[name]
    q, k, v = tensors(layout, size=8)
    q[..., 7], k[..., 7] = math.sqrt(8), 0
    expected = moc_attention(q.double(), k.double(), v.double(), layout, MocSettings(2), "reference").float()
    k[..., 7] = shift
    torch.testing.assert_close(moc_attention(q, k, v, layout, MocSettings(2)), expected, atol=2e-4, rtol=2e-4)


def test_a_routed_sum_just_below_overflow_does_not_lose_large_values() -> None:
    layout = MocLayout.cross(0, [4, 4, 4], 8)
    q, k = torch.zeros(1, 1, 8, 4), torch.zeros(1, 1, 20, 4)
    v = torch.full((1, 1, 20, 4), 10.0)
    q[..., 0] = 1
    # The own shot's log-sum-exp is log 8; 88 above it the exponential is finite, ten times that is not.
    k[0, 0, 5, 0] = 2 * (math.log(8) + 88)
    for name in ("portable", "reference"):
        torch.testing.assert_close(moc_attention(q, k, v, layout, MocSettings(1), name), v[:, :, :8])


def test_views_into_a_packed_projection_are_taken_as_they_are(tensors: MakeTensors) -> None:
    """Models hand over (B, L, H * D) seen as (B, H, L, D)."""
    layout = LAYOUTS["film of four shots with text"]
    q, k, v = tensors(layout, batch=2, heads=3)
    packed = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v)]
    assert not packed[0].is_contiguous()
    expected = moc_attention(q, k, v, layout, MocSettings(2))
    torch.testing.assert_close(moc_attention(*packed, layout, MocSettings(2)), expected, atol=1e-6, rtol=1e-6)


def test_a_given_scale_is_used_in_place_of_the_default(tensors: MakeTensors) -> None:
    layout = LAYOUTS["segment with context"]
    q, k, v = tensors(layout)
    for implementation in ("portable", "reference"):
        scaled = moc_attention(q, k, v, layout, MocSettings(50), implementation, scale=0.7)
        torch.testing.assert_close(scaled, scaled_dot_product_attention(q, k, v, scale=0.7), atol=1e-5, rtol=1e-5)


def test_autocast_changes_nothing(tensors: MakeTensors) -> None:
    layout = LAYOUTS["ragged frames"]
    q, k, v = tensors(layout)
    with torch.autocast("cpu", torch.bfloat16):
        inside = moc_attention(q, k, v, layout, MocSettings(2))
    assert torch.equal(inside, moc_attention(q, k, v, layout, MocSettings(2)))
