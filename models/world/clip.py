"""The world model's caption encoder, as the CLIP that CLIP Text Encode takes."""

from __future__ import annotations

import logging
from typing import Any

import comfy.model_management
import torch

from ...world.network import TextEncoder
from ...world.vocabulary import tokenize, unknown_words

log = logging.getLogger(__name__)

Tokens = dict[str, list[list[tuple[int, float]]]]


class WorldCLIP:
    """Tokenizes and encodes captions of little worlds; works with the stock CLIP Text Encode."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder

    def clone(self) -> WorldCLIP:
        return WorldCLIP(self.encoder)

    def tokenize(self, text: str, return_word_ids: bool = False, **_: Any) -> Tokens:
        """Token numbers with weight 1, in the shape that stock nodes pass around."""
        if unknown := unknown_words(text):
            log.info("The world model does not know these words and leaves them out: %s.", ", ".join(unknown))
        return {"world": [[(token, 1.0) for token in tokenize(text)]]}

    @torch.inference_mode(False)
    @torch.no_grad()
    def encode_from_tokens(self, tokens: Tokens, return_pooled: bool = False, return_dict: bool = False) -> Any:
        numbers = torch.tensor([[token for token, _ in row] for row in tokens["world"]], dtype=torch.long)
        encoded = self.encoder(numbers).to(comfy.model_management.intermediate_device())
        if return_dict:
            return {"cond": encoded, "pooled_output": None}
        return (encoded, None) if return_pooled else encoded

    def encode_from_tokens_scheduled(self, tokens: Tokens, **_: Any) -> list[list[Any]]:
        return [[self.encode_from_tokens(tokens), {}]]
