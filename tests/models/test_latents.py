"""Latents beside frames, with a tiny Wan VAE: kept, read back instead of encoded, never taken for another VAE's."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.state.state import MemoryState

PATH = make_preset("pan", frames=6, fps=8.0, amount=40.0, fov=70.0, aspect=1.0)


@dataclass
class Counted:
    """Reads pixels and remembers which."""

    asked: list[int] = field(default_factory=list)

    def __call__(self, state: MemoryState, indices: Any) -> Any:
        self.asked += [int(index) for index in indices]
        return state.read_frames(indices)


@pytest.fixture(autouse=True)
def nothing_encoded(comfy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that another test has encoded are not known here."""
    from scene_memory.film import latents

    monkeypatch.setattr(latents, "_ENCODED", latents.EncodedFrames(latents.MOST_BYTES))


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def coded_singly(vae: Any, pictures: np.ndarray) -> torch.Tensor:
    """(1, 16, F, 4, 4)."""
    return torch.cat([vae.encode(torch.from_numpy(one)[None].float() / 255).cpu() for one in pictures], dim=2)


def test_kept_latents_are_read_and_the_rest_is_encoded_one_by_one(
    load_wan_vae: Any, tmp_path: Path, pictures: np.ndarray
) -> None:
    from scene_memory.models.host.adapter import latents_of

    vae = load_wan_vae(0)
    latents = latents_of(vae)
    kept = latents.kept(coded_singly(vae, pictures[:3]))
    assert kept is not None and kept.shape == (16, 3, 4, 4) and kept.dtype == np.float16
    bank = Bank.create(tmp_path, "film")
    state = bank.append(
        bank.empty(), frames=pictures[:3], trajectory=PATH[:3], shot=0, latents=kept, latent_space=latents.space
    )
    state = bank.append(state, frames=pictures[3:], trajectory=PATH[3:], shot=0)
    read = Counted()
    found = latents_of(load_wan_vae(0)).read(Bank.open(tmp_path, "film").load(), np.array([1, 2, 4]), read)
    expected = coded_singly(vae, pictures)[:, :, [1, 2, 4]]
    assert read.asked == [4]
    assert torch.equal(found[:, :, :2], torch.from_numpy(kept[:, 1:3]).float()[None])
    assert torch.allclose(found, expected, atol=4e-3) and torch.equal(found[:, :, 2], expected[:, :, 2])


def test_latents_of_another_vae_are_encoded_anew(load_wan_vae: Any, tmp_path: Path, pictures: np.ndarray) -> None:
    from scene_memory.models.host.adapter import latents_of

    vae, other = load_wan_vae(0), load_wan_vae(1)
    ours, theirs = latents_of(vae), latents_of(other)
    assert len(ours.space) == 64 and ours.space != theirs.space
    bank = Bank.create(tmp_path, "film")
    kept = theirs.kept(coded_singly(other, pictures[:3]))
    state = bank.append(
        bank.empty(), frames=pictures[:3], trajectory=PATH[:3], shot=0, latents=kept, latent_space=theirs.space
    )
    read = Counted()
    found = ours.read(state, np.array([0, 2]), read)
    assert read.asked == [0, 2] and torch.equal(found, coded_singly(vae, pictures[[0, 2]]))


def test_latents_that_are_fewer_than_the_frames_are_not_taken_for_single_frames(
    load_wan_vae: Any, tmp_path: Path, pictures: np.ndarray
) -> None:
    """Four frames of a video latent are one moment that passes: a context frame needs a latent of its own."""
    from scene_memory.models.host.adapter import latents_of

    vae = load_wan_vae(0)
    latents = latents_of(vae)
    kept = latents.kept(vae.encode(torch.from_numpy(pictures[:5]).float() / 255))
    assert kept is not None and kept.shape == (16, 2, 4, 4)
    bank = Bank.create(tmp_path, "film")
    state = bank.append(
        bank.empty(), frames=pictures[:5], trajectory=PATH[:5], shot=0, latents=kept, latent_space=latents.space
    )
    read = Counted()
    assert torch.equal(latents.read(state, np.array([3]), read), coded_singly(vae, pictures[3:4]))
    assert read.asked == [3]


