"""The work of a launch as tables of tiles: which queries meet which keys. Made on the device, vectorised."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..layout import MocLayout
from ..plan import ShotKeys, Span
from ..routing import NOTHING


@dataclass(frozen=True)
class Groups:
    """Lists of query rows that meet spans of keys.

    ``rows`` is the query tokens, list after list, int32. Of each list, ``first`` and ``count`` (g,) say where it stands
    in ``rows``, ``begin`` and ``end`` (g,) which keys it meets, and ``where`` (g,) is batch row * heads + head, all
    int64.
    """

    rows: Tensor
    first: Tensor
    count: Tensor
    begin: Tensor
    end: Tensor
    where: Tensor

    def by_queries(self, most: int) -> Tensor:
        """Tiles (n, 5) of at most ``most`` queries and all keys of their group."""
        group, piece = _pieces(self.count, most)
        first = self.first[group] + piece * most
        count = (self.count[group] - piece * most).clamp(max=most)
        return torch.stack([first, count, self.begin[group], self.end[group], self.where[group]], dim=1)

    def by_keys(self, most: int) -> Tensor:
        """Tiles (n, 5) of at most ``most`` keys and all queries of their group."""
        group, piece = _pieces(self.end - self.begin, most)
        begin = self.begin[group] + piece * most
        end = torch.minimum(begin + most, self.end[group])
        return torch.stack([self.first[group], self.count[group], begin, end, self.where[group]], dim=1)


def _pieces(sizes: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The group of every piece of at most ``most``, and the number of the piece in its group."""
    pieces = (sizes + most - 1).div(most, rounding_mode="floor")
    group = torch.arange(len(sizes), device=sizes.device).repeat_interleave(pieces)
    return group, torch.arange(len(group), device=sizes.device) - (pieces.cumsum(0) - pieces)[group]


def dense_groups(shot: ShotKeys, keys: Span, heads: int, device: torch.device) -> Groups:
    """All queries of a shot and one span of the keys they share, for ``heads`` heads of all batch rows together."""
    tokens = [torch.arange(*span, device=device, dtype=torch.int32) for span in shot.queries]
    rows = torch.cat(tokens)
    where = torch.arange(heads, device=device)
    same = torch.ones_like(where)
    return Groups(rows, same * 0, same * len(rows), same * keys[0], same * keys[1], where)


def routed_groups(chosen: Tensor, layout: MocLayout) -> Groups | None:
    """Queries by the chunk they chose, for ``chosen`` (B, H, Lq, width); None where nothing was chosen."""
    batch, heads, queries, width = chosen.shape
    groups = batch * heads * layout.chunks
    device = chosen.device
    head = torch.arange(batch * heads, device=device).mul_(layout.chunks).view(batch, heads, 1, 1)
    keys = (chosen + head).masked_fill_(chosen == NOTHING, groups).flatten()
    order = keys.sort(stable=True).indices
    count = torch.bincount(keys, minlength=groups + 1)[:groups]
    rows = order.div_(width, rounding_mode="floor").remainder_(queries).to(torch.int32)
    some = count.nonzero().squeeze(1)
    if len(some) == 0:
        return None
    starts = torch.tensor(layout.key_starts, device=device)
    chunk = some.remainder(layout.chunks)
    return Groups(
        rows, (count.cumsum(0) - count)[some], count[some], starts[chunk], starts[chunk + 1],
        some.div(layout.chunks, rounding_mode="floor"),
    )
