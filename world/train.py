"""Train the bundled world model on scenes rendered as it goes. Resumable: run it again with more minutes.

    python -m world.train --minutes 60 --out DIR

Writes DIR/state.pt (to resume), DIR/log.jsonl, DIR/samples.png and DIR/world.safetensors (averaged weights, bfloat16).
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from .dataset import Batch, Pool, Walk, WalkStream, choose_context, collate, example_of, rendered_walk
from .network import TextEncoder, WorldNet
from .scenes import FIRST_TRAINING_SEED, VALIDATION_SEEDS

log = logging.getLogger("world.train")

WIDTH, HEIGHT, WALK_FRAMES = 96, 60, 32
CONTEXT_COUNTS = (0, 1, 2, 3, 4, 5, 8, 12, 20)
CONTEXT_SHARES = (0.05, 0.10, 0.12, 0.15, 0.20, 0.22, 0.10, 0.04, 0.02)


def matmul_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, transformer_options: dict[str, object]) -> Tensor:
    """As `plain_attention`; on a CPU its backward pass is three times as fast at these lengths."""
    weights = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2)).softmax(-1)
    return torch.matmul(weights.to(v.dtype), v).transpose(1, 2).flatten(2)


class Trained(nn.Module):
    """Network and caption encoder, trained together."""

    def __init__(self) -> None:
        super().__init__()
        self.network = WorldNet(attention=matmul_attention)
        self.text = TextEncoder()
        for block in self.network.blocks:
            for layer in (block.out, block.narrow):
                nn.init.normal_(layer.weight, std=0.02)

    def predict(self, batch: Batch, noisy: Tensor, sigma: Tensor, context: Tensor, tokens: Tensor) -> Tensor:
        """The clean target, (B, 3, F, H, W)."""
        kept = None
        if context.shape[2]:
            kept = self.network.encode_context(
                context, batch.context_poses, batch.context_intrinsics, batch.poses[:, 0]
            )
        return self.network(noisy, sigma, batch.poses, batch.intrinsics, self.text(tokens), kept)


def noise_levels(size: int, generator: torch.Generator) -> Tensor:
    """Noise levels in 0..1: mostly high, where the picture is decided; some of all; some with nothing but noise."""
    high = torch.sigmoid(0.8 + 0.9 * torch.randn(size, generator=generator))
    every = 0.02 + 0.98 * torch.rand(size, generator=generator)
    kind = torch.rand(size, generator=generator)
    return torch.where(kind < 0.15, torch.ones(size), torch.where(kind < 0.5, every, high))


def loss_of(model: Trained, batch: Batch, generator: torch.Generator) -> Tensor:
    """Velocity-weighted error of the clean picture, and of its edges."""
    size, device = len(batch.target), batch.target.device
    sigma = noise_levels(size, generator).to(device)
    noise = torch.randn(batch.target.shape, generator=generator).to(device)
    wide = sigma[:, None, None, None, None]
    noisy = (1 - wide) * batch.target + wide * noise
    # Half of the contexts are a little noisy: at inference they are the model's own pictures, not the truth.
    spoil = 0.12 * torch.rand(size, generator=generator) * (torch.rand(size, generator=generator) < 0.5)
    context = batch.context + spoil.to(device)[:, None, None, None, None] * torch.randn(
        batch.context.shape, generator=generator
    ).to(device)
    tokens = batch.tokens.clone()
    silent = torch.rand(size, generator=generator) < 0.15
    tokens[silent.to(device), 1:] = 0
    clean = model.predict(batch, noisy, sigma, context, tokens).float()
    weight = 1 / sigma.clamp_min(0.15)
    error = (clean - batch.target).square().mean(dim=(1, 2, 3, 4))
    edges = sum((clean.diff(dim=axis) - batch.target.diff(dim=axis)).abs().mean(dim=(1, 2, 3, 4)) for axis in (3, 4))
    return (weight.square() * error + 0.1 * weight * edges).mean()


@torch.no_grad()
def evaluate(model: Trained, walks: list[Walk], device: torch.device) -> tuple[float, Tensor]:
    """PSNR of unseen scenes' next segments, painted in one step from pure noise; and pictures, truth above."""
    examples = []
    for walk in walks:
        target = np.arange(20, 24)
        examples.append(example_of(walk, target, choose_context(walk, np.random.default_rng(0), target, 5)))
    batch = collate(examples)
    batch = Batch(*(getattr(batch, name).to(device) for name in Batch.__dataclass_fields__))
    noise = torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(0)).to(device)
    clean = model.predict(batch, noise, torch.ones(len(walks), device=device), batch.context, batch.tokens).float()
    error = ((clean.clamp(-1, 1) - batch.target) / 2).square().mean(dim=(1, 2, 3, 4))
    sheet = torch.cat([batch.target[:8, :, 1], clean[:8, :, 1].clamp(-1, 1)], dim=2)
    return float((-10 * torch.log10(error)).mean()), sheet.permute(2, 0, 3, 1).flatten(1, 2)


def rate(share: float, peak: float) -> float:
    """Learning rate at a share of the run: short warm-up, plateau, and a fall over the last 45 %."""
    return peak * min(1.0, share / 0.01 + 0.02) * (1.0 if share < 0.55 else max(0.02, 1 - (share - 0.55) / 0.45))


