"""Which model of the Wan family a MODEL is, by looking at it, and how each begins with a known picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import comfy.model_base as host
from comfy.ldm.wan.model import CameraWanModel, VaceWanModel, WanModel
from torch import Tensor

from ..host.calls import HostNode

NO_START, CONCAT_START, LATENT_START, CAMERA_START = "none", "concat", "latent", "camera"


@dataclass(frozen=True)
class WanFamily:
    """What the adapters need to know of a Wan.

    start: how the model takes a known first picture: not at all, as extra channels, as a latent that stays, or as extra
    channels in the way of Fun Camera. clean_time: whether it was trained with known frames at time 0 beside noisy ones.
    """

    name: str
    channels: int
    start: str
    clean_time: bool = False
    camera: bool = False
    vace: bool = False
    clip_vision: bool = False

    @property
    def pixels_per_token(self) -> int:
        """Width and height must be multiples of this: the VAE's scale times the patch of 2."""
        return 32 if self.channels == 48 else 16


_HOSTS = (host.WAN21, host.WAN22, host.WAN21_Camera, host.WAN21_Vace)


def family_of(model: Any) -> WanFamily | None:
    """The family of a MODEL, None if it is no Wan that can be given a memory."""
    network = getattr(model.model, "diffusion_model", None)
    if type(model.model) not in _HOSTS:
        return None
    made = getattr(network, "in_dim", 0), getattr(network, "out_dim", 0)
    if type(network) is WanModel and network.ref_conv is None:
        sees_picture = network.img_emb is not None
        return {
            (16, 16): WanFamily("Wan text to video", 16, NO_START),
            (36, 16): WanFamily("Wan image to video", 16, CONCAT_START, clip_vision=sees_picture),
            (48, 48): WanFamily("Wan 2.2 TI2V-5B", 48, LATENT_START, clean_time=True),
        }.get(made)
    if type(network) is CameraWanModel:
        sees_picture = network.img_emb is not None
        known = WanFamily("Wan Fun Camera", 16, CAMERA_START, camera=True, clip_vision=sees_picture)
        return known if made in ((32, 16), (36, 16)) else None
    if type(network) is VaceWanModel and made == (16, 16):
        return WanFamily("Wan VACE", 16, NO_START, vace=True)
    return None


_FILE, SIZE = "comfy_extras.nodes_wan", ("width", "height", "length", "batch_size")
_BEGUN = ("positive", "negative", "vae", *SIZE, "start_image")
IMAGE_TO_VIDEO = HostNode(_FILE, "WanImageToVideo", _BEGUN)
CAMERA_TO_VIDEO = HostNode(_FILE, "WanCameraImageToVideo", _BEGUN)
KEPT_LATENT = HostNode(_FILE, "Wan22ImageToVideoLatent", ("vae", *SIZE, "start_image"))


@dataclass(frozen=True)
class Start:
    """The latent (1, C, T, h, w) to begin from, its mask (1, 1, T, h, w) that is 1 where it is to be made, and
    conditioning values for positive and negative."""

    latent: Tensor
    mask: Tensor | None = None
    values: dict[str, Any] = field(default_factory=dict)


def start_of(family: WanFamily, vae: Any, frames: int, width: int, height: int, first: Tensor | None) -> Start:
    """What a segment of ``frames`` pictures begins with, by the host's own node for the family.

    Args:
        first: the host's IMAGE (n, H, W, 3) of the first pictures that are known, or None. A model that cannot take
            any is given none.
    """
    given = {"vae": vae, "width": width, "height": height, "length": frames, "batch_size": 1,
             "start_image": None if family.start == NO_START else first}  # fmt: skip
    if family.start == LATENT_START:
        (kept,) = KEPT_LATENT(**given)
        return Start(kept["samples"], kept.get("noise_mask"))
    node = CAMERA_TO_VIDEO if family.start == CAMERA_START else IMAGE_TO_VIDEO
    positive, _, latent = node(positive=[["", {}]], negative=[], **given)
    return Start(latent["samples"], values=positive[0][1])
