"""Train the bundled world model on scenes it renders itself. Resumable: run it again with more minutes.

    python dev.py train --minutes 60 --out DIR

Writes DIR/state.pt (to resume), DIR/log.jsonl, DIR/samples.png and DIR/world.safetensors (averaged weights, bfloat16).
Another process renders the scenes into DIR/store, unless --store names one that is filled elsewhere.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..scenes import VALIDATION_SEEDS
from .dataset import Batch, Store, Walk, draw_batch, rendered_walk
from .dataset import main as fill_store
from .imagining import Imaginer, Imagining
from .learning import Lessons, Trained, adopt, examine, loss_of

log = logging.getLogger("world.training.train")

TOLD_SHARE = 0.5
"""Share of the steps without context, in which the caption is all there is: words need many scenes."""

TOLD_LENGTHS, TOLD_SHARES = (1, 4, 8), (0.6, 0.2, 0.2)
CONTEXT_COUNTS = (1, 2, 3, 4, 5, 8, 12, 20)
CONTEXT_SHARES = (0.11, 0.13, 0.17, 0.21, 0.23, 0.10, 0.03, 0.02)
FIRST_WALKS = 48
QUICK = 2.5
FORMAT = "scene-memory-world-1"


@dataclass(frozen=True)
class Settings:
    """One run of training; `minutes` counts every resumed stretch, by `clock`. `unseen`: scenes it is examined on.

    With `imagining` it also learns to imagine, by an even rate: it goes on as long as one likes.
    """

    minutes: float
    out: Path
    store: Path
    start: Path | None = None
    weave: str = "depth"
    mirrors: bool = False
    rate: float = 1.2e-3
    batch: int = 8
    lessons: Lessons = field(default_factory=Lessons)
    report_every: float = 120.0
    unseen: int = 32
    clock: Callable[[], float] = time.monotonic
    imagining: Imagining | None = None


def rate(share: float, peak: float) -> float:
    """Learning rate at a share of the run: short warm-up, plateau, and a fall over the last 45 %."""
    return peak * min(1.0, share / 0.01 + 0.02) * (1.0 if share < 0.55 else max(0.02, 1 - (share - 0.55) / 0.45))


def optimiser_of(model: nn.Module, peak: float) -> torch.optim.AdamW:
    """AdamW; what reads depth and weaves is small, and learns faster than the transformer."""
    quick = [value for name, value in model.named_parameters() if "depth_reader" in name or "weaver" in name]
    others = {id(value) for value in quick}
    rest = [value for value in model.parameters() if id(value) not in others and value.requires_grad]
    groups = [{"params": rest, "pace": 1.0}, {"params": quick, "pace": QUICK}]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, peak, betas=(0.9, 0.97), weight_decay=0.01, fused=True)


def _shape(rng: np.random.Generator, batch: int) -> tuple[int, int, int]:
    """Target frames, context frames and segments of a step; each kind of step costs about the same."""
    if rng.random() < TOLD_SHARE:
        targets = int(rng.choice(TOLD_LENGTHS, p=TOLD_SHARES))
        return targets, 0, 8 * batch // targets
    contexts = int(rng.choice(CONTEXT_COUNTS, p=CONTEXT_SHARES))
    targets = int(rng.choice((4, 8), p=(0.75, 0.25)))
    return targets, contexts, max(2, round(batch * min(1.0, 10 / (contexts + targets))))


class Run:
    """A model in training, its average, its optimiser, and how far it is."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.out.mkdir(parents=True, exist_ok=True)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = Trained(settings.weave, mirrors=settings.mirrors).to(self.device)
        self.loss_of: Callable[..., Tensor] = loss_of
        own = settings.imagining
        self.imaginer = None if own is None else Imaginer(own, settings.rate, self.device)
        self.elapsed, self.step, self.samples = 0.0, 0, 0
        if settings.start is not None and not self._saved.exists():
            with torch.no_grad():
                new = adopt(self.model, load_file(settings.start))
            log.info("from %s; new: %s", settings.start.name, ", ".join(new))
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.optimiser = optimiser_of(self.model, settings.rate)
        if self._saved.exists():
            kept = torch.load(self._saved, map_location=self.device, weights_only=True)
            self.model.load_state_dict(kept["model"])
            self.average.load_state_dict(kept["average"])
            self.optimiser.load_state_dict(kept["optimiser"])
            self.elapsed, self.step, self.samples = kept["elapsed"], kept["step"], kept["samples"]
            if self.imaginer is not None and "imaginer" in kept:
                self.imaginer.resume(kept["imaginer"])

    @property
    def _saved(self) -> Path:
        return self.settings.out / "state.pt"

    def train(self) -> dict[str, float]:
        """Train to the end of the settings' minutes; what the last examination found."""
        settings, end = self.settings, 60 * self.settings.minutes
        store = _wait_for(settings.store)
        unseen = [rendered_walk(VALIDATION_SEEDS.start + seed) for seed in range(settings.unseen)]
        rng, generator = np.random.default_rng([self.step, 7]), torch.Generator().manual_seed(self.step)
        begun = settings.clock() - self.elapsed
        reported, reported_step, running, idle = self.elapsed, self.step, 0.0, 0.0
        found: dict[str, float] = {}
        while (now := settings.clock() - begun - idle) < end:
            self.elapsed = now
            known = min(store.added, store.capacity)
            if self.imaginer is not None and rng.random() < self.imaginer.settings.share:
                batch = self.imaginer.batch(store, known, rng).to(self.device)
                running += self._imagine(self.imaginer, batch, generator)
            else:
                targets, contexts, count = _shape(rng, settings.batch)
                batch = draw_batch(store, known, rng, count, (targets, contexts)).to(self.device)
                speed = settings.rate if self.imaginer is not None else rate(now / end, settings.rate)
                running += self._learn(batch, generator, speed)
            self.samples += len(batch.target)
            if now - reported > settings.report_every:
                found = self._report(running / (self.step - reported_step), known, unseen)
                reported, reported_step, running = now, self.step, 0.0
                idle = settings.clock() - begun - now  # examining and saving do not count
        self.elapsed = end
        if self.step > reported_step:
            found = self._report(running / (self.step - reported_step), known, unseen)
        return found

    def _learn(self, batch: Batch, generator: torch.Generator, speed: float) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = speed * group["pace"]
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = self.loss_of(self.model, batch, generator, self.settings.lessons)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._step()
        return float(loss.detach())

    def _imagine(self, imaginer: Imaginer, batch: Batch, generator: torch.Generator) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate * group["pace"]
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = imaginer.learn(self.model, batch, generator)
        self._step()
        return loss

    def _step(self) -> None:
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        with torch.no_grad():
            decay = min(0.998, self.step / (self.step + 10))
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)

    def _report(self, loss: float, walks: int, unseen: list[Walk]) -> dict[str, float]:
        with torch.autocast(self.device.type, torch.bfloat16):
            found, sheet = examine(self.average, unseen, self.device)
        row = {
            "minutes": round(self.elapsed / 60, 1),
            "step": self.step,
            "samples": self.samples,
            "walks": walks,
            "loss": round(loss, 4),
            **{name: round(value, 3) for name, value in found.items()},
            **{name: round(value, 3) for name, value in (self.imaginer.seen if self.imaginer else {}).items()},
        }
        log.info("%s", row)
        with (self.settings.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._save(sheet)
        return row

    def _save(self, sheet: Tensor) -> None:
        from PIL import Image

        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "elapsed": self.elapsed,
            "step": self.step,
            "samples": self.samples,
        }
        if self.imaginer is not None:
            state["imaginer"] = self.imaginer.state()
        part = self._saved.with_suffix(".part")
        torch.save(state, part)
        part.replace(self._saved)
        weights = {name: value.bfloat16().contiguous().cpu() for name, value in self.average.state_dict().items()}
        config: dict[str, object] = {"weave": self.settings.weave, "steered": True}
        if self.settings.mirrors:
            config["mirrors"] = True
        notes = {
            "format": FORMAT,
            "config": json.dumps(config),
            "steps": str(self.step),
            "samples": str(self.samples),
            "minutes": f"{self.elapsed / 60:.1f}",
        }
        save_file(weights, self.settings.out / "world.safetensors", metadata=notes)
        picture = ((sheet.cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        Image.fromarray(picture).save(self.settings.out / "samples.png")


def _wait_for(folder: Path) -> Store:
    """The store, once it has a few walks."""
    for _ in range(600):
        if (folder / "count.json").exists() and (store := Store(folder)).added >= FIRST_WALKS:
            return store
        time.sleep(1)
    raise TimeoutError(f"No walks have come to {folder} for ten minutes.")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="training time in all, resumed stretches included")
    parser.add_argument("--out", type=Path, default=Path(".train/run"), help="folder for state, log and weights")
    parser.add_argument("--store", type=Path, help="folder of rendered walks that another process fills")
    parser.add_argument("--walks", type=int, default=3000, help="how many walks to render where there is no --store")
    parser.add_argument("--start", type=Path, help="weights to begin with, as far as they fit")
    parser.add_argument("--rate", type=float, default=1.2e-3, help="peak learning rate")
    parser.add_argument("--batch", type=int, default=8, help="segments a step, fewer when there is much context")
    parser.add_argument("--imagine", action="store_true", help="learn to imagine, too; begin with --start")
    parser.add_argument("--mirrors", action="store_true", help="first guess the never seen to be a mirror image")
    parser.add_argument("--threads", type=int, default=1, help="torch threads on a processor")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    store, renderer = options.store, None
    if store is None:
        store = options.out / "store"
        arguments = ["--store", str(store), "--walks", str(options.walks)]
        renderer = multiprocessing.get_context("spawn").Process(target=fill_store, args=(arguments,), daemon=True)
        renderer.start()
    try:
        run = Settings(options.minutes, options.out, store, options.start, rate=options.rate, batch=options.batch)
        run = replace(run, imagining=Imagining() if options.imagine else None, mirrors=options.mirrors)
        Run(run).train()
    finally:
        if renderer is not None:
            renderer.terminate()


if __name__ == "__main__":
    main()
