"""The host reckons memory by the latent's shape alone; context frames take as much as frames being made."""

from __future__ import annotations

from typing import Any

from .context import CONTEXT, ContextCond

FACTOR_CONDS = "memory_usage_factor_conds"
ACTIVATIONS = 15
"""Tensors of a segment's tokens that a block of Wan has alive at once, its feed-forward included, as measured."""


def reckon_context(executor: Any, model: Any, noise_shape: Any, conds: dict[str, Any], *rest: Any, **named: Any) -> Any:
    """Wrapper (host's WrappersMP.PREPARE_SAMPLING): room for the context when the host loads the MODEL."""
    network, shape = model.model.diffusion_model, list(noise_shape)
    counts = [
        frames_worth(cond["model_conds"][CONTEXT], network, shape[2])
        for kind in conds.values()
        for cond in kind
        if CONTEXT in cond.get("model_conds", {})
    ]
    shape[2] += max(counts, default=0)
    return executor(model, shape, conds, *rest, **named)


def frames_worth(context: ContextCond, network: Any, own: int) -> int:
    """Frames being made that take as much memory as the context beside ``own`` of them.

    As many as it has; and for Fun Camera its rays, at the size of the pictures: those of the context, and all of them
    once more, joined to one tensor while the host keeps the segment's own.
    """
    count, height, width = context.size()[2:]
    if len(context.cond) < 3:
        return count
    patch_h, patch_w = network.patch_size[1:]
    tokens = -(-height // patch_h) * -(-width // patch_w)
    rays = context.cond[2][:, :, :1].numel() * (own + 2 * count)
    return count + round(rays / (ACTIVATIONS * network.dim * tokens))


def counted_conds(model: Any) -> tuple[str, ...]:
    """What the host shall count beside the latent when it decides how much to compute at a time."""
    before = tuple(model.get_model_object(name=FACTOR_CONDS))
    return before if CONTEXT in before else (*before, CONTEXT)
