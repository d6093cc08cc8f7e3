"""Which design of the world model's eyes and hands is the sharpest for the same processor time, from scratch.

Each design is trained for the same minutes of processor time (not of the clock, so that other work on the machine does
not matter) on the same rendered walks, and examined on the same unseen scenes: the next four frames painted in one
step from pure noise with five context frames. The sharp loss also counts edges, at several scales and by strength.

The part "imagine" compares ways to imagine what was never seen, from the bundled weights (see `world_model.imagining`);
with --long one of them learns for minutes of the clock, and says how far it is. It goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...world.network import Remembered
from ...world.paint import normed
from ...world.training import train
from ...world.training.dataset import Batch, Store, draw_batch
from ...world.training.learning import Lessons, Trained, edges_of

LATENT, SHRINK = 8, 4
AUTOENCODER_SHARE = 0.35
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Design:
    name: str
    weave: str
    sharp: bool
    latent: bool = False


DESIGNS = (
    Design("convolutions, plain loss", "", False),
    Design("convolutions, sharp loss", "", True),
    Design("latents of a small autoencoder", "", False, latent=True),
    Design("context turned (rotation only), plain loss", "turn", False),
    Design("context moved by depth, plain loss", "depth", False),
    Design("context moved by depth, sharp loss", "depth", True),
)


class Autoencoder(nn.Module):
    """Pictures (B, 3, F, H, W) to (B, LATENT, F, H / 4, W / 4) and back."""

    def __init__(self) -> None:
        super().__init__()
        self.code = nn.Sequential(
            nn.Conv2d(3, 32, 4, 2, 1), nn.SiLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.SiLU(), nn.Conv2d(64, LATENT, 3, 1, 1)
        )
        self.paint = nn.Sequential(
            nn.Conv2d(LATENT, 64, 3, 1, 1), nn.SiLU(), nn.Conv2d(64, 64, 3, 1, 1), nn.SiLU(),
            nn.Conv2d(64, 32 * 4, 3, 1, 1), nn.PixelShuffle(2), nn.SiLU(),
            nn.Conv2d(32, 12, 3, 1, 1), nn.PixelShuffle(2),
        )

    def encode(self, pictures: Tensor) -> Tensor:
        flat = self.code(pictures.transpose(1, 2).flatten(0, 1))
        return flat.unflatten(0, (len(pictures), -1)).transpose(1, 2)

    def decode(self, latents: Tensor) -> Tensor:
        flat = self.paint(latents.transpose(1, 2).flatten(0, 1))
        return flat.unflatten(0, (len(latents), -1)).transpose(1, 2)


class LatentStem(nn.Module):
    """Three by three latents and their rays to a token."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(LATENT + 6, dim, 3, stride=3)

    def forward(self, picture: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.patch(picture), [picture]


class LatentPainter(nn.Module):
    """A token to three by three latents, then one convolution over the seams."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(dim, 32 * 9, 1)
        self.last = nn.Conv2d(32 + LATENT + 6, LATENT, 3, padding=1)

    def coarse(self, tokens: Tensor, modulation: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor]:
        small = normed(tokens).reshape(*shape, -1).permute(0, 3, 1, 2)
        return (F.silu(F.pixel_shuffle(self.patch(small), 3)),)

    def forward(self, coarse: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat([coarse, picture], 1)
        return self.last(seen), seen


class LatentTrained(Trained):
    """The same transformer over the latents of an autoencoder that was trained before it."""

    def __init__(self) -> None:
        super().__init__(weave="")
        self.network.patch = 3
        self.network.stem, self.network.painter = LatentStem(self.network.dim), LatentPainter(self.network.dim)
        self.coder = Autoencoder()
        self.register_buffer("size", torch.ones(()))

    def remember(self, batch: Batch, context: Tensor, known: Tensor | None = None) -> Remembered | None:
        return super().remember(batch, self.coder.encode(context).detach() / self.size) if context.shape[2] else None

    def predict(
        self, batch: Batch, noisy: Tensor, sigma: Tensor, remembered: Any, tokens: Tensor, routing: Any = None
    ) -> Tensor:
        """From pure noise in latents: `noisy` only gives the shape."""
        shape = (len(noisy), LATENT, noisy.shape[2], noisy.shape[3] // SHRINK, noisy.shape[4] // SHRINK)
        latents = super().predict(batch, torch.randn(shape), torch.ones_like(sigma), remembered, tokens)
        return self.coder.decode(latents * self.size)


def latent_loss(model: LatentTrained, batch: Batch, generator: torch.Generator, lessons: Lessons) -> Tensor:
    """As `learning.loss_of`, in the space of the latents."""
    clean = model.coder.encode(batch.target).detach() / model.size
    sigma = train_levels(len(clean), generator)
    wide = sigma[:, None, None, None, None]
    noisy = (1 - wide) * clean + wide * torch.randn(clean.shape, generator=generator)
    remembered = model.remember(batch, batch.context)
    found = Trained.predict(model, batch, noisy, sigma, remembered, batch.tokens).float()
    return ((found - clean).square().mean(dim=(1, 2, 3, 4)) / sigma.clamp_min(0.15).square()).mean()


def train_levels(size: int, generator: torch.Generator) -> Tensor:
    from ...world.training.learning import noise_levels

    return noise_levels(size, generator)


def train_autoencoder(model: LatentTrained, store: Store, minutes: float) -> None:
    optimiser = torch.optim.AdamW(model.coder.parameters(), lr=3e-3)
    rng, begun = np.random.default_rng(3), time.process_time()
    while time.process_time() - begun < 60 * minutes:
        batch = draw_batch(store, min(store.added, store.capacity), rng, 4, (4, 0))
        with torch.autocast("cpu", torch.bfloat16):
            latents = model.coder.encode(batch.target)
            wrong = model.coder.decode(latents + 0.02 * torch.randn_like(latents)).float() - batch.target
            loss = wrong.square().mean() + 0.3 * (wrong.abs().mean() + edges_of(wrong).mean())
            loss = loss + 1e-3 * latents.float().square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        latents = model.coder.encode(draw_batch(store, store.added, rng, 16, (4, 0)).target)
        # The network takes a picture's variance to be PICTURE_VARIANCE.
        model.size.copy_(latents.std() / 0.55)
    model.coder.requires_grad_(False)


def measure(design: Design, minutes: float, store: Path, folder: Path) -> dict[str, Any]:
    """Train one design and examine it."""
    share = 1 - AUTOENCODER_SHARE if design.latent else 1.0
    torch.manual_seed(0)
    run = train.Run(
        train.Settings(
            minutes * share,
            folder / design.name.replace(" ", "-").replace(",", ""),
            store,
            weave=design.weave,
            batch=4,
            lessons=Lessons() if design.sharp else Lessons(edges=0.0, texture=0.0),
            report_every=1e9,
            unseen=16,
            clock=time.process_time,
        )
    )
    if design.latent:
        run.model = LatentTrained()
        train_autoencoder(run.model, Store(store), minutes * AUTOENCODER_SHARE)
        run.average = train.copy.deepcopy(run.model).requires_grad_(False).eval()
        run.optimiser = train.optimiser_of(run.model, run.settings.rate)
        run.loss_of = latent_loss  # type: ignore[method-assign, assignment]
    found = run.train()
    return {"design": design.name, "minutes": minutes, **found}


def imagine(options: argparse.Namespace) -> int:
    """Rows of the ways to imagine."""
    from .world_model.imagining import WAYS, Examination, measured
    from .world_model.surface_reader import accuracy, kept_reader

    out = options.out or Path(".train/imagine")
    reader = kept_reader(out / "reader.safetensors")
    examination = Examination(reader, options.scenes, out / "sheets")
    rows = measured(
        options.only or range(len(WAYS)), options.minutes, out, options.store, examination, long=options.long
    )
    if options.json:
        content = {"reader": accuracy(reader), "scenes": options.scenes, "rows": rows}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench world_designs", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--minutes", type=float, default=4.0, help="processor time for each design")
    parser.add_argument("--store", type=Path, required=True, help="rendered walks, from world.training.dataset")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of designs, from 0")
    parser.add_argument("--part", choices=("scratch", "imagine"), default="scratch")
    parser.add_argument("--out", type=Path, help="imagine: folder in which each way goes on where it was")
    parser.add_argument("--scenes", type=int, default=8, help="imagine: scenes that films are made of")
    parser.add_argument("--long", action="store_true", help="imagine: minutes of the clock, with figures on the way")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    if options.part == "imagine":
        return imagine(options)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, design in enumerate(DESIGNS):
            if options.only and number not in options.only:
                continue
            row = measure(design, options.minutes, options.store, Path(folder))
            rows.append(row)
            told = f"{row['psnr']:7.2f} dB  sharpness {row['sharpness']:.2f}  {row['samples']} samples"
            log.info(f"{design.name:46}{told}")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows}, indent=2) + "\n", encoding="utf-8")
    return 0
