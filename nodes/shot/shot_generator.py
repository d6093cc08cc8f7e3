"""Shot Generator: makes a shot along a camera path, segment by segment, remembering each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import comfy.utils
import latent_preview
import numpy as np
import torch
from comfy_api.latest import io
from numpy.typing import NDArray

from ...film.depth import DepthSource, depth_words
from ...film.loop import KNOWN_SHARE, SegmentDone, generate_shot, segment_lengths
from ...film.measured_path import AS_PLANNED, CAMERA_WAYS, camera_words, coming_path
from ...film.plan import CONTEXT_FRAMES, MEMORY_WAYS, ShotPlan
from ...memory.cameras.trajectory import Trajectory
from ...memory.retrieval.reasons import looked_at, noted, percent
from ...memory.retrieval.settings import RetrievalSettings
from ...memory.retrieval.what_if import RetrievalScene
from ...memory.state.state import MemoryState
from ...models.host.adapter import Adapter
from ...models.registry import adapter_for
from .. import inputs
from ..messages import say, tell
from ..pictures import NEAR_IS_WHITE, preview_picture, to_depth
from ..remember.retrieval_routes import show
from ..types import CATEGORY, SceneMemory, SceneRetriever, SceneTrajectory
from .shot_video import ShotVideo

PREVIEW_SIZE = 512


class ShotGenerator(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryShotGenerator",
            display_name="Shot Generator",
            category=f"{CATEGORY}/shot",
            description="Films a shot along a camera path. For each segment it finds the past frames that saw the same "
            "place, gives them to the model, and keeps the new frames in the bank at once. Cancel keeps every finished "
            "segment. Chain several by 'memory' to make a film.",
            search_aliases=["long video", "context as memory", "video sampler", "segment"],
            inputs=[
                io.Model.Input("model", tooltip="The video model. Recommended: MODEL of MoC Sparse Sampler."),
                io.Vae.Input("vae", tooltip="The VAE that goes with the model. Recommended: VAE of Load World Model."),
                io.Conditioning.Input("positive", tooltip="What to show. Recommended: CLIP Text Encode."),
                SceneMemory.Input(
                    "memory", tooltip="What the film remembers so far. Recommended: Memory Bank, or the shot before."
                ),
                SceneTrajectory.Input("trajectory", tooltip="Where the camera goes. Recommended: Camera Trajectory."),
                io.Sampler.Input("sampler", tooltip="The sampling method. Recommended: SAMPLER of MoC Sparse Sampler."),
                io.Sigmas.Input("sigmas", tooltip="The noise levels. Recommended: SIGMAS of MoC Sparse Sampler."),
                SceneRetriever.Input(
                    "retriever",
                    optional=True,
                    tooltip="How past frames are found again. Without one the model sees only the newest frames, and "
                    "forgets. Recommended: FOV Retriever.",
                ),
                io.Conditioning.Input(
                    "negative",
                    optional=True,
                    tooltip="What to avoid; matters only with cfg above 1. "
                    "Recommended: leave it open with the world model.",
                ),
                inputs.fixed_seed(
                    "The same seed, memory and settings make the same shot. Recommended: any, and fixed: then a graph "
                    "that is queued again finds what is there.",
                    most=0xFFFFFFFFFFFFFFFF,
                ),
                inputs.guidance("How strictly to follow the prompt. Recommended: 1 with the world model."),
                io.Int.Input(
                    "segment_frames",
                    default=0,
                    min=0,
                    max=1024,
                    tooltip="Frames made at a time. 0 takes the model's own length. Recommended: 0.",
                ),
                inputs.side(
                    "width",
                    "Width in pixels while nothing is remembered. 0 takes the memory's, or the model's own. "
                    "Recommended: 0.",
                ),
                inputs.side(
                    "height",
                    "Height in pixels while nothing is remembered. 0 takes the memory's, or the model's own. "
                    "Recommended: 0.",
                ),
                io.Image.Input(
                    "depth",
                    optional=True,
                    tooltip="Depth of what the shot will show, one picture for each frame of the camera path, if it is "
                    "known, as from a 3-D scene. It is kept with the frames, and retrieval then knows what hides what. "
                    "Recommended: leave it open.",
                ),
                inputs.depth_kind(),
                inputs.depth_scale(),
                io.Float.Input(
                    "colour_anchor",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How far the colours of each segment follow the remembered frames of the same places. "
                    "For long films that turn red or grey. Recommended: 0; 0.5 to 1 where colours drift.",
                ),
                io.Combo.Input(
                    "memory_enters_as",
                    options=list(MEMORY_WAYS),
                    default=CONTEXT_FRAMES,
                    optional=True,
                    tooltip="How remembered frames enter. Context frames stand beside the new ones. Known pixels are "
                    "remembered frames moved to where the camera will see them, and the model fills what is missing: "
                    "for VACE, Fun Inpaint, Uni3C and the world model. Recommended: context frames; known pixels where "
                    "the model was not trained with context frames and depth is known.",
                ),
                io.Boolean.Input(
                    "hold_known",
                    default=False,
                    optional=True,
                    tooltip="Known pixels are put back after each step, as inpainting does, so that the model cannot "
                    "change them. Recommended: off; on where the model paints over what is known.",
                ),
                inputs.depth_source(
                    "Reads depth off the new frames as they are made, so that the memory knows how far away things "
                    "are. Recommended: Depth Source, where Memory View or known pixels are used; else leave it open."
                ),
                io.Combo.Input(
                    "cameras",
                    options=list(CAMERA_WAYS),
                    default=AS_PLANNED,
                    optional=True,
                    tooltip="Which cameras the memory keeps. 'as measured' finds in the new frames where the camera "
                    "really went, and the rest of the path goes on from there; where that is not sure the plan stays. "
                    "It takes seconds a segment. Recommended: as planned for models that obey a camera path (the world "
                    "model, Fun Camera, VACE with known pixels); as measured for those that only read the prompt.",
                ),
            ],
            outputs=[
                SceneMemory.Output(display_name="memory", tooltip="The memory with this shot in it."),
                io.Video.Output(display_name="shot", tooltip="This shot alone, enlarged if small; for Save Video."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        vae: Any,
        positive: list[Any],
        memory: MemoryState,
        trajectory: Trajectory,
        sampler: Any,
        sigmas: torch.Tensor,
        seed: int,
        cfg: float,
        segment_frames: int,
        width: int,
        height: int,
        retriever: RetrievalSettings | None = None,
        negative: list[Any] | None = None,
        depth: torch.Tensor | None = None,
        depth_kind: str = NEAR_IS_WHITE,
        depth_scale: float = 1.0,
        colour_anchor: float = 0.0,
        memory_enters_as: str = CONTEXT_FRAMES,
        hold_known: bool = False,
        depth_source: DepthSource | None = None,
        cameras: str = AS_PLANNED,
    ) -> io.NodeOutput:
        """``sigmas`` (n,) are noise levels; ``depth`` is IMAGE (F, H, W, C), a picture for each frame of the path.

        Raises ValueError if the plan, the model or what it makes cannot be used, as `generate_shot` says.
        """
        plan = ShotPlan(
            model=model,
            vae=vae,
            positive=positive,
            negative=negative,
            sampler=sampler,
            sigmas=sigmas,
            seed=seed,
            cfg=cfg,
            trajectory=trajectory,
            retriever=retriever,
            segment_frames=segment_frames,
            width=width,
            height=height,
            depth=None if depth is None else to_depth(depth, depth_kind, depth_scale),
            colour_anchor=colour_anchor,
            memory_enters_as=memory_enters_as,
            hold_known=hold_known,
            depth_source=depth_source,
            cameras=cameras,
        )
        adapter: Adapter = adapter_for(model, memory_enters_as)
        steps = max(1, sigmas.numel() - 1)
        segments = len(segment_lengths(memory, plan, adapter))
        total, text = steps * segments, ShotText.of(plan, segments)
        bar = comfy.utils.ProgressBar(total=total)
        previewer = latent_preview.get_previewer(device=model.load_device, latent_format=model.model.latent_format)

        def on_step(segment: int, step: int, x0: torch.Tensor) -> None:
            picture = previewer.decode_latent_to_preview_image("JPEG", x0) if previewer else None
            bar.update_absolute(value=segment * steps + step + 1, total=total, preview=picture)

        def on_pictures(segment: int, pictures: NDArray[np.uint8]) -> None:
            newest = ("JPEG", preview_picture(pictures[-1]), PREVIEW_SIZE)
            bar.update_absolute(value=(segment + 1) * steps, total=total, preview=newest)

        def on_warning(words: str) -> None:
            text.warning = words
            say(cls, words)

        state, said, shown = memory, "", FilmedScene(cls, plan, memory, adapter)
        for done in generate_shot(memory, plan, adapter, on_step, on_pictures, on_warning):
            state = done.state
            shown.after(done)
            if not done.made:
                on_pictures(done.index, state.read_frames([state.frames - 1], nearest=True))
            said = text.after(done)
            say(cls, said)
        if state.bank is not None and (above := state.bank.above_limit()):
            say(cls, f"{said}\n{above}")
        return io.NodeOutput(state, ShotVideo(state, memory.frames), ui={"scene_memory_shot": [shown.scene()]})


class FilmedScene:
    """What the retrieval map may ask about while a shot is made, and after: its path, and the memory before each of its
    segments. The page is told after each segment, so that the map follows the film."""

    def __init__(self, cls: type[io.ComfyNode], plan: ShotPlan, memory: MemoryState, model: Adapter) -> None:
        self._cls, self._plan, self._model = cls, plan, model
        self._starts = [0, *np.cumsum(segment_lengths(memory, plan, model)).tolist()]
        self._states = [memory]
        self._shown = ["", ""]

    def after(self, done: SegmentDone) -> None:
        """A segment is safe."""
        del self._states[done.index + 1 :]
        self._states.append(done.state)
        tell(self._cls, "scene_memory.segment", {**self.scene(), "making": done.index + 1})

    def _path(self) -> Trajectory:
        """The shot's path as each of its segments was, or will be, asked for."""
        plan, states = self._plan, self._states
        if plan.cameras == AS_PLANNED:
            return plan.trajectory
        parts = zip(self._starts[:-1], self._starts[1:], strict=True)
        coming = [coming_path(plan.trajectory, slice(start, stop), states[number], plan.cameras)
                  for number, (start, stop) in enumerate(parts) if number < len(states)]  # fmt: skip
        rest = slice(self._starts[min(len(states), len(self._starts) - 1)], len(plan.trajectory))
        if rest.start < rest.stop:
            coming.append(plan.trajectory[rest.start - 1 : rest.stop].after(coming[-1].poses[-1])[1:])
        return replace(plan.trajectory, poses=np.concatenate([part.poses for part in coming]))

    def scene(self) -> dict[str, Any]:
        """The scene so far, as the page is told of it: what is not made yet follows the newest memory."""
        segments = tuple((start, self._states[min(number, len(self._states) - 1)])
                         for number, start in enumerate(self._starts[:-1]))  # fmt: skip
        scene = RetrievalScene(self._path(), segments, self._states[-1], self._model.most_context)
        if scene.id != self._shown[-1]:
            # The page may still be asking about the one before.
            self._shown.append(scene.id)
        return show(scene, instead_of=self._shown[-3])


