"""Memory Bank: a new memory, one to continue, or one from a file."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from comfy_api.latest import io
from numpy.typing import NDArray

from ...film.depth import DepthSource, SegmentDepth, depth_words, segment_depth
from ...memory.bank.bank import Bank
from ...memory.bank.head import MAX_HEAD_BYTES
from ...memory.bank.names import bank_name
from ...memory.cameras.camera import intrinsics_from_fov
from ...memory.cameras.trajectory import Trajectory
from ...memory.errors import BankError
from ...memory.files import read_small
from ...memory.state.depth import DEPTH_NOTE
from ...memory.state.state import MemoryState
from .. import folders, inputs
from ..messages import say, warn
from ..pictures import NEAR_IS_WHITE, fitted, resized, to_depth
from ..types import CATEGORY, SceneMemory, SceneTrajectory
from .banks import SEEN, file_stamp, imported, load_earlier

NEW, CONTINUE, IMPORT = "new", "continue", "import"
MODES = [NEW, CONTINUE, IMPORT]
GB = 1_000_000_000


class MemoryBank(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryBank",
            display_name="Memory Bank",
            category=f"{CATEGORY}/memory",
            description="Where a film remembers what it has shown. Frames are kept on disk, in "
            "output/scene_memory, as soon as a segment is done; a crash or a cancel loses none of them.",
            search_aliases=["scene memory", "context as memory", "long video", "consistency", "resume"],
            inputs=[
                io.String.Input(
                    "name",
                    default="my scene",
                    tooltip="Name of the bank: a folder in output/scene_memory. Recommended: one name a film.",
                ),
                io.Combo.Input(
                    "mode",
                    options=MODES,
                    default=NEW,
                    tooltip="'new' begins an empty memory; an older one of the same name stays in the bank's history, "
                    "and shots that were made before with the same settings are taken from it. 'continue' goes on "
                    "after the last frame that was kept. 'import' begins with a file made by Save Memory. "
                    "Recommended: new, also after a crash.",
                ),
                inputs.field_of_view(
                    "Horizontal field of view of the start image in degrees, if no start_camera says. Recommended: 70."
                ),
                inputs.frame_rate(
                    "Frames a second of the film, if no start_camera says. Recommended: 8 with the world model."
                ),
                inputs.side(
                    "width",
                    "Width of the film: the start image is scaled and cropped to it. 0 takes the image's. "
                    "Recommended: 96 with the world model.",
                ),
                inputs.side(
                    "height",
                    "Height of the film: the start image is scaled and cropped to it. 0 takes the image's. "
                    "Recommended: 60 with the world model.",
                ),
                io.Image.Input(
                    "start_image",
                    optional=True,
                    tooltip="The first thing remembered: the film begins from this picture. Only 'new' takes it. For "
                    "several pictures there is Remember Pictures. Recommended: connect one.",
                ),
                SceneTrajectory.Input(
                    "start_camera",
                    optional=True,
                    tooltip="A camera path whose first camera took the start image. Recommended: leave it open; the "
                    "start image then stands at the origin, looking ahead.",
                ),
                io.Image.Input(
                    "start_depth",
                    optional=True,
                    tooltip="Depth of the start image, from World Scene or a depth estimator. Retrieval then knows "
                    "what stands before what. Recommended: connect it if you have it.",
                ),
                inputs.depth_kind(),
                inputs.depth_scale(),
                io.Combo.Input(
                    "file",
                    options=[folders.NO_FILE, *folders.MEMORIES.names()],
                    default=folders.NO_FILE,
                    optional=True,
                    tooltip="For 'import': a file made by Save Memory, in ComfyUI's input or output folder. Press R to "
                    "see a file that you have just put there. Recommended: none, unless you import.",
                ),
                io.String.Input(
                    "earlier",
                    default="",
                    optional=True,
                    tooltip="For 'continue': the id of an earlier memory of this bank, such as a take that you made "
                    "again and want back. Memory Info lists them. Recommended: leave it empty for the newest.",
                ),
                inputs.memory_limit(),
                inputs.limit_covers(),
                inputs.depth_source(
                    "Reads depth off the start image, in place of start_depth. Recommended: the Depth Source of the "
                    "first Shot Generator, if it has one."
                ),
            ],
            outputs=[SceneMemory.Output(display_name="memory", tooltip="What is remembered so far.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, name: str | None, mode: str | None, file: str | None = None) -> bool | str:
        if mode is not None and mode not in MODES:
            return f"mode is {mode!r}: use one of {', '.join(MODES)}."
        try:
            if name is not None:
                bank_name(name)
            if mode == IMPORT and file is not None:
                folders.MEMORIES.file(file)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(
        cls, name: str | None, mode: str | None, file: str | None = None, earlier: str | None = "", **_: object
    ) -> object:
        """'continue' runs again when the bank has changed, 'import' when the file has; 'new' gives the same memory."""
        if name is None or mode is None or earlier is None or (mode == IMPORT and file is None):
            # It comes over a wire and is not known yet: not-a-number never equals itself, so the node runs.
            return float("nan")
        bank = Bank(folders.banks(), bank_name(name))
        gone = SEEN.times_gone(bank.path)
        if mode == NEW:
            return f"{NEW} {gone}"
        if mode == IMPORT:
            return f"{file_stamp(folders.MEMORIES.file(file or ''))} {gone}"
        return f"{_digest(bank.head_path)} {gone}" if not earlier.strip() else f"{earlier.strip()} {gone}"

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
        start_depth: torch.Tensor | None = None,
        depth_kind: str = NEAR_IS_WHITE,
        depth_scale: float = 1.0,
        file: str = folders.NO_FILE,
        earlier: str = "",
        max_size_gb: float = 0.0,
        limit_covers: str = inputs.THIS_FILM,
        depth_source: DepthSource | None = None,
    ) -> io.NodeOutput:
        """``start_image`` and ``start_depth`` are IMAGE (1, H, W, C); of several depth maps the first counts.

        Raises ValueError if start_image holds several pictures, both ways of giving depth are connected, or a number,
        an id or a file cannot be used, and BankError or DamageError if the bank cannot.
        """
        if mode == NEW and start_image is not None:
            _one_picture(start_image)
        root, limit = folders.banks(), (_bytes(max_size_gb), limit_covers == inputs.WHOLE_BANK)
        root.mkdir(parents=True, exist_ok=True)
        if mode == CONTINUE:
            state = load_earlier(Bank.open(root, name, *limit), earlier)
        elif mode == IMPORT:
            state = imported(root, name, folders.MEMORIES.file(file), *limit, cls._tell)
        else:
            bank = Bank.open(root, name, *limit) if Bank.exists(root, name) else Bank.create(root, name, *limit)
            state = bank.empty()
            if start_image is not None:
                picture = resized(start_image[:1], width, height)
                depth = None
                if start_depth is not None:
                    # Cut as the start image is; picked, not mixed: between near and far there is nothing.
                    shown = fitted(start_depth[:1], picture.shape[2], picture.shape[1], "nearest-exact")
                    depth = to_depth(shown, depth_kind, depth_scale)
                state = _with_start(state, picture, start_camera, fov, fps, depth, depth_source)
                if words := depth_words(state.segments[0].info.get(DEPTH_NOTE)):
                    say(cls, "\n".join(words))
        assert state.bank is not None
        SEEN.add(state.bank.path)
        return io.NodeOutput(state)

    @classmethod
    def _tell(cls, damage: str) -> None:
        warn(cls, damage)


def _one_picture(start_image: torch.Tensor) -> None:
    if len(start_image) > 1:
        raise ValueError(
            f"start_image has {len(start_image)} pictures: a film begins from one. To remember all of them, each with "
            "its camera, connect them to the node Remember Pictures; to begin with one of them, take it out with Get "
            "Image from Batch."
        )


def _bytes(max_size_gb: float) -> int | None:
    """The limit in bytes, None for no limit."""
    if not 0.0 <= max_size_gb < math.inf:
        raise ValueError(f"max_size_gb is {max_size_gb:g}: it is a number of GB from 0. Use 0 for no limit.")
    return max(1, round(max_size_gb * GB)) if max_size_gb else None


def _with_start(
    empty: MemoryState,
    picture: NDArray[np.uint8],
    camera: Trajectory | None,
    fov: float,
    fps: float,
    depth: NDArray[np.float32] | None,
    source: DepthSource | None,
) -> MemoryState:
    if camera is not None:
        first = camera[:1]
    else:
        lens = intrinsics_from_fov(fov, picture.shape[2] / picture.shape[1])
        first = Trajectory(np.eye(4)[None], lens[None], fps, "start")
    if empty.bank is None:
        raise BankError("The memory has no bank. Start from a Memory Bank.")
    found = SegmentDepth(depth)
    if source is not None:
        if depth is not None:
            raise ValueError(
                "Both start_depth and depth_source are connected, and each says how far away things are. Leave one "
                "open."
            )
        found = segment_depth(empty, source, first, picture)
    info = {"source": "start image", **found.info}
    return empty.bank.append(empty, frames=picture, trajectory=first, shot=0, info=info, depth=found.depth)


def _digest(head: Path) -> str:
    try:
        return hashlib.sha256(read_small(head, MAX_HEAD_BYTES, head.name)).hexdigest() if head.exists() else "none"
    except BankError as problem:
        return str(problem)
