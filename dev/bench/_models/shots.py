"""A segment by Shot Generator's own loop, with a memory and without, beside the same segment by the stock nodes."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ....memory.bank.bank import Bank
from ....memory.cameras.presets import make_preset
from ....memory.cameras.trajectory import Trajectory
from ....memory.retrieval.settings import RetrievalSettings
from ....memory.state.state import MemoryState
from .families import Family
from .loaded import Loaded
from .stock import SAMPLING, Ask

FPS, FOV, DEGREES = 16.0, 70.0, 3.0
PAST, CONTEXT, STEPS = 24, 4, 4
INNERMOST = ("scene_memory", "scene_memory_story", "scene_memory_memento", "scene_memory_camera_layers", "watch")


@dataclass
class Stopwatch:
    """Seconds in what it wraps: the VAE's coding, and as the host's innermost wrapper the network."""

    seconds: float = 0.0

    def __call__(self, call: Any, *arguments: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        try:
            return call(*arguments, **named)
        finally:
            self.seconds += time.perf_counter() - begun

    def on(self, model: Any) -> Any:
        """A copy of a MODEL whose network is timed, inside of all that this pack wraps around it later."""
        import comfy.patcher_extension

        watched = model.clone()
        kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
        watched.wrappers[kind] = {**{key: [] for key in INNERMOST}, **watched.wrappers.get(kind, {}), "watch": [self]}
        return watched


class WatchedVae:
    """A VAE that is timed, and keeps the latent that it decoded last."""

    def __init__(self, vae: Any, watch: Stopwatch) -> None:
        self._vae, self._watch = vae, watch
        self.latent: torch.Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vae, name)

    def encode(self, *arguments: Any, **named: Any) -> Any:
        return self._watch(self._vae.encode, *arguments, **named)

    def decode(self, latent: torch.Tensor) -> Any:
        self.latent = latent.clone()
        return self._watch(self._vae.decode, latent)


@dataclass
class Times:
    """Seconds of a segment in every round, and of these outside network and VAE."""

    whole: list[float] = field(default_factory=list)
    outside: list[float] = field(default_factory=list)

    def add(self, whole: float, inside: float) -> None:
        self.whole.append(whole)
        self.outside.append(whole - inside)


class Studio:
    """One family, loaded, with a memory of some pictures to go on from."""

    def __init__(self, folder: Path, family: Family, loaded: Loaded) -> None:
        import comfy.samplers

        self.family, self.loaded, self.watch = family, loaded, Stopwatch()
        self.vae = WatchedVae(loaded.vae, self.watch)
        self.sampler = comfy.samplers.sampler_object(SAMPLING["sampler_name"])
        self._bank = Bank.create(folder, "film")
        self.past = self._remembered(PAST)
        self._made: dict[Any, Any] = {}

    def sigmas(self, steps: int = STEPS) -> torch.Tensor:
        import comfy.samplers

        sampling = self.loaded.bare.get_model_object("model_sampling")
        return comfy.samplers.calculate_sigmas(sampling, SAMPLING["scheduler"], steps).cpu()

    def turn(self, frames: int, degrees: float = DEGREES) -> Trajectory:
        """So many pictures of an even turn to the right, as the world model turns in a stock sampler."""
        width, height = self.family.size
        amount = degrees * (frames - 1)
        aspect = width / height
        return make_preset("pan", frames=frames, fps=FPS, amount=amount, fov=FOV, aspect=aspect, easing="even")

    def identical(self) -> bool:
        """Whether the latent of Shot Generator without memory has the bits of the stock nodes'."""
        from ....film.continuity import segment_seed

        whole = self.turn(self.family.frames)
        start = int(self.family.start)
        state = self._remembered(1) if start else self._bank.empty()
        self._shoot(self.loaded.plain, state, whole[start:], None, seed=7)
        ours = self.vae.latent
        theirs = self.family.stock(self.loaded, self._ask(whole, state, segment_seed(7, state.frames)))
        return ours is not None and torch.equal(ours, theirs)

    def timed(self, rounds: int) -> tuple[Times, Times]:
        """Times of the stock nodes and of Shot Generator with a memory, in turns, after one round that warms up."""
        stock, memory = Times(), Times()
        retriever = RetrievalSettings(k=CONTEXT)
        watched = self._watched()
        ahead = self.turn(self.family.frames, -DEGREES).after(self.past.last_pose)[self._overlap() :]
        for number in range(rounds + 1):
            for kind, times in ((0, stock), (1, memory))[:: 1 if number % 2 else -1]:
                self.watch.seconds, begun = 0.0, time.perf_counter()
                if kind:
                    self._shoot(watched.model, self.past, ahead, retriever, seed=number)
                else:
                    self.vae.decode(self.family.stock(watched, self._ask(ahead, self.past, number)))
                if number:
                    times.add(time.perf_counter() - begun, self.watch.seconds)
        return stock, memory

    def _overlap(self) -> int:
        from ....models.registry import adapter_for

        return adapter_for(self.loaded.model, self.family.way).overlap

    def _watched(self) -> Loaded:
        """What is loaded, with stopwatches in networks and VAE."""
        from dataclasses import replace

        from ....models.wan.options import options_of, with_options

        bare, low = self.watch.on(self.loaded.bare), self.loaded.low and self.watch.on(self.loaded.low)
        model = self.watch.on(self.loaded.model)
        if low is not None:
            model = with_options(model, replace(options_of(model), low_noise=low))
        return replace(self.loaded, model=model, bare=bare, low=low, vae=self.vae)

    def _ask(self, path: Trajectory, state: MemoryState, seed: int) -> Ask:
        first = None
        if self.family.start:
            first = torch.from_numpy(state.read_frames([state.frames - 1])).float() / 255
        return Ask(self._whole(path), self.family.size, first, STEPS, self.family.cfg, seed)

    def _whole(self, path: Trajectory) -> Trajectory:
        """A path of all the pictures of a segment; those that it lacks at the end stand still."""
        lacking = self.family.frames - len(path)
        if not lacking:
            return path
        poses = np.concatenate([path.poses, np.repeat(path.poses[-1:], lacking, axis=0)])
        return Trajectory(poses, path.intrinsics[0], path.fps)

    def _shoot(
        self, model: Any, state: MemoryState, path: Trajectory, retriever: RetrievalSettings | None, seed: int
    ) -> None:
        from ....film.loop import generate_shot
        from ....film.plan import ShotPlan
        from ....models.registry import adapter_for

        width, height = self.family.size
        plan = ShotPlan(
            model, self.vae, self.loaded.positive, self.loaded.negative, self.sampler, self.sigmas(), seed,
            self.family.cfg, path, retriever, self.family.frames, width, height, memory_enters_as=self.family.way,
        )  # fmt: skip
        segments = list(generate_shot(state, plan, adapter_for(plan.model, self.family.way)))
        assert len(segments) == 1 and segments[0].made, "one segment, made now"

    def _remembered(self, frames: int) -> MemoryState:
        path = self.turn(frames)
        return self._bank.append(self._bank.empty(), frames=pictures(frames, self.family.size), trajectory=path, shot=0)


def pictures(count: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Soft random pictures (n, H, W, 3)."""
    width, height = size
    noise = np.random.default_rng(2).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return np.stack([cv2.GaussianBlur(picture, (9, 9), 4) for picture in noise])


def median_ms(seconds: list[float]) -> float:
    return 1e3 * statistics.median(seconds)
