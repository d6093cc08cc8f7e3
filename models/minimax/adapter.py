"""Adapter of MiniMax H3: remembered frames are its own references, or its first and last keyframe.

ComfyUI 0.30 takes references or keyframes in one pass, not both: given both, it looks for the keyframes among the
latents of the references and fails. So a segment that goes on begins with the newest frame as first keyframe, and ends
with a remembered one as last keyframe if one was taken where it ends; after a cut the remembered frames are references.
The public weights are two files, one for keyframes (fl2va) and one for references (ref2va): each segment takes its own.
Where the host has *Add Guide for MiniMax H3* (0.33), remembered frames are also keyframes where the path passes them,
and a segment with references begins with the newest frame all the same.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from comfy.patcher_extension import WrappersMP

from ...film.segment import Segment
from ..blocks import with_wrappers
from ..host.adapter import Adapter
from ..host.calls import HostNode
from ..host.sampling import Conditioned, Conditioning
from ..inputs import as_image, check_vae
from .prompt import ALWAYS, TAGS_KEY, H3Prompt, prompt_of, with_pictures

CHANNELS = 24
WRAPPER_KEY = "scene_memory"
TEXT_TAG = 1
"""What the host's text encoder marks words with; all else are pictures."""

SPACING = 17
"""Frames from one keyframe to the next: the model's own grid of latents repeats after so many."""

MOST_ON_THE_WAY = 3

Apart = tuple[np.ndarray, np.ndarray]

_FILE, _SIZE = "comfy_extras.nodes_minimax_h3", ("width", "height", "length")
_EMPTY = HostNode(_FILE, "EmptyMiniMaxH3LatentAV", _SIZE)
_KEYFRAMES = HostNode(
    _FILE, "MiniMaxH3ImageToVideo", ("clip", "vae", "prompt", *_SIZE, "first_frame", "last_frame")
)
_GUIDE = HostNode(_FILE, "MiniMaxH3AddGuide", ("positive", "vae", "latent", "image", "frame_idx"))
_REFERENCES = HostNode(
    _FILE, "MiniMaxH3ReferenceToVideo", ("clip", "vae", "audio_vae", "prompt", *_SIZE, "ref_image_size", "ref_images")
)


class MinimaxH3Adapter(Adapter):
    """Nothing is patched and nothing copied: the host's own nodes encode prompt and pictures, for each segment anew.

    The model makes sound along with the pictures. It is not kept: ``sampling.sample`` returns the pictures alone.
    """

    turn = 40
    name = "MiniMax H3"
    version = 1
    default_segment = 124
    longest_segment = 362
    shortest_segment = 22
    frame_grid = (17, 5)
    default_size = (1344, 768)
    size_multiple = 32
    context_without_retriever = 0
    most_context = 9
    overlap = 1
    frame_numbers = False
    host_nodes = (_EMPTY, _KEYFRAMES, _REFERENCES)
    listed = ("MiniMax H3",)
    files = {
        "MiniMax H3": (
            "minimax_h3_fl2va_pruned_int8_convrot.safetensors", "minimax_h3_ref2va_pruned_int8_convrot.safetensors",
            "qwen3vl_32b_minimax_h3_int8_convrot.safetensors", "minimax_h3_video_vae_fp16.safetensors",
        )
    }  # fmt: skip

    @staticmethod
    def serves(model: Any) -> bool:
        """Whether a MODEL is MiniMax H3, by the name of its network."""
        network = getattr(model.model, "diffusion_model", None)
        return (type(network).__module__, type(network).__name__) == ("comfy.ldm.minimax.model", "MiniMaxH3Model")

    def prepare(
        self, model: Any, positive: Conditioning, negative: Conditioning | None, segment: Segment, vae: Any = None
    ) -> Conditioned:
        """A segment's conditioning, encoded anew with its pictures, and its latent of pictures and sound.

        Raises ValueError for the VAE of another model, a prompt that is not of MiniMax H3 Prompt, and a
        references_model of another kind.
        """
        cure = "Load its video VAE in Load VAE; the audio VAE is not needed here."
        check_vae(vae, self.name, CHANNELS, cure)
        prompt = prompt_of(positive)
        if prompt is None:
            raise ValueError(
                "MiniMax H3 reads the prompt together with the remembered frames, so it must be encoded anew for every "
                "segment. Connect MiniMax H3 Prompt to 'positive' in place of the node that is there."
            )
        other = prompt.references_model if takes_references(prompt, segment) else None
        if other is not None and not self.serves(other):
            raise ValueError(
                f"The references_model of MiniMax H3 Prompt is {type(other.model).__name__}. "
                "Load MiniMax H3's ref2va file there, or leave it open."
            )
        sampled_by = other if other is not None else model
        (latent,) = _EMPTY(width=segment.width, height=segment.height, length=len(segment))
        return Conditioned(
            positive=_with_pictures(positive, segment, vae),
            negative=None if negative is None else _with_pictures(negative, segment, vae),
            latent=latent["samples"],
            model=with_room(sampled_by) if has_pictures(segment) else None,
        )


