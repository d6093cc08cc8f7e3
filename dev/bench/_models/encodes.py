"""How many remembered frames go through the VAE for each segment of a film that looks back at 20 and comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from ....memory.bank.bank import Bank
from ....memory.cameras.joins import joined
from ....memory.cameras.presets import make_preset
from ....memory.retrieval.settings import RetrievalSettings
from .loaded import Loaded

LOOKS_BACK, SEGMENT, DEGREES = 20, 17, 90.0
TURNS = 4
"""Away, back (the first revisit), away again and back again."""


def encodes(folder: Path, loaded: Loaded, size: tuple[int, int], turn_segments: int = 3) -> list[int]:
    """Single pictures that went through the VAE, for each segment; a segment's own start is encoded as a video."""
    import comfy.samplers
    import comfy.sd

    from ....film.loop import generate_shot
    from ....film.plan import ShotPlan
    from ....models.registry import adapter_for

    counts, encode, shots = [0], comfy.sd.VAE.encode, Bank.create(folder, "encodes")

    def counted(vae: Any, pictures: Any) -> Any:
        counts[-1] += len(pictures) == 1
        return encode(vae, pictures)

    frames = turn_segments * (SEGMENT - 1) + 1
    turn = make_preset("pan", frames=frames, fps=16.0, amount=DEGREES, fov=70.0, aspect=size[0] / size[1])
    path = joined([turn if number % 2 == 0 else turn.reversed() for number in range(TURNS)])
    plan = ShotPlan(
        model=loaded.model, vae=loaded.vae, positive=loaded.positive, negative=None,
        sampler=comfy.samplers.sampler_object("euler"), sigmas=torch.tensor([1.0, 0.5, 0.0]), seed=3, cfg=1.0,
        trajectory=path, retriever=RetrievalSettings(k=LOOKS_BACK), segment_frames=SEGMENT, width=size[0],
        height=size[1],
    )  # fmt: skip
    with patch.object(comfy.sd.VAE, "encode", counted):
        model = adapter_for(plan.model)
        for done in generate_shot(shots.empty(), plan, model, on_pictures=lambda *_: counts.append(0)):
            assert done.made
    return counts[:-1]


def after_the_first_revisit(counts: list[int]) -> float:
    """The mean of the segments of the second half, in which every place has been seen and looked back at before."""
    later = counts[len(counts) // 2 :]
    return sum(later) / len(later)
