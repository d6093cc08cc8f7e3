"""Camera Trajectory: a camera move that begins where the film stands."""

from __future__ import annotations

import numpy as np
from comfy_api.latest import io

from ...memory.cameras.keyframe_path import drawn_path
from ...memory.cameras.keyframes import DRAWN, parse_keyframes
from ...memory.cameras.pacing import speeds_from_text
from ...memory.cameras.presets import DEGREES, EASINGS, PRESETS, UNITS, fewest_frames, make_preset
from ...memory.cameras.trajectory import Trajectory
from ...memory.state.state import MemoryState
from ..inputs import field_of_view, frame_rate
from ..types import CATEGORY, SceneMemory, SceneTrajectory
from .path_inputs import rate_and_aspect
from .shown_memories import path_info


class CameraTrajectory(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryCameraTrajectory",
            display_name="Camera Trajectory",
            category=f"{CATEGORY}/camera",
            description="A camera move. Connect the memory and it begins at the last remembered frame; connect another "
            "Camera Trajectory to 'before' and the moves are joined into one long take.",
            search_aliases=["camera path", "camera control", "keyframes", "draw path", "pan", "orbit", "dolly"],
            # The editor on the node is told what it shows by what a run sends, also when nothing had to run anew.
            has_intermediate_output=True,
            inputs=[
                io.Combo.Input(
                    "move",
                    options=[*PRESETS, DRAWN],
                    default="turn away and come back",
                    tooltip="What the camera does. The two that come back pass exactly the same places again; 'drawn' "
                    "follows the path drawn on this node. "
                    "Recommended: turn away and come back, to see the memory at work.",
                ),
                io.Int.Input(
                    "frames",
                    default=96,
                    min=1,
                    max=100_000,
                    tooltip="Length of the move in frames. Recommended: 96 (12 s at 8 frames a second).",
                ),
                io.Float.Input(
                    "amount",
                    default=120.0,
                    min=-3600.0,
                    max=3600.0,
                    step=0.5,
                    tooltip=f"How far: degrees for {_moves_in(DEGREES)}; scene units (about metres) for "
                    f"{_moves_in(UNITS)}. Minus goes the other way. Recommended: 120 degrees, or 1 unit.",
                ),
                io.Float.Input(
                    "radius",
                    default=3.0,
                    min=0.05,
                    max=1000.0,
                    step=0.1,
                    tooltip="In scene units: distance to the point that orbit, arc, crane, spiral and dolly zoom look "
                    "at, and radius of a loop and of the bend of a walk. Recommended: 3.",
                ),
                io.Combo.Input(
                    "easing",
                    options=list(EASINGS),
                    default="smooth",
                    tooltip="'smooth' starts and stops gently, 'even' keeps one speed. Recommended: smooth.",
                ),
                field_of_view("Horizontal field of view in degrees. Recommended: 70 with the world model."),
                frame_rate(
                    "Frames a second, while nothing is remembered; after that the memory's own. "
                    "Recommended: 8 with the world model."
                ),
                io.Float.Input(
                    "aspect",
                    default=1.6,
                    min=0.1,
                    max=10.0,
                    step=0.01,
                    tooltip="Width divided by height, while nothing is remembered; after that the memory's own. "
                    "Recommended: 1.6 for 96 x 60.",
                ),
                SceneMemory.Input(
                    "memory",
                    optional=True,
                    tooltip="The move begins at the last camera of this memory. Recommended: connect what the shot "
                    "continues.",
                ),
                SceneTrajectory.Input(
                    "before",
                    optional=True,
                    tooltip="A camera path that comes first; this move is joined to its end. "
                    "Recommended: leave it open, or chain moves into a long take.",
                ),
                io.Int.Input(
                    "path_seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    optional=True,
                    tooltip="For walk and handheld: another number is another way to go. Recommended: 0.",
                ),
                io.String.Input(
                    "speed",
                    default="",
                    optional=True,
                    tooltip="How fast the camera is along its way, as numbers over time: 1, 0.2, 1 slows down in the "
                    "middle. Not used by 'drawn'. Recommended: leave it empty.",
                ),
                io.Float.Input(
                    "handheld",
                    default=0.0,
                    min=0.0,
                    max=45.0,
                    step=0.1,
                    optional=True,
                    tooltip="Sway of a hand-held camera in degrees, on top of any move but 'drawn'. Recommended: 0; 1 "
                    "is a steady hand.",
                ),
                io.String.Input(
                    "keyframes",
                    default="",
                    optional=True,
                    socketless=True,
                    tooltip="The drawn path, kept by the editor on this node. Recommended: draw it there.",
                ),
            ],
            outputs=[SceneTrajectory.Output(display_name="trajectory", tooltip="The camera path.")],
        )

    @classmethod
    def execute(
        cls,
        move: str,
        frames: int,
        amount: float,
        radius: float,
        easing: str,
        fov: float,
        fps: float,
        aspect: float,
        memory: MemoryState | None = None,
        before: Trajectory | None = None,
        path_seed: int = 0,
        speed: str = "",
        handheld: float = 0.0,
        keyframes: str = "",
    ) -> io.NodeOutput:
        """Raises ValueError if the move cannot be made of so few frames, or if keyframes or speed cannot be read."""
        rate, shape = rate_and_aspect(memory, before)
        fps, aspect = rate or fps, shape or aspect
        continues = before is not None or (memory is not None and memory.frames > 0)
        # A path that continues leaves out its first camera: that picture is there already.
        steps = frames + continues
        if move == DRAWN:
            path = drawn_path(parse_keyframes(keyframes), frames=steps, fps=fps, fov=fov, aspect=aspect)
        else:
            if steps < fewest_frames(move):
                raise ValueError(
                    f"frames is {frames}: {move!r} goes and comes back, which takes {fewest_frames(move) - continues} "
                    "frames at least. Use 81."
                )
            path = make_preset(
                move,
                frames=steps,
                fps=fps,
                amount=amount,
                fov=fov,
                aspect=aspect,
                easing=easing,
                radius=radius,
                seed=path_seed,
                speed=speeds_from_text(speed),
                handheld=handheld,
            )
        start = path.poses[0]
        if continues:
            start = before.last_pose if before is not None else memory.last_pose if memory is not None else np.eye(4)
            path = path.after(start)[1:]
        info = path_info(path, start, continues, memory)
        return io.NodeOutput(path if before is None else before.concatenate(path), ui=info)


def _moves_in(unit: str) -> str:
    """The moves whose amount has this unit, as words."""
    *names, last = (name for name, preset in PRESETS.items() if preset.unit == unit)
    return f"{', '.join(names)} and {last}"
