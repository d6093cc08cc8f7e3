"""What an artist says and loads for a story on a Wan image to video: options, carried by the MODEL, and a LoRA.

The LoRAs of StoryMem and Memento come as their code saves them: PEFT's names, rank-stabilised, without a scale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

STORYMEM, MEMENTO = "StoryMem", "Memento"
METHODS = (STORYMEM, MEMENTO)
FRAME, MOTION = 1, 5
"""Newest pictures with which a shot that goes on begins: StoryMem's MI2V and MM2V."""

ATTACHMENT = "scene_memory_story"

HALVES = ("low_noise_model.", "high_noise_model.")
PEFT = "base_model.model."
HOST = "diffusion_model."
TRAINED = "trainable_state_dict"
"""Where checkpoints of one's own training keep the weights."""

_FACTOR = re.compile(r"^(.+)\.lora_([AB])(?:\.default)?\.weight$")
_ALPHA = re.compile(r"^(.+)\.alpha$")


@dataclass(frozen=True, eq=False)
class StoryOptions:
    """Which layout the LoRA was trained with.

    known: newest pictures that a shot that goes on is given, FRAME or MOTION. spacing: for StoryMem, latent frames from
    one remembered frame to the next; 1 is what its released code does. subject, no_subject: for Memento, the encoded
    text (1, L, width) of the subject that is rebuilt beside the shot, and of an empty one for the negative prompt; None
    rebuilds nothing.
    """

    method: str = STORYMEM
    known: int = FRAME
    spacing: int = 1
    subject: Tensor | None = None
    no_subject: Tensor | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}: expected one of {', '.join(METHODS)}.")
        if self.known not in (FRAME, MOTION):
            raise ValueError(f"known_frames is {self.known}: a story goes on from {FRAME} or {MOTION} pictures. Use 1.")
        if self.spacing < 1:
            raise ValueError(f"spacing is {self.spacing}: remembered frames lie 1 latent frame apart or more. Use 1.")


def with_story(model: Any, options: StoryOptions) -> Any:
    """A copy of a MODEL that carries the options."""
    marked = model.clone()
    marked.set_attachments(key=ATTACHMENT, attachment=options)
    return marked


def story_of(model: Any) -> StoryOptions | None:
    """The options that a MODEL carries; None if it is to be given a memory in the way of its family."""
    found = model.get_attachment(key=ATTACHMENT)
    return found if isinstance(found, StoryOptions) else None


def for_host(weights: Mapping[str, Any], what: str) -> tuple[dict[str, Tensor], str]:
    """The same LoRA under the names of the host's loader, with the scale that it was trained with; and a note for the
    artist, or "".

    Each layer has "lora_A.weight" (r, n), "lora_B.weight" (m, r) and "alpha", one number.

    PEFT scales a rank-stabilised LoRA by alpha / sqrt(r), the host by alpha / r: for alpha = r, as both were trained,
    an alpha of r * sqrt(r) is written beside each pair that has none. Names may carry ``low_noise_model.`` or
    ``high_noise_model.``, ``base_model.model.`` or ``diffusion_model.`` in front and ``.default`` behind, as the
    authors' loader takes them. What is no LoRA, such as Memento's KeyframeQuery, is left out. A file that has the
    host's names and a scale is given back as it is.

    Raises:
        ValueError: the file holds no LoRA, those of both halves, or one half of a pair is missing.
    """
    held: Mapping[str, Tensor] = weights[TRAINED] if isinstance(weights.get(TRAINED), Mapping) else weights
    halves = [half for half in HALVES if any(name.startswith(half) for name in held)]
    if len(halves) > 1:
        raise ValueError(
            f"{what} holds the LoRAs of both models ({' and '.join(halves)}). Choose the file of one: "
            "backbone_high_noise for the high noise model, backbone_low_noise for the other."
        )
    pairs: dict[str, dict[str, Tensor]] = {}
    alphas: dict[str, Tensor] = {}
    for name, weight in held.items():
        bare = _bare(name)
        if match := _FACTOR.match(bare):
            pairs.setdefault(match[1], {})[match[2]] = weight
        elif match := _ALPHA.match(bare):
            alphas[match[1]] = weight
    if not pairs:
        if any(name.startswith(HOST) for name in held):
            return dict(held), ""
        raise ValueError(
            f"{what} holds no LoRA (blocks.0.self_attn.q.lora_A.weight). Choose StoryMem's or Memento's file."
        )
    result: dict[str, Tensor] = {}
    for layer, pair in pairs.items():
        if len(pair) != 2 or pair["A"].shape[0] != pair["B"].shape[1]:
            raise ValueError(f"{what} is not whole: the two parts of {layer} do not fit. Download it anew.")
        rank = float(pair["A"].shape[0])
        result[f"{HOST}{layer}.lora_A.weight"] = pair["A"]
        result[f"{HOST}{layer}.lora_B.weight"] = pair["B"]
        result[f"{HOST}{layer}.alpha"] = alphas.get(layer, pair["A"].new_tensor(rank * rank**0.5))
    return result, _note(held, len(pairs) - len(alphas.keys() & pairs.keys()))


def _bare(name: str) -> str:
    """A layer's name without what stands in front of it."""
    for half in HALVES:
        name = name.removeprefix(half)
    return name.removeprefix(PEFT).removeprefix(HOST)


def _note(held: Mapping[str, Tensor], without: int) -> str:
    """What is said of pairs that have no scale: their own form has none, a converted file should have one."""
    if not without or not any(name.startswith(HOST) for name in held):
        return ""
    return (
        f"{without} layers have no alpha. They are scaled by the square root of their rank, as StoryMem and Memento "
        "were trained; if the film looks burnt, the scale is in the weights already: set strength to 1 / that root "
        "(0.088 for rank 128)."
    )
