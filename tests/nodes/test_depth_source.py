"""Depth Source: what may be connected, and depth models of the host's that read pictures for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dev.support import tiny_depth
from scene_memory.film.depth import AS_IT_IS, DepthSource, segment_depth
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset

PATH = make_preset("pan", frames=4, fps=8.0, amount=20.0, fov=70.0, aspect=1.5)
PICTURES = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def models(comfy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_depth.make(folder)
    return folder / tiny_depth.FOLDER


def load(models: Path, name: str) -> Any:
    """As the stock loaders do."""
    import comfy.sd
    import comfy.utils
    from comfy.cli_args import args
    from comfy.ldm.moge.model import MoGeModel

    path = str(models / name)
    if name in (tiny_depth.DA3, tiny_depth.DA3_SKY):
        return comfy.sd.load_diffusion_model(path)
    # In half, which the host takes otherwise, PyTorch cannot scale pictures on a CPU.
    before, args.fp32_text_enc = args.fp32_text_enc, True
    try:
        return MoGeModel(comfy.utils.load_torch_file(path, safe_load=True))
    finally:
        args.fp32_text_enc = before


def source(**inputs: Any) -> DepthSource:
    from scene_memory.nodes.remember.depth_source import DepthSourceNode

    given = {"keyframes": 2, "fit": AS_IT_IS, "scale": 2.0, **inputs}
    made: DepthSource = DepthSourceNode.execute(**given).result[0]
    return made


def of_model(models: Path, name: str, **inputs: Any) -> DepthSource:
    kind = "da3_model" if name.startswith("da3") else "moge_model"
    return source(**{kind: load(models, name)}, **inputs)


NAMES = (tiny_depth.DA3, tiny_depth.DA3_SKY, tiny_depth.MOGE_1, tiny_depth.MOGE_2)


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_the_hosts_depth_models_read_the_keyframes(models: Path, name: str, tmp_path: Path) -> None:
    from scene_memory.models.host.depth import DA3, MOGE

    DA3.check()
    MOGE.check()
    made = of_model(models, name)
    cameras = type(PATH)(PATH.poses[[0, 3]], PATH.intrinsics[[0, 3]], 8.0)
    maps = made.source.maps(PICTURES[[0, 3]], cameras, np.array([0, 3]))
    assert maps.shape == (2, 32, 48) and maps.dtype == np.float32 and not np.isnan(maps).any()
    assert np.isfinite(maps).any(), "something of it is no sky"
    assert made.source.metric == (name == tiny_depth.MOGE_2)

    state = Bank.create(tmp_path, "film").empty()
    found = segment_depth(state, made, PATH, PICTURES)
    assert found.depth is not None and found.depth.shape == (4, 32, 48)
    assert found.notes["frames"] == [0, 3] and found.notes["source"] == made.source.name
    sound = np.isfinite(maps) & (maps > 0)
    np.testing.assert_allclose(found.depth[[0, 3]][sound].astype(float), np.minimum(2 * maps[sound], 65504), rtol=2e-3)


@torch.inference_mode()
def test_each_picture_is_read_by_itself_with_its_own_lens(models: Path) -> None:
    made = of_model(models, tiny_depth.MOGE_2).source
    wide = make_preset("pan", frames=4, fps=8.0, amount=20.0, fov=100.0, aspect=1.5)
    lenses = PATH.intrinsics.copy()
    lenses[1::2] = wide.intrinsics[1::2]
    mixed = type(PATH)(PATH.poses, lenses, 8.0)
    numbers = np.arange(2)
    one, other, both = (made.maps(PICTURES[:2], path[:2], numbers) for path in (PATH, wide, mixed))
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(both[::2], one[::2], rtol=1e-4)
    np.testing.assert_allclose(both[1::2], other[1::2], rtol=1e-4)


def test_models_are_told_apart_by_their_weights(models: Path) -> None:
    told = {name: of_model(models, name).identity for name in NAMES}
    assert len(set(map(str, told.values()))) == len(NAMES)
    for name in NAMES:
        assert of_model(models, name).identity == told[name], "loaded again it is the same"
    assert of_model(models, NAMES[0], keyframes=3).identity != told[NAMES[0]]


def test_a_depth_video_has_white_at_the_scale(comfy: Path) -> None:
    grey = torch.full((4, 8, 12, 3), 0.25)
    linear = source(depth_video=grey, depth_kind="white is far (linear)", scale=20.0)
    assert linear.source.frames == 4 and linear.scale == 20.0
    np.testing.assert_allclose(linear.source.maps(PICTURES, PATH, np.arange(4)), 0.25)
    inverse = source(depth_video=grey)
    np.testing.assert_allclose(inverse.source.maps(PICTURES, PATH, np.arange(4)), 4.0)


def test_exactly_one_source_is_taken(comfy: Path) -> None:
    with pytest.raises(ValueError, match="Nothing is connected to Depth Source.*Load Depth Anything 3"):
        source()
    with pytest.raises(ValueError, match="da3_model and depth_video are connected to Depth Source: it takes one"):
        source(da3_model=object(), depth_video=torch.zeros(1, 8, 8, 3))


def test_a_host_whose_node_is_another_is_refused_when_the_graph_runs(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scene_memory.models.host import depth
    from scene_memory.models.host.calls import HostNode

    monkeypatch.setattr(depth, "MOGE", HostNode("comfy_extras.nodes_moge", "Gone", ()))
    with pytest.raises(ValueError, match="Gone is another than the one known here"):
        of_model(models, tiny_depth.MOGE_1)


def test_the_start_image_of_a_memory_gets_depth(comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scene_memory.nodes import folders
    from scene_memory.nodes.remember.memory_bank import MemoryBank

    monkeypatch.setattr(folders, "banks", lambda: tmp_path / "banks")
    deep = source(depth_video=torch.full((1, 16, 24, 3), 0.5), depth_kind="white is far (linear)", scale=8.0)
    given = {"mode": "new", "fov": 70.0, "fps": 8.0, "width": 0, "height": 0}
    begun: dict[str, Any] = {**given, "start_image": torch.rand(1, 16, 24, 3)}
    state = MemoryBank.execute(name="deep", **begun, depth_source=deep).result[0]
    np.testing.assert_allclose(state.depth([0]), 4.0)
    assert state.segments[0].info["depth"]["source"] == "depth video"
    assert state.segments[0].info["source"] == "start image"
    with pytest.raises(ValueError, match="Both start_depth and depth_source are connected"):
        MemoryBank.execute(name="both", **begun, depth_source=deep, start_depth=torch.rand(1, 16, 24, 3))
