"""Adapter of Wan VACE: remembered frames are its references, the newest picture the first of its known frames."""

from __future__ import annotations

from typing import Any

import comfy.latent_formats
import torch
from torch import Tensor

from ...film.segment import Segment
from ..host.calls import HostNode
from ..host.sampling import Conditioned, Conditioning
from ..inputs import as_image
from .adapter import VAE_FILE, WanAdapter, with_conditions, with_empty_front
from .family import SIZE, family_of
from .options import WanOptions

_CONTROL = HostNode(
    "comfy_extras.nodes_wan",
    "WanVaceToVideo",
    ("positive", "negative", "vae", *SIZE, "strength", "control_video", "control_masks"),
)


class WanVaceAdapter(WanAdapter):
    """Nothing is patched: references stand in front of the video, as VACE was trained, and are cut off again."""

    most_context = 3
    describes_tokens = False
    frame_numbers = False
    host_nodes = (_CONTROL,)
    listed = ("VACE",)
    files = {"Wan VACE": ("wan2.1_vace_1.3B_fp16.safetensors", VAE_FILE)}

    @staticmethod
    def serves(model: Any) -> bool:
        """Whether a MODEL is a Wan VACE."""
        family = family_of(model)
        return family is not None and family.vace

    def _conditioned(
        self, model: Any, options: WanOptions, positive: Conditioning, negative: Conditioning | None, segment: Segment,
        vae: Any,
    ) -> Conditioned:  # fmt: skip
        first = None if segment.begins_with is None else as_image(segment.begins_with)
        references = segment.context.latents if segment.context is not None else None
        values, latent = vace_values(vae, len(segment), segment.width, segment.height, first, references)
        return Conditioned(
            positive=with_conditions(positive, values, {}),
            negative=None if negative is None else with_conditions(negative, values, {}),
            latent=latent,
            low_noise=options.low_noise,
            **options.pair,
            in_front=0 if references is None else references.shape[2],
        )


def vace_values(
    vae: Any, frames: int, width: int, height: int, first: Tensor | None, references: Tensor | None
) -> tuple[dict[str, Any], Tensor]:
    """Conditioning values for ``frames`` pictures, and the latent (1, 16, K + T, h, w) to fill, as *WanVaceToVideo*
    gives them.

    The host's node takes one reference, as a picture. There are several here, and their latents are in the bank
    already: so it is called without, and they are put in front as it would.

    Args:
        first: the host's IMAGE (1, H, W, 3) of the first picture, where it is known.
        references: latents (1, 16, K, h, w) in the VAE's space.
    """
    positive, _, begun, _ = _CONTROL(
        positive=[["", {}]], negative=[], vae=vae, width=width, height=height, length=frames, batch_size=1,
        strength=1.0, control_video=first, control_masks=None if first is None else torch.zeros(1, height, width),
    )  # fmt: skip
    values, latent = positive[0][1], begun["samples"]
    if references is None:
        return values, latent
    (control,), (mask,) = values["vace_frames"], values["vace_mask"]
    nothing = comfy.latent_formats.Wan21().process_out(torch.zeros_like(references))
    control = torch.cat((torch.cat((references, nothing), dim=1).to(control), control), dim=2)
    known = torch.zeros(*mask.shape[:2], references.shape[2], *mask.shape[3:])
    mask = torch.cat((known, mask), dim=2)
    return {**values, "vace_frames": [control], "vace_mask": [mask]}, with_empty_front(latent, references.shape[2])
