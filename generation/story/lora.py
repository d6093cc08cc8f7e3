"""The LoRAs of StoryMem and Memento as their code saves them: PEFT's names, rank-stabilised, without a scale."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

PEFT = "base_model.model."
HOST = "diffusion_model."
_FACTOR = re.compile(r"^(.+)\.lora_([AB])(?:\.default)?\.weight$")


def for_host(weights: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """The same LoRA under the names of the host's loader, with the scale that it was trained with.

    PEFT scales a rank-stabilised LoRA by alpha / sqrt(r), the host by alpha / r: for alpha = r, as both were trained,
    an alpha of r * sqrt(r) is written beside each pair. What is no LoRA, such as Memento's KeyframeQuery, is left out.
    A file that has the host's names is given back as it is.

    Raises:
        ValueError: the file holds no LoRA, or one half of a pair is missing.
    """
    if any(name.startswith(HOST) for name in weights):
        return dict(weights)
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, weight in weights.items():
        if match := _FACTOR.match(name.removeprefix(PEFT)):
            pairs.setdefault(match[1], {})[match[2]] = weight
    if not pairs:
        raise ValueError(
            f"{what} holds no LoRA (blocks.0.self_attn.q.lora_A.weight). Choose StoryMem's or Memento's file."
        )
    result: dict[str, Tensor] = {}
    for layer, pair in pairs.items():
        if len(pair) != 2 or pair["A"].shape[0] != pair["B"].shape[1]:
            raise ValueError(f"{what} is not whole: the two parts of {layer} do not fit. Download it anew.")
        rank = pair["A"].shape[0]
        result[f"{HOST}{layer}.lora_A.weight"] = pair["A"]
        result[f"{HOST}{layer}.lora_B.weight"] = pair["B"]
        result[f"{HOST}{layer}.alpha"] = pair["A"].new_tensor(float(rank) * float(rank) ** 0.5)
    return result
