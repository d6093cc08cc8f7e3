"""A Wan of diffusers as the film loop is handed it: its rules, one segment from noise to pictures, and its keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..film.identity import NoIdentity
from ..film.keys import ShotKey
from ..film.latents import ContextLatents
from ..film.model import OnStep, Pixels, VideoModel
from ..film.plan import ShotPlan
from ..film.segment import ContextFrames, Segment
from ..memory.cameras.camera import FloatArray
from ..memory.cameras.trajectory import Trajectory
from ..memory.retrieval.settings import RetrievalSettings
from ..models.wan.options import ContextPositions, MemoryOptions
from ..models.wan.timesteps import frame_noise
from .attention import Routing
from .forward import Context, predict
from .latents import WanLatents, as_video
from .start import Start, start_of
from .weights import Fingerprint, weights_identity

SIZES = {8: (832, 480), 16: (1280, 704)}
LENGTHS = {8: 81, 16: 121}
"""Width and height, and frames at a time, that a model was made for, by the scale of its VAE."""

OnTimestep = Callable[[int, float, Tensor], None]
"""on_step(step, timestep, latents) after each step."""


@dataclass(frozen=True)
class WanShot:
    """One continuous take with a Wan; ``ShotPlan`` of this package.

    retrieval: None looks at the newest frame where the model cannot be given its first picture, else at none.
    segment_frames, width, height: 0 takes the model's own length, and the memory's size or the model's own.
    shift: of the noise schedule; None keeps the folder's. guidance_low: guidance below the boundary of a pair.
    depth, colour_anchor: as in ``film.plan.ShotPlan``.
    """

    trajectory: Trajectory
    steps: int = 40
    guidance: float = 5.0
    guidance_low: float | None = None
    shift: float | None = None
    seed: int = 0
    retrieval: RetrievalSettings | None = None
    options: MemoryOptions = MemoryOptions()
    routing: Routing | None = None
    segment_frames: int = 0
    width: int = 0
    height: int = 0
    prompt: str = ""
    depth: FloatArray | None = None
    colour_anchor: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}: at least 1 is needed. Use 40.")
        for name in ("guidance", "guidance_low"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < float("inf"):
                raise ValueError(f"{name} is {value}: it must be 0 or above. Use 5, or 1 for no guidance.")
        if self.shift is not None and not 0.0 < self.shift < float("inf"):
            raise ValueError(f"shift is {self.shift}: it must be above 0. Use 3 for 480p, 5 for 720p.")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed is {self.seed}: it must be 0 or above and below 2**64. Use 0.")

    @property
    def lowest_guidance(self) -> float:
        """Guidance below the boundary of a pair."""
        return self.guidance if self.guidance_low is None else self.guidance_low

    @property
    def guided(self) -> bool:
        """Whether the negative prompt is computed at all."""
        return max(self.guidance, self.lowest_guidance) > 1.0


class WanModel(VideoModel):
    """The Wan of a pipeline, with a shot's prompts (``Prompts``)."""

    version = 1
    longest_segment = 401
    most_context = 20
    overlap = 1

    def __init__(self, pipe: Any, shot: WanShot, prompts: Prompts) -> None:
        self.pipe, self.shot, self.prompts = pipe, shot, prompts
        self.family, self.codec = pipe.family, WanLatents(pipe.vae)
        scale = self.codec.scale
        self.name, self.size_multiple = self.family.name, 2 * scale
        self.frame_grid = (self.codec.frame_stride, 1)
        self.default_segment, self.default_size = LENGTHS.get(scale, LENGTHS[8]), SIZES.get(scale, SIZES[8])
        self.context_without_retriever = self.family.newest_without_retriever

    def plan(self) -> ShotPlan:
        """The shot as the loop takes it."""
        shot, scheduler = self.shot, self.scheduler()
        return ShotPlan(
            model=self.pipe.transformer, vae=self.pipe.vae, positive=self.prompts.positive,
            negative=self.prompts.negative, sampler=scheduler, sigmas=scheduler.sigmas, seed=shot.seed,
            cfg=shot.guidance if shot.guided else 1.0, trajectory=shot.trajectory, retriever=shot.retrieval,
            segment_frames=shot.segment_frames, width=shot.width, height=shot.height, prompt=shot.prompt,
            depth=shot.depth, colour_anchor=shot.colour_anchor,
        )  # fmt: skip

    def scheduler(self) -> Any:
        """A fresh scheduler of the folder's kind with the shot's steps; the pipeline's own stays as it is."""
        own, changed = self.pipe.scheduler, {}
        if self.shot.shift is not None:
            changed["flow_shift" if "flow_shift" in own.config else "shift"] = self.shot.shift
        made = type(own).from_config(own.config, **changed)
        made.set_timesteps(self.shot.steps, device=self.pipe._execution_device)
        made.set_begin_index(0)
        return made

    @torch.no_grad()
    def sample(self, plan: ShotPlan, segment: Segment, seed: int, on_step: OnStep) -> Tensor:
        """Normalised latents (1, C, T, h, w) float32 of a segment."""
        pipe, codec, shot, device = self.pipe, self.codec, self.shot, self.pipe._execution_device
        known, own = segment.begins_with, codec.frames(len(segment))
        small = segment.height // codec.scale, segment.width // codec.scale
        noise = torch.randn(1, codec.channels, own, *small, generator=torch.Generator().manual_seed(seed))
        boundary = (pipe.config.boundary_ratio or 0.0) * int(pipe.scheduler.config.num_train_timesteps)
        return sample(
            Models(pipe.transformer, pipe.transformer_2, boundary),
            self.scheduler(),
            noise.to(device),
            replace(self.prompts, image=pipe.first_picture_seen(known, device)),
            start=start_of(self.family, codec, len(segment), known, (segment.width, segment.height)),
            guidance=Guidance(shot.guidance, shot.lowest_guidance),
            context=self.context(segment.context, segment.first_frame, own),
            blank_negative=shot.options.blank_negative,
            routing=shot.routing,
            on_step=lambda step, time, latents: on_step(step, latents),
        )

    def context(self, seen: ContextFrames | None, first: int, own: int) -> Context | None:
        """Past frames as the model sees them beside a segment whose first picture is frame ``first`` of the film.

        Args:
            own: latent frames of the segment.
        """
        if seen is None or seen.latents is None:
            return None
        ago = tuple((first - frame) / self.codec.frame_stride for frame in seen.numbers)
        positions = ContextPositions(self.family.positions(self.shot.options), ago).at(own)
        noise = frame_noise(seen.latents, seen.numbers)
        return Context(seen.latents, tuple(positions), self.family.times(self.shot.options), noise)

    @torch.no_grad()
    def decode(self, plan: ShotPlan, latent: Tensor) -> Pixels:
        """The pictures (F, H, W, 3) uint8 of such latents."""
        return self.codec.decode(latent)

    def latents(self, vae: Any) -> ContextLatents:
        @torch.no_grad()
        def encode(picture: Pixels) -> Tensor:
            return self.codec.encode(as_video(picture[None]))[0, :, 0].cpu()

        return ContextLatents(weights_identity(vae) or "", encode)

    def shot_key(self, plan: ShotPlan, size: tuple[int, int]) -> WanKey:
        """Raises NoIdentity where weights are offloaded, so that they cannot be looked at."""
        pipe, shot, prompts = self.pipe, self.shot, self.prompts
        parts = {name: getattr(pipe, name) for name in ("transformer", "transformer_2", "vae", "image_encoder")}
        networks = {name: weights_identity(part) for name, part in parts.items()}
        if hidden := [name for name, found in networks.items() if found is None]:
            raise NoIdentity(f"the weights of {hidden[0]} are not in memory")
        texts = (prompts.positive, prompts.negative)
        sampled = (*networks.values(), type(pipe.scheduler).__name__, plain(pipe.scheduler.config), plain(pipe.config))
        how = ("steps", "guidance", "guidance_low", "shift", "options", "routing")
        made = Fingerprint().add(*sampled, size, *texts, *(f"{name}={getattr(shot, name)!r}" for name in how))

        def asked(number: int) -> str:
            """As before there were two keys: films from then are found again."""
            all_of_it = (*how[:4], "seed", "retrieval", *how[4:], "segment_frames", "width", "height", "prompt")
            settings = (f"{name}={getattr(shot, name)!r}" for name in all_of_it)
            return Fingerprint().add(*sampled, size, number, *texts, *settings).hexdigest()

        return WanKey(shared=made.hexdigest(), asked_of=asked)

    def notes(self) -> dict[str, Any]:
        times, positions = (kind(self.shot.options) for kind in (self.family.times, self.family.positions))
        return {"pipeline": type(self.pipe).__name__, "times": times, "positions": positions}

    def check_interrupted(self) -> None:
        """A script stops a shot by an exception of its own, in ``on_step``."""