def _with_pictures(conditioning: Conditioning, segment: Segment, vae: Any) -> Conditioning:
    """Conditioning that knows the segment's pictures, in the parts that carry a prompt for it."""
    if prompt_of(conditioning) is None or not has_pictures(segment):
        return conditioning
    made: dict[int, Conditioning] = {}
    again = []
    for _, values in conditioning:
        prompt = prompt_of([[None, values]])
        assert prompt is not None, "asked above"
        if id(prompt) not in made:
            made[id(prompt)] = encoded_with_pictures(prompt, segment, vae)
        again.append(made[id(prompt)])
    return with_pictures(conditioning, again)


def has_pictures(segment: Segment) -> bool:
    """Whether a segment's prompt is encoded with pictures."""
    return segment.context is not None or segment.begins_with is not None


def takes_references(prompt: H3Prompt, segment: Segment) -> bool:
    """Whether a segment's remembered frames are references; keyframes if not."""
    remembers = segment.context is not None and len(segment.context) > 0
    return remembers and (segment.begins_with is None or prompt.references == ALWAYS)


def encoded_with_pictures(prompt: H3Prompt, segment: Segment, vae: Any) -> Conditioning:
    """A prompt with the segment's pictures, by the host's own nodes. <Picture 1> is the newest of the references."""
    made_as = {"width": segment.width, "height": segment.height, "length": len(segment)}
    context, first = segment.context, segment.begins_with
    if context is not None and takes_references(prompt, segment):
        pictures = {f"ref_image_{n}": as_image(one) for n, one in enumerate(context.pixels[::-1], 1)}
        conditioning, _ = _REFERENCES(
            clip=prompt.clip,
            vae=vae,
            audio_vae=None,
            prompt=prompt.text_with_references,
            **made_as,
            ref_image_size=prompt.reference_size,
            ref_images=pictures,
        )
        return guided(conditioning, segment, vae, [] if first is None else [(first, 0)])
    end = frame_at_the_end(segment)
    conditioning, _ = _KEYFRAMES(
        clip=prompt.clip,
        vae=vae,
        prompt=prompt.text,
        **made_as,
        first_frame=None if first is None else as_image(first),
        last_frame=None if end is None or context is None else as_image(context.pixels[end]),
    )
    passed = frames_on_the_way(segment) if context is not None else []
    return guided(conditioning, segment, vae, [(context.pixels[index], at) for index, at in passed if index != end])


def guided(conditioning: Conditioning, segment: Segment, vae: Any, pictures: list[tuple[Any, int]]) -> Conditioning:
    """Conditioning with pictures (H, W, 3) anchored at frames of the segment; as it was where the host cannot do it."""
    if not pictures or not _GUIDE.is_there:
        return list(conditioning)
    (latent,) = _EMPTY(width=segment.width, height=segment.height, length=len(segment))
    for picture, frame in pictures:
        (conditioning,) = _GUIDE(
            positive=conditioning, vae=vae, latent=latent, image=as_image(picture), frame_idx=frame
        )
    return list(conditioning)


def with_room(model: Any) -> Any:
    """A copy of a MODEL for which the host makes room for the pictures too.

    The host reckons memory by the segment's latent alone; each picture that goes with the prompt takes as much again as
    the part of the segment that is as large.
    """
    return with_wrappers(model, WRAPPER_KEY, {WrappersMP.PREPARE_SAMPLING: reckon_pictures})