@dataclass
class ShotText:
    """What the node says: how far the shot is, what came from the bank, and what was recalled.

    Counts the segments of a shot of ``total``; ``limit`` is how many frames the model looks at, where the retriever
    asks for more: else 0. Its lines are short sentences: the classic canvas does not wrap them, Nodes 2.0
    does not break them. ``warning`` stands below them."""

    total: int
    limit: int = 0
    asked: int = 0
    made: int = 0
    there: int = 0
    warning: str = ""

    @classmethod
    def of(cls, plan: ShotPlan, total: int) -> ShotText:
        """For a shot of some segments."""
        asked = plan.retriever.k if plan.retriever else 0
        most = asked if plan.has_known_pixels else adapter_for(plan.model).most_context
        return cls(total, most if asked > most else 0, asked)

    def after(self, done: SegmentDone) -> str:
        """What to say when a segment is safe."""
        self.made, self.there = self.made + done.made, self.there + (not done.made)
        finished = f"{self.made + self.there} of {self.total} segments"
        lines = [f"{finished}: {self.made} made, {self.there} from the bank." if self.there else f"{finished} made."]
        info = done.state.segments[len(done.state.segments) - 1].info
        frames = noted(info)
        if frames:
            lines.append(f"Looked at {looked_at(frames)}.")
            if done.encoded:
                lines.append(f"{done.encoded} of these went through the VAE for the first time.")
        elif frames is not None:
            lines.append("Looked at nothing remembered.")
        if isinstance(share := info.get(KNOWN_SHARE), float):
            lines.append(f"{percent(share)} of its pixels were known.")
        lines += camera_words(done.state, len(done.state.segments) - 1)
        lines += depth_words(done.depth)
        if self.limit:
            lines.append(f"Looks at {self.limit} of the {self.asked} that k asks for.")
        return "\n".join([*lines, self.warning] if self.warning else lines)
