"""Adapter of Wan VACE: remembered frames are its references, and known pixels, the newest picture first of all, its
control video."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import comfy.latent_formats
import torch
import torch.nn.functional as F
from torch import Tensor

from ...film.plan import MEMORY_WAYS
from ...film.segment import Segment
from ..host.calls import HostNode
from ..host.sampling import Conditioned, Conditioning
from .adapter import VAE_FILE, WanAdapter, with_conditions, with_empty_front
from .family import SIZE, family_of
from .known import KnownVideo, at_pixels, held_mask, is_held, known_cells, known_latents, known_video
from .options import WanOptions

_CONTROL = HostNode(
    "comfy_extras.nodes_wan",
    "WanVaceToVideo",
    ("positive", "negative", "vae", *SIZE, "strength", "control_video", "control_masks"),
)


class WanVaceAdapter(WanAdapter):
    """Nothing is patched: references stand in front of the video, as VACE was trained, and are cut off again."""

    most_context = 3
    memory_ways = MEMORY_WAYS
    describes_tokens = False
    frame_numbers = False
    host_nodes = (_CONTROL,)
    turn = 33
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
        control = control_of(segment)
        references = segment.context.latents if segment.context is not None else None
        values, latent = vace_values(vae, len(segment), segment.width, segment.height, control, references)
        front, mask = 0 if references is None else references.shape[2], None
        if control is not None and is_held(segment, options.low_noise):
            kept = held_mask(control.known)
            clean = values["vace_frames"][0][:, : latent.shape[1], front:].to(latent)
            latent, mask = with_empty_front(clean * (1 - kept), front), F.pad(kept, (0, 0, 0, 0, front, 0), value=1.0)
        return Conditioned(
            positive=with_conditions(positive, values, {}),
            negative=None if negative is None else with_conditions(negative, values, {}),
            latent=latent,
            mask=mask,
            low_noise=options.low_noise,
            **options.pair,
            in_front=front,
        )


def control_of(segment: Segment) -> KnownVideo | None:
    """What VACE is told is known of a segment; None where nothing is."""
    found = known_video(segment)
    return found if found is None or segment.view is None else promised_to_vace(found)


def promised_to_vace(found: KnownVideo) -> KnownVideo:
    """The same, where the mask that the host makes of it promises no more than a latent holds.

    Of STRIDE pictures the host takes the mask of one for the latent frame ("nearest-exact"), and near the beginning
    that is one of the next latent frame: there, too, only what both latent frames have is known.
    """
    cells = known_cells(found.promised().known)
    latents = known_latents(cells)
    taken = F.interpolate(torch.arange(len(cells)).double()[None, None], size=len(latents), mode="nearest-exact")
    places = taken[0, 0].long()
    cells[places] &= latents
    return replace(found, known=at_pixels(cells))


def vace_values(
    vae: Any, frames: int, width: int, height: int, control: KnownVideo | None, references: Tensor | None
) -> tuple[dict[str, Any], Tensor]:
    """Conditioning values for ``frames`` pictures, and the latent (1, 16, K + T, h, w) to fill, as *WanVaceToVideo*
    gives them.

    The host's node takes one reference, as a picture. There are several here, and their latents are in the bank
    already: so it is called without, and they are put in front as it would.

    Args:
        control: what is known of the pictures.
        references: latents (1, 16, K, h, w) in the VAE's space.
    """
    positive, _, begun, _ = _CONTROL(
        positive=[["", {}]], negative=[], vae=vae, width=width, height=height, length=frames, batch_size=1,
        strength=1.0, control_video=None if control is None else control.video,
        control_masks=None if control is None else control.mask,
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
