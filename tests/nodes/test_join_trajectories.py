"""Join Trajectories, called as the host calls it: its order, and what would not fit into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.memory.cameras.joins import joined
from scene_memory.memory.cameras.presets import make_preset

SETTINGS: dict[str, Any] = {
    "blend": 0, "frames": 0, "easing": "even", "speed": "", "scale": 1.0, "backwards": False,
}  # fmt: skip


def test_paths_are_joined_in_the_order_of_their_sockets_and_open_ones_are_left_out(comfy: Path) -> None:
    from scene_memory.nodes.camera.join_trajectories import JoinTrajectories

    made = [make_preset(name, frames=5, fps=8.0, amount=20.0, fov=70.0, aspect=1.6) for name in ("pan", "tilt", "roll")]
    paths = {"path_10": made[2], "path_9": made[1], "path_0": made[0], "path_1": None}
    path, frames = JoinTrajectories.execute(paths=paths, **SETTINGS).result
    assert frames == 13 and np.array_equal(path.poses, joined(made).poses)
    with pytest.raises(ValueError, match="No camera path is connected"):
        JoinTrajectories.execute(paths={}, **SETTINGS)


def test_a_whole_that_would_be_too_long_is_refused_before_it_is_made(comfy: Path) -> None:
    from scene_memory.nodes.camera.join_trajectories import JoinTrajectories

    quick = make_preset("pan", frames=5, fps=240.0, amount=20.0, fov=70.0, aspect=1.6)
    slow = make_preset("pan", frames=9000, fps=1.0, amount=20.0, fov=70.0, aspect=1.6)
    with pytest.raises(ValueError, match="2160005 frames together at 240 frames a second: at most 1000000"):
        JoinTrajectories.execute(paths={"path_0": quick, "path_1": slow}, **SETTINGS)
