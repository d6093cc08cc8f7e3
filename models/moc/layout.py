"""How an adapter tells the router what a model's tokens are, and which attention it means: see ``Adapter``."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from ...kernels import MocLayout, MocSettings
from ..blocks import FirstCall, Options, with_block_arguments, with_first_call
from ..host import LAYOUT_KEY, ROUTABLE_KEY


def is_described(transformer_options: Options) -> bool:
    """Whether the attention that is asked for now is the one that the published layout describes.

    It is under a mark True, and the first that asks under a ``FirstCall``: asking uses that up.
    """
    mark = transformer_options.get(ROUTABLE_KEY, False)
    return mark.take() if isinstance(mark, FirstCall) else mark is True


@lru_cache(maxsize=64)
def appended_context(frame: int, own: int, context: int, before: int = 0) -> MocLayout:
    """Layout of one sequence [before | own frames | context frames] that attends to itself, as Wan's with
    ``time_dim_concat``; text reaches such a model by attention of its own.

    Context frames count in the order in which they are appended, each as a shot of its own: it sees itself whole and
    chooses among those before it, and never sees the noisy frames being made. Positions (RoPE) do not matter here: keys
    are compared as the model turned them.

    Args:
        frame: tokens of a latent frame.
        own, context: latent frames being made, and remembered ones.
        before: tokens of a reference in front; they belong to the frames being made.
    """
    mine = [*([before] if before else []), *[frame] * own]
    return MocLayout.sequence(mine + [frame] * context, [context] * len(mine) + list(range(context)))


def with_anchors(layout: MocLayout, frames: int) -> MocLayout:
    """The layout with its ``frames`` oldest context frames as anchors, to which everything attends."""
    if not frames:
        return layout
    anchors = set(layout.chunks_before(layout.newest_shot)[:frames])
    return replace(layout, chunk_anchor=tuple(given or c in anchors for c, given in enumerate(layout.chunk_anchor)))


def routes_anything(layout: MocLayout, settings: MocSettings) -> bool:
    """Whether the newest shot has more chunks to choose from than it chooses; if not, nothing is to be left out."""
    return len(layout.chunks_before(layout.newest_shot)) > settings.top_k


def with_described_blocks(transformer_options: Options, layout: MocLayout, blocks: int) -> Options:
    """Transformer options that publish a layout and mark the self-attention of every block; the given ones stay.

    For models whose blocks compute self-attention first, see ``blocks.with_block_arguments``. A replacement of a block
    that was there sees the mark, too.
    """
    options = {**transformer_options, LAYOUT_KEY: layout}
    return with_block_arguments(options, [lambda given: with_first_call(given, ROUTABLE_KEY, options)] * blocks)
