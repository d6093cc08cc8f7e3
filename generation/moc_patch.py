"""Mixture of Contexts on a MODEL: routes the attention that an adapter has described, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..kernels import MocLayout, MocSettings, moc_attention
from .segment import LAYOUT_KEY, ROUTABLE_KEY

log = logging.getLogger(__name__)

OVERRIDE = "optimized_attention_override"


@dataclass(frozen=True)
class RoutingOptions:
    """How the patch routes: chunks a query may look into, layers at the start that stay dense, and the backend."""

    settings: MocSettings
    dense_layers: int = 0
    implementation: str = "auto"


def routed_model(model: Any, options: RoutingOptions) -> Any:
    """A clone of MODEL whose described self-attention is routed; an override that was there serves the rest."""
    patched = model.clone()
    host_options = patched.model_options["transformer_options"] = dict(
        patched.model_options.get("transformer_options", {})
    )
    host_options[OVERRIDE] = routing_override(options, host_options.get(OVERRIDE))
    return patched


def routing_override(options: RoutingOptions, before: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
    """The function that the host calls instead of its attention backend."""

    def override(backend: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        transformer_options = kwargs.get("transformer_options") or {}
        layout: MocLayout | None = transformer_options.get(LAYOUT_KEY)
        if (
            layout is None
            or not transformer_options.get(ROUTABLE_KEY)
            or transformer_options.get("block_index", 0) < options.dense_layers
            or kwargs.get("mask") is not None
            or not _routes_anything(layout, options.settings)
        ):
            return before(backend, *args, **kwargs) if before else backend(*args, **kwargs)
        return _routed(layout, options, *args, **kwargs)

    return override


def _routes_anything(layout: MocLayout, settings: MocSettings) -> bool:
    """Whether there are more chunks to choose from than are chosen; if not, dense attention gives the same, faster."""
    own = max(layout.query_shot)
    candidates = sum(
        shot < own and not anchor for shot, anchor in zip(layout.chunk_shot, layout.chunk_anchor, strict=True)
    )
    return len(set(layout.query_shot)) > 1 or candidates > settings.top_k


def _routed(
    layout: MocLayout,
    options: RoutingOptions,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    *_: Any,
    skip_reshape: bool = False,
    skip_output_reshape: bool = False,
    **__: Any,
) -> Tensor:
    if not skip_reshape:
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    mixed = moc_attention(q, k, v, layout, options.settings, implementation=options.implementation)
    return mixed if skip_output_reshape else mixed.transpose(1, 2).flatten(2)
