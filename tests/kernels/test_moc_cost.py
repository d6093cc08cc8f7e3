"""The sparse path does less work and holds less memory; counted in operations, not in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from scene_memory.kernels import MocLayout, MocSettings, moc_attention, pairs_kept
from scene_memory.kernels.portable import attention as portable_module

MakeTensors = Callable[..., tuple[Tensor, Tensor, Tensor]]

FILM = MocLayout.sequence([32] * 64, [shot for shot in range(8) for _ in range(8)], text=16)
SEGMENT = MocLayout.cross(16, [32] * 56, 256)


class LargestTensor(TorchDispatchMode):
    """Watches the memory behind every tensor that an operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(made, Tensor):
                self.bytes = max(self.bytes, made.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("layout", [FILM, SEGMENT], ids=["film", "segment"])
def test_nothing_as_large_as_all_queries_by_all_keys_is_ever_made(layout: MocLayout, tensors: MakeTensors) -> None:
    q, k, v = (x.requires_grad_() for x in tensors(layout, heads=2, size=16))
    with LargestTensor() as watch:
        moc_attention(q, k, v, layout, MocSettings(5)).sum().backward()
    all_scores = 2 * layout.queries * layout.keys * q.element_size()
    assert watch.bytes < all_scores / 4


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("layout", [FILM, SEGMENT], ids=["film", "segment"])
def test_pairs_computed_are_hardly_more_than_pairs_kept(
    layout: MocLayout, heads: int, tensors: MakeTensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = 0

    def counting(attend: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
        def counted(q: Tensor, k: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
            nonlocal computed
            computed += q.shape[:-1].numel() * k.shape[-2]
            return attend(q, k, *rest)

        return counted

    for name in ("partial_attention", "attention_above"):
        monkeypatch.setattr(portable_module, name, counting(getattr(portable_module, name)))
    q, k, v = tensors(layout, heads=heads, size=16)
    moc_attention(q, k, v, layout, MocSettings(5))
    kept = heads * pairs_kept(layout, MocSettings(5)).kept
    assert kept <= computed <= 1.5 * kept
    assert computed < 0.4 * heads * layout.queries * layout.keys
