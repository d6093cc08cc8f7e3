"""The world model's network: what it may look at, and that the trained one does look at its context frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from scene_memory.dev.metrics import psnr
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.world import rays
from scene_memory.world.network import PATCH, Remembered, TextEncoder, WorldNet, best_gain
from scene_memory.world.render import render
from scene_memory.world.scenes import make_scene
from scene_memory.world.vocabulary import MAX_TOKENS, tokenize

WEIGHTS = Path(__file__).parents[2] / "world" / "weights" / "world.safetensors"
WIDTH, HEIGHT = 96, 60
LENS = intrinsics_from_fov(70, WIDTH / HEIGHT)


@pytest.fixture(scope="module")
def network() -> WorldNet:
    """A small network with random weights, wide awake (no zero initialisation)."""
    torch.manual_seed(0)
    return WorldNet(dim=64, depth=3, heads=1).eval()


@pytest.fixture(scope="module", params=["turn", "depth"])
def weaving(request: pytest.FixtureRequest) -> WorldNet:
    torch.manual_seed(1)
    return WorldNet(dim=64, depth=2, heads=1, weave=request.param).eval()


@pytest.fixture(scope="module")
def trained() -> tuple[WorldNet, TextEncoder]:
    with safe_open(WEIGHTS, "pt") as file:
        options = json.loads((file.metadata() or {}).get("config", "{}"))
        weights = {name: file.get_tensor(name).float() for name in file.keys()}
    network = WorldNet(**options).eval()
    text = TextEncoder(vocabulary=len(weights["text.words.weight"])).eval()
    network.load_state_dict({name[8:]: value for name, value in weights.items() if name.startswith("network.")})
    text.load_state_dict({name[5:]: value for name, value in weights.items() if name.startswith("text.")})
    return network, text


def turning(*yaws: float) -> torch.Tensor:
    return torch.from_numpy(np.stack([pose((0, 0, 0), rotation(yaw=yaw)) for yaw in yaws])).float()[None]


def lenses(count: int) -> torch.Tensor:
    return torch.from_numpy(np.tile(LENS, (count, 1))).float()[None]


def tiny(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 3, frames, 2 * PATCH, 2 * PATCH, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def paint(network: WorldNet, context: torch.Tensor, context_poses: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
    kept = network.encode_context(context, context_poses, lenses(context.shape[2]), poses[:, 0])
    return network(tiny(poses.shape[1], 9), torch.tensor([0.7]), poses, lenses(poses.shape[1]), None, kept)


def test_the_order_of_context_frames_does_not_matter(network: WorldNet) -> None:
    context, poses = tiny(3), turning(-30, 10, 45)
    order = [2, 0, 1]
    same = paint(network, context[:, :, order], poses[:, order], turning(0, 5))
    assert torch.allclose(paint(network, context, poses, turning(0, 5)), same, atol=1e-5)


def test_context_frames_do_not_see_each_other_so_they_are_coded_once(network: WorldNet) -> None:
    context, poses, reference = tiny(3), turning(-30, 10, 45), turning(0)[:, 0]
    together = network.encode_context(context, poses, lenses(3), reference)
    alone = network.encode_context(context[:, :, 1:2], poses[:, 1:2], lenses(1), reference)
    tokens = 4
    for (keys, values), (key, value) in zip(together, alone, strict=True):
        assert torch.allclose(keys[:, :, tokens : 2 * tokens], key, atol=1e-5)
        assert torch.allclose(values[:, :, tokens : 2 * tokens], value, atol=1e-5)


def test_moving_and_turning_the_whole_world_changes_nothing(network: WorldNet) -> None:
    context, context_poses, poses = tiny(2), turning(-30, 10), turning(0, 5)
    carried = torch.from_numpy(pose((4.0, 0.3, -7.0), rotation(yaw=123.0))).float()
    here = paint(network, context, context_poses, poses)
    there = paint(network, context, carried @ context_poses, carried @ poses)
    assert torch.allclose(here, there, atol=2e-3)


@torch.no_grad()
def test_rays_of_the_step_before_are_used_for_the_same_cameras_only(network: WorldNet) -> None:
    def painted(model: WorldNet, poses: torch.Tensor, lens: torch.Tensor, size: int = 2 * PATCH) -> torch.Tensor:
        return model(tiny(2, 3)[..., :size, :], torch.tensor([0.7]), poses, lens)

    narrow = lenses(2) * torch.tensor([1.5, 1.5, 1.0, 1.0])
    views = [(turning(0, 5), lenses(2)), (turning(0, 9), lenses(2)), (turning(0, 9), narrow)]
    asked = [*views, (*views[2], PATCH), *views[::-1], views[0], views[0]]
    for one in asked:
        fresh = WorldNet(dim=64, depth=3, heads=1).eval()
        fresh.load_state_dict(network.state_dict())
        assert torch.equal(painted(network, *one), painted(fresh, *one))
    with torch.inference_mode():
        painted(network, *views[1])
    with torch.enable_grad():
        painted(network, *views[1]).sum().backward()
    network.zero_grad()


def test_rotary_yaw_is_the_same_after_a_full_turn() -> None:
    here = rays.rotary_phases(turning(10), lenses(1), 3, 4)
    round_once = rays.rotary_phases(turning(370), lenses(1), 3, 4)
    assert torch.allclose(torch.cos(here - round_once), torch.ones_like(here), atol=1e-4)


def test_the_best_guess_is_the_picture_without_noise_and_nothing_with_noise_alone() -> None:
    gain = best_gain(torch.tensor([0.0, 0.5, 1.0]), 0.3)
    assert gain[0] == pytest.approx(1.0) and gain[2] == 0 and 0 < gain[1] < 1


def test_a_width_without_a_rotary_phase_for_every_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="64 a head"):
        WorldNet(dim=96, heads=2)


@torch.no_grad()
def test_moving_and_turning_the_whole_world_changes_nothing_of_what_is_woven(weaving: WorldNet) -> None:
    context, context_poses, poses = tiny(2).clamp(-1, 1), turning(-8, 10), turning(0, 5)
    carried = torch.from_numpy(pose((4.0, 0.3, -7.0), rotation(yaw=123.0))).float()
    here = weaving.remember(context, context_poses, lenses(2), poses, lenses(2)).woven
    there = weaving.remember(context, carried @ context_poses, lenses(2), carried @ poses, lenses(2)).woven
    assert here is not None and there is not None
    assert ((here - there).abs() < 0.02).float().mean() > 0.97, "but for points on the edge between two pixels"


@torch.no_grad()
def test_depth_that_is_known_is_used_in_place_of_the_networks_own() -> None:
    torch.manual_seed(1)
    network = WorldNet(dim=64, depth=2, heads=1, weave="depth").eval()
    cameras = turning(0), lenses(1), turning(0), lenses(1)
    known = torch.full((1, 1, 2 * PATCH, 2 * PATCH), 0.5)
    known[..., :4] = torch.nan
    woven = network.remember(tiny(1).clamp(-1, 1), *cameras, known).woven
    assert woven is not None
    assert torch.allclose(woven[0, 0, -1, 6:-6, 8:-4], torch.tensor(0.5), atol=1e-4)


@torch.no_grad()
def test_without_context_a_weaving_network_paints_alone(weaving: WorldNet) -> None:
    alone = weaving(tiny(2), torch.ones(1), turning(0, 5), lenses(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weaving.weaver, "forward", lambda *_: pytest.fail("it weaves with nothing to weave"))
        same = weaving(tiny(2), torch.ones(1), turning(0, 5), lenses(2))
    assert alone.shape == (1, 3, 2, 2 * PATCH, 2 * PATCH) and torch.equal(alone, same)


@torch.no_grad()
def test_a_caption_steers_by_its_words_not_by_its_padding() -> None:
    torch.manual_seed(2)
    network = WorldNet(dim=64, depth=2, heads=1, steered=True).eval()
    words = torch.randn(1, 3, 64)
    padded = torch.cat([words, torch.zeros(1, 5, 64)], 1)
    first, second, other = (network._steering(text) for text in (words, padded, words.flip(2)))
    assert first.shape == (1, 6, 64) and torch.allclose(first, second, atol=1e-6)
    assert not torch.allclose(first, other, atol=1e-2)
    assert torch.isfinite(network._steering(torch.zeros(1, 4, 64))).all(), "nothing but padding"


def test_a_way_of_weaving_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="'sew'.*depth"):
        WorldNet(weave="sew")


def test_words_newer_than_the_weights_count_as_padding() -> None:
    torch.manual_seed(0)
    old = TextEncoder(dim=16, vocabulary=10)
    tokens = torch.zeros(2, MAX_TOKENS, dtype=torch.long)
    tokens[:, :2] = torch.tensor([1, 3])
    tokens[0, 2] = 12
    first, second = old(tokens)
    assert torch.equal(first, second)


@pytest.mark.parametrize("seed", range(4))
@torch.no_grad()
def test_the_trained_network_paints_what_its_context_frames_saw(
    trained: tuple[WorldNet, TextEncoder], seed: int
) -> None:
    """A held-out scene: the view of a context frame, painted in one step, is far nearer to the truth than without."""
    network, text = trained
    scene = make_scene(seed, "room")
    target, context = turning(0, 4, 8, 12), turning(-12, 6, 20)
    truth = render(scene, target[0].numpy(), lenses(4)[0].numpy(), WIDTH, HEIGHT)
    seen = render(scene, context[0].numpy(), lenses(3)[0].numpy(), WIDTH, HEIGHT)
    noise = torch.randn(1, 3, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
    caption = text(torch.tensor([tokenize(scene.caption)]))
    pictures = seen.permute(3, 0, 1, 2)[None] / 127.5 - 1
    given = network.remember(pictures, context, lenses(3), target, lenses(4))
    found = {}
    for name, memory in (("with", given), ("without", Remembered([]))):
        clean = network(noise, torch.ones(1), target, lenses(4), caption, memory.kept, woven=memory.woven)
        picture = ((clean[0].permute(1, 2, 3, 0).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
        found[name] = psnr(picture, truth.numpy())
    assert found["with"] > found["without"] + 5, found
