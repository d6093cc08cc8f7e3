"""Depth Anything 3 for many views, of random weights, from a file through the host's own loader and node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from dev.support.kits import random_weights


def loaded(folder: Path, **changed: Any) -> Any:
    """DA3_MODEL of a network with small heads."""
    import comfy.ops
    import comfy.sd
    from comfy.ldm.depth_anything_3.model import DepthAnything3Net

    settings = {
        "backbone_name": "vits", "out_layers": (5, 7, 9, 11), "alt_start": 4, "qknorm_start": 4, "rope_start": 4,
        "cat_token": True, "head_type": "dualdpt", "head_dim_in": 768, "head_output_dim": 2, "head_features": 16,
        "head_out_channels": (8, 8, 8, 8), "has_cam_dec": True,
    }  # fmt: skip
    network = DepthAnything3Net(**{**settings, **changed}, operations=comfy.ops.disable_weight_init)
    path = folder / "da3.safetensors"
    save_file(random_weights(network, 3), path)
    return comfy.sd.load_diffusion_model(str(path))


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 48, 80, 3), dtype=np.uint8)


def test_the_node_gives_a_camera_for_each_picture(comfy: Path, tmp_path: Path, pictures: np.ndarray) -> None:
    from scene_memory.models.host.multi_view import cameras_by_da3

    poses = cameras_by_da3(loaded(tmp_path), pictures)
    turns = poses[:, :3, :3]
    assert poses.shape == (3, 4, 4) and np.isfinite(poses).all()
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-9) and (np.linalg.det(turns) > 0).all()


def test_they_lead_back_to_what_the_node_says(comfy: Path, tmp_path: Path, pictures: np.ndarray) -> None:
    import torch

    from scene_memory.models.host.multi_view import DA3, MODE, RESOLUTION, cameras_by_da3

    model = loaded(tmp_path)
    (made,) = DA3(
        da3_model=model, image=torch.from_numpy(pictures).float() / 255, resolution=RESOLUTION,
        resize_method="upper_bound_resize", mode=dict(MODE),
    )  # fmt: skip
    to_camera = made["extrinsics"][0].double().numpy()
    here = np.linalg.inv(cameras_by_da3(model, pictures))
    assert np.allclose(here[:, :3, 3], to_camera[:, :3, 3])
    assert np.allclose(here[:, :3, :3], to_camera[..., :3], atol=1e-3)


def test_a_model_for_one_view_is_refused_with_the_cure(comfy: Path, tmp_path: Path, pictures: np.ndarray) -> None:
    from scene_memory.models.host.multi_view import cameras_by_da3

    alone = loaded(
        tmp_path, head_type="dpt", head_output_dim=1, has_cam_dec=False, cat_token=False, head_dim_in=384,
        alt_start=-1, qknorm_start=-1, rope_start=-1,
    )  # fmt: skip
    with pytest.raises(ValueError, match="Load the Small or the Base one"):
        cameras_by_da3(alone, pictures)
