"""The host reckons memory by the latent's shape alone; context frames take as much as frames being made."""

from __future__ import annotations

from typing import Any

from .context import CONTEXT

FACTOR_CONDS = "memory_usage_factor_conds"


def reckon_context(executor: Any, model: Any, noise_shape: Any, conds: dict[str, Any], *rest: Any, **named: Any) -> Any:
    """Wrapper (host's WrappersMP.PREPARE_SAMPLING): room for the context when the host loads the MODEL."""
    counts = [
        cond["model_conds"][CONTEXT].size()[2]
        for kind in conds.values()
        for cond in kind
        if CONTEXT in cond.get("model_conds", {})
    ]
    shape = list(noise_shape)
    shape[2] += max(counts, default=0)
    return executor(model, shape, conds, *rest, **named)


def counted_conds(model: Any) -> tuple[str, ...]:
    """What the host shall count beside the latent when it decides how much to compute at a time."""
    before = tuple(model.get_model_object(FACTOR_CONDS))
    return before if CONTEXT in before else (*before, CONTEXT)
