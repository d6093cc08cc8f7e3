"""The world model's network as the host calls it, and the conditions that reach it."""

from __future__ import annotations

from typing import Any

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.patcher_extension
import comfy.supported_models_base
import numpy as np
import torch
from comfy.ldm.modules.attention import attention_pytorch, optimized_attention
from numpy.typing import NDArray
from torch import Tensor

from ...film.segment import ContextFrames, KnownPixels, Segment
from ...kernels import MocLayout
from ...memory.cameras.presets import make_preset
from ...memory.cameras.trajectory import Trajectory
from ...world.network import CLOSEST, FARTHEST, Remembered, WorldNet
from ...world.paint import PATCH
from ...world.reproject import CHANNELS
from ..host import CONDITION_KEY, LAYOUT_KEY

DEFAULT_FOV = 70.0
LOOK_AROUND_DEGREES_A_FRAME = 3.0


class WorldPixels(comfy.latent_formats.LatentFormat):
    """The world model paints pixels: its latents are pictures in [-1, 1]."""

    latent_channels = 3
    latent_dimensions = 3
    spacial_downscale_ratio = 1
    temporal_downscale_ratio = 1
    latent_rgb_factors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def host_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, transformer_options: dict[str, Any]) -> Tensor:
    """Attention (B, L, H x D) of q, k, v (B, H, L, D) through the hook that routes it: by the backend that the user
    chose, on a processor by PyTorch.

    The host's own choice on a processor works in pieces to spare memory; PyTorch's spares it too, and is faster.
    """
    attention = attention_pytorch if q.device.type == "cpu" else optimized_attention
    return attention(q, k, v, heads, skip_reshape=True, transformer_options=transformer_options)


class WorldDiffusion(WorldNet):
    """WorldNet behind the host's calling convention: velocity of a rectified flow, (B, 3, F, H, W)."""

    def __init__(self, dtype: torch.dtype, device: torch.device, operations: Any, **config: Any) -> None:
        super().__init__(dtype=dtype, device=device, operations=operations, attention=host_attention, **config)

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        context: Tensor | None = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **conditions: Any,
    ) -> Tensor:
        options = transformer_options or {}
        executor = comfy.patcher_extension.WrapperExecutor.new_class_executor(
            original=self._velocity,
            class_obj=self,
            wrappers=comfy.patcher_extension.get_all_wrappers(
                wrapper_type=comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, transformer_options=options
            ),
        )
        return executor.execute(x, timestep, context, control, options, **conditions)

    def _velocity(
        self,
        x: Tensor,
        timestep: Tensor,
        context: Tensor | None = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        scene_segment: Segment | None = None,
        scene_context: list[Tensor] | None = None,
        scene_woven: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        sigma = timestep.float() / 1000.0
        if scene_segment is None:
            raise ValueError("The world model was called without cameras: sample it through its own MODEL.")
        poses, intrinsics = (_on(part, x, len(x)) for part in _cameras(scene_segment.trajectory))
        kept = list(zip(scene_context[::2], scene_context[1::2], strict=True)) if scene_context else None
        options = {**(transformer_options or {}), LAYOUT_KEY: self._layout(x, context, kept)}
        clean = super().forward(x, sigma, poses, intrinsics, context, kept, options, scene_woven)
        return (x.float() - clean.float()) / sigma.clamp_min(1e-3)[:, None, None, None, None]

    def _layout(self, x: Tensor, text: Tensor | None, kept: list[tuple[Tensor, Tensor]] | None) -> MocLayout:
        """Keys are [caption | context frames | the frames being painted], queries the last of these."""
        frame = (x.shape[-2] // PATCH) * (x.shape[-1] // PATCH)
        remembered = kept[0][0].shape[2] // frame if kept else 0
        words = 0 if text is None else text.shape[1]
        return MocLayout.cross(text=words, context=[frame] * remembered, own=x.shape[2] * frame)


class WorldModel(comfy.model_base.BaseModel):
    """The host's side of the model: turns a segment's plan into cameras and the context's keys and values."""

    def __init__(self, config: comfy.supported_models_base.BASE, device: torch.device | None = None) -> None:
        super().__init__(
            model_config=config,
            model_type=comfy.model_base.ModelType.FLOW,
            device=device,
            unet_model=WorldDiffusion,
        )
        self.memory_usage_factor_conds = ("scene_context",)

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """The segment, and what its context gives, as conditions of the network.

        Raises ValueError for a latent that is no picture of this model, a prompt of another text encoder, and a camera
        path of another length than the latent.
        """
        out = super().extra_conds(**kwargs)
        noise: Tensor = kwargs["noise"]
        _check_picture(noise)
        caption = kwargs.get("cross_attn")
        if caption is not None and caption.shape[-1] != self.diffusion_model.dim:
            raise ValueError(
                f"The prompt has {caption.shape[-1]} numbers a word, the world model takes {self.diffusion_model.dim}. "
                "Connect the CLIP of Load World Model to CLIP Text Encode."
            )
        segment: Segment = kwargs.get(CONDITION_KEY) or look_around(noise)
        if len(segment) != noise.shape[2]:
            raise ValueError(
                f"The camera path has {len(segment)} frames, the latent {noise.shape[2]}. Make them the same length."
            )
        out["scene_segment"] = comfy.conds.CONDConstant(cond=segment)
        if segment.context is not None and len(segment.context):
            remembered = self._remember(segment.context, segment.trajectory, noise, kwargs["device"])
            out["scene_context"] = comfy.conds.CONDList(cond=[part for layer in remembered.kept for part in layer])
            if remembered.woven is not None:
                out["scene_woven"] = comfy.conds.CONDRegular(cond=remembered.woven)
        if segment.view is not None and segment.view.known.any() and self.diffusion_model.weave:
            woven = out["scene_woven"].cond if "scene_woven" in out else None
            out["scene_woven"] = comfy.conds.CONDRegular(cond=woven_view(segment.view, woven, kwargs["device"]))
        return out

    def extra_conds_shapes(self, **kwargs: Any) -> dict[str, list[int]]:
        """What the host counts beside the latent when it makes room: as measured, a remembered frame takes about
        twice what a frame being made takes, for it is moved into every new view."""
        segment: Segment | None = kwargs.get(CONDITION_KEY)
        if segment is None or segment.context is None or not len(segment.context):
            return {}
        return {"scene_context": [1, 3, len(segment.context) * segment.height * segment.width * 2]}

    @torch.no_grad()
    def read_depth(self, frames: ContextFrames, device: torch.device) -> NDArray[np.float32]:
        """The z-depth (K, H, W) in scene units that the network reads in K frames, inf where it takes it to be
        farther than it knows."""
        pixels, poses, intrinsics = self._given(frames, device)
        nearness = self.diffusion_model.remember(pixels, poses, intrinsics, poses[:, :1], intrinsics[:, :1]).nearness
        assert nearness is not None, "the bundled network weaves by depth"
        depth = 1 / nearness[0].float().cpu().numpy()
        return np.where(depth < FARTHEST, depth, np.inf).astype(np.float32)

    def _given(self, frames: ContextFrames, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures (1, 3, K, H, W), poses (1, K, 4, 4) and intrinsics (1, K, 4) of K frames."""
        like = torch.zeros((), device=device, dtype=self.get_dtype_inference())
        pixels = torch.from_numpy(frames.pixels).permute(3, 0, 1, 2)[None].to(like) / 127.5 - 1
        poses, intrinsics = (_on(torch.from_numpy(part)[None], like) for part in (frames.poses, frames.intrinsics))
        return pixels, poses, intrinsics

    @torch.no_grad()
    def _remember(
        self, context: ContextFrames, trajectory: Trajectory, noise: Tensor, device: torch.device
    ) -> Remembered:
        """What the context gives, once for the segment: it does not depend on the noise level."""
        if context.pixels.shape[1:3] != tuple(noise.shape[-2:]):
            raise ValueError(
                f"Remembered frames are {context.pixels.shape[2]}x{context.pixels.shape[1]}, the segment is "
                f"{noise.shape[-1]}x{noise.shape[-2]}. Use the memory's own size."
            )
        pixels, poses, intrinsics = self._given(context, device)
        targets = (_on(part, pixels) for part in _cameras(trajectory))
        return self.diffusion_model.remember(pixels, poses, intrinsics, *targets)


class WorldConfig(comfy.supported_models_base.BASE):
    """What the host asks about a model before it makes one."""

    unet_config: dict[str, Any] = {}
    unet_extra_config: dict[str, Any] = {}
    latent_format = WorldPixels
    # Steps spent where the picture is decided, as video flow models do; measured to leave less grain.
    sampling_settings = {"shift": 3.0}
    memory_usage_factor = 0.5
    supported_inference_dtypes = [torch.float32]

    def get_model(self, state_dict: dict[str, Tensor], prefix: str = "", device: Any = None) -> WorldModel:
        """The model without its weights: the loader puts these in, and ``state_dict`` (tensors of any shape) is not
        looked at."""
        return WorldModel(self, device=device)

    def inpaint_model(self) -> bool:
        return False


def woven_view(view: KnownPixels, woven: Tensor | None, device: torch.device) -> Tensor:
    """Known pixels (T, H, W) as the network is offered remembered ones, (1, T, reproject.CHANNELS, H, W): the first of
    the pictures to choose from, where they are known, and what is ``woven`` of context frames elsewhere."""
    sure = torch.from_numpy(np.where(view.known, view.confidence, 0)).to(device)[:, None]
    colour = torch.from_numpy(view.pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    near = (1 / torch.from_numpy(view.depth).to(device)[:, None]).clamp(1 / FARTHEST, 1 / CLOSEST) * (sure > 0)
    found = torch.zeros(len(sure), CHANNELS, *sure.shape[2:], device=device)
    found[:, :3], found[:, 3:4], found[:, -1:] = colour * sure, sure, near
    return found[None] if woven is None else torch.where((sure > 0)[None], found[None], woven.to(found))


def look_around(noise: Tensor) -> Segment:
    """Cameras for a stock sampler, which knows of none, for noise (B, 3, F, H, W): a slow pan to the right from the
    origin."""
    frames, height, width = noise.shape[2:]
    turn = LOOK_AROUND_DEGREES_A_FRAME * max(0, frames - 1)
    path = make_preset(
        "pan", frames=frames, fps=8.0, amount=turn, fov=DEFAULT_FOV, aspect=width / height, easing="even"
    )
    return Segment(path, width, height)


def _check_picture(noise: Tensor) -> None:
    if noise.ndim != 5 or noise.shape[-1] % PATCH or noise.shape[-2] % PATCH:
        raise ValueError(
            f"The world model cannot paint a latent of shape {tuple(noise.shape)}: expected (batch, 3, frames, height, "
            f"width) with height and width multiples of {PATCH}. Use 96 x 60."
        )


def _cameras(trajectory: Trajectory) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(np.array(trajectory.poses))[None], torch.from_numpy(np.array(trajectory.intrinsics))[None]


def _on(part: Tensor, like: Tensor, batch: int = 1) -> Tensor:
    return part.to(device=like.device, dtype=torch.float32).expand(batch, *part.shape[1:])
