"""Memory View: the film as far as the memory knows it, before any model runs."""

from __future__ import annotations

from dataclasses import replace

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from comfy_api.latest import io
from numpy.typing import NDArray
from PIL import Image

from ...memory.cameras.trajectory import Trajectory
from ...memory.geometry.memory_view import (
    BLURRED,
    DETAILS,
    FILLS,
    FULL,
    GREY,
    HALF,
    ViewSettings,
    known_shares,
    memory_view,
)
from ...memory.geometry.view import View
from ...memory.pictures.picture_of_view import chosen_moments, view_picture
from ...memory.retrieval.settings import RetrievalSettings
from ...memory.state.state import MemoryState
from .. import inputs
from ..messages import say
from ..pictures import preview_picture, to_image
from ..types import CATEGORY, SceneMemory, SceneRetriever, SceneTrajectory

PREVIEW_SIZE = 512
K = 6
MOST_PIXELS = 4_000_000_000
"""Of all pictures together: as IMAGE they take four bytes a colour, so this many are 48 GB."""


class MemoryView(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        defaults = ViewSettings()
        return io.Schema(
            node_id="SceneMemoryView",
            display_name="Memory View",
            category=f"{CATEGORY}/memory",
            description="Shows a camera path as far as the memory knows it, in seconds and without a model: the "
            "remembered frames, moved to where the new cameras see them. Pictures and mask feed WanVaceToVideo, "
            "WanFunInpaintToVideo and any other node that paints what is missing.",
            search_aliases=["animatic", "known pixels", "warp", "reproject", "control video", "vace", "inpaint",
                            "point cloud", "uni3c"],  # fmt: skip
            inputs=[
                SceneMemory.Input(
                    "memory", tooltip="What is known. Recommended: Remember Pictures, or the last Shot Generator."
                ),
                SceneTrajectory.Input(
                    "trajectory", tooltip="Where the camera will go. Recommended: the path of the shot to come."
                ),
                SceneRetriever.Input(
                    "retriever",
                    optional=True,
                    tooltip="How the frames are found that are moved; its k says how many for each stretch of the "
                    f"path. Recommended: FOV Retriever with coverage and a k of 4 to 8. Without one: coverage, {K}.",
                ),
                io.Int.Input(
                    "segment_frames",
                    default=defaults.segment,
                    min=1,
                    max=1024,
                    tooltip="Frames of the path that share the found ones. Short ones follow the camera more closely, "
                    f"and each is searched anew. Recommended: {defaults.segment}.",
                ),
                inputs.side("width", "Width in pixels; 0 takes the memory's. Recommended: 0."),
                inputs.side("height", "Height in pixels; 0 takes the memory's. Recommended: 0."),
                io.Combo.Input(
                    "fill",
                    options=list(FILLS),
                    default=GREY,
                    tooltip="What unknown pixels show: 'grey', as VACE expects it; 'blurred', the colours around them; "
                    f"'left as it was', what the frame before shows there. Recommended: {GREY} for VACE, {BLURRED} to "
                    "look at, and for models without a mask.",
                ),
                io.Int.Input(
                    "grow",
                    default=4,
                    min=0,
                    max=256,
                    tooltip="How many pixels the unknown grows over what is known: the rim of what was moved is the "
                    "least sure. Recommended: 4 to 8 at 480p, 0 or 1 with the world model.",
                ),
                io.Int.Input(
                    "depth_edges",
                    default=0,
                    min=0,
                    max=8,
                    tooltip="How much is cut away beside things that stand before others, in steps of the kept depth "
                    "(64 across). More where edges drag colours of the wrong thing along, as with estimated depth. "
                    "Recommended: 0 with depth of a render, 1 with estimated depth.",
                ),
                io.Combo.Input(
                    "detail",
                    options=list(DETAILS),
                    default=FULL,
                    optional=True,
                    tooltip=f"'{FULL}' draws at the whole size; '{HALF}' at half of it, in a quarter of the time, and "
                    f"enlarges that. Recommended: {FULL} for a model, {HALF} while you look for a path.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The path as the memory knows it."),
                io.Mask.Output(display_name="mask", tooltip="1 where a pixel is unknown, 0 where it is known."),
                io.Image.Output(
                    display_name="depth",
                    tooltip="Depth of the known: white is near (inverse), black is unknown or far away.",
                ),
                io.Float.Output(
                    display_name="depth_scale", tooltip="How far away white is in the depth, in scene units."
                ),
                io.Image.Output(display_name="known", tooltip="How much of each frame is known, as a curve."),
                io.String.Output(
                    display_name="known_shares", tooltip="The same as numbers from 0 to 1, one for each frame."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        memory: MemoryState,
        trajectory: Trajectory,
        segment_frames: int,
        width: int,
        height: int,
        fill: str,
        grow: int,
        depth_edges: int,
        detail: str = FULL,
        retriever: RetrievalSettings | None = None,
    ) -> io.NodeOutput:
        """Raises ValueError for an empty memory and a path whose pictures fit into no RAM."""
        tall, wide = (height or (memory.size or (1, 1))[0], width or (memory.size or (1, 1))[1])
        settings = ViewSettings(segment_frames, (tall, wide), fill, grow, depth_edges, detail)
        chosen = retriever or RetrievalSettings(k=K)
        count = len(trajectory)
        if count * tall * wide > MOST_PIXELS:
            raise ValueError(
                f"The camera path has {count} frames of {wide} x {tall}: together they take more than "
                f"{12 * MOST_PIXELS // 10**9} GB of RAM. Show a shorter path, or set width and height smaller."
            )
        images, near = torch.empty(count, tall, wide, 3), torch.empty(count, tall, wide)
        mask, shares = torch.empty(count, tall, wide), np.empty(count)
        moments = dict.fromkeys(chosen_moments(count))
        bar, start = comfy.utils.ProgressBar(total=count), 0
        device = str(comfy.model_management.get_torch_device())
        quick = replace(settings, detail=HALF)
        for part in memory_view(memory, trajectory[:1], chosen, quick, device):
            bar.update_absolute(value=0, total=count, preview=_preview(part))
        for part in memory_view(memory, trajectory, chosen, settings, device):
            comfy.model_management.throw_exception_if_processing_interrupted()
            stop = start + len(part.pictures)
            unknown = torch.from_numpy(~part.known)
            images[start:stop] = to_image(part.pictures)
            if fill == GREY:
                # VACE takes one half for nothing, and no picture of 256 levels has it.
                images[start:stop][unknown] = 0.5
            mask[start:stop] = unknown.float()
            near[start:stop] = 1 / torch.from_numpy(part.depth)
            shares[start:stop] = known_shares(part)
            moments |= {number: part.pictures[number - start] for number in moments if start <= number < stop}
            bar.update_absolute(value=stop, total=count, preview=_preview(part))
            start = stop
        nearest = float(near.max())
        depth = (near / nearest if nearest > 0 else near)[..., None].expand(-1, -1, -1, 3).contiguous()
        shown = [moment for moment in moments.values() if moment is not None]
        drawn = view_picture(shares, trajectory.fps, shown)
        curve = to_image(drawn[None])
        # The page keeps the last preview on the node; a picture of its own would stand there a second time.
        bar.update_absolute(value=count, total=count, preview=("JPEG", Image.fromarray(drawn), drawn.shape[1]))
        say(cls, _said(memory, shares, trajectory.fps))
        told = ", ".join(f"{share:.3f}" for share in shares)
        scale = 1 / nearest if nearest > 0 else 1.0
        return io.NodeOutput(images, mask, depth, scale, curve, told)


def _preview(part: View) -> tuple[str, Image.Image, int]:
    return "JPEG", preview_picture(part.pictures[-1]), PREVIEW_SIZE


def _said(memory: MemoryState, shares: NDArray[np.float64], fps: float) -> str:
    least = int(np.argmin(shares))
    lines = [f"{shares.mean():.0%} of the pictures known, on average.",
             f"Least: {shares[least]:.0%} at {least / fps:.1f} s."]  # fmt: skip
    if not memory.has_depth:
        lines.append("No depth is remembered: frames are only turned, where the camera stands still.")
    return "\n".join(lines)
