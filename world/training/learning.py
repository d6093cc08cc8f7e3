"""What the world model learns by: its loss, and its examination on scenes it never trains on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...kernels import MocLayout, MocSettings, routing_mask
from ..mirror import NEVER_SEEN
from ..network import Remembered, TextEncoder, WorldNet
from ..paint import PATCH
from ..vocabulary import MAX_TOKENS
from .dataset import Batch, Walk, choose_context, collate, example_of

SHARP_SCALES = (1, 2, 4)
DROP_OFF, DROP_IN = 0.5, 0.5


def matmul_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, transformer_options: dict[str, Any]) -> Tensor:
    """As `network.plain_attention`; on a CPU its backward pass is three times as fast at these lengths.

    With a `Routing` in the options under ROUTING, each query looks only where the router lets it.

    q, k, v: (B, heads, tokens, d). Returns (B, queries, heads * d).
    """
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
    routing: Routing | None = transformer_options.get(ROUTING)
    if routing is not None:
        layout = MocLayout.cross(text=MAX_TOKENS, context=routing.context, own=q.shape[2])
        scores = scores.masked_fill(~routing_mask(q, k, layout, routing.settings, routing.generator), -torch.inf)
    return torch.matmul(scores.softmax(-1).to(v.dtype), v).transpose(1, 2).flatten(2)


ROUTING = "world_routing"


@dataclass(frozen=True)
class Routing:
    """One step in which attention is routed: tokens of each context frame, and how chunks are chosen and spoiled."""

    context: list[int]
    settings: MocSettings
    generator: torch.Generator


def drawn_routing(batch: Batch, generator: torch.Generator, share: float) -> Routing | None:
    """Routing for a share of the steps with two context frames or more: of top-k 1 and up, with drop-off and drop-in.

    So that at inference both work, dense attention and routed (Mixture of Contexts, section 3).
    """
    frames, height, width = batch.context.shape[2:]
    if frames < 2 or torch.rand((), generator=generator) >= share:
        return None
    top_k = int(torch.randint(1, frames, (), generator=generator))
    settings = MocSettings(top_k=top_k, drop_off=DROP_OFF, drop_in=DROP_IN)
    return Routing([height // PATCH * (width // PATCH)] * frames, settings, generator)


class Trained(nn.Module):
    """Network and caption encoder, trained together."""

    def __init__(self, weave: str = "depth", steered: bool = True, mirrors: bool = False) -> None:
        super().__init__()
        self.network = WorldNet(attention=matmul_attention, weave=weave, steered=steered, mirrors=mirrors)
        self.text = TextEncoder()
        for block in self.network.blocks:
            for layer in (block.out, block.narrow):
                nn.init.normal_(layer.weight, std=0.02)
        if steered:
            nn.init.zeros_(self.network.gist[1].weight)
            nn.init.zeros_(self.network.gist[1].bias)
        if self.network.weaver is not None:
            nn.init.normal_(self.network.weaver.last.weight, std=0.003)

    def remember(self, batch: Batch, context: Tensor, known: Tensor | None = None) -> Remembered | None:
        """What the batch's context gives, with `context` for its pictures. The context is (B, 3, K, H, W) in [-1, 1],
        and ``known`` its nearness (B, K, H, W), NaN where the network's own is taken; None without context frames."""
        if not context.shape[2]:
            return None
        cameras = (batch.context_poses, batch.context_intrinsics, batch.poses, batch.intrinsics)
        return self.network.remember(context, *cameras, known)

    def predict(
        self,
        batch: Batch,
        noisy: Tensor,
        sigma: Tensor,
        remembered: Remembered | None,
        tokens: Tensor,
        routing: Routing | None = None,
    ) -> Tensor:
        """The clean target, (B, 3, F, H, W)."""
        kept, woven = (remembered.kept, remembered.woven) if remembered else (None, None)
        cameras, options = (batch.poses, batch.intrinsics), {ROUTING: routing}
        return self.network(noisy, sigma, *cameras, self.text(tokens), kept, options, woven)


