"""Keyframes of a story's newest shot: by how unlike they are (StoryMem), or by the next shot's text (Memento)."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...memory.state.state import MemoryState
from ...memory.story.keyframes import choose_keyframes, evenly, picture_features, unlike
from ...memory.story.story import story_caption
from ..host.identity import model_kind
from ..inputs import as_image
from ..wan.options import STRIDE
from .keyframe_query import choose, query_of

LIKENESS, QUERY = "likeness (StoryMem)", "KeyframeQuery (Memento)"
EITHER = "KeyframeQuery if the model has it"
RULES = (LIKENESS, QUERY, EITHER)
WORDS = 512
READ_AT_ONCE = 16


def rule_for(by: str, model: Any) -> str:
    """LIKENESS or QUERY: what EITHER comes to with a MODEL."""
    if by != EITHER:
        return by
    return QUERY if model is not None and query_of(model) is not None else LIKENESS


def newest_shot(memory: MemoryState) -> NDArray[np.int64]:
    """The frames (n,) of the shot that was made last, those left out that nothing may look at."""
    shots = memory.segments.shots(memory.segment_at(np.arange(memory.frames)))
    other = np.flatnonzero(shots != shots[-1])
    shot = np.arange(int(other[-1]) + 1 if len(other) else 0, memory.frames)
    return shot[memory.flags(shot).usable]


def chosen_by_likeness(memory: MemoryState, per_shot: int, likeness: float, clip_vision: Any) -> list[int]:
    """Up to ``per_shot`` frames of the newest shot that are unlike each other and those that are pinned.

    Told by what CLIP sees in them or, without ``clip_vision``, by their colours; ``likeness`` 0..1 is alike.
    """
    shot = newest_shot(memory)
    if not len(shot):
        return []
    seen = features_of(memory, shot, clip_vision)
    chosen = choose_keyframes(seen, per_shot, likeness)
    pinned = memory.pinned_frames()
    old = pinned[~np.isin(pinned, shot)]
    kept = features_of(memory, old, clip_vision) if len(old) else np.empty((0, seen.shape[1]))
    return [int(shot[chosen[index]]) for index in unlike(seen[chosen], kept, likeness)]


def features_of(memory: MemoryState, frames: NDArray[np.int64], clip_vision: Any) -> NDArray[np.float64]:
    """Features (n, C) of frames (n,), read a few at a time: what CLIP sees in them or, without it, their colours."""
    rows = []
    for start in range(0, len(frames), READ_AT_ONCE):
        pictures = memory.read_frames(frames[start : start + READ_AT_ONCE], nearest=True)
        if clip_vision is None:
            rows.append(picture_features(pictures))
        else:
            seen = clip_vision.encode_image(as_image(pictures))["image_embeds"]
            rows.append(seen.float().cpu().numpy().astype(np.float64))
    return np.concatenate(rows)


def chosen_by_query(
    memory: MemoryState, keep: int, fixed: int, model: Any, vae: Any, clip: Any, prompt: str
) -> NDArray[np.int64]:
    """Frames (n,) that stay pinned, ascending: of those that are and of ``keep`` evenly spread over the newest shot.

    Raises ValueError if something is not connected, or if the model carries no KeyframeQuery.
    """
    for name, given in (("model", model), ("vae", vae), ("clip", clip), ("prompt", prompt.strip() or None)):
        if given is None:
            raise ValueError(f"by is {QUERY}, which needs {name}. Give it, or choose {LIKENESS}.")
    found = query_of(model)
    if found is None:
        raise ValueError(
            f"by is {QUERY}, but {model_kind(model)} as it comes here carries none. Load Memento's backbone_low_noise "
            f"with Load Story LoRA, in a file that holds keyframe_query.*, or choose {LIKENESS}."
        )
    owner, query = found
    shot = newest_shot(memory)
    uniform = shot[evenly(len(shot), keep)]
    candidates = np.unique(np.concatenate([memory.pinned_frames(), uniform]))
    if len(candidates) <= keep:
        return candidates
    comfy.model_management.load_models_gpu(models=[owner])
    network = owner.model.diffusion_model
    with torch.inference_mode():
        texts = [_text(owner, clip, words) for words in (prompt.strip(), story_caption(prompt.strip()))]
        latents = torch.cat(
            [
                owner.model.process_latent_in(vae.encode(as_image(memory.read_frames([int(frame)], nearest=True)[0])))
                for frame in candidates
            ],
            dim=2,
        ).to(texts[0].device)
        times = [int(frame) // STRIDE - memory.frames // STRIDE for frame in candidates]
        scores = query.scores(latents, times, *texts, network.num_heads)
        return candidates[choose(*scores, keep, fixed)]


def _text(model: Any, clip: Any, words: str) -> Tensor:
    """(1, 512, width): a text as the network's blocks see it."""
    encoded: Tensor = clip.encode_from_tokens_scheduled(clip.tokenize(words))[0][0]
    padded = torch.nn.functional.pad(encoded, (0, 0, 0, max(0, WORDS - encoded.shape[1])))
    kind = model.model.manual_cast_dtype or model.model.get_dtype()
    result: Tensor = model.model.diffusion_model.text_embedding(padded.to(model.load_device, kind))
    return result
