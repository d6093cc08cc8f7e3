"""Join Trajectories: camera paths one after another, and the whole at another pace."""

from __future__ import annotations

from comfy_api.latest import io

from ...memory.cameras.joins import joined
from ...memory.cameras.pacing import speeds_from_text
from ...memory.cameras.trajectory import Trajectory
from ...memory.pictures.picture_of_trajectory import figures
from ..messages import say
from ..types import CATEGORY, SceneTrajectory
from . import path_inputs

MOST = 50
PREFIX = "path_"


class JoinTrajectories(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryJoinTrajectories",
            display_name="Join Trajectories",
            category=f"{CATEGORY}/camera",
            description="Camera paths one after another: each begins where the one before ends, at the speed that it "
            "had. The whole can be made longer or shorter, larger or smaller, and given a speed curve. One path alone "
            "is only changed in these.",
            search_aliases=["concatenate camera", "retime", "speed curve", "slow motion", "reverse camera"],
            inputs=[
                io.Autogrow.Input(
                    "paths",
                    template=io.Autogrow.TemplatePrefix(
                        input=SceneTrajectory.Input("path", tooltip="A camera path. Recommended: connect one or more."),
                        prefix=PREFIX,
                        min=1,
                        max=MOST,
                    ),
                    tooltip="The camera paths, first to last. Those with another frame rate are resampled to that of "
                    "the first. Recommended: two or more.",
                ),
                io.Int.Input(
                    "blend",
                    default=12,
                    min=0,
                    max=1000,
                    tooltip="Over how many frames each path takes over the speed at which the one before ended, so "
                    "that the camera does not jerk. 0 changes it at once, and keeps every path exactly. "
                    "Recommended: 12.",
                ),
                path_inputs.frame_count(
                    "frames",
                    0,
                    "Length of the whole in frames: it is played slower or faster. 0 leaves it as long as it is. "
                    "Recommended: 0.",
                ),
                path_inputs.easing(
                    "even", "How the whole starts and stops; 'even' leaves it as it is. Recommended: even."
                ),
                path_inputs.speed(" of the whole"),
                path_inputs.scale(
                    "How many times as far the camera goes; 0 keeps only the turning. Where the whole begins stays. "
                    "Recommended: 1."
                ),
                io.Boolean.Input(
                    "backwards",
                    default=False,
                    tooltip="From the last camera of the whole to its first. Recommended: off.",
                ),
            ],
            outputs=path_inputs.path_outputs("The whole camera path."),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        paths: dict[str, Trajectory | None],
        blend: int,
        frames: int,
        easing: str,
        speed: str,
        scale: float,
        backwards: bool,
    ) -> io.NodeOutput:
        """Raises ValueError if no path is connected, if the whole is too long, or if speed cannot be read."""
        order = sorted((name for name in paths if paths[name] is not None), key=lambda name: int(name[len(PREFIX) :]))
        given = [path for name in order if (path := paths[name]) is not None]
        if not given:
            raise ValueError("No camera path is connected. Connect one or more to paths.")
        coming = round(sum(path.duration for path in given) * given[0].fps)
        if coming > (most := path_inputs.MOST_FRAMES):
            raise ValueError(
                f"The paths have {coming} frames together at {given[0].fps:g} frames a second: at most {most} "
                "can be joined. Connect fewer, or a first path with a lower frame rate."
            )
        whole = joined([path.resampled(given[0].fps) for path in given], blend)
        if scale != 1.0:
            whole = whole.relative().scaled(scale).after(whole.poses[0])
        whole = whole.retimed(frames or len(whole), easing=easing, speed=speeds_from_text(speed))
        whole = whole.reversed() if backwards else whole
        say(cls, figures(whole))
        return io.NodeOutput(whole, len(whole))