def adopt(model: Trained, values: dict[str, Tensor]) -> list[str]:
    """Take over weights of an earlier network as far as they fit; names of those that did not.

    New input channels of a convolution and new words start without a say.

    Changes the weights in place, each of the shape that the network gives it.
    """
    own, strange = model.state_dict(), []
    for name, value in own.items():
        old = values.get(name)
        if old is None:
            strange.append(name)
        elif old.shape == value.shape:
            value.copy_(old)
        elif name.endswith(("stem.patch.weight", "stem.first.weight", "painter.last.weight")):
            value.zero_()
            value[:, : old.shape[1]] = old
        elif name == "text.words.weight":
            value[: len(old)] = old
        else:
            strange.append(name)
    return strange


def noise_levels(size: int, generator: torch.Generator) -> Tensor:
    """Noise levels in 0..1: mostly high, where the picture is decided; some of all; some with nothing but noise.
    ``size`` of them, (B,)."""
    high = torch.sigmoid(0.8 + 0.9 * torch.randn(size, generator=generator))
    every = 0.02 + 0.98 * torch.rand(size, generator=generator)
    kind = torch.rand(size, generator=generator)
    return torch.where(kind < 0.2, torch.ones(size), torch.where(kind < 0.5, every, high))


@dataclass(frozen=True)
class Lessons:
    """Choices of the loss. `edges` weighs gradients at the scales of SHARP_SCALES; 0 leaves the plain loss.

    `texture` weighs how strong the gradients of a neighbourhood are, wherever exactly: a mean of two pictures that do
    not quite agree has small errors but weak edges.
    `routed`: share of the steps with context in which attention is routed.
    `unseen`: weight of errors where no context frame has seen, if there are context frames: 1 asks for the mean of all
    that could be there.
    `true_depth`: share of the examples that copy by the true depth of their context instead of the network's own.
    """

    edges: float = 0.3
    texture: float = 0.4
    unseen: float = 1.0
    true_depth: float = 0.2
    depth: float = 1.0
    routed: float = 0.25


def loss_of(model: Trained, batch: Batch, generator: torch.Generator, lessons: Lessons) -> Tensor:
    """Velocity-weighted error of the clean picture, of its edges, and of the depth read from context frames.

    The mean over the batch: a scalar, with gradients.
    """
    size, device = len(batch.target), batch.target.device
    sigma = noise_levels(size, generator).to(device)
    noise = torch.randn(batch.target.shape, generator=generator).to(device)
    wide = sigma[:, None, None, None, None]
    noisy = (1 - wide) * batch.target + wide * noise
    tokens = batch.tokens.clone()
    silent = torch.rand(size, generator=generator) < (0.15 if batch.context.shape[2] else 0.05)
    tokens[silent.to(device), 1:] = 0
    spoilt, depth = spoiled(batch.context, generator), _true_depth(batch, generator, lessons.true_depth)
    remembered = model.remember(batch, spoilt, depth)
    routing = drawn_routing(batch, generator, lessons.routed)
    clean = model.predict(batch, noisy, sigma, remembered, tokens, routing).float()
    weight = 1 / sigma.clamp_min(0.15)
    wrong = clean - batch.target
    if lessons.unseen != 1 and remembered is not None and remembered.certain is not None:
        wrong = wrong * torch.where(remembered.certain.transpose(1, 2) < NEVER_SEEN, lessons.unseen, 1.0)
    total = weight.square() * wrong.square().mean(dim=(1, 2, 3, 4))
    if lessons.edges:
        total = total + lessons.edges * weight * (wrong.abs().mean(dim=(1, 2, 3, 4)) + edges_of(wrong))
        if lessons.texture:
            seen = torch.zeros_like(clean[:, :1])
            if remembered is not None and remembered.certain is not None:
                seen = remembered.certain.transpose(1, 2).float()
            total = total + lessons.texture * weight * texture_gap(clean, batch.target, 0.25 + 0.75 * seen)
    else:
        total = total + 0.1 * weight * sum(wrong.diff(dim=axis).abs().mean(dim=(1, 2, 3, 4)) for axis in (3, 4))
    if remembered is not None and remembered.nearness is not None:
        log_ratio = remembered.nearness.log() - batch.context_nearness.clamp_max(5.0).log()
        slopes = sum(log_ratio.diff(dim=axis).abs().mean() for axis in (2, 3))
        return total.mean() + lessons.depth * (log_ratio.abs().mean() + slopes)
    return total.mean()


