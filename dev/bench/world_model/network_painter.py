"""A network in training as a painter of films, without ComfyUI: the same two Euler steps as the bundled model's."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ....memory.cameras.trajectory import Trajectory
from ....world.training.learning import Trained
from ....world.vocabulary import tokenize
from .films import HEIGHT, WIDTH, Frames

SHIFT = 3.0


def noise_levels(steps: int) -> list[float]:
    """Noise levels of `steps` steps and the 0 at their end, as the host has them for this model."""
    shares = [1 - number / steps for number in range(steps + 1)]
    return [SHIFT * share / (1 + (SHIFT - 1) * share) for share in shares]


class NetworkPainter:
    """Paints segments with a network, as `films.Painter` does.

    Args:
        keyframe: whether the last frame of a segment is imagined first, alone, and the others then remember it.
    """

    def __init__(self, model: Trained, steps: int = 2, keyframe: bool = False) -> None:
        self.model, self.steps, self.keyframe = model.eval(), steps, keyframe

    @torch.no_grad()
    def paint(
        self,
        targets: Trajectory,
        past: tuple[Frames, NDArray[np.float64], NDArray[np.float64]] | None,
        caption: str,
        seed: int,
    ) -> Frames:
        """The segment along `targets`, (F, H, W, 3)."""
        if not self.keyframe or len(targets) == 1 or past is None:
            return self._painted(targets, past, caption, seed)
        last = targets[len(targets) - 1 :]
        key = self._painted(last, past, caption, seed)
        more = tuple(
            np.concatenate([old, new]) for old, new in zip(past, (key, last.poses, last.intrinsics), strict=True)
        )
        rest = self._painted(targets[: len(targets) - 1], more, caption, seed + 1)  # type: ignore[arg-type]
        return np.concatenate([rest, key])

    def _painted(
        self,
        targets: Trajectory,
        past: tuple[Frames, NDArray[np.float64], NDArray[np.float64]] | None,
        caption: str,
        seed: int,
    ) -> Frames:
        network = self.model.network
        poses, lenses = _tensor(targets.poses), _tensor(targets.intrinsics)
        text = self.model.text(torch.tensor([tokenize(caption)]))
        kept = woven = None
        if past is not None:
            pictures = torch.from_numpy(past[0]).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
            remembered = network.remember(pictures, _tensor(past[1]), _tensor(past[2]), poses, lenses)
            kept, woven = remembered.kept, remembered.woven
        noise = torch.randn(1, 3, len(targets), HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
        levels, noisy = noise_levels(self.steps), noise
        for level, after in zip(levels[:-1], levels[1:], strict=True):
            clean = network(noisy, torch.tensor([level]), poses, lenses, text, kept, None, woven).float()
            noisy = clean + (noisy - clean) * (after / level)
        pictures = noisy[0].permute(1, 2, 3, 0)
        return ((pictures + 1) * 127.5).clamp(0, 255).round().to(torch.uint8).numpy()


def _tensor(part: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(np.array(part)).float()[None]
