"""Which model of the Wan family a MODEL is, by looking at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.model_base as host
from comfy.ldm.wan.model import CameraWanModel, VaceWanModel, WanModel

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
