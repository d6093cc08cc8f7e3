"""What does not fit is refused in words that name the numbers and the cure; what fits is described rightly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from scene_memory.kernels import MocLayout, MocSettings, moc_attention

MakeTensors = Callable[..., tuple[Tensor, Tensor, Tensor]]

LAYOUT = MocLayout.cross(2, [4, 4], 6)


@pytest.mark.parametrize("top_k", [0, -3])
def test_top_k_below_one_is_refused(top_k: int) -> None:
    with pytest.raises(ValueError, match=f"top_k is {top_k}: routing needs at least 1 chunk. Use 5"):
        MocSettings(top_k)


@pytest.mark.parametrize("top_k", [2.5, "5", True, None])
def test_top_k_that_is_no_number_of_chunks_is_refused(top_k: object) -> None:
    with pytest.raises(ValueError, match="whole number"):
        MocSettings(top_k)  # type: ignore[arg-type]


def test_sizes_that_do_not_fit_the_layout_are_refused_with_both_numbers(tensors: MakeTensors) -> None:
    q, k, v = tensors(LAYOUT)
    with pytest.raises(ValueError, match="q has 5 tokens, but the layout describes 6"):
        moc_attention(q[:, :, 1:], k, v, LAYOUT)
    with pytest.raises(ValueError, match="k has 15 tokens, but the layout describes 16"):
        moc_attention(q, k[:, :, 1:], v[:, :, 1:], LAYOUT)


def test_tensors_that_do_not_fit_each_other_are_refused_with_their_shapes(tensors: MakeTensors) -> None:
    q, k, v = tensors(LAYOUT)
    for q_, k_, v_ in ((q[0], k, v), (q, k, v[:, :, 1:]), (q[:, :1], k, v), (q[..., :4], k, v)):
        with pytest.raises(ValueError, match=r"attention got q \(.*same batch, heads and size"):
            moc_attention(q_, k_, v_, LAYOUT)
    with pytest.raises(ValueError, match="must be at least 1"):
        moc_attention(q[:0], k[:0], v[:0], LAYOUT)


def test_mixed_or_whole_number_types_are_refused(tensors: MakeTensors) -> None:
    q, k, v = tensors(LAYOUT)
    for q_, k_, v_ in ((q.half(), k, v), (q, k, v.double()), (q.int(), k.int(), v.int())):
        with pytest.raises(ValueError, match="expected one floating type"):
            moc_attention(q_, k_, v_, LAYOUT)


def test_tensors_on_two_devices_are_refused(tensors: MakeTensors) -> None:
    q, k, v = tensors(LAYOUT)
    with pytest.raises(ValueError, match="move them to one device"):
        moc_attention(q, k, v.to("meta"), LAYOUT)


def test_an_unknown_implementation_is_refused_with_the_choices(tensors: MakeTensors) -> None:
    with pytest.raises(ValueError, match="implementation is 'fast': choose one of auto, reference, portable, triton"):
        moc_attention(*tensors(LAYOUT), LAYOUT, implementation="fast")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MocLayout.cross(-1, [4], 6), "text is -1"),
        (lambda: MocLayout.cross(0, [4, 0], 6), r"context\[1\] is 0: every frame needs at least 1 token"),
        (lambda: MocLayout.cross(0, [4], 0), "own is 0"),
        (lambda: MocLayout.cross(0, [4.5], 6), "whole numbers"),
        (lambda: MocLayout.sequence([], []), "frame_tokens is empty"),
        (lambda: MocLayout.sequence([4, 4], [0]), "frame_shots has 1 entries for 2 frames"),
        (lambda: MocLayout((0, 4), (0, 0), (False,), (0, 4), (0,)), "chunk_shot has 2 entries for 1 chunks"),
        (lambda: MocLayout((0, 4), (0,), (), (0, 4), (0,)), "chunk_anchor has 0 entries for 1 chunks"),
        (lambda: MocLayout((0, 4), (0,), (False,), (0, 4), (0, 1)), "query_shot has 2 entries for 1 runs"),
        (lambda: MocLayout((0, 4, 4), (0, 0), (False, False), (0, 4), (0,)), "key_starts goes from 4 to 4 at chunk 1"),
        (lambda: MocLayout((1, 4), (0,), (False,), (0, 4), (0,)), "key_starts is .*must begin with 0"),
        (lambda: MocLayout((0, 4), (1,), (False,), (0, 4), (0,)), "queries of shot 0 have nothing to attend to"),
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(make: Callable[[], MocLayout], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_layouts_are_values() -> None:
    again = MocLayout.cross(2, torch.tensor([4, 4]).tolist(), 6)
    assert again == LAYOUT and hash(again) == hash(LAYOUT)
    assert (LAYOUT.queries, LAYOUT.keys, LAYOUT.chunks) == (6, 16, 4)
    assert LAYOUT.key_starts == (0, 2, 6, 10, 16)
    assert LAYOUT.chunk_anchor == (True, False, False, False)


def test_a_sequence_joins_neighbouring_frames_of_a_shot_and_text_goes_with_the_earliest() -> None:
    layout = MocLayout.sequence([3, 4, 5, 6], [2, 2, 1, 2], text=2)
    assert layout.query_starts == (0, 2, 9, 14, 20)
    assert layout.query_shot == (1, 2, 1, 2)
    assert layout.chunk_shot == (1, 2, 2, 1, 2)
