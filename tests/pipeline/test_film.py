"""The loop on tiny folders, end to end: from a folder and a bank on the disk to pictures, and on again."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

SHORT = {"steps": 2, "guidance": 3.0, "segment_frames": 9, "width": 32, "height": 32, "seed": 5}


@pytest.fixture(scope="module")
def pipe(folder: Any) -> Any:
    from scene_memory.pipeline import SceneMemoryPipeline

    made: dict[str, Any] = {}

    def load(kind: str) -> Any:
        if kind not in made:
            made[kind] = SceneMemoryPipeline.from_folder(folder(kind))
            made[kind].set_progress_bar_config(disable=True)
        return made[kind]

    return load


def path(frames: int = 20, amount: float = 60.0) -> Any:
    from scene_memory.memory.cameras.presets import make_preset

    return make_preset("pan", frames=frames, fps=16.0, amount=amount, fov=70.0, aspect=1.0)


def new_film(root: Path, name: str = "film") -> Any:
    from scene_memory.memory.bank.bank import Bank

    return Bank.create(root, name).empty()


def looks_back(k: int = 3) -> Any:
    from scene_memory.memory.retrieval.settings import RetrievalSettings

    return RetrievalSettings(k=k)


@pytest.mark.parametrize("kind", ["t2v", "i2v", "pair", "ti2v"])
def test_a_shot_of_several_segments_is_in_the_bank_and_comes_again_from_there(
    pipe: Any, tmp_path: Path, kind: str
) -> None:
    from scene_memory.memory.bank.bank import Bank

    size = {"width": 64, "height": 32} if kind == "ti2v" else {}
    asked = {**SHORT, **size, "retrieval": looks_back()}
    steps: list[tuple[int, int]] = []
    state = new_film(tmp_path)
    made = pipe(kind)(state, path(), "a house by the sea", on_step=lambda *told: steps.append(told[:2]), **asked)
    assert made.state.frames == 20 and len(made.frames[0]) == 20
    assert steps == [(segment, step) for segment in range(3) for step in range(2)]
    notes = [segment.info["context"] for segment in made.state.segments]
    assert notes[0] == [] and len(notes[1]) == 3 and len(notes[2]) == 3 and 16 in notes[2]
    assert Bank.open(tmp_path, "film").load() == made.state
    steps.clear()
    again = pipe(kind)(state, path(), "a house by the sea", on_step=lambda *told: steps.append(told[:2]), **asked)
    assert steps == [] and again.state == made.state
    other = pipe(kind)(new_film(tmp_path, "other"), path(), "a red garden", **asked)
    assert other.state != made.state


def test_interrupted_it_goes_on_with_the_same_pictures(pipe: Any, tmp_path: Path) -> None:
    from scene_memory.pipeline import ShotPlan

    plan = ShotPlan(path(), retrieval=looks_back(), **SHORT)
    whole = [done.state for done in pipe("t2v").segments(new_film(tmp_path, "whole"), plan)][-1]
    state = new_film(tmp_path, "stopped")

    def stop(segment: int, step: int, timestep: float, latents: torch.Tensor) -> None:
        if (segment, step) == (1, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(pipe("t2v").segments(state, plan, on_step=stop))
    done = list(pipe("t2v").segments(state, plan))
    assert [segment.made for segment in done] == [False, True, True]
    frames = range(whole.frames)
    assert np.array_equal(done[-1].state.read_frames(frames), whole.read_frames(frames))


def test_a_second_shot_goes_on_from_the_first_and_every_form_of_output_shows_the_same(
    pipe: Any, tmp_path: Path
) -> None:
    state = pipe("t2v")(new_film(tmp_path), path(9), "a garden", output_type="none", **SHORT).state
    after = path(8).after(state.last_pose)
    shown = {
        kind: pipe("t2v")(state, after, "a garden", output_type=kind, **SHORT).frames for kind in ("pil", "np", "pt")
    }
    assert len(shown["pil"][0]) == 8 and shown["np"].shape == (1, 8, 32, 32, 3)
    assert np.allclose(shown["np"][0, 3] * 255, np.asarray(shown["pil"][0][3]))
    assert np.allclose(shown["pt"][0].permute(0, 2, 3, 1), shown["np"][0])
    assert state.frames == 9


def test_a_generator_of_one_seed_makes_one_film_and_of_another_another(pipe: Any, tmp_path: Path) -> None:
    asked = {name: value for name, value in SHORT.items() if name != "seed"}
    films = [
        pipe("t2v")(new_film(tmp_path, str(number)), path(5), generator=torch.Generator().manual_seed(seed), **asked)
        for number, seed in enumerate((1, 1, 2))
    ]
    ids = [film.state.id for film in films]
    assert ids[0] == ids[1] != ids[2]


def test_the_first_segment_of_a_film_is_diffusers_own_pipeline(pipe: Any, stock: Any, tmp_path: Path) -> None:
    """No memory yet: the same noise through the stock WanPipeline gives the same pictures."""
    from scene_memory.film.continuity import segment_seed

    made = pipe("t2v")(new_film(tmp_path), path(9), "a red garden", "blue", output_type="np", **SHORT).frames
    plain = stock("t2v")
    plain.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 16, 3, 4, 4, generator=torch.Generator().manual_seed(segment_seed(5, 0)))
    theirs = plain(
        "a red garden", "blue", height=32, width=32, num_frames=9, num_inference_steps=2, guidance_scale=3.0,
        latents=noise,
    ).frames  # fmt: skip
    assert np.abs(made - theirs).max() < 0.5 / 255 + 1e-6


def test_memory_options_and_routing_change_the_second_segment_and_nothing_of_the_first(
    pipe: Any, tmp_path: Path
) -> None:
    from scene_memory.kernels import MocSettings
    from scene_memory.pipeline import MemoryOptions, Routing

    asked = {**SHORT, "retrieval": looks_back(4)}
    variants: dict[str, dict[str, Any]] = {
        "plain": {},
        "clean": {"options": MemoryOptions(times="clean", positions="before the segment")},
        "true": {"options": MemoryOptions(positions="true time")},
        "blank": {"options": MemoryOptions(blank_negative=True)},
        "routed": {"routing": Routing(MocSettings(top_k=1))},
        "late": {"routing": Routing(MocSettings(top_k=1), dense_steps=1)},
    }
    films = [
        pipe("t2v")(new_film(tmp_path, name), path(16), output_type="np", **asked, **more).frames[0]
        for name, more in variants.items()
    ]
    assert all(np.array_equal(film[:9], films[0][:9]) for film in films)
    assert len({film[9:].tobytes() for film in films}) == len(films)


def test_loading_and_making_opens_no_connection(folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scene_memory.pipeline import SceneMemoryPipeline

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    pipe = SceneMemoryPipeline.from_folder(folder("t2v"))
    pipe.set_progress_bar_config(disable=True)
    assert pipe(new_film(tmp_path), path(5), **{**SHORT, "steps": 1}).state.frames == 5


def test_what_does_not_fit_is_refused_before_the_first_step(pipe: Any, tmp_path: Path) -> None:
    from scene_memory.memory.state.state import MemoryState

    state = new_film(tmp_path)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"segment_frames": 10}, "segment_frames is 10.*4n\\+1.*Use 9"),
        ({"segment_frames": 1}, "segment_frames is 1:.*nothing new would be made"),
        ({"width": 40}, "40x32 does not fit Wan text to video.*multiples of 16. Use 32x32"),
        ({"steps": 0}, "steps is 0.*Use 40"),
        ({"seed": -1}, "seed is -1"),
        ({"output_type": "mp4"}, "output_type is 'mp4'.*Use pil"),
        ({"shift": 0.0}, "shift is 0"),
        (
            {"prompt_embeds": torch.zeros(1, 4, 7)},
            "prompt_embeds has the shape \\(1, 4, 7\\), expected \\(1, tokens, 32\\)",
        ),
    ]
    for changed, words in wrong:
        with pytest.raises(ValueError, match=words):
            pipe("t2v")(state, path(9), **{**SHORT, **changed})
    with pytest.raises(ValueError, match="no bank.*Bank.create"):
        pipe("t2v")(MemoryState(), path(9), **SHORT)
    after = pipe("t2v")(state, path(5), **{**SHORT, "steps": 1}).state
    with pytest.raises(ValueError, match="24 frames a second, the memory at 16"):
        pipe("t2v")(after, path(9).resampled(24.0), **SHORT)
    with pytest.raises(ValueError, match="64x32, but the memory holds 32x32"):
        pipe("t2v")(after, path(9), **{**SHORT, "width": 64})
