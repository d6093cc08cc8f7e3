"""The bundled world model with known pixels: it copies what it is told, paints the rest, and reads depth by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

WIDTH, HEIGHT, FRAMES = 48, 36, 4


@pytest.fixture(scope="module")
def true(comfy: Path) -> tuple[Any, Any, Any]:
    """A small turn in a room: cameras, pictures and z-depth."""
    from scene_memory.memory.cameras.presets import make_preset
    from scene_memory.world.render import render_with_depth
    from scene_memory.world.scenes import make_scene

    path = make_preset("pan", frames=2 * FRAMES, fps=8.0, amount=20.0, fov=70.0, aspect=WIDTH / HEIGHT, easing="even")
    pictures, depth = render_with_depth(make_scene(5), path.poses, path.intrinsics, WIDTH, HEIGHT)
    return path, pictures.numpy(), depth.numpy()


def viewed(true: Any, known: np.ndarray, held: bool = False, context: bool = False, sure: float = 1.0) -> Any:
    """The second half of the turn, of which the true pixels are known where ``known`` (T, H, W) says."""
    from scene_memory.film.segment import ContextFrames, KnownPixels, Segment

    path, pictures, depth = true
    seen = ContextFrames(pictures[:FRAMES], path.poses[:FRAMES], path.intrinsics[:FRAMES])
    shown = np.where(known[..., None], pictures[FRAMES:], 128).astype(np.uint8)
    view = KnownPixels(shown, sure * known.astype(np.float32), np.where(known, depth[FRAMES:], np.inf), seen, held)
    return Segment(path[FRAMES:], WIDTH, HEIGHT, seen if context else None, view=view)


@torch.inference_mode()
def painted(world: Any, segment: Any) -> torch.Tensor:
    """The latent, which is the picture in -1..1: (3, T, H, W)."""
    import comfy.samplers

    from scene_memory.models.host.sampling import sample
    from scene_memory.models.registry import adapter_for

    model, clip, _ = world
    words = clip.encode_from_tokens_scheduled(clip.tokenize("a small room"))
    ready = adapter_for(model, "known pixels").prepare(model, words, None, segment)
    euler, levels = comfy.samplers.sampler_object("euler"), torch.tensor([1.0, 0.7, 0.0])
    return sample(model, ready, euler, levels, cfg=1.0, seed=2, on_step=lambda step, x0: None)[0]


def off(made: torch.Tensor, true: Any, where: np.ndarray) -> float:
    """The mean difference from the truth, in levels of 255."""
    pictures = torch.from_numpy(true[1][FRAMES:]).permute(3, 0, 1, 2).float()
    return float(((made + 1) * 127.5 - pictures).abs().mean(0)[torch.from_numpy(where)].mean())


def half() -> np.ndarray:
    known = np.zeros((FRAMES, HEIGHT, WIDTH), bool)
    known[:, :, : WIDTH // 2] = True
    return known


def test_what_is_known_is_painted_and_nothing_else_is_remembered(world: Any, true: Any) -> None:
    known, nothing = half(), np.zeros_like(half())
    told, untold = painted(world, viewed(true, known)), painted(world, viewed(true, nothing))
    assert off(told, true, known) < 10 < off(untold, true, known) / 2
    assert torch.equal(untold, painted(world, replace(viewed(true, nothing), view=None)))


def test_held_pixels_stay_what_they_are(world: Any, true: Any) -> None:
    known = half()
    kept, free = (painted(world, viewed(true, known, held=held, sure=0.6)) for held in (True, False))
    assert off(kept, true, known) < 1e-4 < off(free, true, known)
    assert (kept - free).abs()[:, torch.from_numpy(~known)].max() > 0


def test_both_has_context_where_nothing_is_known(world: Any, true: Any) -> None:
    known = half()
    both, alone = (painted(world, viewed(true, known, context=context)) for context in (True, False))
    assert off(both, true, ~known) < off(alone, true, ~known)
    assert off(both, true, known) < 10


def test_known_pixels_stand_before_what_context_frames_show(comfy: Path, true: Any) -> None:
    from scene_memory.models.world.diffusion import woven_view
    from scene_memory.world.reproject import CHANNELS

    known = half()
    view = viewed(true, known).view
    woven = torch.full((1, FRAMES, CHANNELS, HEIGHT, WIDTH), 0.25)
    layers = woven_view(view, woven, torch.device("cpu"))[0]
    where = torch.from_numpy(known)
    pictures = torch.from_numpy(true[1][FRAMES:]).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert torch.equal(layers[:, :3].movedim(1, -1)[where], pictures.movedim(1, -1)[where])
    assert bool((layers[:, 3][where] == 1).all()) and not layers[:, 4:8].movedim(1, -1)[where].any()
    assert bool((layers.movedim(1, -1)[~where] == 0.25).all())
    near = 1 / torch.from_numpy(true[2][FRAMES:])
    assert torch.allclose(layers[:, -1][where], near.clamp(0.02, 5.0)[where])
    alone = woven_view(view, None, torch.device("cpu"))[0]
    assert not alone.movedim(1, -1)[~where].any()


def test_the_network_reads_depth_that_known_pixels_are_moved_by(world: Any, true: Any) -> None:
    from types import SimpleNamespace

    from scene_memory.film.segment import ContextFrames
    from scene_memory.models.registry import adapter_for

    path, pictures, depth = true
    frames = ContextFrames(pictures[:FRAMES], path.poses[:FRAMES], path.intrinsics[:FRAMES])
    read = adapter_for(world[0], "known pixels").depth_of(SimpleNamespace(model=world[0]), frames)
    assert read.shape == depth[:FRAMES].shape and read.dtype == np.float32 and (read > 0).all()
    there = np.isfinite(read) & np.isfinite(depth[:FRAMES]) & (depth[:FRAMES] < 50)
    error = np.abs(read / depth[:FRAMES] - 1)[there]
    assert there.mean() > 0.3 and np.median(error) < 0.25


def test_a_film_by_known_pixels_alone_comes_back_to_what_it_saw(
    world_plan: Any, comfy: Path, tmp_path: Path
) -> None:
    from scene_memory.film.loop import KNOWN_SHARE, generate_shot
    from scene_memory.memory.bank.bank import Bank
    from scene_memory.memory.cameras.presets import make_preset
    from scene_memory.models.registry import adapter_for

    there = make_preset("pan", frames=12, fps=8.0, amount=60.0, fov=70.0, aspect=WIDTH / HEIGHT, easing="even")
    order = [*range(12), *range(11, -1, -1)]
    path = replace(there, poses=there.poses[order], intrinsics=there.intrinsics[order])
    plan = world_plan(path, 4, memory_enters_as="known pixels")
    adapter = adapter_for(plan.model, "known pixels")
    with torch.inference_mode():
        *_, last = generate_shot(Bank.create(tmp_path, "film").empty(), plan, adapter)
    state = last.state
    film = state.read_frames(range(24)).astype(float)
    back, forth = film[:12], film[12:][::-1]
    assert np.abs(back - forth).mean() < 0.5 * np.abs(back - np.roll(forth, 4, axis=0)).mean()
    shares = [dict(segment.info).get(KNOWN_SHARE) for segment in state.segments]
    assert shares[0] is None and all(share > 0 for share in shares[1:]) and shares[-1] > 0.7
