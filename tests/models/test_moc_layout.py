"""How an adapter describes a model's attention, on a real small Wan: its self-attention is routed and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

FRAMES, CONTEXT, SIDE = 3, 4, 8
FRAME = (SIDE // 2) ** 2


@pytest.fixture(scope="module")
def wan(load_wan: Callable[..., Any]) -> Any:
    return load_wan().model.diffusion_model


@pytest.fixture(scope="module")
def parts(comfy: Any) -> Any:
    from scene_memory.kernels import MocSettings
    from scene_memory.models.moc import layout as moc_layout
    from scene_memory.models.moc import patch as moc_patch
    from scene_memory.models.moc import record as moc_record

    class Parts:
        layout, patch, record, settings = moc_layout, moc_patch, moc_record, MocSettings

    return Parts


@torch.inference_mode()
def painted(wan: Any, options: dict[str, Any]) -> Tensor:
    random = torch.Generator().manual_seed(2)
    x, appended, text = (
        torch.randn(1, *shape, generator=random)
        for shape in ((16, FRAMES, SIDE, SIDE), (16, CONTEXT, SIDE, SIDE), (FRAMES * FRAME + CONTEXT * FRAME, 32))
    )
    return wan(x, torch.tensor([400.0]), text, time_dim_concat=appended, transformer_options=options)


def routed(parts: Any, wan: Any, top_k: int, **more: Any) -> dict[str, Any]:
    """Options with the patch; the text is as long as the sequence, so that sizes alone could not tell them apart."""
    layout = parts.layout.appended_context(FRAME, FRAMES, CONTEXT)
    options = {parts.patch.OVERRIDE: parts.patch.routing_override(
        parts.patch.RoutingOptions(parts.settings(top_k)), None
    ), **more}  # fmt: skip
    return parts.layout.with_described_blocks(options, layout, len(wan.blocks))


def test_all_context_gives_the_bits_of_the_stock_model_and_less_does_not(wan: Any, parts: Any) -> None:
    stock = painted(wan, {})
    assert torch.equal(painted(wan, routed(parts, wan, CONTEXT)), stock)
    assert not torch.allclose(painted(wan, routed(parts, wan, 1)), stock, rtol=1e-3)


def test_only_self_attention_is_routed_in_every_block(wan: Any, parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []
    attend = parts.patch.moc_attention

    def watched(q: Tensor, k: Tensor, *rest: Any, **more: Any) -> Tensor:
        seen.append((q.shape[2], torch.equal(q, k)))
        return attend(q, k, *rest, **more)

    monkeypatch.setattr(parts.patch, "moc_attention", watched)
    asked = []

    def before(backend: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        asked.append(kwargs["transformer_options"]["block_index"])
        return backend(*args, **kwargs)

    options = routed(parts, wan, 1)
    options[parts.patch.OVERRIDE] = parts.patch.routing_override(parts.patch.RoutingOptions(parts.settings(1)), before)
    painted(wan, options)
    assert len(seen) == len(wan.blocks) == 2 and all(length == (FRAMES + CONTEXT) * FRAME for length, _ in seen)
    assert asked == [0, 1], "cross-attention goes to the override that was there"


def test_a_replaced_block_of_another_node_is_kept_and_nothing_given_is_changed(wan: Any, parts: Any) -> None:
    calls = []

    def replaced(given: dict[str, Any], more: dict[str, Any]) -> Any:
        calls.append(1)
        return more["original_block"](given)

    given = {"patches_replace": {"dit": {("double_block", 1): replaced}}}
    options = routed(parts, wan, 1, **given)
    assert torch.equal(painted(wan, options), painted(wan, routed(parts, wan, 1))) and len(calls) == 1
    assert given == {"patches_replace": {"dit": {("double_block", 1): replaced}}}


def test_a_block_that_is_called_without_options_is_told_those_of_the_pass(parts: Any) -> None:
    """As a forward of another pack calls what stands before its blocks."""
    layout = parts.layout.appended_context(4, 2, 1)
    options = parts.layout.with_described_blocks({"of another": 1}, layout, 2)
    seen: list[Any] = []
    given = {"img": 1, "txt": 2, "vec": 3, "pe": 4}
    options["patches_replace"]["dit"]["double_block", 1](given, {"original_block": seen.append})
    told = seen[0].pop("transformer_options")
    assert seen == [given] and told["of another"] == 1 and told["scene_memory_layout"] is layout
    assert parts.layout.is_described(told) and not parts.layout.is_described(told)


def test_the_record_names_frames_layers_and_steps(wan: Any, parts: Any) -> None:
    record = parts.record.RoutingRecord(FRAMES)
    levels = torch.tensor([1.0, 0.5, 0.0])
    for step in (0, 1):
        more = {parts.record.RECORD_KEY: record, "sigmas": levels[step : step + 1], "sample_sigmas": levels}
        painted(wan, routed(parts, wan, 2, **more))
    assert record.layers == [0, 1] and record.steps == [0, 1]
    assert all(record.routed(layer, step) for layer in (0, 1) for step in (0, 1))
    shares = record.shares()
    assert shares.shape == (FRAMES, CONTEXT)
    assert shares.sum(axis=1) == pytest.approx([2.0] * FRAMES), "every token chose two"
    assert record.shares(layer=0, step=0).sum(axis=1) == pytest.approx([2.0] * FRAMES)
    assert 0 < record.kept < record.total


def test_a_mark_for_the_first_call_is_used_up(parts: Any) -> None:
    options = {"scene_memory_routable": parts.layout.FirstCall()}
    assert [parts.layout.is_described(options) for _ in range(3)] == [True, False, False]
    assert parts.layout.is_described({"scene_memory_routable": True}) and not parts.layout.is_described({})


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(frame=st.integers(1, 9), own=st.integers(1, 6), context=st.integers(0, 6), before=st.integers(0, 7))
def test_appended_context_is_seen_by_the_segment_and_sees_nothing_of_it(
    parts: Any, frame: int, own: int, context: int, before: int
) -> None:
    from scene_memory.kernels import MocSettings, moc_mask

    layout = parts.layout.appended_context(frame, own, context, before)
    mine = before + own * frame
    assert layout.queries == layout.keys == mine + context * frame
    random = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 1, layout.keys, 4, generator=random) for _ in range(2))
    mask = moc_mask(q, k, layout, MocSettings(max(1, context)))[0, 0]
    assert mask[:mine].all() and not mask[mine:, :mine].any()
    for place in range(context):
        rows = slice(mine + place * frame, mine + (place + 1) * frame)
        assert mask[rows, mine : rows.stop].all() and not mask[rows, rows.stop :].any()
    spans = parts.record.frame_spans(layout, own)
    assert len(spans) == own and spans[0][0] == 0 and spans[-1][1] == mine
    assert [end - begin for begin, end in spans[1:]] == [frame] * (own - 1)


def test_shares_of_joined_and_cut_chunks_are_told_by_remembered_frame(parts: Any) -> None:
    from scene_memory.kernels import MocLayout, rechunked

    published = MocLayout.cross(3, [10, 10, 10, 10], 8)
    for tokens in (20, 5):
        overlap = parts.record._overlap(rechunked(published, tokens), published)
        assert overlap.shape[1] == 4 and overlap.sum(axis=0) == pytest.approx([1.0] * 4)
