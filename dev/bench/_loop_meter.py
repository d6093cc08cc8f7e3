"""A shot made by the Shot Generator node in this process, with the time of model and VAE told apart from the rest."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ...kernels import MocSettings
from ...memory.bank.bank import Bank
from ...memory.cameras.presets import make_preset
from ...memory.cameras.trajectory import Trajectory
from ...memory.retrieval.settings import RetrievalSettings

FPS, SEGMENT, FOV, STEPS, CONTEXT = 8.0, 8, 70.0, 2, 20
LARGEST_PREVIEW = 512


@dataclass
class Stopwatch:
    """Adds up the seconds of what it is told to time; as a wrapper of the host's sampling it times that."""

    seconds: float = 0.0

    def __call__(self, sample: Any, *arguments: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        try:
            return sample(*arguments, **named)
        finally:
            self.seconds += time.perf_counter() - begun


@dataclass
class TimedVae:
    """A VAE whose coding is timed."""

    vae: Any
    watch: Stopwatch

    def encode(self, *arguments: Any, **named: Any) -> Any:
        return self.watch(self.vae.encode, *arguments, **named)

    def decode(self, *arguments: Any, **named: Any) -> Any:
        return self.watch(self.vae.decode, *arguments, **named)


@dataclass
class Progress:
    """Stands where the server's progress hook stands, and codes previews as the server does: on another thread.

    ``ends[i]`` is when segment i was reported, with the seconds of ``watch`` at that moment.
    """

    watch: Stopwatch
    ends: dict[int, tuple[float, float]] = field(default_factory=dict)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def __call__(self, value: int, total: int, preview: Any = None, **_: Any) -> None:
        if preview is not None:
            self._thread.submit(coded, preview[1])
        if value % STEPS == 0:
            self.ends[value // STEPS - 1] = (time.perf_counter(), self.watch.seconds)

    def close(self) -> None:
        self._thread.shutdown(wait=True)


@dataclass(frozen=True)
class Timed:
    """Seconds of each segment (n,): from the report of the one before to its own, and of these in model and VAE."""

    whole: NDArray[np.float64]
    model: NDArray[np.float64]

    @property
    def overhead_share(self) -> float:
        """Share of the time outside model and VAE, over all segments but the first, which loads the model."""
        return float(1 - self.model[1:].sum() / self.whole[1:].sum())


class Studio:
    """The bundled model with some seconds of a true film, ready to go on with it."""

    def __init__(self) -> None:
        import comfy.samplers

        from ...models.moc.patch import RoutingOptions, routed_model
        from ...models.world.loader import load_world_model
        from ...world.render import render
        from ...world.scenes import make_scene

        scene = make_scene(36, "room")
        model, clip, self.vae = load_world_model()
        self.model = routed_model(model, RoutingOptions(MocSettings(top_k=5)))
        self.positive = clip.encode_from_tokens_scheduled(clip.tokenize(scene.caption))
        self.sampler = comfy.samplers.sampler_object("euler")
        self.sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", STEPS)
        # A past long enough that every segment, the second too, looks back at as many frames.
        self.before = make_preset("pan", frames=CONTEXT + 4, fps=FPS, amount=60.0, fov=FOV, aspect=1.6)
        self.pictures = render(scene, self.before.poses, self.before.intrinsics, 96, 60).numpy()

    @torch.inference_mode()
    def film(self, folder: Path, name: str, segments: int, retriever: RetrievalSettings | None = None) -> Timed:
        """Films a shot of so many segments into a new bank and times each."""
        import comfy.utils
        from comfy.patcher_extension import WrappersMP

        from ...nodes.shot.shot_generator import ShotGenerator

        watch = Stopwatch()
        model = self.model.clone()
        model.add_wrapper(WrappersMP.OUTER_SAMPLE, watch)
        bank = Bank.create(folder, name)
        memory = bank.append(bank.empty(), frames=self.pictures, trajectory=self.before, shot=0)
        progress = Progress(watch)
        comfy.utils.set_progress_bar_global_hook(progress)
        begun = time.perf_counter()
        try:
            ShotGenerator.execute(
                model=model, vae=TimedVae(self.vae, watch), positive=self.positive, memory=memory,
                trajectory=path(segments * SEGMENT), sampler=self.sampler, sigmas=self.sigmas, seed=1, cfg=1.0,
                segment_frames=SEGMENT, width=0, height=0, retriever=retriever or RetrievalSettings(k=CONTEXT),
            )  # fmt: skip
        finally:
            comfy.utils.set_progress_bar_global_hook(None)
            progress.close()
        whole, inside = np.array([progress.ends[index] for index in range(segments)]).T
        return Timed(np.diff(whole, prepend=begun), np.diff(inside, prepend=0.0))


def path(frames: int) -> Trajectory:
    """Looks round and comes back, again and again: a lap takes a minute."""
    laps = max(1, round(frames / 480))
    amount = 360.0 * laps
    return make_preset("look around", frames=frames, fps=FPS, amount=amount, fov=FOV, aspect=1.6, easing="even")


def coded(picture: Image.Image) -> bytes:
    """A preview as the server sends it."""
    if max(picture.size) > LARGEST_PREVIEW:
        picture.thumbnail((LARGEST_PREVIEW, LARGEST_PREVIEW))
    data = BytesIO()
    picture.save(data, format="JPEG", quality=95)
    return data.getvalue()