def edges_of(wrong: Tensor) -> Tensor:
    """Size of the gradients of a difference (B, 3, F, H, W) at several scales, (B,): zero only where edges agree."""
    flat, total = wrong.transpose(1, 2).flatten(0, 1), wrong.new_zeros(len(wrong))
    for scale in SHARP_SCALES:
        small = F.avg_pool2d(flat, scale) if scale > 1 else flat
        for axis in (2, 3):
            total = total + small.diff(dim=axis).abs().mean(dim=(1, 2, 3)).view(len(wrong), -1).mean(1)
    return total


def texture_gap(clean: Tensor, truth: Tensor, care: Tensor) -> Tensor:
    """Difference in the strength of gradients of 6 x 6 pixels, (B,), by how much it matters there (B, 1, F, H, W)."""

    def strength(pictures: Tensor, axis: int) -> Tensor:
        steps = pictures.transpose(1, 2).flatten(0, 1).diff(dim=axis)
        return F.avg_pool2d((steps.square() + 1e-4).sqrt(), 6, 3)

    total = clean.new_zeros(len(clean))
    for axis in (2, 3):
        gap = (strength(clean, axis) - strength(truth, axis)).abs().mean(1)
        matter = F.avg_pool2d(care[:, 0].flatten(0, 1).narrow(axis - 1, 1, care.shape[axis + 1] - 1)[:, None], 6, 3)
        total = total + (gap * matter[:, 0]).view(len(clean), -1).mean(1)
    return 3 * total


def spoiled(context: Tensor, generator: torch.Generator) -> Tensor:
    """Context as it is at inference: the model's own pictures, some a little noisy or soft, not the truth. Pictures (B,
    3, K, H, W) in and out."""
    size, device = len(context), context.device

    def amount(most: float, share: float) -> Tensor:
        much = most * torch.rand(size, generator=generator) * (torch.rand(size, generator=generator) < share)
        return much.to(device)[:, None, None, None, None]

    flat = context.transpose(1, 2).flatten(0, 1)
    soft = F.avg_pool2d(F.pad(flat, (1, 1, 1, 1), mode="replicate"), 3, 1)
    soft = soft.unflatten(0, (size, -1)).transpose(1, 2) if context.shape[2] else context
    noise = torch.randn(context.shape, generator=generator).to(device)
    return torch.lerp(context, soft, amount(0.8, 0.45)) + amount(0.1, 0.4) * noise


def _true_depth(batch: Batch, generator: torch.Generator, share: float) -> Tensor | None:
    """True nearness for a share of the examples, NaN for the others."""
    known = torch.rand(len(batch.target), generator=generator) < share
    if not known.any() or not batch.context.shape[2]:
        return None
    return torch.where(known.to(batch.target.device)[:, None, None, None], batch.context_nearness, torch.nan)


@torch.no_grad()
def examine(model: Trained, walks: list[Walk], device: torch.device) -> tuple[dict[str, float], Tensor]:
    """Next segments of unseen scenes, painted in one step from pure noise with five context frames.

    Returns:
        PSNR, sharpness (gradient energy over the truth's) and median relative error of the context's depth; and
        pictures (H, W, 3), the truth above.
    """
    examples = []
    for number, walk in enumerate(walks):
        target = np.arange(20, 24)
        examples.append(example_of(walk, target, choose_context(walk, np.random.default_rng(number), target, 5)))
    batch = collate(examples).to(device)
    noise = torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(0)).to(device)
    remembered = model.remember(batch, batch.context)
    clean = model.predict(batch, noise, torch.ones(len(walks), device=device), remembered, batch.tokens)
    clean = clean.float().clamp(-1, 1)
    error = ((clean - batch.target) / 2).square().mean(dim=(1, 2, 3, 4))
    found = {
        "psnr": float((-10 * torch.log10(error)).mean()),
        "sharpness": float((gradient_energy(clean) / gradient_energy(batch.target)).mean()),
    }
    if remembered is not None and remembered.nearness is not None:
        off = (remembered.nearness / batch.context_nearness - 1).abs()
        found["depth_error"] = float(off.median())
    sheet = torch.cat([batch.target[:12, :, 1], clean[:12, :, 1]], dim=2)
    return found, sheet.permute(2, 0, 3, 1).flatten(1, 2)


def gradient_energy(pictures: Tensor) -> Tensor:
    """Mean square of the differences between neighbouring pixels, (B,) of (B, 3, F, H, W)."""
    return sum(pictures.diff(dim=axis).square().mean(dim=(1, 2, 3, 4)) for axis in (3, 4))  # type: ignore[return-value]
