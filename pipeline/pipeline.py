"""The diffusers pipeline: local Wan models that film shot after shot from a memory, and into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import WanPipeline
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from ..film.loop import SegmentDone, generate_shot
from ..memory.cameras.trajectory import Trajectory
from ..memory.state.state import MemoryState
from .latents import Pixels
from .loading import check_folder
from .model import Prompts, WanModel, WanShot
from .rope import with_memory
from .start import WanKind, family_of
from .weights import transformer_from_folder

TEXT_TOKENS = 512
ShotStep = Callable[[int, int, float, Tensor], None]
"""on_step(segment, step, timestep, latents) after each sampling step."""


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
    def family(self) -> WanKind:
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
        shot = WanShot(trajectory, prompt=prompt, **plan)
        for done in self.segments(state, shot, negative_prompt, prompt_embeds, negative_prompt_embeds, on_step):
            state = done.state
        frames = None if output_type == "none" else state.read_frames(range(first, state.frames), nearest=True)
        return SceneMemoryOutput(frames=_shown(frames, output_type), state=state)

    def segments(
        self,
        state: MemoryState,
        plan: WanShot,
        negative_prompt: str = "",
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        on_step: ShotStep | None = None,
    ) -> Iterator[SegmentDone]:
        """Makes a shot segment by segment; what is yielded is on the disk, and nothing else is kept in RAM.

        A segment that the bank has from an earlier run of the same plan after the same memory is taken from there.

        Args:
            prompt_embeds, negative_prompt_embeds: (1, tokens, text_dim), in the place of words.

        Raises:
            ValueError: something does not fit, in words that name the field.
        """
        if state.bank is None:
            raise ValueError("This memory has no bank, so nothing could be kept. Begin with Bank.create(...).empty().")
        with torch.no_grad():
            prompts = self._prompts(plan, negative_prompt, prompt_embeds, negative_prompt_embeds)
        model = WanModel(self, plan, prompts)
        shot = model.plan()

        def stepped(segment: int, step: int, latents: Tensor) -> None:
            if on_step is not None:
                on_step(segment, step, float(shot.sampler.timesteps[step]), latents)

        yield from generate_shot(state, shot, model, stepped)
        self.maybe_free_model_hooks()

    def _prompts(
        self, plan: WanShot, negative_prompt: str, positive: Tensor | None, negative: Tensor | None
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

        (1, N, image_dim), zeros where none is known, because such a model cannot do without.

        Raises ValueError where the folder has no image_encoder to see it with.
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


def _shown(frames: Pixels | None, output_type: str) -> Any:
    if frames is None:
        return None
    if output_type == "pil":
        return [[Image.fromarray(frame) for frame in frames]]
    unit = frames[None].astype(np.float32) / 255
    return unit if output_type == "np" else torch.from_numpy(unit).permute(0, 1, 4, 2, 3)