def test_a_frame_that_comes_again_is_not_encoded_again_and_few_are_kept(
    load_wan_vae: Any, tmp_path: Path, pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scene_memory.film import latents
    from scene_memory.models.host.adapter import latents_of

    vae = load_wan_vae(0)
    bank = Bank.create(tmp_path, "film")
    state = bank.append(bank.empty(), frames=pictures, trajectory=PATH, shot=0)
    few = latents.EncodedFrames(3 * 16 * 4 * 4 * 4)
    monkeypatch.setattr(latents, "_ENCODED", few)
    kept, read = latents_of(vae), Counted()
    first = kept.read(state, np.array([0, 2, 4]), read)
    again = kept.read(state, np.array([2, 4, 5]), read)
    assert read.asked == [0, 2, 4, 5] and torch.equal(again[:, :, :2], first[:, :, 1:])
    assert torch.equal(again, coded_singly(vae, pictures[[2, 4, 5]]))
    kept.read(state, np.array([0]), read)
    assert read.asked[-1] == 0 and len(few) == 3 and kept.encoded == 5


def test_another_shot_and_another_loading_of_the_bank_find_what_was_encoded(
    load_wan_vae: Any, tmp_path: Path, pictures: np.ndarray
) -> None:
    from scene_memory.models.host.adapter import latents_of

    bank = Bank.create(tmp_path, "film")
    bank.append(bank.empty(), frames=pictures, trajectory=PATH, shot=0)
    first, read = latents_of(load_wan_vae(0)), Counted()
    expected = first.read(Bank.open(tmp_path, "film").load(), np.array([1, 3]), read)
    again, other = latents_of(load_wan_vae(0)), latents_of(load_wan_vae(1))
    state = Bank.open(tmp_path, "film").load()
    assert torch.equal(again.read(state, np.array([3, 1]), read), expected.flip(2))
    assert (again.encoded, read.asked) == (0, [1, 3])
    assert not torch.equal(other.read(state, np.array([1, 3]), read), expected) and other.encoded == 2


def test_what_float16_cannot_hold_is_not_kept(load_wan_vae: Any) -> None:
    from scene_memory.models.host.adapter import latents_of

    latent = torch.zeros(1, 16, 1, 4, 4)
    latent[0, 0, 0, 0, 0] = 1e6
    assert latents_of(load_wan_vae(0)).kept(latent) is None


def test_a_vae_of_which_nothing_is_known_keeps_no_latents(comfy: Path) -> None:
    from scene_memory.models.host.adapter import latents_of

    class Vae:
        def __init__(self) -> None:
            self.hidden = object()

    latents = latents_of(Vae())
    assert latents.space == "" and latents.kept(torch.zeros(1, 3, 1, 4, 4)) is None


def test_a_shot_tells_what_looking_back_cost(wan: Any, tmp_path: Path) -> None:
    """The first segment that looks back encodes all that it sees; the same film from the bank encodes nothing."""
    import comfy.samplers

    from scene_memory.film.loop import generate_shot
    from scene_memory.film.plan import ShotPlan
    from scene_memory.memory.retrieval.settings import RetrievalSettings
    from scene_memory.models.registry import adapter_for

    model = wan.model("wan2.1_t2v_1.3B_fp16.safetensors")
    plan = ShotPlan(
        model=model, vae=wan.vae(model), positive=wan.positive, negative=None,
        sampler=comfy.samplers.sampler_object("euler"), sigmas=torch.tensor([1.0, 0.0]), seed=1, cfg=1.0,
        trajectory=make_preset("pan", frames=13, fps=16.0, amount=40.0, fov=70.0, aspect=1.0),
        retriever=RetrievalSettings(k=3), segment_frames=5, width=64, height=64,
    )  # fmt: skip
    bank = Bank.create(tmp_path, "film")
    with torch.inference_mode():
        first = [done.encoded for done in generate_shot(bank.empty(), plan, adapter_for(plan.model))]
        again = [done.encoded for done in generate_shot(bank.empty(), plan, adapter_for(plan.model))]
    assert first[0] == 0 and first[1] == 3 and 1 <= first[2] <= 3
    assert again == [0, 0, 0]
