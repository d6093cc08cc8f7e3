"""Mirror images of what is remembered: they go on at its edge, level, and change nothing that was seen."""

from __future__ import annotations

import numpy as np
import torch

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.world.mirror import NEVER_SEEN, SURE, beyond, mirrored
from scene_memory.world.reproject import reproject

WIDTH, HEIGHT, FOV = 96, 60, 70.0


def camera(yaw: float, pitch: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Pose (1, 1, 4, 4) and lens (1, 1, 4)."""
    made = torch.from_numpy(pose([0.3, 0.0, -0.2], rotation(yaw=yaw, pitch=pitch))).float()
    return made[None, None], torch.from_numpy(intrinsics_from_fov(FOV, WIDTH / HEIGHT)).float()[None, None]


def stripes() -> torch.Tensor:
    """A picture (1, 3, 1, H, W) that changes along every row and column."""
    across, down = torch.linspace(-1, 1, WIDTH).expand(HEIGHT, WIDTH), torch.linspace(-1, 1, HEIGHT)[:, None]
    return torch.stack([across, across * 0 + down, across.sin()])[None, :, None]


def test_a_mirrored_camera_turns_by_its_view_and_stays_level() -> None:
    poses, lens = camera(20.0)
    pictures, near, cameras, lenses = mirrored(stripes(), torch.ones(1, 1, HEIGHT, WIDTH), poses, lens)
    assert pictures.shape == (1, 3, 2, HEIGHT, WIDTH) and near.shape == (1, 2, HEIGHT, WIDTH)
    for number, yaw in enumerate((20.0 + FOV, 20.0 - FOV)):
        assert np.allclose(cameras[0, number, :3, :3], rotation(yaw=yaw), atol=1e-5)
    assert torch.equal(cameras[0, :, :3, 3], poses[0].expand(2, 4, 4)[:, :3, 3])
    assert torch.allclose(lenses, lens.expand(1, 2, 4))
    assert torch.equal(pictures[..., 0], stripes()[..., -1].expand(1, 3, 2, HEIGHT))
    tilted = mirrored(stripes(), torch.ones(1, 1, HEIGHT, WIDTH), *camera(20.0, -15.0))[2]
    assert torch.allclose(torch.linalg.det(tilted[0, :, :3, :3]), torch.ones(2), atol=1e-5)
    assert torch.allclose(tilted[0, :, 1, 2], camera(20.0, -15.0)[0][0, 0, 1, 2].expand(2), atol=1e-5)


def test_beyond_the_edge_is_what_was_before_it() -> None:
    poses, lens = camera(0.0)
    aim, aim_lens = camera(35.0)
    picture, near = stripes(), torch.full((1, 1, HEIGHT, WIDTH), 0.25)
    known = (picture, near, poses, lens, aim, aim_lens)
    woven = reproject(*known)
    filled = beyond(woven, *known)
    seen = woven[:, :, 3] >= NEVER_SEEN
    assert 0.4 < seen.float().mean() < 0.6
    assert torch.equal(filled.movedim(2, -1)[seen], woven.movedim(2, -1)[seen])
    new = ~seen[0, 0] & (filled[0, 0, 3] > 0.9 * SURE)
    assert new.float().mean() > 0.4 and filled[:, :, 3][~seen].max() <= SURE
    colours = filled[0, 0, :3] / filled[0, 0, 3].clamp_min(0.05)
    # The edge is in the middle of the target's view: left and right of it are alike.
    middle, apart = WIDTH // 2, 10
    rows = slice(20, 40)
    assert torch.allclose(colours[:, rows, middle + apart], colours[:, rows, middle - 1 - apart], atol=0.1)
