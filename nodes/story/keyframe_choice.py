"""Story Keyframes by Memento's KeyframeQuery: candidates, their latents, the next shot's text, the choice."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...memory.state.state import MemoryState
from ...memory.story.keyframes import evenly
from ...memory.story.script import story_caption
from ...models.registry import model_kind
from ...models.story.keyframe_query import choose, query_of
from ..pictures import to_image

LIKENESS, QUERY = "likeness (StoryMem)", "KeyframeQuery (Memento)"
EITHER = "KeyframeQuery if the model has it"
RULES = (LIKENESS, QUERY, EITHER)
WORDS, STRIDE = 512, 4


def rule_for(by: str, model: Any) -> str:
    """LIKENESS or QUERY: what EITHER comes to with a MODEL."""
    if by != EITHER:
        return by
    return QUERY if model is not None and query_of(model) is not None else LIKENESS


def chosen_by_query(
    memory: MemoryState, shot: NDArray[np.int64], keep: int, fixed: int, model: Any, vae: Any, clip: Any, prompt: str
) -> NDArray[np.int64]:
    """Frames that stay pinned: of those that are and of ``keep`` of the newest shot's ``shot``, ascending.

    Raises:
        ValueError: something is not connected, or the model carries no KeyframeQuery.
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
    uniform = shot[evenly(len(shot), keep)]
    candidates = np.unique(np.concatenate([memory.pinned_frames(), uniform]))
    if len(candidates) <= keep:
        return candidates
    comfy.model_management.load_models_gpu([owner])
    network = owner.model.diffusion_model
    with torch.inference_mode():
        texts = [_text(owner, clip, words) for words in (prompt.strip(), story_caption(prompt.strip()))]
        latents = torch.cat(
            [
                owner.model.process_latent_in(vae.encode(to_image(memory.read_frames([int(frame)], nearest=True))))
                for frame in candidates
            ],
            dim=2,
        ).to(texts[0].device)
        places = [int(frame) // STRIDE - memory.frames // STRIDE for frame in candidates]
        scores = query.scores(latents, places, *texts, network.num_heads)
        return candidates[choose(*scores, keep, fixed)]


def _text(model: Any, clip: Any, words: str) -> Tensor:
    """(1, 512, width): a text as the network's blocks see it."""
    encoded: Tensor = clip.encode_from_tokens_scheduled(clip.tokenize(words))[0][0]
    padded = torch.nn.functional.pad(encoded, (0, 0, 0, max(0, WORDS - encoded.shape[1])))
    kind = model.model.manual_cast_dtype or model.model.get_dtype()
    result: Tensor = model.model.diffusion_model.text_embedding(padded.to(model.load_device, kind))
    return result
