"""On long films every thread computes some heads alone: the same result, and nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from scene_memory.kernels import MocLayout, MocSettings, moc_attention
from scene_memory.kernels.portable import attention as portable_module
from scene_memory.kernels.portable.attention import LONG, by_heads, head_parts

MakeTensors = Callable[..., tuple[Tensor, Tensor, Tensor]]

FILM = MocLayout.sequence([16] * 24, [shot for shot in range(4) for _ in range(6)], text=5)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def every_film_is_long(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The identities of the threads that computed some heads."""
    seen: list[int] = []
    inside = portable_module.by_heads

    def watched(compute: Callable[..., None], parts: int, *tensors: Tensor) -> None:
        def noted(*part: Tensor) -> None:
            seen.append(threading.get_ident())
            compute(*part)

        inside(noted, parts, *tensors)

    monkeypatch.setattr(portable_module, "LONG", 1)
    monkeypatch.setattr("scene_memory.kernels.portable.attention.by_heads", watched)
    return seen


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_heads_side_by_side_give_what_the_reference_gives(
    mode: Callable[[], torch.no_grad], tensors: MakeTensors, every_film_is_long: list[int]
) -> None:
    with mode():
        q, k, v = (x.requires_grad_(mode is torch.enable_grad) for x in tensors(FILM, batch=2, heads=4))
        out = moc_attention(q, k, v, FILM, MocSettings(3))
        expected = moc_attention(q, k, v, FILM, MocSettings(3), "reference")
    assert len(every_film_is_long) == 2 and threading.get_ident() not in every_film_is_long
    assert torch.get_num_threads() == 2
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    if mode is torch.enable_grad:
        grads = [torch.autograd.grad(x.square().sum(), (q, k, v)) for x in (out, expected)]
        for given, wanted in zip(*grads, strict=True):
            torch.testing.assert_close(given, wanted, atol=1e-4, rtol=1e-4)


def test_the_same_input_gives_the_same_bits(tensors: MakeTensors, every_film_is_long: list[int]) -> None:
    q, k, v = tensors(FILM, heads=4)
    outs = [moc_attention(q, k, v, FILM, MocSettings(3)) for _ in range(4)]
    assert all(torch.equal(outs[0], out) for out in outs[1:])


def test_an_error_reaches_the_caller_and_the_threads_are_given_back(two_threads: None) -> None:
    def fails(x: Tensor) -> None:
        raise RuntimeError(f"out of memory for {x.shape[1]} heads")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="for 2 heads"):
            by_heads(fails, 2, torch.zeros(1, 4, 8, 2))
    assert torch.get_num_threads() == 2


def test_a_call_beside_another_computes_all_heads_itself(two_threads: None) -> None:
    parts: list[tuple[int, int]] = []

    def outer(x: Tensor) -> None:
        parts.append((x.shape[1], torch.get_num_threads()))
        by_heads(lambda y: parts.append((y.shape[1], torch.get_num_threads())), 2, torch.zeros(1, 6, 8, 2))

    by_heads(outer, 2, torch.zeros(1, 4, 8, 2))
    assert sorted(parts) == [(2, 1), (2, 1), (6, 1), (6, 1)]
    assert torch.get_num_threads() == 2


def test_only_long_films_with_as_many_heads_for_every_thread_are_shared(two_threads: None) -> None:
    assert head_parts(torch.empty(1, 4, LONG, 1)) == 2
    assert head_parts(torch.empty(1, 3, LONG, 1)) == 1
    assert head_parts(torch.empty(1, 4, LONG - 1, 1)) == 1
    torch.set_num_threads(1)
    assert head_parts(torch.empty(1, 4, LONG, 1)) == 1
