"""Segments of a Wan film: their lengths, the seam between them, what a key depends on, which model takes over when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.state.state import MemoryState

T2V, TI2V = "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.2_ti2v_5B_fp16.safetensors"
HIGH, LOW = (f"wan2.2_t2v_{kind}_noise_14B_fp8_scaled.safetensors" for kind in ("high", "low"))


@pytest.mark.parametrize(
    ("frames", "wanted", "continues", "lengths", "made"),
    [
        (81, 0, False, [81], [81]),
        (81, 0, True, [80, 1], [81, 5]),
        (241, 0, False, [81, 80, 80], [81, 81, 81]),
        (100, 0, False, [81, 19], [81, 21]),
        (20, 9, False, [9, 8, 3], [9, 9, 5]),
        (1, 0, False, [1], [1]),
    ],
)
def test_a_segment_is_4n_1_long_and_shares_its_first_frame_with_the_one_before(
    wan: Any, frames: int, wanted: int, continues: bool, lengths: list[int], made: list[int]
) -> None:
    adapter = wan.adapter(wan.model(T2V))
    assert adapter.segment_lengths(frames, wanted, continues) == lengths
    overlaps = [adapter.overlap * (continues or place > 0) for place in range(len(lengths))]
    assert [adapter.made_for(new + known) for new, known in zip(lengths, overlaps, strict=True)] == made


def test_the_5b_has_sizes_and_lengths_of_its_own(wan: Any) -> None:
    adapter = wan.adapter(wan.model(TI2V))
    assert adapter.segment_lengths(121, 0) == [121] and adapter.default_size == (1280, 704)
    with pytest.raises(ValueError, match="multiples of 32"):
        adapter.check_size(832, 464)
    with pytest.raises(ValueError, match=r"4n\+1 frames at a time. Use 121"):
        adapter.segment_lengths(121, 120)
    with pytest.raises(ValueError, match="at most 401"):
        adapter.segment_lengths(121, 405)


@pytest.mark.parametrize("name", [T2V, TI2V, HIGH])
def test_a_prompt_of_another_text_encoder_is_refused_with_the_file_to_load(wan: Any, name: str) -> None:
    from scene_memory.models.wan.adapter import check_conditioning

    model = wan.model(name)
    own, other = (torch.zeros(1, 4, model.model.diffusion_model.text_dim + more) for more in (0, 1))
    check_conditioning(model, [[own, {}]], None)
    for kinds in ([[[other, {}]], None], [[[own, {}]], [[own, {}], [other, {}]]]):
        with pytest.raises(ValueError, match=r"another family. Load umt5_xxl_.* type wan in Load CLIP"):
            check_conditioning(model, *kinds)


@pytest.fixture
def state(tmp_path: Path) -> MemoryState:
    bank = Bank.create(tmp_path, "film")
    path = make_preset("dolly", frames=6, fps=16.0, amount=1.0, fov=70.0, aspect=1.0)
    pictures = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    return bank.append(bank.empty(), frames=pictures, trajectory=path, shot=0)


def after(state: MemoryState, move: str, amount: float, frames: int = 9) -> Trajectory:
    path = make_preset(move, frames=frames, fps=16.0, amount=amount, fov=70.0, aspect=1.0, easing="smooth")
    return path.after(state.last_pose)


def test_a_path_that_goes_on_is_told_from_a_cut(comfy: Path, state: MemoryState) -> None:
    from scene_memory.film.continuity import continues

    for move, amount in (("pan", 60.0), ("dolly", 0.5), ("orbit", 90.0), ("pan", 0.0)):
        assert continues(state, after(state, move, amount)[1:]), move
        assert continues(state, after(state, move, amount)), move
    elsewhere = np.eye(4)
    elsewhere[0, 3] = 7.0
    assert not continues(state, after(state, "pan", 60.0).after(elsewhere))
    turned = make_preset("pan", frames=2, fps=16.0, amount=90.0, fov=70.0, aspect=1.0).poses[-1]
    assert not continues(state, after(state, "dolly", 0.5).after(state.last_pose @ turned))
    assert not continues(MemoryState(), after(state, "pan", 60.0))


def test_the_cameras_over_the_seam(comfy: Path, state: MemoryState) -> None:
    from scene_memory.film.continuity import whole_path

    path = after(state, "pan", 40.0)[1:7]
    whole = whole_path(state, path, 1, 9)
    assert len(whole) == 9 and np.array_equal(whole.poses[0], state.last_pose)
    assert np.array_equal(whole.poses[1:7], path.poses)
    assert all(np.array_equal(pose, path.poses[-1]) for pose in whole.poses[7:])
    assert whole_path(state, path, 0, 6) is path


def test_every_option_and_the_second_model_count_for_what_is_made_again(wan: Any) -> None:
    from scene_memory.models.host.identity import shot_key
    from scene_memory.models.wan.options import WanOptions, with_options

    high, low = wan.model(HIGH), wan.model(LOW)

    def key(**options: Any) -> str:
        return shot_key(model=with_options(high, WanOptions(**options))).shared

    plain = {"low_noise": low}
    kinds = [
        {},
        plain,
        {"low_noise": wan.model(HIGH)},
        {**plain, "boundary": 0.9},
        {**plain, "switch_step": 2},
        {**plain, "low_noise_cfg": 1.0},
        {**plain, "times": "clean"},
        {**plain, "positions": "true time"},
        {**plain, "blank_negative": True},
        {**plain, "camera_scale": 2.0},
    ]
    keys = [key(**options) for options in kinds]
    assert len(set(keys)) == len(keys)
    assert [key(**options) for options in kinds] == keys and key(low_noise=wan.model(LOW)) == keys[1]


@pytest.mark.parametrize(
    ("boundary", "steps"), [(0.9, (2, 2)), (0.875, (2, 2)), (0.5, (3, 1)), (0.1, (4, 0)), (0.99, (1, 3))]
)
def test_the_second_model_takes_over_below_the_boundary(comfy: Path, boundary: float, steps: tuple[int, int]) -> None:
    from scene_memory.models.host.sampling import Conditioned, passes

    sigmas = torch.tensor([1.0, 0.95, 0.8, 0.4, 0.0])
    ready = Conditioned([], None, torch.zeros(1), low_noise="low", boundary=boundary)
    found = {name: len(levels) - 1 for name, levels, _ in passes("high", ready, sigmas, 1.0)}
    assert (found.get("high", 0), found.get("low", 0)) == steps
    joined = torch.cat([levels[:-1] for _, levels, _ in passes("high", ready, sigmas, 1.0)])
    assert torch.equal(joined, sigmas[:-1])


@pytest.mark.parametrize(("step", "cfg", "expected"), [
    (0, None, [("high", 3, 3.5), ("low", 1, 3.5)]),
    (2, None, [("high", 2, 3.5), ("low", 2, 3.5)]),
    (2, 1.0, [("high", 2, 3.5), ("low", 2, 1.0)]),
    (9, 1.0, [("high", 4, 3.5)]),
])  # fmt: skip
def test_a_pair_changes_over_at_a_step_and_each_half_has_its_cfg(
    comfy: Path, step: int, cfg: float | None, expected: list[Any]
) -> None:
    """Shift 8 and four steps, as the recipes for 4-step LoRAs have it: the boundary alone would give three and one."""
    from scene_memory.models.host.sampling import Conditioned, passes

    even = torch.linspace(1.0, 0.0, 5)
    sigmas = 8.0 * even / (1.0 + 7.0 * even)
    ready = Conditioned([], None, torch.zeros(1), low_noise="low", boundary=0.875, switch_step=step, low_noise_cfg=cfg)
    found = passes("high", ready, sigmas, 3.5)
    assert [(name, len(levels) - 1, scale) for name, levels, scale in found] == expected


def test_a_pair_with_its_own_cfg_and_step_is_as_two_advanced_samplers(wan: Any) -> None:
    """The host's own sampler, first with one model to a step, then with the other from there, each with its cfg."""
    import comfy.samplers

    from scene_memory.models.wan.options import WanOptions, with_options

    high, low = wan.model(HIGH), wan.model(LOW)
    pair = with_options(high, WanOptions(low_noise=low, switch_step=2, low_noise_cfg=1.0))
    segment = wan.segment(high, context=0, begins=True)
    ready, steps = wan.prepared(pair, segment), (1.0, 0.95, 0.9, 0.5, 0.0)
    made = wan.step(pair, ready, cfg=3.5, steps=steps)

    def alone(model: Any, latent: Any, noise: Any, levels: tuple[float, ...], cfg: float) -> Any:
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(ready.positive, ready.negative)
        guider.set_cfg(cfg)
        euler = comfy.samplers.sampler_object("euler")
        return guider.sample(noise, latent, euler, torch.tensor(levels), disable_pbar=True, seed=11)

    with torch.inference_mode():
        noise = comfy.sample.prepare_noise(ready.latent, 11)
        between = alone(high, ready.latent, noise, steps[:3], 3.5)
        expected = alone(low, between, torch.zeros_like(noise), steps[2:], 1.0)
    assert torch.equal(made, expected)
    assert not torch.equal(made, wan.step(pair, ready, cfg=1.0, steps=steps))


def test_a_cfg_of_the_low_half_needs_something_to_steer_away_from(wan: Any) -> None:
    from scene_memory.models.wan.options import WanOptions, with_options

    high = wan.model(HIGH)
    pair = with_options(high, WanOptions(low_noise=wan.model(LOW), low_noise_cfg=3.0))
    segment = wan.segment(high, context=0, begins=True)
    with pytest.raises(ValueError, match="low_noise_cfg is 3.*negative"):
        wan.adapter(pair).prepare(pair, wan.positive, None, segment, wan.vae(pair))
