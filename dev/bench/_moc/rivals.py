"""What routed attention is compared with: every dense kernel, FlexAttention with the same mask, one choice a shot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from ....kernels import MocLayout, MocSettings
from ....kernels.plan import put, shot_keys, take
from ....kernels.routing import chunk_means, route

log = logging.getLogger(__name__)

Attention = Callable[[], Tensor]


BACKENDS = (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION)


def dense_kernels(
    q: Tensor, k: Tensor, v: Tensor, backends: Sequence[SDPBackend] = BACKENDS
) -> dict[str, Attention]:
    """PyTorch's dense attention, on a GPU with every backend that takes these tensors."""
    if q.device.type != "cuda" and backends is BACKENDS:
        return {"dense": lambda: scaled_dot_product_attention(q, k, v)}
    found: dict[str, Attention] = {}
    for backend in backends:

        def run(backend: SDPBackend = backend) -> Tensor:
            with sdpa_kernel(backend):
                return scaled_dot_product_attention(q, k, v)

        if _runs(backend.name.lower(), run):
            found[f"dense {backend.name.lower()}"] = run
    return found


def flex_attention(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, compiled: bool = True
) -> Attention | None:
    """FlexAttention, compiled, under exactly the mask of routed attention; None where it does not run.

    Its mask is made once and is not in its time, which favours it: routing is in ours.

    compiled: False runs it as ordinary PyTorch, which needs memory for every score: for tests.
    """
    from torch.nn.attention.flex_attention import create_block_mask
    from torch.nn.attention.flex_attention import flex_attention as flex

    chosen = route(q, k, layout, settings)
    allowed = torch.zeros(q.shape[1], layout.queries, layout.chunks + 1, dtype=torch.bool, device=q.device)
    if chosen is not None:
        allowed.scatter_(2, chosen[0].long().remainder(layout.chunks + 1), True)
    for shot in shot_keys(layout, settings):
        for begin, end in shot.queries:
            allowed[:, begin:end, list(shot.dense_chunks)] = True
    sizes = torch.tensor([layout.chunk_size(chunk) for chunk in range(layout.chunks)], device=q.device)
    chunk_of = torch.arange(layout.chunks, device=q.device).repeat_interleave(sizes)

    def mask(_: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return allowed[head, query, chunk_of[key]]

    attend = torch.compile(flex) if compiled else flex

    def prepare() -> Tensor:
        shape = 1, q.shape[1], layout.queries, layout.keys
        block_mask = create_block_mask(mask, *shape, str(q.device), _compile=compiled)
        made.append(lambda: attend(q, k, v, block_mask=block_mask))
        return made[0]()

    made: list[Attention] = []
    return made[0] if _runs("flex_attention", prepare) else None


def one_choice_a_shot(q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings) -> Tensor:
    """A block router in MemFlow's manner: all queries of a shot and head share one choice, made by their mean.

    The chosen chunks are gathered behind the shot's own keys and attended with one dense call a shot. It keeps as
    many pairs as routed attention, and no query can look where its neighbours do not.
    """
    means = chunk_means(k, layout)
    out = torch.empty_like(q)
    for shot in shot_keys(layout, settings):
        asking, keys, values = take(q, shot.queries), take(k, shot.dense), take(v, shot.dense)
        if shot.candidates:
            candidates = torch.tensor(shot.candidates, device=q.device)
            scores = means.index_select(2, candidates) @ asking.mean(dim=2, dtype=torch.float32).unsqueeze(-1)
            best = candidates[scores.squeeze(-1).topk(settings.top_k, dim=-1).indices]
            starts = torch.tensor(layout.key_starts, device=q.device)
            size = min(layout.chunk_size(chunk) for chunk in shot.candidates)
            rows = (starts[best].unsqueeze(-1) + torch.arange(size, device=q.device)).flatten(2).unsqueeze(-1)
            rows = rows.expand(-1, -1, -1, k.shape[-1])
            keys = torch.cat([keys, k.gather(2, rows)], dim=2)
            values = torch.cat([values, v.gather(2, rows)], dim=2)
        put(out, shot.queries, scaled_dot_product_attention(asking, keys, values))
    return out


def _runs(name: str, run: Attention) -> bool:
    try:
        run()
    except Exception as error:  # a rival that cannot run here is left out, whatever its reason
        log.info("%s does not run here: %s", name, str(error).splitlines()[0] if str(error) else type(error).__name__)
        return False
    return True
