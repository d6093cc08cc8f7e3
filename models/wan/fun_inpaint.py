"""Adapter of Wan Fun Inpaint: known pixels are its inpainting video, from the first picture to the last."""

from __future__ import annotations

from typing import Any

import torch

from ...film.plan import BOTH, KNOWN_PIXELS
from ...film.segment import Segment
from ..host.calls import HostNode
from .adapter import VAE_FILE, WanAdapter
from .family import CONCAT_START, SIZE, Start, family_of
from .known import KnownVideo, held_mask, is_held, known_cells, known_video
from .options import STRIDE, WanOptions
from .uni3c import uni3c_of

_INPAINT = HostNode(
    "comfy_extras.nodes_wan",
    "WanFunInpaintToVideo",
    ("positive", "negative", "vae", *SIZE, "clip_vision_output", "start_image", "end_image"),
)


class WanInpaintAdapter(WanAdapter):
    """Wan 2.1 Fun Inpaint and Wan 2.2 Fun Inpaint A14B, whose networks cannot be told from image to video by looking at
    them: the adapter is taken where memory is to enter as known pixels."""

    turn = 32
    version = 1
    memory_ways = (KNOWN_PIXELS, BOTH)
    host_nodes = (_INPAINT,)
    listed = ("Wan Fun Inpaint",)
    files = {
        "Wan 2.1 Fun Inpaint": ("wan2.1_fun_inp_1.3B_bf16.safetensors", VAE_FILE),
        "Wan 2.2 Fun Inpaint A14B": (
            "wan2.2_fun_inpaint_high_noise_14B_fp8_scaled.safetensors",
            "wan2.2_fun_inpaint_low_noise_14B_fp8_scaled.safetensors", VAE_FILE,
        ),
    }  # fmt: skip

    @staticmethod
    def serves(model: Any) -> bool:
        """Whether a MODEL has the channels of Fun Inpaint: those of image to video."""
        family = family_of(model)
        return family is not None and family.start == CONCAT_START and uni3c_of(model) is None

    def _start(self, segment: Segment, options: WanOptions, vae: Any) -> Start:
        found = known_video(segment)
        known = None if found is None else found.promised()
        start = inpainting(vae, len(segment), segment.width, segment.height, known)
        if known is None or not is_held(segment, options.low_noise):
            return start
        mask = held_mask(known.known)
        clean = start.values["concat_latent_image"].to(start.latent)
        return Start(clean * (1 - mask), mask, start.values)


def inpainting(vae: Any, frames: int, width: int, height: int, known: KnownVideo | None) -> Start:
    """What a segment of ``frames`` pictures begins with: as *WanFunInpaintToVideo* gives it, with a mask of pixels.

    The host's node takes whole pictures at the start and the end. The video is handed to it as pictures of the start,
    grey where nothing is known, as it fills them itself; the mask, which it then has as known throughout, is put in its
    layout: for each latent frame one channel a picture, the first picture in all four.
    """
    positive, _, latent = _INPAINT(
        positive=[["", {}]], negative=[], vae=vae, width=width, height=height, length=frames, batch_size=1,
        clip_vision_output=None, start_image=None if known is None else known.video, end_image=None,
    )  # fmt: skip
    values = positive[0][1]
    if known is not None:
        cells = (~known_cells(known.known)).to(values["concat_mask"])
        slots = torch.cat([cells[:1].expand(STRIDE, -1, -1), cells[1:]])
        values = {**values, "concat_mask": slots.unflatten(0, (-1, STRIDE)).transpose(0, 1)[None]}
    return Start(latent["samples"], values=values)
