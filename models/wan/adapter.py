"""Adapter of the Wan family: remembered frames are appended to the sequence, clean, and cut off again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import node_helpers
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...film.model import Adapter, Conditioning, Prepared
from ...film.segment import ContextFrames, Segment
from ..blocks import with_wrappers
from .camera_layers import ATTACHMENT as CAMERA_LAYERS
from .camera_layers import CENTIMETRES, camera_conditions, camera_rows, with_camera_layers
from .context import CONTEXT, WRAPPER_KEY, ContextCond, ContextPlan, append_context, conditions
from .estimate import FACTOR_CONDS, counted_conds, reckon_context
from .family import NO_START, WanFamily, family_of
from .options import AFTER, AUTO, BEFORE, CLEAN, NOISED, SAME, WanOptions, options_of
from .positions import ContextPositions
from .start import as_image, start_of
from .timesteps import frame_noise

STRIDE = 4
"""Pictures to one latent frame."""


class WanAdapter(Adapter):
    """Text to video, image to video, TI2V-5B, pairs for high and low noise."""

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
    overlap = 1

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
        family = family_of(model)
        return family is not None and not family.camera and not family.vace

    @classmethod
    def for_model(cls, model: Any) -> WanAdapter:
        family = family_of(model)
        assert family is not None, "asked only for what it serves"
        return cls(family)

    def prepare(
        self, model: Any, positive: Conditioning, negative: Conditioning | None, segment: Segment, vae: Any = None
    ) -> Prepared:
        options = options_of(model)
        check_pair(self, options, negative)
        check_vae(self, vae)
        check_conditioning(model, positive, negative)
        start = start_of(self.family, vae, len(segment), segment.width, segment.height, segment.begins_with)
        shared = {**start.values, **self._seen(options, segment), **self._more_values(model, segment)}
        ours: dict[str, Any] = {}
        low = options.low_noise
        if segment.context is not None and len(segment.context):
            ours = self._context(model, resolved(model, self.family), segment)
            low = None if low is None else with_context(routed_like(low, model))
            sampled = with_context(model)
        else:
            sampled = model
        if (layers := model.get_attachment(key=CAMERA_LAYERS)) is not None:
            sampled = with_camera_layers(sampled, layers)
            ours |= camera_layer_rows(segment, options.camera_scale)
        return Prepared(
            positive=with_conditions(positive, shared, ours),
            negative=None if negative is None else with_conditions(negative, shared, _blank(ours, options)),
            latent=start.latent,
            mask=start.mask,
            model=sampled,
            low_noise=low,
            **options.pair,
        )

    def _more_values(self, model: Any, segment: Segment) -> dict[str, Any]:
        """Conditioning values that a kind of control adds."""
        return {}

    def _context_cameras(self, model: Any, segment: Segment) -> Tensor | None:
        """Cameras of the context frames, for models that see cameras."""
        return None

    def _seen(self, options: WanOptions, segment: Segment) -> dict[str, Any]:
        if options.clip_vision is None or segment.begins_with is None or not self.family.clip_vision:
            return {}
        return {"clip_vision_output": options.clip_vision.encode_image(as_image(segment.begins_with))}

    def _context(self, model: Any, options: WanOptions, segment: Segment) -> dict[str, Any]:
        context = segment.context
        assert context is not None and context.latents is not None
        plan = ContextPlan(ContextPositions(*self._places(options, segment, context)), options.times)
        latents = model.model.process_latent_in(context.latents)
        noise = frame_noise(latents, context.numbers)
        return conditions(plan, latents, noise, self._context_cameras(model, segment))

    def _places(self, options: WanOptions, segment: Segment, context: ContextFrames) -> tuple[str, tuple[float, ...]]:
        ago = tuple((segment.first_frame - float(frame)) / STRIDE for frame in context.numbers)
        return options.positions, ago


def resolved(model: Any, family: WanFamily) -> WanOptions:
    """The options of a MODEL, AUTO replaced by what its family has seen in training.

    Echo-Memory (told by its camera layers) has clean frames at the segment's time behind it; TI2V-5B has known
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


