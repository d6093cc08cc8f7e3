"""Mixture of Contexts on a MODEL: routes the attention that an adapter has described, and nothing else.

What is described, and how, is said at ``host.adapter.Adapter``. All other attention goes, with its arguments as they
came, to the override that was there before, or to the backend that the user chose: also where the described attention
has a mask, another size than its layout, or heads that queries and keys do not share.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import comfy.model_management
from torch import Tensor

from ...film.identity import HASHED_AS
from ...kernels import MocLayout, MocSettings, expectation, implementation_for, moc_attention, rechunked
from ..blocks import untraced
from ..host import LAYOUT_KEY
from .layout import is_described, routes_anything, with_anchors
from .record import RECORD_KEY, RoutingRecord, step_now

log = logging.getLogger(__name__)

VERSION = 1
"""Part of a segment's key where attention is routed: raised when the same options come to mean other pictures."""

OVERRIDE = "optimized_attention_override"
AUTOMATIC = 0
"""Of RoutingOptions.switch_on: route where it is expected to be faster than dense attention."""


@dataclass(frozen=True)
class RoutingOptions:
    """How the patch routes.

    settings: chunks a query may look into. dense_layers, dense_steps: layers and sampling steps at the start that stay
    dense. implementation: of `moc_attention`. chunk_tokens: size of a chunk, 0 for one remembered frame.
    anchor_frames: oldest remembered frames that everything attends to, beside the text and its own shot.
    switch_on: keys from which attention is routed; 1 always routes, AUTOMATIC where it is expected to be faster.
    """

    settings: MocSettings
    dense_layers: int = 0
    implementation: str = "auto"
    chunk_tokens: int = 0
    anchor_frames: int = 0
    dense_steps: int = 0
    switch_on: int = 1


def routed_model(model: Any, options: RoutingOptions) -> Any:
    """A clone of MODEL whose described self-attention is routed; an override that was there serves the rest."""
    patched = model.clone()
    host_options = patched.model_options["transformer_options"] = dict(
        patched.model_options.get("transformer_options", {})
    )
    before = host_options.get(OVERRIDE)
    host_options[OVERRIDE] = override = untraced(routing_override(options, before))
    setattr(override, HASHED_AS, ("routed attention", VERSION, options, before))
    return patched


class AttentionCall(NamedTuple):
    """What the host gives to an attention function, by the names that its backends share."""

    q: Tensor
    k: Tensor
    v: Tensor
    heads: int
    mask: Tensor | None = None
    attn_precision: Any = None
    skip_reshape: bool = False
    skip_output_reshape: bool = False


def routing_override(options: RoutingOptions, before: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
    """The function that the host calls instead of its attention backend, for queries, keys and values (B, L, H x D),
    or (B, H, L, D) with ``skip_reshape``; its answer is in the backend's shape."""

    def override(backend: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        transformer_options = kwargs.get("transformer_options") or {}
        published: MocLayout | None = transformer_options.get(LAYOUT_KEY)
        if published is not None and is_described(transformer_options):
            layout = chunked_layout(published, options)
            known = {name: given for name, given in kwargs.items() if name in AttentionCall._fields}
            call = AttentionCall(*args, **known)
            fits = _fits(layout, call)
            routes = (
                fits
                and transformer_options.get("block_index", 0) >= options.dense_layers
                and not _early(transformer_options, options.dense_steps)
                and _wanted(layout, options, call)
            )
            record: RoutingRecord | None = transformer_options.get(RECORD_KEY)
            if record is not None and fits:
                q, k, _ = _by_heads(call)
                record.saw(transformer_options, published, layout, options.settings, q, k, routes)
            if routes:
                return _routed(layout, options, call, kwargs.get("scale"))
        return before(backend, *args, **kwargs) if before else backend(*args, **kwargs)

    return override


@lru_cache(maxsize=64)
def chunked_layout(layout: MocLayout, options: RoutingOptions) -> MocLayout:
    """The published layout with the chunks and anchors that the options ask for."""
    layout = with_anchors(layout, options.anchor_frames)
    return rechunked(layout, options.chunk_tokens) if options.chunk_tokens or options.switch_on == AUTOMATIC else layout


def _early(transformer_options: dict[str, Any], dense_steps: int) -> bool:
    """Whether this is one of the first `dense_steps` steps; the host gives the noise level now and those of all."""
    step = step_now(transformer_options) if dense_steps else None
    return step is not None and step < dense_steps


def _fits(layout: MocLayout, call: AttentionCall) -> bool:
    """Whether this is the attention of the layout, in a form that can be routed; anything else is left alone."""
    length = 2 if call.skip_reshape else 1
    sizes = tuple(part.shape[length] for part in call[:3])
    return (
        call.mask is None
        and sizes == (layout.queries, layout.keys, layout.keys)
        and call.q.shape[-1] == call.k.shape[-1] == call.v.shape[-1]
        and (not call.skip_reshape or call.q.shape[1] == call.k.shape[1])
    )


def _wanted(layout: MocLayout, options: RoutingOptions, call: AttentionCall) -> bool:
    if not routes_anything(layout, options.settings):
        return False
    if options.switch_on != AUTOMATIC:
        return layout.keys >= options.switch_on
    like = call.q if call.skip_reshape else call.q[..., : call.q.shape[-1] // call.heads]
    implementation = implementation_for(like) if options.implementation == "auto" else options.implementation
    heads = call.q.shape[0] * call.heads
    return expectation(layout, options.settings, heads, call.q.device.type, implementation).pays


def _routed(layout: MocLayout, options: RoutingOptions, call: AttentionCall, scale: float | None) -> Tensor:
    q, k, v = _by_heads(call)
    mixed = moc_attention(q, k, v, layout, options.settings, implementation=options.implementation, scale=scale)
    return mixed if call.skip_output_reshape else mixed.transpose(1, 2).flatten(2)


def _by_heads(call: AttentionCall) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v as (B, H, L, D)."""
    if call.skip_reshape:
        return call.q, call.k, call.v
    q, k, v = (part.unflatten(-1, (call.heads, -1)).transpose(1, 2) for part in call[:3])
    return q, k, v


def routing_report(options: RoutingOptions, heads: int = 12, frames: int = 20, device: str = "") -> str:
    """What routing does at several lengths, in words: pairs kept, ideal and expected speed-up.

    The length itself is only known while sampling, so the report takes `frames` remembered frames and 8 new ones.
    """
    device = device or comfy.model_management.get_torch_device().type
    implementation = options.implementation if options.implementation != "auto" else "portable"
    lines = [
        f"top-k {options.settings.top_k}, {frames} remembered frames and 8 new ones, {heads} heads, on {device}:",
        "tokens   pairs kept   ideal   expected   attention",
    ]
    for frame in (90, 360, 1560, 6240):
        layout = chunked_layout(MocLayout.cross(77, [frame] * frames, 8 * frame), options)
        if not routes_anything(layout, options.settings):
            return f"top-k {options.settings.top_k} covers all {frames} remembered frames: nothing is left out."
        expected = expectation(layout, options.settings, heads, device, implementation)
        on = expected.pays if options.switch_on == AUTOMATIC else layout.keys >= options.switch_on
        lines.append(
            f"{layout.keys:<8} {1 / expected.ideal:>9.0%} {expected.ideal:>8.1f}x {expected.speed_up:>8.1f}x   "
            f"{'routed' if on else 'dense'}"
        )
    lines.append("Memory beside the model's own: at most about 15 % of queries, keys and values.")
    return "\n".join(lines)
