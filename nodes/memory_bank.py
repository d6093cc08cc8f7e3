"""Memory Bank: a new memory, or one to continue."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from comfy_api.latest import io

from ..memory.bank import Bank
from ..memory.camera import intrinsics_from_fov
from ..memory.errors import BankError
from ..memory.names import bank_name
from ..memory.state import MemoryState
from ..memory.trajectory import Trajectory
from . import folders
from .inputs import field_of_view, frame_rate, side
from .pictures import resized
from .types import CATEGORY, SceneMemory, SceneTrajectory

NEW, CONTINUE = "new", "continue"


class MemoryBank(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryBank",
            display_name="Memory Bank",
            category=CATEGORY,
            description="Where a film remembers what it has shown. Frames are kept on disk, in "
            "output/scene_memory, as soon as a segment is done; a crash or a cancel loses none of them.",
            search_aliases=["scene memory", "context as memory", "long video", "consistency"],
            inputs=[
                io.String.Input(
                    "name",
                    default="my scene",
                    tooltip="Name of the bank: a folder in output/scene_memory. Recommended: one name a film.",
                ),
                io.Combo.Input(
                    "mode",
                    options=[NEW, CONTINUE],
                    default=NEW,
                    tooltip="'new' begins an empty memory; an older one of the same name stays in the bank's history. "
                    "'continue' goes on after the last frame that was kept, also after a crash. Recommended: new.",
                ),
                field_of_view(
                    "Horizontal field of view of the start image in degrees, if no start_camera says. Recommended: 70."
                ),
                frame_rate(
                    "Frames a second of the film, if no start_camera says. Recommended: 8 with the world model."
                ),
                side(
                    "width",
                    "Width of the film: the start image is scaled and cropped to it. 0 takes the image's. "
                    "Recommended: 96 with the world model.",
                ),
                side(
                    "height",
                    "Height of the film: the start image is scaled and cropped to it. 0 takes the image's. "
                    "Recommended: 60 with the world model.",
                ),
                io.Image.Input(
                    "start_image",
                    optional=True,
                    tooltip="The first thing remembered: the film begins from this picture. Ignored by 'continue'. "
                    "Recommended: connect one.",
                ),
                SceneTrajectory.Input(
                    "start_camera",
                    optional=True,
                    tooltip="A camera path whose first camera took the start image. Recommended: leave it open; the "
                    "start image then stands at the origin, looking ahead.",
                ),
            ],
            outputs=[SceneMemory.Output(display_name="memory", tooltip="What is remembered so far.")],
        )

    @classmethod
    def validate_inputs(cls, name: str | None) -> bool | str:
        if name is None:
            return True
        try:
            bank_name(name)
        except BankError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, name: str | None, mode: str | None, **_: object) -> object:
        """'continue' runs again when the bank has grown; 'new' gives the same memory every time."""
        if mode == NEW:
            return NEW
        if name is None:
            # The name comes over a wire and is not known yet: not-a-number never equals itself, so the node runs.
            return float("nan")
        head = Bank(folders.banks(), bank_name(name)).head_path
        return hashlib.sha256(head.read_bytes()).hexdigest() if head.is_file() else "none"

    @classmethod
    def execute(
        cls,
        name: str,
        mode: str,
        fov: float,
        fps: float,
        width: int,
        height: int,
        start_image: torch.Tensor | None = None,
        start_camera: Trajectory | None = None,
    ) -> io.NodeOutput:
        root = folders.banks()
        if mode == CONTINUE:
            return io.NodeOutput(Bank.open(root, name).load())
        root.mkdir(parents=True, exist_ok=True)
        bank = Bank.open(root, name) if Bank.exists(root, name) else Bank.create(root, name)
        if start_image is None:
            return io.NodeOutput(bank.empty())
        return io.NodeOutput(_with_start(bank, start_image, fov, fps, width, height, start_camera))


def _with_start(
    bank: Bank,
    image: torch.Tensor,
    fov: float,
    fps: float,
    width: int,
    height: int,
    camera: Trajectory | None,
) -> MemoryState:
    picture = resized(image[:1], width, height)
    if camera is not None:
        first = camera[:1]
    else:
        lens = intrinsics_from_fov(fov, picture.shape[2] / picture.shape[1])
        first = Trajectory(np.eye(4)[None], lens[None], fps, "start")
    return bank.append(bank.empty(), frames=picture, trajectory=first, shot=0, info={"source": "start image"})
