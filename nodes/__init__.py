"""The nodes, one a file, in a folder for each subject; thin over the library below them."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import folders, host_check
from .camera import editor_routes
from .camera.camera_trajectory import CameraTrajectory
from .camera.join_trajectories import JoinTrajectories
from .camera.load_trajectory import LoadTrajectory
from .camera.measure_camera import MeasureCamera
from .camera.preview_trajectory import PreviewTrajectory
from .camera.save_trajectory import SaveTrajectory
from .camera.trajectory_from_3d_cameras import TrajectoryFrom3DCameras
from .camera.trajectory_to_wan_camera import TrajectoryToWanCamera
from .remember import retrieval_routes
from .remember.consistency_report import ConsistencyReportNode
from .remember.depth_source import DepthSourceNode
from .remember.fov_retriever import FovRetriever
from .remember.load_memory import LoadMemory
from .remember.memory_bank import MemoryBank
from .remember.memory_editor import MemoryEditor
from .remember.memory_frames import MemoryFrames
from .remember.memory_info import MemoryInfo
from .remember.memory_to_video import MemoryToVideo
from .remember.memory_view import MemoryView
from .remember.remember_pictures import RememberPictures
from .remember.save_memory import SaveMemory
from .shot.minimax_prompt import MinimaxH3Prompt
from .shot.moc_routing import MocRouting
from .shot.moc_sampler import MocSampler
from .shot.shot_generator import ShotGenerator
from .shot.wan_options import WanMemoryOptions
from .story import story_routes
from .story.story_camera import StoryCamera
from .story.story_film import StoryFilm
from .story.story_keyframes import StoryKeyframes
from .story.story_load import LoadStory
from .story.story_lora import LoadStoryLora
from .story.story_options import StoryMemoryOptions
from .story.story_text import StoryText
from .world.empty_world_latent import EmptyWorldLatent
from .world.load_world_model import LoadWorldModel
from .world.world_scene import WorldScene

NODES: list[type[io.ComfyNode]] = [
    LoadWorldModel,
    WorldScene,
    EmptyWorldLatent,
    MemoryBank,
    RememberPictures,
    DepthSourceNode,
    CameraTrajectory,
    LoadTrajectory,
    TrajectoryFrom3DCameras,
    JoinTrajectories,
    PreviewTrajectory,
    MeasureCamera,
    SaveTrajectory,
    TrajectoryToWanCamera,
    FovRetriever,
    MocSampler,
    WanMemoryOptions,
    MinimaxH3Prompt,
    LoadStoryLora,
    StoryMemoryOptions,
    ShotGenerator,
    StoryText,
    LoadStory,
    StoryCamera,
    StoryKeyframes,
    StoryFilm,
    MocRouting,
    MemoryToVideo,
    MemoryInfo,
    MemoryEditor,
    MemoryFrames,
    MemoryView,
    ConsistencyReportNode,
    SaveMemory,
    LoadMemory,
]


class SceneMemoryExtension(ComfyExtension):
    """The pack, as ComfyUI's loader asks for it."""

    async def on_load(self) -> None:
        folders.register()
        editor_routes.register()
        retrieval_routes.register()
        story_routes.register()
        host_check.refuse_unfit(NODES)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES
