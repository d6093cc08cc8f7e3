"""Adapters of the Wan family: remembered frames are appended to the sequence, clean, and cut off again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import node_helpers
import numpy as np
import torch
from torch import Tensor

from ...film.plan import CONTEXT_FRAMES, KNOWN_PIXELS
from ...film.segment import Segment
from ...memory.cameras.trajectory import Trajectory
from ..host.adapter import Adapter
from ..host.sampling import Conditioned, Conditioning
from ..inputs import as_image, check_no_frames, check_text, check_vae
from .camera_layers import ATTACHMENT as CAMERA_LAYERS
from .camera_layers import CENTIMETRES, camera_conditions, camera_rows, with_camera_layers
from .context import CONTEXT, ContextCond, ContextPlan, conditions, with_context
from .family import CAMERA_TO_VIDEO, IMAGE_TO_VIDEO, KEPT_LATENT, NO_START, Start, WanFamily, family_of, start_of
from .known import known_video
from .options import AFTER, AUTO, BEFORE, CLEAN, NOISED, SAME, STRIDE, ContextPositions, WanOptions, options_of
from .plucker import wan_camera_embedding
from .timesteps import frame_noise
from .uni3c import guided, uni3c_of

VAE_FILE, TI2V_VAE_FILE = "wan_2.1_vae.safetensors", "wan2.2_vae.safetensors"


class WanAdapter(Adapter):
    """Text to video, image to video, TI2V-5B, pairs for high and low noise."""

    turn = 30
    name = "Wan"
    version = 2
    default_segment = 81
    longest_segment = 401
    default_size = (832, 480)
    frame_grid = (STRIDE, 1)
    size_multiple = 16
    context_without_retriever = 1
    most_context = 20
    context_latents = True
    describes_tokens = True
    listed = ("Wan 2.1 or 2.2 text to video or image to video", "TI2V-5B")
    files = {
        "Wan 2.1 text to video 1.3B": ("wan2.1_t2v_1.3B_fp16.safetensors", VAE_FILE),
        "Echo-Memory": ("epoch-0.safetensors", VAE_FILE),
        "Phantom 1.3B": ("Phantom-Wan-1_3B_fp16.safetensors", VAE_FILE),
        "Wan 2.1 image to video 14B": ("wan2.1_i2v_480p_14B_fp16.safetensors", VAE_FILE),
        "Wan 2.2 text to video A14B": (
            "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors", "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors",
            VAE_FILE,
        ),
        "Wan 2.2 image to video A14B": (
            "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors", "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors",
            VAE_FILE,
        ),
        "Wan 2.2 TI2V-5B": ("wan2.2_ti2v_5B_fp16.safetensors", TI2V_VAE_FILE),
    }  # fmt: skip
    overlap = 1
    host_nodes = (IMAGE_TO_VIDEO, KEPT_LATENT)

    def __init__(self, family: WanFamily) -> None:
        self.family = family
        self.name = family.name
        self.size_multiple = family.pixels_per_token
        # Where the first picture is known, the newest frame is in the segment already.
        self.context_without_retriever = 1 if family.start == NO_START else 0
        if family.channels == 48:
            self.default_segment, self.default_size = 121, (1280, 704)

    @staticmethod
    def serves(model: Any) -> bool:
        """Whether a MODEL is a Wan without control of its own: text to video, image to video or TI2V-5B."""
        family = family_of(model)
        return family is not None and not family.camera and not family.vace

    @classmethod
    def for_model(cls, model: Any) -> WanAdapter:
        """The adapter of a MODEL's family."""
        family = family_of(model)
        assert family is not None, "asked only for what it serves"
        adapter = cls(family)
        if uni3c_of(model) is not None:
            adapter.memory_ways = (CONTEXT_FRAMES, KNOWN_PIXELS)
        return adapter

    def prepare(
        self, model: Any, positive: Conditioning, negative: Conditioning | None, segment: Segment, vae: Any = None
    ) -> Conditioned:
        """A segment's conditioning and latent, of a size that ``segment`` says and the host's node makes.

        Raises ValueError for a pair of two families, a VAE or a prompt of another model, and a prompt in which another
        node put frames into the sequence.
        """
        options = options_of(model)
        check_pair(self.family, options, negative)
        file = TI2V_VAE_FILE if self.family.channels == 48 else VAE_FILE
        check_vae(vae, self.name, self.family.channels, f"Load {file} in Load VAE.")
        check_conditioning(model, positive, negative)
        return self._conditioned(model, options, positive, negative, segment, vae)

    def _conditioned(
        self, model: Any, options: WanOptions, positive: Conditioning, negative: Conditioning | None, segment: Segment,
        vae: Any,
    ) -> Conditioned:  # fmt: skip
        """What ``prepare`` gives of what was looked at."""
        start = self._start(segment, options, vae)
        values = {**start.values, **self._clip_vision(options, segment), **self._more_values(model, segment)}
        carried: dict[str, Any] = {}
        sampled, low = model, options.low_noise
        if segment.context is not None and len(segment.context):
            carried = self._context(model, resolved(model, self.family), segment)
            low = None if low is None else with_context(routed_like(low, model))
            sampled = with_context(model)
        guide = uni3c_of(model) if segment.view is not None else None
        if guide is not None and (known := known_video(segment)) is not None:
            sampled = guided(sampled, guide, vae, known.video)
            low = None if low is None else guided(low, guide, vae, known.video)
        if (layers := model.get_attachment(key=CAMERA_LAYERS)) is not None:
            sampled = with_camera_layers(sampled, layers)
            carried |= camera_layer_rows(segment, options.camera_scale)
        return Conditioned(
            positive=with_conditions(positive, values, carried),
            negative=None if negative is None else with_conditions(negative, values, _blank(carried, options)),
            latent=start.latent,
            mask=start.mask,
            model=sampled,
            low_noise=low,
            **options.pair,
        )

    def _start(self, segment: Segment, options: WanOptions, vae: Any) -> Start:
        """What the segment begins with."""
        first = None if segment.begins_with is None else as_image(segment.begins_with)
        return start_of(self.family, vae, len(segment), segment.width, segment.height, first)

    def _more_values(self, model: Any, segment: Segment) -> dict[str, Any]:
        """Conditioning values that a kind of control adds."""
        return {}

    def _context_cameras(self, model: Any, segment: Segment) -> Tensor | None:
        """Cameras of the context frames, for models that see cameras."""
        return None

    def _clip_vision(self, options: WanOptions, segment: Segment) -> dict[str, Any]:
        if options.clip_vision is None or segment.begins_with is None or not self.family.clip_vision:
            return {}
        return {"clip_vision_output": options.clip_vision.encode_image(as_image(segment.begins_with))}

    def _context(self, model: Any, options: WanOptions, segment: Segment) -> dict[str, Any]:
        context = segment.context
        assert context is not None and context.latents is not None
        ago = tuple((segment.first_frame - float(frame)) / STRIDE for frame in context.numbers)
        plan = ContextPlan(ContextPositions(options.positions, ago), options.times)
        latents = model.model.process_latent_in(context.latents)
        noise = frame_noise(latents, context.numbers)
        return conditions(plan, latents, noise, self._context_cameras(model, segment))


class WanCameraAdapter(WanAdapter):
    """Fun Camera 2.1 and 2.2: the camera path of the segment drives the model, with or without memory.

    Cameras are rays from the segment's first camera; context frames bring their own, seen from the same.
    """

    host_nodes = (CAMERA_TO_VIDEO,)
    turn = 31
    listed = ("Fun Camera",)
    files = {
        "Wan 2.1 Fun Camera": ("wan2.1_fun_camera_v1.1_1.3B_bf16.safetensors", VAE_FILE),
        "Wan 2.2 Fun Camera A14B": (
            "wan2.2_fun_camera_high_noise_14B_fp8_scaled.safetensors",
            "wan2.2_fun_camera_low_noise_14B_fp8_scaled.safetensors", VAE_FILE,
        ),
    }  # fmt: skip

    @staticmethod
    def serves(model: Any) -> bool:
        """Whether a MODEL is a Wan Fun Camera."""
        family = family_of(model)
        return family is not None and family.camera

    def _more_values(self, model: Any, segment: Segment) -> dict[str, Any]:
        path = segment.trajectory.scaled(options_of(model).camera_scale)
        return {"camera_conditions": wan_camera_embedding(path, segment.width, segment.height)}

    def _context_cameras(self, model: Any, segment: Segment) -> Tensor | None:
        """Rays (1, 24, K, H, W): each context frame stands for all the frames of its latent frame."""
        context, path = segment.context, segment.trajectory
        assert context is not None
        seen = Trajectory(
            np.concatenate([path.poses[:1], np.repeat(context.poses, STRIDE, axis=0)]),
            np.concatenate([path.intrinsics[:1], np.repeat(context.intrinsics, STRIDE, axis=0)]),
            path.fps,
        )
        seen = seen.scaled(options_of(model).camera_scale)
        return wan_camera_embedding(seen, segment.width, segment.height)[:, :, 1:]


