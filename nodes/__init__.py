"""The nodes, one a file; thin over the library below them."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import folders, routes
from .camera_trajectory import CameraTrajectory
from .empty_world_latent import EmptyWorldLatent
from .fov_retriever import FovRetriever
from .join_trajectories import JoinTrajectories
from .load_memory import LoadMemory
from .load_trajectory import LoadTrajectory
from .load_world_model import LoadWorldModel
from .memory_bank import MemoryBank
from .memory_editor import MemoryEditor
from .memory_frames import MemoryFrames
from .memory_info import MemoryInfo
from .memory_to_video import MemoryToVideo
from .moc_routing import MocRouting
from .moc_sampler import MocSampler
from .preview_trajectory import PreviewTrajectory
from .save_memory import SaveMemory
from .save_trajectory import SaveTrajectory
from .shot_generator import ShotGenerator
from .story_camera import StoryCamera
from .story_film import StoryFilm
from .story_keyframes import StoryKeyframes
from .story_load import LoadStory
from .story_lora import LoadStoryLora
from .story_options import StoryMemoryOptions
from .trajectory_from_3d_cameras import TrajectoryFrom3DCameras
from .trajectory_to_wan_camera import TrajectoryToWanCamera
from .wan_options import WanMemoryOptions
from .world_scene import WorldScene

NODES: list[type[io.ComfyNode]] = [
    LoadWorldModel,
    WorldScene,
    EmptyWorldLatent,
    MemoryBank,
    CameraTrajectory,
    LoadTrajectory,
    TrajectoryFrom3DCameras,
    JoinTrajectories,
    PreviewTrajectory,
    SaveTrajectory,
    TrajectoryToWanCamera,
    FovRetriever,
    MocSampler,
    WanMemoryOptions,
    LoadStoryLora,
    StoryMemoryOptions,
    ShotGenerator,
    LoadStory,
    StoryCamera,
    StoryKeyframes,
    StoryFilm,
    MocRouting,
    MemoryToVideo,
    MemoryInfo,
    MemoryEditor,
    MemoryFrames,
    SaveMemory,
    LoadMemory,
]


class SceneMemoryExtension(ComfyExtension):
    """The pack, as ComfyUI's loader asks for it."""

    async def on_load(self) -> None:
        folders.register()
        routes.register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES
