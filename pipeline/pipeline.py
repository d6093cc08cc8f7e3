"""The pipeline: local Wan models of diffusers that make film after film of one place, from a memory and into it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import WanPipeline
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from ..memory.cameras.trajectory import Trajectory
from ..memory.retrieval.reasons import notes_of
from ..memory.state.state import MemoryState
from .family import WanFamily, family_of
from .forward import Context, frame_noise
from .keys import Fingerprint, path_parts, weights_identity
from .latents import Pixels, WanLatents
from .loading import check_folder
from .plan import LENGTHS, ShotPlan, check_memory, shot_size
from .positions import context_places
from .recall import context_reasons
from .rope import with_memory
from .sampling import Guidance, Models, Prompts, sample
from .segments import OVERLAP, continues, made_for, new_frames, segment_seed
from .start import start_of
from .weights import transformer_from_folder

log = logging.getLogger(__name__)

TEXT_TOKENS = 512
ShotStep = Callable[[int, int, float, Tensor], None]
"""on_step(segment, step, timestep, latents) after each sampling step."""


@dataclass(frozen=True)
class SegmentDone:
    """One segment that is safe in the bank: its number in the shot, the memory after it, the past frames it looked at,
    and whether it was made now or was there already."""

    state: MemoryState
    index: int
    context: tuple[int, ...] = ()
    made: bool = True


@dataclass
class SceneMemoryOutput(BaseOutput):  # type: ignore[misc]
    """Frames of the shot as ``output_type`` says, in a batch of one as diffusers has it, and the memory after it."""

    frames: Any
    state: MemoryState


class SceneMemoryPipeline(WanPipeline):  # type: ignore[misc]
    """Wan 2.1 and 2.2 (text to video, image to video, TI2V-5B, pairs) with a memory of the scene.

    ``SceneMemoryPipeline.from_folder`` reads a local folder in diffusers' layout; ``from_pretrained`` and the
    constructor work as for any pipeline, as do offloading and LoRA of diffusers. The transformers' RoPE and processors
    of self-attention are exchanged; their weights are not.

    Context-as-Memory, algorithm 2: each segment of a shot retrieves past frames by its cameras, is made beside them,
    and becomes part of the memory. What is made is in the bank at once; an interrupted shot goes on from there.
    """

    _optional_components = ["transformer", "transformer_2", "tokenizer", "text_encoder", "image_encoder",
                            "image_processor"]  # fmt: skip
    model_cpu_offload_seq = "text_encoder->image_encoder->transformer->transformer_2->vae"

    def __init__(
        self,
        tokenizer: Any,
        text_encoder: Any,
        vae: Any,
        scheduler: Any,
        transformer: Any = None,
        transformer_2: Any = None,
        image_encoder: Any = None,
        image_processor: Any = None,
        boundary_ratio: float | None = None,
        expand_timesteps: bool = False,
    ) -> None:
        for name, part in (("vae", vae), ("scheduler", scheduler), ("transformer", transformer)):
            if part is None:
                raise ValueError(f"{name} is None: a pipeline needs a vae, a scheduler and a transformer. Give one.")
        super().__init__(
            tokenizer, text_encoder, vae, scheduler, transformer, transformer_2, boundary_ratio, expand_timesteps
        )
        self.register_modules(image_encoder=image_encoder, image_processor=image_processor)
        if transformer_2 is not None and boundary_ratio is None:
            raise ValueError("boundary_ratio is None, but there is a transformer_2. Use 0.875, or 0.9 for I2V.")
        family = family_of(transformer.config, expand_timesteps)
        if transformer_2 is not None and family_of(transformer_2.config, expand_timesteps) != family:
            raise ValueError("transformer_2 is of another family than transformer: a pair must be of one folder.")
        if transformer.config.out_channels != vae.config.z_dim:
            raise ValueError(
                f"The VAE has latents of {vae.config.z_dim} channels, the transformer makes "
                f"{transformer.config.out_channels}. Use the VAE of the same folder."
            )
        for network in filter(None, (transformer, transformer_2)):
            with_memory(network)

    @classmethod
    def from_folder(cls, folder: str | Path, **options: Any) -> SceneMemoryPipeline:
        """The pipeline of a local Wan folder. Nothing is downloaded.

        Args:
            options: of diffusers' ``from_pretrained``, such as ``torch_dtype={"vae": torch.float32, "default":
                torch.bfloat16}``, which is what Wan's makers use.

        Raises:
            ValueError: the folder, the file in it, the field, and what to do.
        """
        home = Path(folder)
        check_folder(home)
        wanted = options.get("dtype", options.get("torch_dtype"))
        for part in ("transformer", "transformer_2"):
            if part not in options and (home / part).is_dir():
                kind = wanted.get(part, wanted.get("default")) if isinstance(wanted, dict) else wanted
                options[part] = transformer_from_folder(home / part, kind or torch.float32)
        try:
            made: SceneMemoryPipeline = cls.from_pretrained(str(home), local_files_only=True, **options)
        except (OSError, RuntimeError, KeyError, TypeError) as error:
            raise ValueError(f"{home} cannot be loaded: {error}. Copy the model again, whole.") from error
        return made

    @property
    def family(self) -> WanFamily:
        """Which kind of Wan this is."""
        return family_of(self.transformer.config, self.config.expand_timesteps)

    @torch.no_grad()
    def __call__(
        self,
        state: MemoryState,
        trajectory: Trajectory,
        prompt: str = "",
        negative_prompt: str = "",
        *,
        output_type: str = "pil",
        generator: torch.Generator | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        on_step: ShotStep | None = None,
        **plan: Any,
    ) -> SceneMemoryOutput:
        """A whole shot along a camera path.

        Args:
            state: the memory to go on from; ``Bank.create(folder, name).empty()`` for a new film.
            output_type: "pil", "np" (0..1, (1, F, H, W, 3)), "pt" (0..1, (1, F, 3, H, W)), or "none" to leave the
                frames on the disk, for films that do not fit into RAM.
            generator: draws the seed, where ``seed`` is not given.
            plan: further fields of ``ShotPlan``.

        Raises:
            ValueError: something does not fit, in words that name the field.
        """
        shapes = ("pil", "np", "pt", "none")
        if output_type not in shapes:
            raise ValueError(f"output_type is {output_type!r}: expected one of {', '.join(shapes)}. Use pil.")
        if generator is not None:
            if "seed" in plan:
                raise ValueError("seed and generator are both given: give one of them.")
            plan["seed"] = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        first = state.frames
        shot = ShotPlan(trajectory, prompt=prompt, **plan)
        for done in self.segments(state, shot, negative_prompt, prompt_embeds, negative_prompt_embeds, on_step):
            state = done.state
        frames = None if output_type == "none" else state.read_frames(range(first, state.frames), nearest=True)
        return SceneMemoryOutput(frames=_shown(frames, output_type), state=state)

    def segments(
        self,
        state: MemoryState,
        plan: ShotPlan,
        negative_prompt: str = "",
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        on_step: ShotStep | None = None,
    ) -> Iterator[SegmentDone]:
        """Makes a shot segment by segment; what is yielded is on the disk, and nothing else is kept in RAM.

        A segment that the bank has from an earlier run of the same plan after the same memory is taken from there.
        """
        check_memory(state, plan)
        with torch.no_grad():
            prompts = self._prompts(plan, negative_prompt, prompt_embeds, negative_prompt_embeds)
        latents = WanLatents(self.vae)
        size = shot_size(state, plan, latents.scale)
        goes_on, number = continues(state, plan.trajectory), state.shots
        length = plan.segment_frames or LENGTHS.get(latents.scale, LENGTHS[8])
        lengths = new_frames(len(plan.trajectory), length, latents.frame_stride, goes_on)
        shared = self._identity(plan, prompts, size, number)
        bank, begin = state.bank, 0
        assert bank is not None
        for index, count in enumerate(lengths):
            path = plan.trajectory[begin : begin + count]
            begin += count
            key = Fingerprint(shared).add(state.id, *path_parts(path)).hexdigest() if shared else None
            if key is not None and bank.knows(key) and (known := bank.recall(state, key)) is not None:
                yield SegmentDone(state := bank.within(known), index, made=False)
                continue
            overlap = OVERLAP if goes_on or index else 0
            reasons = context_reasons(state, path, plan.retrieval_for(self.family))
            seen = tuple(reason.index for reason in reasons)

            def stepped(step: int, time: float, now: Tensor, index: int = index) -> None:
                if on_step is not None:
                    on_step(index, step, time, now)

            with torch.no_grad():
                pictures = self._made(state, plan, latents, prompts, path, overlap, seen, size, stepped)
            notes = {
                "pipeline": type(self).__name__, "seed": plan.seed, "guidance": plan.guidance, "steps": plan.steps,
                "times": self.family.times(plan.options), "positions": self.family.positions(plan.options),
                **notes_of(reasons),
            }  # fmt: skip
            state = bank.append(
                state, frames=pictures, trajectory=path, shot=number, prompt=plan.prompt, info=notes, key=key
            )
            yield SegmentDone(state, index, seen)
        self.maybe_free_model_hooks()

    def context(
        self, state: MemoryState, latents: WanLatents, frames: tuple[int, ...], first: int, own: int, options: Any
    ) -> Context | None:
        """Past frames as the model sees them beside a segment whose first picture is frame ``first`` of the film.

        Args:
            own: latent frames of the segment.
        """
        if not frames:
            return None
        kind, times = self.family.positions(options), self.family.times(options)
        ago = [(first - frame) / latents.frame_stride for frame in frames]
        found = latents.of_frames(state, frames)
        return Context(found, context_places(kind, ago, own), times, frame_noise(found, frames))

    def _made(
        self,
        state: MemoryState,
        plan: ShotPlan,
        latents: WanLatents,
        prompts: Prompts,
        path: Trajectory,
        overlap: int,
        seen: tuple[int, ...],
        size: tuple[int, int],
        on_step: Callable[[int, float, Tensor], None],
    ) -> Pixels:
        """The new pictures of one segment."""
        device = self._execution_device
        width, height = size
        pictures = made_for(len(path) + overlap, latents.frame_stride)
        first = state.frames - overlap
        known = state.read_frames([first], nearest=True)[0] if overlap else None
        own = latents.frames(pictures)
        start = start_of(self.family, latents, pictures, known, size)
        random = torch.Generator().manual_seed(segment_seed(plan.seed, state.frames))
        noise = torch.randn(1, latents.channels, own, height // latents.scale, width // latents.scale, generator=random)
        made = sample(
            Models(self.transformer, self.transformer_2, (self.config.boundary_ratio or 0.0) * self._train_steps),
            self._steps(plan, device),
            noise.to(device),
            replace(prompts, image=self.first_picture_seen(known, device)),
            start=start,
            guidance=Guidance(plan.guidance, plan.lowest_guidance),
            context=self.context(state, latents, seen, first, own, plan.options),
            blank_negative=plan.options.blank_negative,
            routing=plan.routing,
            on_step=on_step,
        )
        return latents.decode(made)[overlap : overlap + len(path)]

    @property
    def _train_steps(self) -> int:
        return int(self.scheduler.config.num_train_timesteps)

    def _steps(self, plan: ShotPlan, device: torch.device) -> Any:
        """A fresh scheduler of the folder's kind with the plan's steps; the pipeline's own stays as it is."""
        changed = {}
        if plan.shift is not None:
            changed["flow_shift" if "flow_shift" in self.scheduler.config else "shift"] = plan.shift
        scheduler = type(self.scheduler).from_config(self.scheduler.config, **changed)
        scheduler.set_timesteps(plan.steps, device=device)
        scheduler.set_begin_index(0)
        return scheduler

    def _prompts(
        self, plan: ShotPlan, negative_prompt: str, positive: Tensor | None, negative: Tensor | None
    ) -> Prompts:
        device = self._execution_device
        if positive is None or (plan.guided and negative is None):
            if self.text_encoder is None or self.tokenizer is None:
                lacking = "prompt_embeds" if positive is None else "negative_prompt_embeds"
                raise ValueError(
                    f"{lacking} is not given and this pipeline has no text encoder. Give it, or use guidance 1."
                )
            positive, negative = self.encode_prompt(
                prompt=plan.prompt if positive is None else None, negative_prompt=negative_prompt,
                do_classifier_free_guidance=plan.guided, prompt_embeds=positive, negative_prompt_embeds=negative,
                max_sequence_length=TEXT_TOKENS, device=device,
            )  # fmt: skip
        wide = self.transformer.config.text_dim
        for name, text in (("prompt_embeds", positive), ("negative_prompt_embeds", negative)):
            if text is not None and (text.ndim != 3 or text.shape[0] != 1 or text.shape[2] != wide):
                raise ValueError(
                    f"{name} has the shape {tuple(text.shape)}, expected (1, tokens, {wide}). Encode it anew."
                )
        assert positive is not None
        return Prompts(positive.to(device), None if negative is None else negative.to(device))

    def first_picture_seen(self, picture: Pixels | None, device: torch.device) -> Tensor | None:
        """The first picture (H, W, 3) as CLIP sees it, for models that want that; else None.

        Zeros where none is known, because such a model cannot do without.
        """
        if not self.family.sees_picture:
            return None
        wide = self.transformer.config.image_dim
        if picture is None:
            return torch.zeros(1, 257, wide, device=device)
        if self.image_encoder is None or self.image_processor is None:
            raise ValueError(
                "This model sees its first picture through CLIP, but the folder has no image_encoder or "
                "image_processor. Copy both beside the transformer and name them in model_index.json."
            )
        given = self.image_processor(images=Image.fromarray(picture), return_tensors="pt")
        given = given.to(self.image_encoder.device, self.image_encoder.dtype)
        found = self.image_encoder(**given, output_hidden_states=True).hidden_states[-2]
        result: Tensor = found.to(device)
        return result

    def _identity(self, plan: ShotPlan, prompts: Prompts, size: tuple[int, int], number: int) -> str | None:
        """What all segments of a shot share; None, and one line in the log, where weights cannot be seen."""
        networks = [weights_identity(part) for part in (self.transformer, self.transformer_2, self.vae,
                                                        self.image_encoder)]  # fmt: skip
        if None in networks:
            log.info("Weights are not in memory: this shot is made anew even if it is in the bank already.")
            return None
        whole = Fingerprint().add(*networks, type(self.scheduler).__name__, _plain(self.scheduler.config))
        whole.add(_plain(self.config), size, number, prompts.positive, prompts.negative)
        return whole.add(
            *(f"{name}={value!r}" for name, value in vars(plan).items() if name != "trajectory")
        ).hexdigest()


def _plain(config: Any) -> str:
    """A configuration as text, without what says where and by which version it was written."""
    kept = {name: str(value) for name, value in config.items() if not name.startswith("_")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _shown(frames: Pixels | None, output_type: str) -> Any:
    if frames is None:
        return None
    if output_type == "pil":
        return [[Image.fromarray(frame) for frame in frames]]
    unit = frames[None].astype(np.float32) / 255
    return unit if output_type == "np" else torch.from_numpy(unit).permute(0, 1, 4, 2, 3)