def resolved(model: Any, family: WanFamily) -> WanOptions:
    """The options of a MODEL, AUTO replaced by what its family has seen in training.

    Echo-Memory (known by its camera layers) has clean frames at the segment's time behind it; TI2V-5B has known
    frames at time 0. No other public weights were taught context frames: they get what is nearest to a longer video
    of their training: earlier frames in front of the segment, with the noise of the moment, the clean picture
    beside them where the model has channels for it, as StoryMem and Memento have it on image to video. Behind the
    segment a known picture means to image to video that the clip shall end on it (*WanFirstLastFrameToVideo*).
    """
    options = options_of(model)
    if model.get_attachment(key=CAMERA_LAYERS) is not None:
        times, positions = SAME, AFTER
    else:
        times, positions = (CLEAN if family.clean_time else NOISED), BEFORE
    return replace(
        options,
        times=times if options.times == AUTO else options.times,
        positions=positions if options.positions == AUTO else options.positions,
    )


def routed_like(low: Any, high: Any) -> Any:
    """The low noise MODEL, routed as the high noise one is where it has no routing of its own."""
    key = "optimized_attention_override"
    override = high.model_options["transformer_options"].get(key)
    if override is None or key in low.model_options["transformer_options"]:
        return low
    routed = low.clone()
    routed.model_options["transformer_options"] = {**routed.model_options["transformer_options"], key: override}
    return routed


def check_pair(family: WanFamily, options: WanOptions, negative: Conditioning | None) -> None:
    """Refuses a second MODEL of another family, and a cfg of its own without anything to steer away from.

    Raises ValueError for either.
    """
    if options.low_noise is None:
        return
    if options.low_noise_cfg not in (0.0, 1.0) and negative is None:
        raise ValueError(
            f"low_noise_cfg is {options.low_noise_cfg:g}, but nothing is connected to 'negative', which it steers away "
            "from. Connect a CLIP Text Encode there, or use low_noise_cfg 1."
        )
    other = family_of(options.low_noise)
    if other != family:
        kind = other.name if other is not None else type(options.low_noise.model).__name__
        raise ValueError(
            f"low_noise_model is {kind}, the model is {family.name}: a pair must be of one family. "
            "Load the low noise file that goes with the high noise file."
        )


def check_conditioning(model: Any, *kinds: Conditioning | None) -> None:
    """Refuses prompts of another family's text encoder, and those that put other frames into the sequence.

    Raises ValueError for either.
    """
    check_text(kinds, model.model.diffusion_model.text_dim, "umt5_xxl_fp8_e4m3fn_scaled.safetensors with the type wan")
    check_no_frames(kinds, "context_latents", "in-context latents of another node", "CLIP Text Encode")


def _blank(carried: dict[str, Any], options: WanOptions) -> dict[str, Any]:
    """The context of the negative prompt: the same, or zeros in its place."""
    if CONTEXT not in carried or not options.blank_negative:
        return carried
    latents, *rest = carried[CONTEXT].cond
    return {**carried, CONTEXT: ContextCond(cond=[torch.zeros_like(latents), *rest])}


def with_conditions(conditioning: Conditioning, values: dict[str, Any], model_conds: dict[str, Any]) -> Conditioning:
    """Conditioning with values of the host's, and with what reaches the network beside them."""
    changed: Conditioning = node_helpers.conditioning_set_values(conditioning=conditioning, values=values)
    if not model_conds:
        return changed
    return [[text, {**kept, "model_conds": {**kept.get("model_conds", {}), **model_conds}}] for text, kept in changed]


def with_empty_front(latent: Tensor, count: int) -> Tensor:
    """An empty latent (1, C, T, h, w) that is ``count`` frames longer."""
    return torch.cat([torch.zeros_like(latent[:, :, :1]).expand(-1, -1, count, -1, -1), latent], dim=2)


def camera_layer_rows(segment: Segment, scale: float) -> dict[str, Any]:
    """Cameras of the segment's latent frames, each that of its first picture, and of the context frames."""
    poses, first = segment.trajectory.poses, segment.trajectory.poses[0]
    seen = segment.context.poses if segment.context is not None else poses[:0]
    own, context = (camera_rows(part, first, scale * CENTIMETRES) for part in (poses[::STRIDE], seen))
    return camera_conditions(own, context)
