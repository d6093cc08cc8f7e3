"""MoC Routing Picture: which remembered frames each new frame looked into, by layer and step."""

from __future__ import annotations

from typing import Any

import comfy.utils
import numpy as np
import torch
from comfy_api.latest import io, ui

from ...memory.state.state import MemoryState
from ...models.host.sampling import Conditioned
from ...models.moc.again import Sampling, SegmentAgain, find_segment, watch, watch_segment
from ...models.moc.record import RoutingRecord
from ..inputs import fixed_seed, guidance
from ..pictures import to_image
from ..types import CATEGORY, SceneMemory
from .moc_drawing import Side, draw_layers, draw_map, draw_nothing

NOTHING = "No remembered frame reaches the model here: nothing to choose from."


class MocRouting(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryMocRouting",
            display_name="MoC Routing Picture",
            category=f"{CATEGORY}/shot",
            description="Shows what the model recalls: which remembered frames each new frame looks into, by layer and "
            "step of routed attention. Samples a segment of a memory, or a latent, once more and watches.",
            search_aliases=["attention map", "mixture of contexts", "what the model looks at", "debug"],
            inputs=[
                io.Model.Input("model", tooltip="The routed model. Recommended: MODEL of MoC Sparse Sampler."),
                io.Conditioning.Input("positive", tooltip="Recommended: what the Shot Generator or sampler has there."),
                io.Sampler.Input("sampler", tooltip="Recommended: what the Shot Generator or sampler has there."),
                io.Sigmas.Input("sigmas", tooltip="Recommended: what the Shot Generator or sampler has there."),
                SceneMemory.Input(
                    "memory",
                    optional=True,
                    tooltip="A film; the segment with 'frame' in it is made again, with the seed and cfg noted there. "
                    "Recommended: the memory of the Shot Generator.",
                ),
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip="Without a memory: the latent that a sampler starts from. Recommended: leave it open.",
                ),
                io.Conditioning.Input(
                    "negative", optional=True, tooltip="Needed with a cfg above 1. Recommended: as the sampler has it."
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="Needed for models that look at past frames through their VAE. "
                    "Recommended: what the Shot Generator has there.",
                ),
                io.Int.Input(
                    "frame",
                    default=-1,
                    min=-10_000_000,
                    max=10_000_000,
                    optional=True,
                    tooltip="Frame of the memory whose segment is looked at; -1 is the newest. Recommended: -1.",
                ),
                fixed_seed("Only with a latent. Recommended: the sampler's.", most=0xFFFFFFFFFFFFFFFF, optional=True),
                guidance("Only with a latent. Recommended: the sampler's.", optional=True),
            ],
            outputs=[
                io.Image.Output(display_name="picture", tooltip="New frames down, remembered ones across."),
                io.Image.Output(display_name="layers", tooltip="The same for each layer, down, and step, across."),
                io.String.Output(display_name="report", tooltip="The same in words, and the share of pairs computed."),
                io.Latent.Output(display_name="latent", tooltip="What was sampled, as a stock sampler gives it."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: list[Any],
        sampler: Any,
        sigmas: torch.Tensor,
        memory: MemoryState | None = None,
        latent: dict[str, Any] | None = None,
        negative: list[Any] | None = None,
        vae: Any = None,
        frame: int = -1,
        seed: int = 0,
        cfg: float = 1.0,
    ) -> io.NodeOutput:
        """``sigmas`` (n,) are noise levels. Gives both pictures as IMAGE (1, H, W, 3) float in 0..1.

        Raises ValueError if neither or both of memory and latent are given, or if the model is not routed.
        """
        if (memory is None) == (latent is None):
            raise ValueError(
                "MoC Routing Picture needs either 'memory' or 'latent'. Connect the memory of a Shot Generator, "
                "or the latent that a stock sampler starts from."
            )
        bar = comfy.utils.ProgressBar(total=max(1, sigmas.numel() - 1))
        sampling = Sampling(model, positive, negative, sampler, sigmas)
        again: SegmentAgain | None = None
        if memory is not None:
            again = find_segment(memory, frame)
            record, made = watch_segment(memory, again, sampling, vae, on_step=lambda step: bar.update(value=1))
        else:
            assert latent is not None
            conditioned = Conditioned(positive, negative, latent["samples"], latent.get("noise_mask"))
            record, made = watch(sampling, conditioned, seed=seed, cfg=cfg, on_step=lambda step: bar.update(value=1))
        picture, layers, report = _shown(record, memory, again)
        result = {**(latent or {}), "samples": made}
        return io.NodeOutput(picture, layers, report, result, ui=ui.PreviewImage(image=picture, cls=cls))


def _shown(
    record: RoutingRecord, memory: MemoryState | None, again: SegmentAgain | None
) -> tuple[torch.Tensor, torch.Tensor, str]:
    shares = record.shares()
    if not shares.size:
        nothing = to_image(draw_nothing(NOTHING)[None])
        return nothing, nothing, NOTHING
    made, remembered = _sides(shares.shape, memory, again)
    picture = draw_map(shares, made, remembered, "What each new frame (down) looked into, over all layers and steps")
    layers = draw_layers(record, "New frames down, remembered frames across")
    return to_image(picture[None]), to_image(layers[None]), _report(record, made, remembered)


def _sides(shape: tuple[int, ...], memory: MemoryState | None, again: SegmentAgain | None) -> tuple[Side, Side]:
    """New frames and remembered ones, with thumbnails where a memory has them."""
    rows, columns = shape
    if memory is None or again is None:
        return Side([f"new {row}" for row in range(rows)]), Side([str(column) for column in range(columns)])
    new = again.start + np.linspace(0, again.stop - again.start - 1, rows).round().astype(np.int64)
    mine = Side([f"frame {frame}" for frame in new], memory.read_frames(new, nearest=True))
    if columns != len(again.context):
        return mine, Side([str(column) for column in range(columns)])
    return mine, Side([str(frame) for frame in again.context], memory.read_frames(again.context, nearest=True))


def _report(record: RoutingRecord, made: Side, remembered: Side) -> str:
    shares = record.shares()
    calls = [(layer, step) for layer, step in record.seen]
    routed = sum(record.routed(*call) for call in calls)
    lines = [
        f"{len(made.labels)} new frames, {len(remembered.labels)} remembered ones, {len(record.layers)} layers, "
        f"{len(record.steps)} steps.",
        f"Routed in {routed} of {len(calls)} layers and steps; {record.kept / record.total:.0%} of the query-key "
        "pairs were computed.",
        f"Chosen evenly, every remembered frame would be looked into by {shares.mean():.0%} of a new one.",
    ]
    if not routed:
        lines.append(
            "All stayed dense, because it is faster at this length or set so; shown is what routing would choose. "
            "switch_on 1 in MoC Sparse Sampler always routes."
        )
    for row, label in enumerate(made.labels):
        best = np.argsort(-shares[row], kind="stable")[:5]
        found = ", ".join(f"{remembered.labels[column]} ({shares[row, column]:.0%})" for column in best)
        lines.append(f"{label}: {found}")
    return "\n".join(lines)
