"""How the world model learns to imagine: a discriminator judges what no context frame has seen.

Squared and absolute errors reward the mean of all rooms that there could be, which is a smear. A patch discriminator
(hinge loss, spectral norm) that knows what was seen rewards one room that could be. It is shown the true picture, and
the true picture with the never-seen pixels painted by the network, so that it also looks at the seam between them.
What was seen keeps its loss of before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..mirror import NEVER_SEEN
from ..network import Remembered
from ..rays import ray_directions
from .dataset import Batch, Store, collate, example_of
from .learning import Trained, edges_of, spoiled

CONDITION = 5
"""What the discriminator is told beside the picture: certainty and colour of what is remembered, the rays' slope."""

SECOND = 0.75
"""Noise level of the second of two steps, as stock samplers have it with the model's shift of 3."""

LARGEST_GAP = 14
BLUR = 6
REPLAYED = 12


@dataclass(frozen=True)
class Imagining:
    """Choices of this way of learning.

    Attributes:
        share: of the steps that learn to imagine; the others learn as before, so that nothing is forgotten.
        adversarial: how strong the discriminator's gradient is, over that of the blurred error of unseen pixels.
        coarse: weight of the blurred error of unseen pixels, which asks for a mean.
        features: weight of the error in the discriminator's features.
        second: share of these steps that begin from the network's own first guess, as the second of two steps does.
        targets, target_shares: frames to be painted, and how often.
        contexts, context_shares: frames that are remembered, and how often.
        frames: target frames in a step.
        pace: learning rate of the discriminator over the network's.
        lead: steps in which the discriminator learns alone.
        again: steps that the discriminator makes beside each, on pictures of the REPLAYED steps before: they cost a
            tenth of a step of the network, whose pictures are worth more than one look.
    """

    share: float = 0.8
    adversarial: float = 1.0
    coarse: float = 1.0
    features: float = 1.0
    second: float = 0.5
    targets: tuple[int, ...] = (1, 4)
    target_shares: tuple[float, ...] = (0.7, 0.3)
    contexts: tuple[int, ...] = (0, 1, 2, 4)
    context_shares: tuple[float, ...] = (0.15, 0.45, 0.2, 0.2)
    frames: int = 12
    pace: float = 2.0
    lead: int = 60
    again: int = 0