def reckon_pictures(
    executor: Any, model: Any, noise_shape: Any, conds: dict[str, Any], *rest: Any, **named: Any
) -> Any:
    """Wrapper (host's WrappersMP.PREPARE_SAMPLING). Noise is (B, 1, numbers): pictures and sound in one row."""
    network = model.model.diffusion_model
    token = prod(network.patch_size) * network.latents_dim
    more = max((numbers_of(cond, token) for kind in conds.values() for cond in kind), default=0)
    return executor(model, [*noise_shape[:-1], noise_shape[-1] + more], conds, *rest, **named)


def numbers_of(cond: dict[str, Any], token: int) -> int:
    """Numbers of a latent that take as much memory as the pictures of a prompt: their latents, and what the text
    encoder made of them, ``token`` numbers for each of its tokens."""
    pictures = [*cond.get("minimax_refs", ()), *cond.get("minimax_keyframes", ())]
    latents = sum(picture["latent"].numel() for picture in pictures if picture.get("latent") is not None)
    tags = cond.get(TAGS_KEY)
    return latents + (0 if tags is None else token * int((tags != TEXT_TAG).sum()))


def frame_at_the_end(segment: Segment) -> int | None:
    """The index in the context of the frame whose camera is the segment's last, None if there is none.

    The same camera is one no further away than the largest step of the segment's own path, in position and in rotation,
    with the same intrinsics. A path that ends where it begins has no such frame: the first keyframe says it all.
    """
    if segment.context is None or not len(segment.context):
        return None
    path = segment.trajectory
    steps = [step.max() if len(step) else 0.0 for step in _apart(path.poses[:-1], path.poses[1:])]
    if _near(_apart(path.poses[:1], path.poses[-1:]), steps)[0]:
        return None
    apart = _apart(segment.context.poses, path.poses[-1:])
    same_intrinsics = np.isclose(segment.context.intrinsics, path.intrinsics[-1], atol=1e-3).all(axis=1)
    fits = np.flatnonzero(_near(apart, steps) & same_intrinsics)
    if not len(fits):
        return None
    return int(fits[np.lexsort((apart[0][fits], apart[1][fits]))[0]])


def frames_on_the_way(segment: Segment) -> list[tuple[int, int]]:
    """(index in the context, frame of the segment) of remembered frames whose camera the path passes, in the order of
    the path, ``SPACING`` or more from each other and from both ends. The same camera is one as ``frame_at_the_end``
    says it."""
    context, path = segment.context, segment.trajectory
    inside = range(SPACING, len(path) - SPACING)
    if context is None or not len(context) or not len(inside):
        return []
    steps = [step.max() for step in _apart(path.poses[:-1], path.poses[1:])]
    found: list[tuple[float, int, int]] = []
    for frame in inside:
        moved, rotated = _apart(context.poses, path.poses[frame : frame + 1])
        same_intrinsics = np.isclose(context.intrinsics, path.intrinsics[frame], atol=1e-3).all(axis=1)
        for index in np.flatnonzero(_near((moved, rotated), steps) & same_intrinsics):
            found.append((float(rotated[index] + moved[index]), frame, int(index)))
    chosen: list[tuple[int, int]] = []
    for _, frame, index in sorted(found):
        free = all(abs(frame - other) >= SPACING and index != taken for taken, other in chosen)
        if free and len(chosen) < MOST_ON_THE_WAY:
            chosen.append((index, frame))
    return sorted(chosen, key=lambda pair: pair[1])


def _apart(one: np.ndarray, other: np.ndarray) -> Apart:
    """How far cameras (n, 4, 4) are from others: in scene units, and as the size of the difference of rotations."""
    moved = np.linalg.norm(one[:, :3, 3] - other[:, :3, 3], axis=1)
    return moved, np.linalg.norm(one[:, :3, :3] - other[:, :3, :3], axis=(1, 2))


def _near(apart: Apart, steps: list[float]) -> np.ndarray:
    return (apart[0] <= steps[0] + 1e-6) & (apart[1] <= steps[1] + 1e-6)