def train(minutes: float, out: Path, workers: int, peak: float, size: int, save_every: float = 120.0) -> None:
    """Train until `minutes` of training time have passed in all, over every resumed stretch."""
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Trained().to(device)
    average = copy.deepcopy(model).requires_grad_(False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.97), weight_decay=0.01)
    elapsed, step, samples, scenes = 0.0, 0, 0, 0
    saved = out / "state.pt"
    if saved.exists():
        kept = torch.load(saved, map_location=device, weights_only=True)
        model.load_state_dict(kept["model"])
        average.load_state_dict(kept["average"])
        optimiser.load_state_dict(kept["optimiser"])
        elapsed, step, samples, scenes = kept["elapsed"], kept["step"], kept["samples"], kept["scenes"]
    walks = [rendered_walk(VALIDATION_SEEDS.start + seed, WALK_FRAMES, WIDTH, HEIGHT) for seed in range(32)]
    stream = WalkStream(FIRST_TRAINING_SEED + scenes, WALK_FRAMES, WIDTH, HEIGHT)
    # A walk is used about ten times; then the renderer is left to wait, and the processor trains.
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() and workers else None
    arriving = iter(
        DataLoader(
            stream,
            batch_size=None,
            num_workers=workers if method else 0,
            prefetch_factor=4 if method else None,
            multiprocessing_context=method,
        )
    )
    pool = Pool(1500)
    while len(pool.walks) < 48:
        pool.add(next(arriving))
    rng, generator = np.random.default_rng([step, 7]), torch.Generator().manual_seed(step)
    started, last_saved = time.monotonic() - elapsed, time.monotonic()
    reported, running = step, 0.0
    while (elapsed := time.monotonic() - started) < 60 * minutes:
        contexts = int(rng.choice(CONTEXT_COUNTS, p=CONTEXT_SHARES))
        targets = int(rng.choice((4, 8), p=(0.75, 0.25)))
        count = max(2, round(size * min(1.0, 10 / (contexts + targets))))
        batch = pool.batch(rng, count, targets, contexts)
        batch = Batch(*(getattr(batch, name).to(device) for name in Batch.__dataclass_fields__))
        for group in optimiser.param_groups:
            group["lr"] = rate(elapsed / (60 * minutes), peak)
        with torch.autocast(device.type, torch.bfloat16):
            loss = loss_of(model, batch, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            decay = min(0.998, (step + 1) / (step + 10))
            for mean, now in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        step, samples, running = step + 1, samples + count, running + float(loss.detach())
        while (scenes + pool.added) * 10 < samples:
            pool.add(next(arriving))
        if time.monotonic() - last_saved > save_every:
            with torch.autocast(device.type, torch.bfloat16):
                quality, sheet = evaluate(average, walks, device)
            _report(out, elapsed, step, samples, scenes + pool.added, running / (step - reported), quality)
            reported, running, last_saved = step, 0.0, time.monotonic()
            _save(out, model, average, optimiser, elapsed, step, samples, scenes + pool.added, sheet)
    with torch.autocast(device.type, torch.bfloat16):
        quality, sheet = evaluate(average, walks, device)
    _report(out, elapsed, step, samples, scenes + pool.added, running / max(1, step - reported), quality)
    _save(out, model, average, optimiser, elapsed, step, samples, scenes + pool.added, sheet)


def _report(out: Path, elapsed: float, step: int, samples: int, scenes: int, loss: float, quality: float) -> None:
    row = {
        "minutes": round(elapsed / 60, 1),
        "step": step,
        "samples": samples,
        "scenes": scenes,
        "loss": round(loss, 4),
        "psnr": round(quality, 2),
    }
    log.info("%s", row)
    with (out / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _save(
    out: Path,
    model: Trained,
    average: Trained,
    optimiser: torch.optim.Optimizer,
    elapsed: float,
    step: int,
    samples: int,
    scenes: int,
    sheet: Tensor,
) -> None:
    from PIL import Image

    state = {
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "elapsed": elapsed,
        "step": step,
        "samples": samples,
        "scenes": scenes,
    }
    torch.save(state, out / "state.part")
    (out / "state.part").replace(out / "state.pt")
    weights = {name: value.to(torch.bfloat16).contiguous().cpu() for name, value in average.state_dict().items()}
    notes = {"format": "scene-memory-world-1", "steps": str(step), "samples": str(samples), "scenes": str(scenes)}
    save_file(weights, out / "world.safetensors", metadata={**notes, "minutes": f"{elapsed / 60:.1f}"})
    picture = ((sheet.cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    Image.fromarray(picture).save(out / "samples.png")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="training time in all, resumed stretches included")
    parser.add_argument("--out", type=Path, default=Path("train-out"), help="folder for state, log and weights")
    parser.add_argument("--workers", type=int, default=1, help="rendering processes; none without fork")
    parser.add_argument("--rate", type=float, default=1.2e-3, help="peak learning rate")
    parser.add_argument("--batch", type=int, default=8, help="segments a step, fewer when there is much context")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(options.minutes, options.out, options.workers, options.rate, options.batch)


if __name__ == "__main__":
    main()
