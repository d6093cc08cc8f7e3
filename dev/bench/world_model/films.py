"""Films made segment by segment by the bundled model, and true ones to compare them with."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ....memory.cameras.angles import rotation
from ....memory.cameras.camera import intrinsics_from_fov, pose
from ....memory.cameras.trajectory import Trajectory
from ....memory.retrieval.retrieve import retrieve
from ....memory.retrieval.settings import RetrievalSettings
from ....memory.state.state import MemoryState, SegmentRecord
from ....world.render import render_with_depth
from ....world.scenes import Scene
from ....world.walks import free, tour

WIDTH, HEIGHT, SEGMENT, STEPS, FPS = 96, 60, 8, 2, 8.0
FOV = 70.0
AWAY_FRAMES, AWAY_DEGREES, AWAY_UNITS = 81, 150.0, 1.0
Frames = NDArray[np.uint8]


class Painter:
    """The bundled model, asked for one segment at a time through the pack's own adapter and sampling.

    Args:
        weights: a world model's file; None for the bundled one.
    """

    def __init__(self, weights: Path | None = None, steps: int = STEPS) -> None:
        import comfy.samplers

        from ....models.registry import adapter_for
        from ....models.world.loader import WEIGHTS, load_world_model

        self.model, self.clip, self.vae = load_world_model(weights or WEIGHTS)
        self.adapter = adapter_for(self.model)
        self.sampler = comfy.samplers.sampler_object("euler")
        self.sigmas = comfy.samplers.calculate_sigmas(self.model.get_model_object("model_sampling"), "simple", steps)
        self.seconds, self.frames = 0.0, 0

    @torch.inference_mode()
    def paint(
        self, targets: Trajectory, past: tuple[Frames, NDArray[Any], NDArray[Any]] | None, caption: str, seed: int
    ) -> Frames:
        """The segment along `targets`; `past` is pixels (K, H, W, 3), poses and intrinsics of its context frames."""
        from ....models.host.sampling import decoded, sample

        begun = time.perf_counter()
        words = self.clip.encode_from_tokens_scheduled(self.clip.tokenize(caption))
        prepared = self.adapter.prepare(self.model, words, None, self.segment(targets, past))
        latent = sample(
            self.model, prepared, self.sampler, self.sigmas, cfg=1.0, seed=seed, on_step=lambda step, x0: None
        )
        pictures = decoded(self.vae, latent)
        self.seconds, self.frames = self.seconds + time.perf_counter() - begun, self.frames + len(pictures)
        return pictures

    def segment(self, targets: Trajectory, past: tuple[Frames, NDArray[Any], NDArray[Any]] | None) -> Any:
        """What the model is given of such a segment."""
        from ....film.segment import ContextFrames, Segment

        return Segment(targets, WIDTH, HEIGHT, ContextFrames(*past) if past else None)


@dataclass
class TrueFilm:
    """A walk through a scene, with depth; frames are drawn when they are first looked at."""

    scene: Scene
    path: Trajectory
    _drawn: dict[int, tuple[Frames, NDArray[np.float32]]] = field(default_factory=dict)

    def frames(self, indices: Sequence[int] | range | NDArray[Any]) -> Frames:
        return np.stack([picture for picture, _ in self._at(indices)])

    def depth(self, indices: Sequence[int] | range | NDArray[Any]) -> NDArray[np.float32]:
        return np.stack([depth for _, depth in self._at(indices)])

    def caption(self, frame: int) -> str:
        """What the room is like that the camera is in."""
        x, z = self.path.poses[frame, [0, 2], 3]
        return self.scene.rooms[self.scene.room_at(float(x), float(z))].caption

    def _at(self, indices: Sequence[int] | range | NDArray[Any]) -> list[tuple[Frames, NDArray[np.float32]]]:
        wanted = [int(index) for index in indices]
        if new := sorted(set(wanted) - set(self._drawn)):
            lenses = self.path.intrinsics[new]
            pictures, depth = render_with_depth(self.scene, self.path.poses[new], lenses, WIDTH, HEIGHT)
            self._drawn.update(zip(new, zip(pictures.numpy(), depth.numpy(), strict=True), strict=True))
        return [self._drawn[index] for index in wanted]


def away_and_back(scene: Scene, moving: bool, rng: np.random.Generator) -> Trajectory:
    """81 frames: 150 degrees to the right and back the same way; a moving camera also goes one unit and comes back."""
    out = (AWAY_FRAMES - 1) // 2
    share = np.arange(out + 1) / out
    share = np.concatenate([share, share[-2::-1]])
    heading = rng.uniform(0, 2 * np.pi)
    for turn in range(48):
        angle = heading + turn * np.pi / 24
        step = AWAY_UNITS * np.array([np.sin(angle), np.cos(angle)])
        if all(free(scene, *(step * part)) for part in np.linspace(0, 1, 12)):
            break
    else:
        step = np.zeros(2)
    places = np.outer(share, step if moving else np.zeros(2))
    poses = [
        pose([x, 0.0, z], rotation(yaw=AWAY_DEGREES * part)) for part, (x, z) in zip(share, places, strict=True)
    ]
    return Trajectory(np.stack(poses), intrinsics_from_fov(FOV, WIDTH / HEIGHT), fps=FPS)


def long_walk(scene: Scene, frames: int, seed: int) -> Trajectory:
    """A tour through joined rooms, back the same way, and the first minute of it once more.

    Frame i is seen again at 2 * out - 1 - i and, in the first minute, at 2 * out + i, with out = (frames - 480) / 2.
    """
    minute = round(60 * FPS)
    out = (frames - minute) // 2
    poses, intrinsics = tour(scene, out, np.random.default_rng([seed, 21]))
    order = np.concatenate([np.arange(out), np.arange(out)[::-1], np.arange(frames - 2 * out)])
    return Trajectory(poses[order], intrinsics[order], fps=FPS)


def settings_of(strategy: str, k: int, seed: int = 0) -> RetrievalSettings:
    return RetrievalSettings(strategy=strategy, k=k, seed=seed)


def make_film(
    painter: Painter,
    true: TrueFilm,
    settings: RetrievalSettings,
    seed: int,
    on_segment: Callable[[int], None] = lambda done: None,
) -> Frames:
    """A whole film along the true one's path: its first frame is the true one, all others the model's."""
    total, path = len(true.path), true.path
    film = np.empty((total, HEIGHT, WIDTH, 3), np.uint8)
    film[0] = true.frames([0])[0]
    state = remember(MemoryState(), path[0:1])
    for start in range(1, total, SEGMENT):
        targets = path[start : min(start + SEGMENT, total)]
        chosen = np.sort(retrieve(state, targets, settings).indices)
        past = film[chosen], path.poses[chosen], path.intrinsics[chosen]
        film[start : start + len(targets)] = painter.paint(targets, past, true.caption(start), seed * 100_003 + start)
        state = remember(state, targets)
        on_segment(start + len(targets))
    return film


def remember(state: MemoryState, path: Trajectory) -> MemoryState:
    """The state with the cameras of a path: all that retrieval from poses looks at."""
    name = hashlib.sha256(f"{state.id}:{len(path)}".encode()).hexdigest()
    record = SegmentRecord(
        id=name,
        parent=state.id,
        start=state.frames,
        frames=len(path),
        shot=0,
        prompt="",
        size=(HEIGHT, WIDTH),
        fps=FPS,
    )
    return state.with_segment(record, path.poses, path.intrinsics)
