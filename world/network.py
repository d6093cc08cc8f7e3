"""The bundled world model: a small diffusion transformer that paints what a moving camera sees.

Context-as-Memory in small. Past frames are clean; each context frame attends to itself only and carries no noise
level, so its keys and values are computed once for a segment. The frames being painted attend to the caption, to the
context and to each other. Where a token looks, not when it was made, is its position.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import rays, reproject
from .mirror import beyond
from .paint import PATCH, Painter, Stem, Weaver, modulated, normed
from .vocabulary import MAX_TOKENS, PAD, VOCABULARY_SIZE

Attention = Callable[..., Tensor]
KeysValues = list[tuple[Tensor, Tensor]]

# What a picture varies by before anything is known of it, and what is left once context and caption have spoken.
PICTURE_VARIANCE = 0.3
LEFT_VARIANCE = 0.02
# Frames whose pictures a processor makes together, from tokens to pixels: more would leave its caches.
FRAMES_AT_ONCE = 2
DEFAULTS: dict[str, int] = {"dim": 256, "depth": 6, "heads": 4}
# Nearness is one over depth; the sky is not nearer than FARTHEST.
FARTHEST, CLOSEST = 50.0, 0.2


@dataclass(frozen=True)
class Remembered:
    """What the context frames give to a segment: keys and values of every layer, and what they show of its views.

    `woven` is (B, F, reproject.CHANNELS, H, W), None in a network that does not weave; `nearness` (B, K, H, W) is what
    the network takes the context frames' own to be. `certain` (B, F, 1, H, W) is how certainly a pixel was seen at
    all; what is only mirrored was not.
    """

    kept: KeysValues
    woven: Tensor | None = None
    nearness: Tensor | None = None
    certain: Tensor | None = None


def plain_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, transformer_options: dict[str, Any]) -> Tensor:
    """Dense attention over (B, heads, L, D); gives (B, L, heads * D)."""
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class WorldNet(nn.Module):
    """The network. Pictures are (B, 3, F, H, W) in [-1, 1]; H and W are multiples of PATCH.

    Args:
        dim, depth, heads: size; dim / heads must be 64 (one rotary phase for each pair of numbers).
        weave: "depth": pixels of context frames are moved to the new views by a depth the network reads from them, and
            offered to be copied; "turn": the same as if all were infinitely far; "": not at all.
        steered: whether the caption as a whole also steers every layer, beside being looked at word by word.
        mirrors: whether what is beyond the edges of all that is remembered is first guessed to be its mirror image.
        operations: where layers come from (torch.nn, or a host's own casting versions).
        attention: called as attention(q, k, v, heads, transformer_options), see `plain_attention`.
    """

    def __init__(
        self,
        dim: int = DEFAULTS["dim"],
        depth: int = DEFAULTS["depth"],
        heads: int = DEFAULTS["heads"],
        weave: str = "",
        steered: bool = False,
        mirrors: bool = False,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
        operations: Any = nn,
        attention: Attention = plain_attention,
    ) -> None:
        super().__init__()
        if dim // heads != 2 * rays.PHASES:
            raise ValueError(f"dim {dim} over {heads} heads is {dim // heads}: expected {2 * rays.PHASES} a head.")
        make = {"dtype": dtype, "device": device}
        if weave not in ("", "turn", "depth"):
            raise ValueError(f"weave is {weave!r}: expected depth, turn or nothing.")
        self.dim, self.depth, self.heads, self.dtype, self.weave = dim, depth, heads, dtype, weave
        self.steered, self.mirrors = steered, mirrors
        self.attention, self.patch = attention, PATCH
        extra = reproject.CHANNELS if weave else 0
        self.stem = Stem(dim, 9 + extra, operations, make)
        self.kind = nn.Parameter(torch.zeros(2, dim, **make))
        self.time = nn.ModuleList([operations.Linear(256, dim, **make), operations.Linear(dim, 6 * dim, **make)])
        if steered:
            self.gist = nn.ModuleList([operations.Linear(dim, dim, **make), operations.Linear(dim, 6 * dim, **make)])
        self.blocks = nn.ModuleList([Block(dim, heads, operations, make) for _ in range(depth)])
        self.painter = Painter(dim, 3, 9 + extra, operations, make)
        self.weaver = Weaver(16 + 9 + extra, operations, make) if weave else None
        self.depth_reader = Painter(dim, 1, 9 + extra, operations, make) if weave == "depth" else None
        self._last_rays: tuple[tuple[int, int], Tensor, Tensor, Tensor] | None = None

    def remember(
        self,
        frames: Tensor,
        poses: Tensor,
        intrinsics: Tensor,
        target_poses: Tensor,
        target_intrinsics: Tensor,
        known: Tensor | None = None,
    ) -> Remembered:
        """All that context frames give to a segment. It does not depend on the noise: once a segment is enough.

        Args:
            frames, poses, intrinsics: as `encode_context`.
            target_poses, target_intrinsics: (B, F, 4, 4) and (B, F, 4) cameras of the frames to be painted.
            known: (B, K, H, W) nearness of the context frames where it is known; NaN elsewhere.
        """
        kept, nearness = self._encoded(frames, poses, intrinsics, target_poses[:, 0])
        if not self.weave:
            return Remembered(kept)
        used = torch.full_like(frames[:, 0], 1 / FARTHEST, dtype=torch.float32) if nearness is None else nearness
        if known is not None:
            used = torch.where(known.isnan(), used, known)
        cameras = (poses.float(), intrinsics.float(), target_poses.float(), target_intrinsics.float())
        woven = reproject.reproject(frames.float(), used.detach(), *cameras)
        certain = woven[:, :, 3:4]
        if self.mirrors:
            woven = beyond(woven, frames.float(), used.detach(), *cameras)
        return Remembered(kept, woven, nearness, certain)

    def encode_context(self, frames: Tensor, poses: Tensor, intrinsics: Tensor, reference: Tensor) -> KeysValues:
        """Keys and values of context frames for every layer.

        Args:
            frames: (B, 3, K, H, W); poses (B, K, 4, 4); intrinsics (B, K, 4).
            reference: (B, 4, 4) pose of the segment's first frame.

        Returns:
            one (keys, values) a layer, each (B, heads, K * tokens, 64), frame after frame.
        """
        return self._encoded(frames, poses, intrinsics, reference)[0]

    def _encoded(
        self, frames: Tensor, poses: Tensor, intrinsics: Tensor, reference: Tensor
    ) -> tuple[KeysValues, Tensor | None]:
        batch, _, count, height, width = frames.shape
        rows, columns = height // self.patch, width // self.patch
        moved = rays.levelled(poses.float(), reference[:, None].float())
        tokens, details = self._tokens(frames, rays.plucker_maps(moved, intrinsics.float(), height, width), kind=1)
        tokens = tokens.reshape(batch * count, rows * columns, self.dim)
        turn = _turns(rays.rotary_phases(moved, intrinsics.float(), rows, columns).flatten(0, 1))
        modulation = self._modulation(torch.zeros(1, 1, device=tokens.device), tokens)
        kept: KeysValues = []
        for block in self.blocks:
            q, k, v = block.project(tokens, modulation, turn)
            kept.append(tuple(_frames_joined(part, batch) for part in (k, v)))  # type: ignore[arg-type]
            if block is not self.blocks[-1]:
                tokens = block.finish(tokens, modulation, self.attention(q, k, v, self.heads, {}))
        if self.depth_reader is None:
            return kept, None
        coarse = self.depth_reader.coarse(tokens, modulation, (batch * count, rows, columns))
        reader = self.depth_reader
        read = self._few_at_a_time(lambda *few: reader(*few)[0], *coarse, *details)
        nearness = read.float().clamp(-math.log(FARTHEST) - 0.5, -math.log(CLOSEST) + 0.5).exp()
        return kept, nearness.reshape(batch, count, height, width)

    def forward(
        self,
        noisy: Tensor,
        sigma: Tensor,
        poses: Tensor,
        intrinsics: Tensor,
        text: Tensor | None = None,
        context: Sequence[tuple[Tensor, Tensor]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        woven: Tensor | None = None,
    ) -> Tensor:
        """The clean picture, (B, 3, F, H, W).

        Args:
            noisy: (B, 3, F, H, W), (1 - sigma) * clean + sigma * noise.
            sigma: (B,) in 0..1.
            poses, intrinsics: (B, F, 4, 4) and (B, F, 4).
            text: (B, L, dim) from TextEncoder, rows of zeros being padding.
            context, woven: from `remember`.
        """
        batch, _, count, height, width = noisy.shape
        rows, columns = height // self.patch, width // self.patch
        moved = rays.levelled(poses.float(), poses[:, :1].float())
        guess = noisy * best_gain(sigma, PICTURE_VARIANCE).to(noisy)[:, None, None, None, None]
        known = noisy * best_gain(sigma, LEFT_VARIANCE).to(noisy)[:, None, None, None, None]
        maps, turn = self._looked_along(moved, intrinsics.float(), height, width)
        tokens, details = self._tokens(guess, maps, kind=0, woven=woven)
        modulation = self._modulation(sigma[:, None].float(), tokens)
        if self.steered and text is not None:
            modulation = modulation + self._steering(text.to(tokens))
        for number, block in enumerate(self.blocks):
            q, k, v = block.project(tokens, modulation, turn)
            keys, values = [k], [v]
            if context:
                keys.insert(0, context[number][0].to(k))
                values.insert(0, context[number][1].to(v))
            if text is not None:
                text_keys, text_values = block.project_text(text.to(tokens))
                keys.insert(0, text_keys)
                values.insert(0, text_values)
            options = {**(transformer_options or {}), "block_index": number, "scene_memory_routable": True}
            mixed = self.attention(q, torch.cat(keys, 2), torch.cat(values, 2), self.heads, options)
            tokens = block.finish(tokens, modulation, mixed)
        coarse = self.painter.coarse(tokens, modulation, (batch * count, rows, columns))
        seen = None if self.weaver is None or woven is None else woven.flatten(0, 1).to(known)
        known = known.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        pictures = self._few_at_a_time(self._pictured, known, seen, *coarse, *details)
        return pictures.unflatten(0, (batch, count)).transpose(1, 2)

    def _pictured(self, known: Tensor, woven: Tensor | None, *parts: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) of frames: painted from `parts`, and woven with what is remembered."""
        painted, seen = self.painter(*parts)
        painted = known + painted
        return painted if self.weaver is None or woven is None else self.weaver(painted, seen, woven)

    @staticmethod
    def _few_at_a_time(make: Callable[..., Tensor], *parts: Tensor | None) -> Tensor:
        """`make` of frames (N, ...), on a processor few at a time: what is made on the way then stays near it."""
        first = parts[0]
        assert first is not None
        if first.device.type != "cpu" or torch.is_grad_enabled():
            return make(*parts)
        groups = -(-len(first) // FRAMES_AT_ONCE)
        few = [[None] * groups if part is None else part.split(FRAMES_AT_ONCE) for part in parts]
        return torch.cat([make(*some) for some in zip(*few, strict=True)])

    def _looked_along(self, moved: Tensor, intrinsics: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Rays of every pixel, and the turns of every token: those of the step before where the cameras are the same.

        They follow from the cameras alone, and not from the weights.
        """
        cameras = torch.cat([moved.flatten(2), intrinsics], dim=-1)
        before = None if torch.is_grad_enabled() else self._last_rays
        if before is not None and before[0] == (height, width) and _same(before[1], cameras):
            return before[2], before[3]
        maps = rays.plucker_maps(moved, intrinsics, height, width)
        phases = rays.rotary_phases(moved, intrinsics, height // self.patch, width // self.patch)
        turn = _turns(phases.flatten(1, 2))
        if not torch.is_grad_enabled():
            self._last_rays = (height, width), cameras, maps, turn
        return maps, turn

    def _tokens(
        self, frames: Tensor, maps: Tensor, kind: int, woven: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        batch, _, count, height, width = frames.shape
        layers = [frames.transpose(1, 2), maps.to(frames)]
        if self.weave:
            empty = frames.new_zeros(batch, count, reproject.CHANNELS, height, width)
            layers.append(empty if woven is None else woven.to(frames))
        # The layout of the convolutions' weights: else each of them copies the picture first.
        picture = torch.cat(layers, dim=2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        coarse, details = self.stem(picture)
        tokens = coarse.flatten(2).transpose(1, 2).reshape(batch, -1, self.dim)
        return tokens + self.kind[kind].to(tokens), details

    def _modulation(self, sigma: Tensor, like: Tensor) -> Tensor:
        first, second = self.time
        waves = torch.exp(-math.log(1000.0) * torch.arange(128, device=sigma.device) / 128)
        angles = sigma * 1000.0 * waves
        embedded = torch.cat([angles.sin(), angles.cos()], dim=-1).to(like)
        return second(F.silu(first(embedded))).unflatten(-1, (6, self.dim))

    def _steering(self, text: Tensor) -> Tensor:
        """What the caption as a whole adds to the modulation, (B, 6, dim); padding has no say."""
        first, second = self.gist
        kept = (text != 0).any(-1, keepdim=True)
        gist = (F.silu(first(text)) * kept).sum(1) / kept.sum(1).clamp_min(1)
        steering: Tensor = second(gist)
        return steering.unflatten(-1, (6, self.dim))


def best_gain(sigma: Tensor, variance: float) -> Tensor:
    """Makes a noisy picture the best linear guess of the clean one: 1 without noise, 0 with nothing but noise.
    ``sigma`` 0..1 and the result have one shape, such as (B,)."""
    signal = (1 - sigma) * variance
    return signal / ((1 - sigma) * signal + sigma.square())


class Block(nn.Module):
    """Self-attention and a two-layer perceptron, both modulated by the noise level."""

    def __init__(self, dim: int, heads: int, operations: Any, make: dict[str, Any]) -> None:
        super().__init__()
        self.heads = heads
        self.modulation = nn.Parameter(torch.zeros(6, dim, **make))
        self.qkv = operations.Linear(dim, 3 * dim, **make)
        self.text_kv = operations.Linear(dim, 2 * dim, **make)
        self.scale = nn.Parameter(torch.ones(2, dim // heads, **make))
        self.out = operations.Linear(dim, dim, **make)
        self.widen = operations.Linear(dim, 4 * dim, **make)
        self.narrow = operations.Linear(4 * dim, dim, **make)

    def project(self, tokens: Tensor, modulation: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turned queries and keys, and values, each (B, heads, L, 64)."""
        shift, scale = self._parts(modulation, tokens)[:2]
        qkv = self.qkv(modulated(tokens, scale, shift)).unflatten(-1, (3, self.heads, -1))
        qk, v = qkv[:, :, :2], qkv[:, :, 2]
        cos, sin = turn.to(tokens)
        gain = self.scale.to(tokens)[:, None]
        length = torch.linalg.vector_norm(qk, dim=-1, keepdim=True, dtype=torch.float32)
        share = (length.square() / qk.shape[-1] + 1e-6).rsqrt().to(qk)
        qk = torch.addcmul(qk * (cos * gain), _swapped(qk), sin * _swapped(gain)) * share
        return qk[:, :, 0].transpose(1, 2), qk[:, :, 1].transpose(1, 2), v.transpose(1, 2)

    def project_text(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the caption; padding rows are zero and so draw no more than an even share. From text (B,
        L, dim): each (B, heads, L, dim / heads)."""
        keys, values = self.text_kv(text).chunk(2, dim=-1)
        keys, values = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (keys, values))
        return _unit(keys) * self.scale.to(text)[1], values

    def finish(self, tokens: Tensor, modulation: Tensor, mixed: Tensor) -> Tensor:
        """Residuals of attention and perceptron. ``tokens`` and ``mixed``, what attention gave, are (B, L, dim),
        ``modulation`` (B, 6, dim)."""
        gate, shift, scale, end = self._parts(modulation, tokens)[2:]
        tokens = torch.addcmul(tokens, 1 + gate, self.out(mixed))
        hidden = gelu(self.widen(modulated(tokens, scale, shift)))
        return torch.addcmul(tokens, 1 + end, self.narrow(hidden))

    def _parts(self, modulation: Tensor, like: Tensor) -> tuple[Tensor, ...]:
        """Shift and scale before attention, its gate, and shift, scale and gate of the perceptron, each (B, 1, dim)."""
        return (modulation + self.modulation.to(modulation)).to(like).unsqueeze(2).unbind(1)


class TextEncoder(nn.Module):
    """A caption's words, each seeing its neighbours, as (B, MAX_TOKENS, dim). Padding is zero.

    Words that came into the vocabulary after the weights were trained count as padding.
    """

    def __init__(
        self, dim: int = DEFAULTS["dim"], dtype: torch.dtype | None = None, vocabulary: int = VOCABULARY_SIZE
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, dim, dtype=dtype)
        self.places = nn.Parameter(torch.zeros(MAX_TOKENS, dim, dtype=dtype))
        self.mix = nn.Conv1d(dim, dim, 5, padding=2, dtype=dtype)
        self.out = nn.Linear(dim, dim, dtype=dtype)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, MAX_TOKENS) token numbers to (B, MAX_TOKENS, dim)."""
        tokens = torch.where(tokens < self.words.num_embeddings, tokens, PAD)
        kept = (tokens != PAD)[..., None]
        words = (self.words(tokens) + self.places) * kept
        mixed = words + F.silu(self.mix(words.transpose(1, 2)).transpose(1, 2))
        return self.out(normed(mixed)) * kept


def _unit(x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], eps=1e-6)


def _same(one: Tensor, other: Tensor) -> bool:
    return one.device == other.device and torch.equal(one, other)


def _turns(phases: Tensor) -> Tensor:
    """Factors by which rotary phases (B, L, PHASES) turn a head's numbers and their `_swapped`: (2, B, L, 1, 1, 64)."""
    cos, sin = phases.cos(), phases.sin()
    return torch.stack([torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)])[:, :, :, None, None]


def _swapped(x: Tensor) -> Tensor:
    """Both halves of a head's numbers, the second first."""
    return x.roll(x.shape[-1] // 2, -1)


def gelu(x: Tensor) -> Tensor:
    """As torch's own, approximated by tanh; that one takes twice as long on a processor. Of any shape, elementwise."""
    if x.device.type != "cpu" or torch.is_grad_enabled():
        return F.gelu(x, approximate="tanh")
    twice = 2 * math.sqrt(2 / math.pi)
    return x.square().mul_(0.044715 * twice).add_(twice).mul_(x).sigmoid_().mul_(x)


def _frames_joined(part: Tensor, batch: int) -> Tensor:
    """(B * K, heads, tokens, 64) to (B, heads, K * tokens, 64)."""
    return part.unflatten(0, (batch, -1)).transpose(1, 2).flatten(2, 3)
