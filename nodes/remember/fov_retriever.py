"""FOV Retriever: how past frames are found again, and a picture of what would be found."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...memory.cameras.trajectory import Trajectory
from ...memory.pictures.drawing import Pixels, note_picture
from ...memory.pictures.picture_of_retrieval import retrieval_picture
from ...memory.retrieval.retrieve import retrieve
from ...memory.retrieval.settings import RetrievalSettings
from ...memory.retrieval.strategies import STRATEGIES
from ...memory.retrieval.what_if import RetrievalScene
from ...memory.state.state import MemoryState
from ...models.registry import adapter_for
from ..inputs import fixed_seed
from ..pictures import to_image
from ..types import CATEGORY, SceneMemory, SceneRetriever, SceneTrajectory
from .retrieval_routes import show

PREVIEWED_FRAMES = 8


class FovRetriever(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        defaults = RetrievalSettings()
        return io.Schema(
            node_id="SceneMemoryFovRetriever",
            display_name="FOV Retriever",
            category=f"{CATEGORY}/memory",
            description="Chooses the past frames that saw what the camera is about to see, by the overlap of their "
            "fields of view. Connect a memory and a camera path to see what it would choose, and why.",
            search_aliases=["field of view", "retrieval", "context as memory"],
            inputs=[
                io.Int.Input(
                    "k",
                    default=defaults.k,
                    min=1,
                    max=1000,
                    tooltip="Past frames for each segment, the newest one included. Each costs time, and each model "
                    "takes only so many: connect 'model' to see what it looks at. Recommended: 20 with the world "
                    "model and Wan trained as in Context-as-Memory, 5 with other Wan, LTX video and MiniMax H3, 3 with "
                    "VACE, 2 with Echo or Phantom.",
                ),
                io.Combo.Input(
                    "strategy",
                    options=list(STRATEGIES),
                    default=defaults.strategy,
                    tooltip="What joins the newest frame and the pinned ones. "
                    + "; ".join(f"'{name}': {strategy.about}" for name, strategy in STRATEGIES.items())
                    + ". Recommended: coverage.",
                ),
                fixed_seed("Fixes the choice between frames that are equally good. Recommended: 0."),
                io.Float.Input(
                    "depth",
                    default=defaults.depth,
                    min=0.0,
                    max=10_000.0,
                    step=0.1,
                    tooltip="About how far away the things are that matter, in scene units. 0 estimates it from the "
                    "cameras. Recommended: 0.",
                ),
                io.Float.Input(
                    "near",
                    default=defaults.near,
                    min=0.0,
                    max=10_000.0,
                    step=0.05,
                    tooltip="Views that only meet nearer than this do not count, in scene units. 0 estimates it. "
                    "Recommended: 0.",
                ),
                io.Float.Input(
                    "far",
                    default=defaults.far,
                    min=0.0,
                    max=100_000.0,
                    step=1.0,
                    tooltip="Views that only meet farther than this do not count, in scene units. 0 estimates it. "
                    "Recommended: 0.",
                ),
                io.Float.Input(
                    "min_overlap",
                    default=defaults.min_overlap,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="For the fov rules: the least share of a coming view that a frame must have seen. "
                    "Recommended: 0.1.",
                ),
                io.Float.Input(
                    "far_share",
                    default=defaults.far_share,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="For fov_nonadjacent_far: the share of the choice that goes to frames far off in space and "
                    "time. Recommended: 0.25.",
                ),
                io.Int.Input(
                    "preview_frame",
                    default=0,
                    min=0,
                    max=1_000_000,
                    tooltip="The frame of the camera path from which the preview looks ahead. Recommended: 0.",
                ),
                SceneMemory.Input(
                    "memory", optional=True, tooltip="For the preview only. Recommended: the memory the shot continues."
                ),
                SceneTrajectory.Input(
                    "trajectory", optional=True, tooltip="For the preview only. Recommended: the shot's camera path."
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="For the preview only: it marks which of the found frames this model looks at. "
                    "Recommended: the model of the Shot Generator.",
                ),
            ],
            outputs=[
                SceneRetriever.Output(display_name="retriever", tooltip="The rule, for the Shot Generator."),
                io.Image.Output(display_name="preview", tooltip="What would be chosen now, and why."),
            ],
        )

    @classmethod
    def execute(
        cls,
        k: int,
        strategy: str,
        seed: int,
        depth: float,
        near: float,
        far: float,
        min_overlap: float,
        far_share: float,
        preview_frame: int,
        memory: MemoryState | None = None,
        trajectory: Trajectory | None = None,
        model: Any | None = None,
    ) -> io.NodeOutput:
        settings = RetrievalSettings(
            strategy=strategy,
            k=k,
            seed=seed,
            near=near,
            far=far,
            depth=depth,
            min_overlap=min_overlap,
            far_share=far_share,
        )
        picture = to_image(_preview(settings, preview_frame, memory, trajectory, model)[None])
        if memory is None or trajectory is None:
            return io.NodeOutput(settings, picture)
        scene = show(_scene(memory, trajectory, model))
        return io.NodeOutput(settings, picture, ui={"scene_memory_retrieval": [scene]})


def _scene(memory: MemoryState, trajectory: Trajectory, model: Any | None) -> RetrievalScene:
    """A path that nothing was filmed along yet: the memory is the same before each of its segments."""
    starts = range(0, len(trajectory), PREVIEWED_FRAMES)
    most = 0 if model is None else adapter_for(model).most_context
    return RetrievalScene(trajectory, tuple((start, memory) for start in starts), memory, most)


def _preview(
    settings: RetrievalSettings,
    start: int,
    memory: MemoryState | None,
    trajectory: Trajectory | None,
    model: Any | None,
) -> Pixels:
    if memory is None or trajectory is None:
        return note_picture("Connect a memory and a camera path", "to see what would be chosen, and why.")
    start = min(start, len(trajectory) - 1)
    coming = trajectory[start : start + PREVIEWED_FRAMES]
    looked_at = 0 if model is None else adapter_for(model).most_context
    return retrieval_picture(memory, coming, retrieve(memory, coming, settings), looked_at)