class Discriminator(nn.Module):
    """Whether patches of a picture are true: logits for two sizes of patch, and the features behind them."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 + CONDITION, width, 4, 2, 1)
        self.second = spectral_norm(nn.Conv2d(width, 2 * width, 4, 2, 1))
        self.third = spectral_norm(nn.Conv2d(2 * width, 4 * width, 4, 2, 1))
        self.fine = spectral_norm(nn.Conv2d(2 * width, 1, 3, 1, 1))
        self.coarse = spectral_norm(nn.Conv2d(4 * width, 1, 3, 1, 1))

    def forward(self, pictures: Tensor, condition: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """From pictures (N, 3, H, W) and their conditions (N, CONDITION, H, W): logits (N, 1, h, w) of patches of a
        quarter and an eighth of the size, and features (N, c, h, w) of three sizes."""
        first = F.leaky_relu(self.first(torch.cat([pictures, condition], 1)), 0.2)
        second = F.leaky_relu(self.second(first), 0.2)
        third = F.leaky_relu(self.third(second), 0.2)
        return [self.fine(second), self.coarse(third)], [first, second, third]


def weighted(values: Tensor, where: Tensor) -> Tensor:
    """Mean of (N, c, h, w) over the pixels `where` (N, 1, H, W), brought to their size; a scalar."""
    weight = F.adaptive_avg_pool2d(where, values.shape[-2:])
    return (values.mean(1, keepdim=True) * weight).sum() / weight.sum().clamp_min(1e-3)


def draw_film_batch(
    store: Store, known: int, rng: np.random.Generator, size: int, targets: int, contexts: int
) -> Batch:
    """Segments of a film that goes on: `contexts` frames of the past, the newest up to LARGEST_GAP frames before a
    single target, just before several."""
    examples = []
    for _ in range(size):
        walk = store[int(rng.integers(known))]
        order = np.arange(len(walk.frames))
        if rng.random() < 0.5:
            order = order[::-1]
        gap = int(rng.integers(1, LARGEST_GAP + 1)) if targets == 1 else 1
        first = int(rng.integers(max(contexts - 1, 0) + gap, len(order) - targets + 1))
        newest = first - gap
        past = np.append(rng.choice(newest, contexts - 1, replace=False), newest) if contexts else np.empty(0, int)
        target = order[first : first + targets]
        examples.append(example_of(walk, target, order[past.astype(np.int64)], mirrored=bool(rng.random() < 0.5)))
    return collate(examples)


def flat(pictures: Tensor) -> Tensor:
    """(B, c, F, H, W) to (B * F, c, H, W)."""
    return pictures.transpose(1, 2).flatten(0, 1)


def condition_of(batch: Batch, remembered: Remembered | None) -> tuple[Tensor, Tensor]:
    """What is told to the discriminator, (B * F, CONDITION, H, W), and which pixels were never seen, (B * F, 1, H, W)
    of 0 and 1."""
    size, _, frames, height, width = batch.target.shape
    slope = ray_directions(batch.poses.float(), batch.intrinsics.float(), height, width)[1]
    if remembered is None or remembered.woven is None or remembered.certain is None:
        shown = batch.target.new_zeros(size, frames, 3, height, width)
        unseen = batch.target.new_ones(size, frames, 1, height, width)
    else:
        unseen = (remembered.certain.float() < NEVER_SEEN).float()
        shown = remembered.woven[:, :, :3].float() * (1 - unseen)
    return torch.cat([1 - unseen, shown, slope[:, :, None]], 2).flatten(0, 1), unseen.flatten(0, 1)


class Imaginer:
    """The discriminator in training, and the steps in which network and discriminator learn from each other."""

    def __init__(self, settings: Imagining, rate: float, device: torch.device) -> None:
        self.settings = settings
        self.discriminator = Discriminator().to(device)
        self.optimiser = torch.optim.AdamW(
            self.discriminator.parameters(), rate * settings.pace, betas=(0.5, 0.95), weight_decay=0.0, fused=True
        )
        self.step, self.ratio = 0, 0.0
        self.seen: dict[str, float] = {}
        self._before: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "ratio": self.ratio,
        }

    def resume(self, kept: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.discriminator.load_state_dict(kept["discriminator"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.step, self.ratio = kept["step"], kept["ratio"]

    def batch(self, store: Store, known: int, rng: np.random.Generator) -> Batch:
        """What one step sees."""
        own = self.settings
        targets = int(rng.choice(own.targets, p=own.target_shares))
        contexts = int(rng.choice(own.contexts, p=own.context_shares))
        return draw_film_batch(store, known, rng, max(1, own.frames // targets), targets, contexts)

    def learn(self, model: Trained, batch: Batch, generator: torch.Generator) -> float:
        """One step of the discriminator, and the network's gradients; its loss as a number.

        The keys and values of the context are taken as they are: how to read it is learned in the other steps.
        """
        own, device = self.settings, batch.target.device
        tokens = batch.tokens.clone()
        silent = torch.rand(len(tokens), generator=generator) < (0.15 if batch.context.shape[2] else 0.05)
        tokens[silent.to(device), 1:] = 0
        with torch.no_grad():
            remembered = model.remember(batch, spoiled(batch.context, generator))
            condition, unseen = condition_of(batch, remembered)
        noise = torch.randn(batch.target.shape, generator=generator).to(device)
        sigma, noisy = torch.ones(len(noise), device=device), noise
        if float(torch.rand((), generator=generator)) < own.second:
            with torch.no_grad():
                guess = model.predict(batch, noise, sigma, remembered, tokens).float()
            noisy, sigma = (1 - SECOND) * guess + SECOND * noise, SECOND * sigma
        clean = model.predict(batch, noisy, sigma, remembered, tokens).float()
        truth = flat(batch.target)
        painted = clean.detach().requires_grad_(True)
        shown = torch.lerp(truth, flat(painted), unseen)
        self.seen = {"unseen": float(unseen.mean())}
        if own.adversarial and unseen.any():
            self._judge(truth, shown.detach(), condition, unseen)
            self._judge_again((truth, shown.detach(), condition, unseen), generator)
        wrong = (painted - batch.target) * (1 - unseen.unflatten(0, (len(painted), -1)).transpose(1, 2))
        kept = 4 * wrong.square().mean() + 0.3 * (wrong.abs().mean() + edges_of(wrong).mean())
        blurred = F.avg_pool2d(shown - truth, BLUR)
        coarse = blurred.abs().mean() + 2 * blurred.square().mean()
        gradient = torch.autograd.grad(kept + own.coarse * coarse, painted, retain_graph=True)[0]
        if own.adversarial and unseen.any() and self.step > own.lead:
            gradient = gradient + self._pull(truth, shown, painted, coarse, condition, unseen)
        clean.backward(gradient)
        self.step += 1
        return float((kept + coarse).detach())

    def _judge_again(self, now: tuple[Tensor, Tensor, Tensor, Tensor], generator: torch.Generator) -> None:
        """More steps of the discriminator, on what it was shown before."""
        told = self.seen["judge"]
        for _ in range(self.settings.again if self._before else 0):
            self._judge(*self._before[int(torch.randint(len(self._before), (), generator=generator))])
        self.seen["judge"] = told
        if self.settings.again:
            self._before = [*self._before[-(REPLAYED - 1) :], now]

    def _judge(self, truth: Tensor, shown: Tensor, condition: Tensor, unseen: Tensor) -> None:
        """The discriminator's own step."""
        with torch.autocast(truth.device.type, torch.bfloat16):
            both = self.discriminator(torch.cat([truth, shown]), torch.cat([condition, condition]))[0]
        loss = truth.new_zeros(())
        for logits in both:
            real, made = logits.float().chunk(2)
            loss = loss + weighted(F.relu(1 - real), unseen) + weighted(F.relu(1 + made), unseen)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.seen["judge"] = float(loss.detach()) / 2

    def _pull(
        self, truth: Tensor, shown: Tensor, painted: Tensor, coarse: Tensor, condition: Tensor, unseen: Tensor
    ) -> Tensor:
        """Where the discriminator draws the picture, (B, 3, F, H, W), as strong as the settings say."""
        self.discriminator.requires_grad_(False)
        with torch.autocast(truth.device.type, torch.bfloat16):
            logits, features = self.discriminator(shown, condition)
            with torch.no_grad():
                wanted = self.discriminator(truth, condition)[1]
        self.discriminator.requires_grad_(True)
        fooled = -sum(weighted(part.float(), unseen) for part in logits)
        alike = sum(
            weighted((a.float() - b.float()).abs(), unseen) for a, b in zip(features, wanted, strict=True)
        )
        pull = torch.autograd.grad(fooled, painted, retain_graph=True)[0]  # type: ignore[arg-type]
        along = torch.autograd.grad(alike, painted, retain_graph=True)[0]  # type: ignore[arg-type]
        plain = torch.autograd.grad(coarse, painted)[0]
        ratio = float(plain.norm() / pull.norm().clamp_min(1e-9))
        self.ratio = ratio if not self.ratio else 0.98 * self.ratio + 0.02 * ratio
        share = float(plain.norm() / along.norm().clamp_min(1e-9))
        self.seen["fooled"] = float(fooled.detach()) / 2  # type: ignore[union-attr]
        return self.settings.adversarial * self.ratio * pull + self.settings.features * share * along