def with_context(model: Any) -> Any:
    """A copy of a MODEL in which the context of the conditioning is appended, and reckoned with."""
    wrappers = {WrappersMP.DIFFUSION_MODEL: append_context, WrappersMP.PREPARE_SAMPLING: reckon_context}
    patched = with_wrappers(model, WRAPPER_KEY, wrappers)
    patched.add_object_patch(name=FACTOR_CONDS, obj=counted_conds(patched))
    return patched


def routed_like(low: Any, high: Any) -> Any:
    """The low noise MODEL, routed as the high noise one is where it has no routing of its own."""
    key = "optimized_attention_override"
    override = high.model_options["transformer_options"].get(key)
    if override is None or key in low.model_options["transformer_options"]:
        return low
    routed = low.clone()
    routed.model_options["transformer_options"] = {**routed.model_options["transformer_options"], key: override}
    return routed


def check_pair(adapter: WanAdapter, options: WanOptions, negative: Conditioning | None) -> None:
    """Refuses a second MODEL of another family, and a cfg of its own without anything to steer away from."""
    if options.low_noise is None:
        return
    if options.low_noise_cfg not in (0.0, 1.0) and negative is None:
        raise ValueError(
            f"low_noise_cfg is {options.low_noise_cfg:g}, but nothing is connected to 'negative', which it steers away "
            "from. Connect a CLIP Text Encode there, or use low_noise_cfg 1."
        )
    other = family_of(options.low_noise)
    if other != adapter.family:
        kind = other.name if other is not None else type(options.low_noise.model).__name__
        raise ValueError(
            f"low_noise_model is {kind}, the model is {adapter.family.name}: a pair must be of one family. "
            "Load the low noise file that goes with the high noise file."
        )


def check_vae(adapter: WanAdapter, vae: Any) -> None:
    """Refuses the VAE of another model."""
    found = getattr(vae, "latent_channels", None)
    if found != adapter.family.channels:
        file = "wan2.2_vae.safetensors" if adapter.family.channels == 48 else "wan_2.1_vae.safetensors"
        raise ValueError(
            f"The VAE has latents of {found} channels, {adapter.name} takes {adapter.family.channels}. "
            f"Load {file} in Load VAE."
        )


def check_conditioning(model: Any, *kinds: Conditioning | None) -> None:
    """Refuses prompts of another family's text encoder, and those that put other frames into the sequence, whose place
    is not known here."""
    width = model.model.diffusion_model.text_dim
    for kind in kinds:
        found = {text.shape[-1] for text, _ in kind or []}
        if found - {width}:
            raise ValueError(
                f"The prompt was encoded {min(found - {width})} numbers wide, the model takes {width}: the text "
                "encoder is of another family. Load umt5_xxl_fp8_e4m3fn_scaled.safetensors with the type wan in Load "
                "CLIP."
            )
        if any("context_latents" in values for _, values in kind or []):
            raise ValueError(
                "The prompt carries in-context latents of another node, which stand where remembered frames go. "
                "Connect CLIP Text Encode to Shot Generator directly."
            )


def _blank(ours: dict[str, Any], options: WanOptions) -> dict[str, Any]:
    """The context of the negative prompt: the same, or zeros in its place."""
    if CONTEXT not in ours or not options.blank_negative:
        return ours
    latents, *rest = ours[CONTEXT].cond
    return {**ours, CONTEXT: ContextCond(cond=[torch.zeros_like(latents), *rest])}


def with_conditions(conditioning: Conditioning, values: dict[str, Any], model_conds: dict[str, Any]) -> Conditioning:
    """Conditioning with values of the host's, and with what reaches the network beside them."""
    changed: Conditioning = node_helpers.conditioning_set_values(conditioning=conditioning, values=values)
    if not model_conds:
        return changed
    return [[text, {**kept, "model_conds": {**kept.get("model_conds", {}), **model_conds}}] for text, kept in changed]


def camera_layer_rows(segment: Segment, scale: float) -> dict[str, Any]:
    """Cameras of the segment's latent frames, each that of its first picture, and of the context frames."""
    poses, first = segment.trajectory.poses, segment.trajectory.poses[0]
    seen = segment.context.poses if segment.context is not None else poses[:0]
    own, context = (camera_rows(part, first, scale * CENTIMETRES) for part in (poses[::STRIDE], seen))
    return camera_conditions(own, context)
