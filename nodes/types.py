"""What travels on our wires."""

from __future__ import annotations

from comfy_api.latest import io

from ..film.depth import DepthSource
from ..memory.cameras.trajectory import Trajectory
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state.state import MemoryState
from ..memory.story.story import Story

CATEGORY = "SceneMemory"
"""In the host's menu; the nodes lie in parts of it: camera, memory, shot, story, models, world model."""


@io.comfytype(io_type="SCENE_MEMORY")
class SceneMemory(io.ComfyTypeIO):
    """An immutable memory: every node that adds to it gives a new one."""

    Type = MemoryState


@io.comfytype(io_type="SCENE_TRAJECTORY")
class SceneTrajectory(io.ComfyTypeIO):
    """A camera path."""

    Type = Trajectory


@io.comfytype(io_type="SCENE_RETRIEVER")
class SceneRetriever(io.ComfyTypeIO):
    """How past frames are found again."""

    Type = RetrievalSettings


@io.comfytype(io_type="SCENE_STORY")
class SceneStory(io.ComfyTypeIO):
    """The script of a story."""

    Type = Story


@io.comfytype(io_type="SCENE_DEPTH")
class SceneDepth(io.ComfyTypeIO):
    """Where depth of new frames comes from."""

    Type = DepthSource