@dataclass(frozen=True, kw_only=True)
class WanKey(ShotKey):
    """Keys of a shot's segments. What is asked for is hashed as in version 0.4.0 and before, see ``docs/pipeline.md``;
    ``asked_of(number)`` is what all segments of a shot with that number in the film share of it."""

    asked_of: Callable[[int], str]

    def asked(self, parent: str, path: Trajectory, *settings: Any) -> str:
        _, number, _, depth, _, _, colour_anchor = settings
        whole = Fingerprint(self.asked_of(number)).add(parent, len(path), path.fps, path.poses, path.intrinsics)
        if depth is not None or colour_anchor:
            whole.add(depth, colour_anchor)
        return whole.hexdigest()


def plain(config: Any) -> str:
    """A configuration as a hash, without what says where and by which version it was written."""
    kept = {name: str(value) for name, value in config.items() if not name.startswith("_")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Prompts:
    """The conditioning of the models: text (1, L, D) for and against, and CLIP's view of the first picture."""

    positive: Tensor
    negative: Tensor | None = None
    image: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Models:
    """The transformer, and for a pair the one that goes on below ``boundary``, a timestep."""

    high: Any
    low: Any = None
    boundary: float = 0.0

    def at(self, timestep: float) -> tuple[Any, bool]:
        """The transformer for a timestep, and whether it is the one for low noise."""
        low = self.low is not None and timestep < self.boundary
        return (self.low if low else self.high), low


@dataclass(frozen=True, eq=False)
class Guidance:
    """How far away from the negative prompt: by the transformer for high and for low noise; 1 is not at all."""

    high: float = 1.0
    low: float = 1.0

    def mixed(self, low: bool, yes: Tensor, no: Callable[[], Tensor]) -> Tensor:
        """The prediction (B, C, T, h, w) with guidance; the negative is only computed where it counts."""
        scale = self.low if low else self.high
        if scale <= 1.0:
            return yes
        against = no()
        return against + scale * (yes - against)


def sample(
    models: Models,
    scheduler: Any,
    noise: Tensor,
    prompts: Prompts,
    *,
    start: Start,
    guidance: Guidance,
    context: Context | None = None,
    blank_negative: bool = False,
    routing: Routing | None = None,
    on_step: OnTimestep | None = None,
) -> Tensor:
    """Latents (1, C, T, h, w) float32 of a segment, from ``noise`` of that shape and a scheduler with its steps set."""
    latents, frames = noise.float(), noise.shape[2]
    against = context.blank() if context is not None and blank_negative else context
    for step, time in enumerate(scheduler.timesteps):
        network, low = models.at(float(time))
        kind = next(network.parameters()).dtype
        given = start.given(latents).to(kind)
        timestep = start.timestep(time.to(latents.device), frames)
        level = float(scheduler.sigmas[step])
        routed = routing if routing is not None and step >= routing.dense_steps else None

        def predicted(text: Tensor, seen: Context | None, network=network, given=given, kind=kind,
                 timestep=timestep, level=level, routed=routed) -> Tensor:  # fmt: skip
            image = prompts.image.to(kind) if prompts.image is not None else None
            shared = {"image": image, "context": seen, "level": level, "routing": routed}
            return predict(network, given, timestep, text.to(kind), **shared).float()

        def negative(predicted=predicted) -> Tensor:
            assert prompts.negative is not None, "checked with the guidance"
            return predicted(prompts.negative, against)

        made = guidance.mixed(low, predicted(prompts.positive, context), negative)
        latents = scheduler.step(made, time, latents, return_dict=False)[0]
        if on_step is not None:
            on_step(step, float(time), latents)
    return start.finished(latents)
