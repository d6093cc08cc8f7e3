"""Adapter of LTX video: remembered frames are guides that stand before the shot, at times of their own.

The host's *LTXV Add Guide* takes a frame of the shot itself. What it calls below takes any time: a guide at -8 stands
one latent frame before the shot, stays clean, and is cut off after sampling. Newer hosts have a node for exactly that,
*LTXV Add Latent Guide*, which is called where it is there. Nothing is patched.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..film.segment import Segment
from .host.adapter import Adapter
from .host.calls import HostNode
from .host.sampling import Conditioned, Conditioning
from .inputs import as_image, check_no_frames, check_text, check_vae

STRIDE = 8
"""Pictures to one latent frame, and frames between one guide and the next."""

CHANNELS = 128

_SIZE = ("width", "height", "length", "batch_size")
_EMPTY = HostNode("comfy_extras.nodes_lt", "EmptyLTXVLatentVideo", _SIZE)
_BEGUN = HostNode(
    "comfy_extras.nodes_lt", "LTXVImgToVideo", ("positive", "negative", "image", "vae", *_SIZE, "strength")
)
_GUIDE = HostNode(
    "comfy_extras.nodes_lt",
    "LTXVAddGuide",
    ("positive", "negative", "frame_idx", "latent_image", "noise_mask", "guiding_latent", "strength", "scale_factors"),
    "append_keyframe",
)
_LATENT_GUIDE = HostNode(
    "comfy_extras.nodes_lt",
    "LTXVAddLatentGuide",
    ("positive", "negative", "vae", "latent", "guiding_latent", "latent_idx", "strength"),
)


class LtxAdapter(Adapter):
    """The newest frame is the shot's known first one, as in *LTXV Img To Video*; the oldest guide is furthest back."""

    turn = 50
    name = "LTX video"
    version = 1
    default_segment = 97
    longest_segment = 257
    shortest_segment = STRIDE + 1
    frame_grid = (STRIDE, 1)
    default_size = (768, 512)
    size_multiple = 32
    context_without_retriever = 0
    most_context = 8
    context_latents = True
    overlap = 1
    frame_numbers = False
    host_nodes = (_EMPTY, _BEGUN, _GUIDE)
    listed = ("LTX video",)
    files = {"LTX video": ("ltx-video-2b-v0.9.5.safetensors", "t5xxl_fp16.safetensors")}

    @staticmethod
    def serves(model: Any) -> bool:
        """Whether a MODEL is LTX video's, by the name of its network."""
        network = getattr(model.model, "diffusion_model", None)
        return (type(network).__module__, type(network).__name__) == ("comfy.ldm.lightricks.model", "LTXVModel")

    def prepare(
        self, model: Any, positive: Conditioning, negative: Conditioning | None, segment: Segment, vae: Any = None
    ) -> Conditioned:
        """A segment's conditioning and latent; remembered frames are guides in the frames ``behind`` it.

        Raises ValueError for a VAE or a prompt of another model, and a prompt with guides of its own.
        """
        _check(model, vae, positive, negative)
        latent, mask = _start(segment, vae)
        context = segment.context.latents if segment.context is not None else None
        count = 0 if context is None else context.shape[2]
        other = positive if negative is None else negative
        for index in range(count):
            assert context is not None
            guide = context[:, :, index : index + 1]
            positive, other, latent, mask = _guided(positive, other, latent, mask, guide, (index - count) * STRIDE, vae)
        return Conditioned(
            positive=positive,
            negative=None if negative is None else other,
            latent=latent,
            mask=mask if count or segment.begins_with is not None else None,
            behind=count,
        )


def _start(segment: Segment, vae: Any) -> tuple[Tensor, Tensor]:
    """The latent to fill and its mask, by the host's own nodes."""
    size = {"width": segment.width, "height": segment.height, "length": len(segment), "batch_size": 1}
    if segment.begins_with is None:
        (empty,) = _EMPTY(**size)
        return empty["samples"], torch.ones((1, 1, empty["samples"].shape[2], 1, 1))
    picture = as_image(segment.begins_with)
    *_, begun = _BEGUN(positive=[], negative=[], image=picture, vae=vae, **size, strength=1.0)
    return begun["samples"], begun["noise_mask"]


def _guided(
    positive: Conditioning, negative: Conditioning, latent: Tensor, mask: Tensor, guide: Tensor, time: int, vae: Any
) -> tuple[Conditioning, Conditioning, Tensor, Tensor]:
    """With one more guide, at a frame before the shot."""
    guide = guide.to(latent)
    if _LATENT_GUIDE.is_there:
        shot = {"samples": latent, "noise_mask": mask}
        positive, negative, shot = _LATENT_GUIDE(
            positive=positive, negative=negative, vae=vae, latent=shot, guiding_latent={"samples": guide},
            latent_idx=time // STRIDE, strength=1.0,
        )  # fmt: skip
        return positive, negative, shot["samples"], shot["noise_mask"]
    found: tuple[Conditioning, Conditioning, Tensor, Tensor] = _GUIDE(
        positive=positive, negative=negative, frame_idx=time, latent_image=latent, noise_mask=mask,
        guiding_latent=guide, strength=1.0, scale_factors=vae.downscale_index_formula,
    )  # fmt: skip
    return found


def _check(model: Any, vae: Any, *kinds: Conditioning | None) -> None:
    cure = "Load the VAE that goes with it."
    check_vae(vae, LtxAdapter.name, CHANNELS, cure)
    if getattr(vae, "downscale_index_formula", None) is None:
        raise ValueError(f"The VAE is not one of {LtxAdapter.name}: it does not say its scale in time. {cure}")
    check_text(kinds, model.model.diffusion_model.caption_channels, "t5xxl_fp16.safetensors with the type ltxv")
    check_no_frames(kinds, "keyframe_idxs", "guides of LTXV Add Guide", "LTXV Conditioning")
