"""The loop films with any video model that it is handed: here one of a few lines, which no host knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.film.identity import Identity
from scene_memory.film.keys import ShotKey
from scene_memory.film.loop import SegmentDone, generate_shot, segment_lengths
from scene_memory.film.model import VideoModel
from scene_memory.film.plan import ShotPlan
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.retrieval.settings import RetrievalSettings

ROOT = Path(__file__).resolve().parents[2]


class Dice(VideoModel):
    """Pictures of one colour each, random but for the first where that is known; notes what it was given."""

    name, version = "dice", 1
    default_segment, longest_segment, frame_grid, overlap = 5, 9, (4, 1), 1
    default_size, size_multiple = (16, 8), 8
    context_without_retriever, most_context = 0, 2

    def __init__(self) -> None:
        self.given: list[Any] = []

    def sample(self, plan: Any, segment: Any, seed: int, on_step: Any) -> torch.Tensor:
        self.given.append(segment)
        colours = torch.rand((1, 3, len(segment), 1, 1), generator=torch.Generator().manual_seed(seed))
        if segment.begins_with is not None:
            colours[0, :, 0, 0, 0] = torch.from_numpy(segment.begins_with[0, 0] / 255)
        latent = colours.expand(-1, -1, -1, segment.height, segment.width)
        on_step(0, latent)
        return latent

    def decode(self, plan: Any, latent: torch.Tensor) -> np.ndarray:
        return (latent[0].permute(1, 2, 3, 0) * 255).round().byte().numpy()

    def latents(self, vae: Any) -> None:
        return None

    def shot_key(self, plan: Any, size: tuple[int, int]) -> ShotKey:
        return ShotKey.of(Identity(), model=(self.name, self.version), text=plan.positive, size=size)

    def check_interrupted(self) -> None:
        pass


def plan(frames: int = 12, **changed: Any) -> ShotPlan:
    path = make_preset("pan", frames=frames, fps=8.0, amount=40.0, fov=70.0, aspect=2.0)
    asked: dict[str, Any] = {"retriever": RetrievalSettings(k=4), **changed}
    return ShotPlan("model", None, "a room", None, None, torch.tensor([1.0, 0.0]), 3, 1.0, path, **asked)


def film(root: Path, model: VideoModel, plan: ShotPlan) -> list[SegmentDone]:
    bank = Bank.open(root, "film") if Bank.exists(root, "film") else Bank.create(root, "film")
    return list(generate_shot(bank.empty(), plan, model))


def test_a_shot_is_cut_on_the_models_own_grid_and_goes_on_from_the_newest_frame(tmp_path: Path) -> None:
    model = Dice()
    done = film(tmp_path, model, plan())
    assert [one.state.frames for one in done] == [5, 9, 12]
    assert [len(segment) for segment in model.given] == [5, 5, 5], "the last is filled up to the grid"
    state = done[-1].state
    for segment, one in zip(model.given[1:], done, strict=False):
        assert np.array_equal(segment.begins_with, state.read_frames([one.state.frames - 1])[0])
    assert [len(one.context) for one in done] == [0, 2, 2], "k is 4, the model was trained with 2"


def test_what_is_there_is_not_made_again_and_another_model_makes_anew(tmp_path: Path) -> None:
    first = film(tmp_path, Dice(), plan())
    model = Dice()
    again = film(tmp_path, model, plan())
    assert not model.given and again[-1].state.id == first[-1].state.id and not any(one.made for one in again)
    model.version = 2
    assert all(one.made for one in film(tmp_path, model, plan()))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"segment_frames": 1}, "segment_frames is 1: dice begins each segment with as many known frames"),
        ({"segment_frames": 6}, r"segment_frames is 6: dice makes 4n\+1 frames at a time. Use 5"),
        ({"segment_frames": 13}, "segment_frames is 13: dice makes at most 9"),
        ({"width": 20}, "The size 20x8 does not fit dice.*Use 16x8"),
    ],
)
def test_what_the_model_cannot_make_is_refused_before_anything_is_made(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    model = Dice()
    with pytest.raises(ValueError, match=words):
        film(tmp_path, model, plan(**changed))
    assert not model.given


def test_one_frame_at_a_time_is_enough_for_one_frame(tmp_path: Path) -> None:
    assert segment_lengths(Bank.create(tmp_path, "film").empty(), plan(1, segment_frames=1), Dice()) == [1]


def test_the_loop_is_imported_without_any_host() -> None:
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from dev.support.pack import load_pack; load_pack()\n"
        "import scene_memory.film.loop\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('comfy', 'diffusers', 'folder_paths')))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
