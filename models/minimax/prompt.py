"""A prompt that is encoded anew for each segment, because MiniMax H3 reads text and pictures together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import node_helpers

from ..host.sampling import Conditioning

PROMPT_KEY = "scene_memory_h3_prompt"
TAGS_KEY = "minimax_token_tags"
"""What the host's text encoder of MiniMax H3, and no other, says beside the encoded text."""

AT_CUTS, ALWAYS = "at cuts", "always"
MATCH, LARGE = "match", "max"


@dataclass(frozen=True, eq=False)
class H3Prompt:
    """What conditioning carries, so that it can be encoded again with pictures.

    with_references: text that goes in front of ``text`` where remembered frames are references. references: AT_CUTS or
    ALWAYS. reference_size: MATCH or LARGE, as in the host's *MiniMax H3 Reference to Video*. references_model: MODEL
    that samples segments with references (ref2va), None for the same as all others.
    """

    clip: Any
    text: str
    with_references: str = ""
    references: str = AT_CUTS
    reference_size: str = MATCH
    references_model: Any = None

    @property
    def text_with_references(self) -> str:
        return " ".join(part for part in (self.with_references.strip(), self.text) if part)


def encoded(prompt: H3Prompt) -> Conditioning:
    """The text alone, as the host encodes it, carrying the prompt.

    Raises:
        ValueError: the text encoder is of another model.
    """
    plain = prompt.clip.encode_from_tokens_scheduled(prompt.clip.tokenize(prompt.text))
    if any(TAGS_KEY not in values for _, values in plain):
        raise ValueError(
            "This CLIP is not the text encoder of MiniMax H3. Load its Qwen3-VL file in Load CLIP with the type "
            "'minimax', or use CLIP Text Encode for another model."
        )
    carried: Conditioning = node_helpers.conditioning_set_values(conditioning=plain, values={PROMPT_KEY: prompt})
    return carried


def prompt_of(conditioning: Conditioning) -> H3Prompt | None:
    """The prompt that conditioning carries; None if there is none, in any part of it."""
    found = [values.get(PROMPT_KEY) for _, values in conditioning]
    return found[0] if found and all(isinstance(prompt, H3Prompt) for prompt in found) else None


def with_pictures(old: Conditioning, again: list[Conditioning]) -> Conditioning:
    """Conditioning in which the prompt of each part is encoded again; what other nodes have said of a part stays.

    Args:
        again: for each part, its prompt with pictures.

    Raises:
        ValueError: a part became several, as with a text encoder that follows a schedule.
    """
    if any(len(parts) != 1 for parts in again):
        raise ValueError(
            "The text encoder follows a schedule (CLIP hooks), which does not go with pictures that change from "
            "segment to segment. Connect the CLIP of Load CLIP to MiniMax H3 Prompt directly."
        )
    return [[parts[0][0], {**values, **parts[0][1]}] for (_, values), parts in zip(old, again, strict=True)]
