"""Adapter of MiniMax H3: remembered frames are its own references, or its first and last keyframe.

ComfyUI 0.30 takes references or keyframes in one pass, not both: given both, it looks for the keyframes among the
latents of the references and fails. So a segment that goes on begins with the newest frame as first keyframe, and ends
with a remembered one as last keyframe if one was taken where it ends; after a cut the remembered frames are references.
The public weights are two files, one for keyframes (fl2va) and one for references (ref2va): each segment takes its own.
Where the host has *Add Guide for MiniMax H3* (0.33), remembered frames are also keyframes where the path passes them,
and a segment with references begins with the newest frame all the same.
"""

from __future__ import annotations

from typing import Any

from ...film.model import Adapter, Conditioning, Prepared
from ...film.segment import Segment
from ..host.calls import HostNode
from ..wan.start import as_image
from .estimate import reckoned
from .keyframes import frame_at_the_end, frames_on_the_way
from .prompt import ALWAYS, H3Prompt, prompt_of, with_pictures

CHANNELS = 24

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

    @staticmethod
    def serves(model: Any) -> bool:
        network = getattr(model.model, "diffusion_model", None)
        return (type(network).__module__, type(network).__name__) == ("comfy.ldm.minimax.model", "MiniMaxH3Model")

    def prepare(
        self, model: Any, positive: Conditioning, negative: Conditioning | None, segment: Segment, vae: Any = None
    ) -> Prepared:
        _check_vae(vae)
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
        return Prepared(
            positive=_told(positive, segment, vae),
            negative=None if negative is None else _told(negative, segment, vae),
            latent=latent["samples"],
            model=reckoned(sampled_by) if has_pictures(segment) else None,
        )


def _told(conditioning: Conditioning, segment: Segment, vae: Any) -> Conditioning:
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
    return guided(conditioning, segment, vae, [(context.pixels[place], at) for place, at in passed if place != end])


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


def _check_vae(vae: Any) -> None:
    found = getattr(vae, "latent_channels", None)
    if found != CHANNELS:
        raise ValueError(
            f"The VAE has latents of {found} channels, MiniMax H3 takes {CHANNELS}. "
            "Load its video VAE in Load VAE; the audio VAE is not needed here."
        )
