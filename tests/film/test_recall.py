"""Films that are queued again: what determines no picture makes none anew, and what is taken over is the same."""

from __future__ import annotations

import importlib.util
import json
import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState

SEGMENT, SEGMENTS = 4, 4


@pytest.fixture(scope="module")
def plan(world_plan: Any) -> Any:
    path = make_preset("look around", frames=SEGMENT * SEGMENTS, fps=8.0, amount=300.0, fov=70.0, aspect=1.0)
    return world_plan(path, SEGMENT, "a small room with a red box", width=36)


Filmed = tuple[MemoryState, list[int]]


@torch.inference_mode()
def film(state: MemoryState, plan: Any) -> Filmed:
    """The memory with a shot, and the segments that were made for it."""
    from scene_memory.film.loop import generate_shot
    from scene_memory.models.registry import adapter_for

    made = []
    for done in generate_shot(state, plan, adapter_for(plan.model)):
        state = done.state
        if done.made:
            made.append(done.index)
    return state, made


@pytest.fixture
def bank(tmp_path: Path, comfy: Path) -> Bank:
    return Bank.create(tmp_path, "film")


def pixels(state: MemoryState) -> np.ndarray:
    return state.read_frames(range(state.frames))


def chosen(state: MemoryState) -> list[list[int]]:
    """The frames that each segment looked back at."""
    return [
        sorted(json.loads(segment.text)["info"]["context"])
        for segment in map(state.segments.__getitem__, range(len(state.segments)))
    ]


IDLE = {
    "min_overlap": {"min_overlap": 0.2},
    "far_share": {"far_share": 0.3},
    "the seed of coverage": {"seed": 5},
    "all of them": {"min_overlap": 0.2, "far_share": 0.3, "seed": 5},
}


def test_a_setting_that_changes_no_choice_makes_nothing_anew(bank: Bank, plan: Any) -> None:
    first, made = film(bank.empty(), plan)
    assert made == list(range(SEGMENTS)) and film(bank.empty(), plan) == (first, [])
    for name, change in IDLE.items():
        again = film(bank.empty(), replace(plan, retriever=replace(plan.retriever, **change)))
        assert again == (first, []), name


def test_another_k_makes_only_those_anew_whose_frames_changed(bank: Bank, plan: Any) -> None:
    plan = replace(plan, retriever=RetrievalSettings("recent", k=SEGMENT * 2 + 1))
    first, _ = film(bank.empty(), plan)
    fewer, made = film(bank.empty(), replace(plan, retriever=replace(plan.retriever, k=SEGMENT * 2)))
    alike = [one == other for one, other in zip(chosen(first), chosen(fewer), strict=True)]
    assert made == [index for index, same in enumerate(alike) if not same]
    assert made == [SEGMENTS - 1], "the last alone has more to look back at"
    begin = made[0] * SEGMENT
    assert (pixels(fewer)[:begin] == pixels(first)[:begin]).all()
    assert film(bank.empty(), plan) == (first, []), "and the film of before is still there"


def test_a_strategy_that_chooses_the_same_frames_is_the_same_film(bank: Bank, plan: Any) -> None:
    every = RetrievalSettings("random", k=20)
    first, _ = film(bank.empty(), replace(plan, retriever=every))
    assert film(bank.empty(), replace(plan, retriever=replace(every, strategy="recent"))) == (first, [])


@pytest.mark.parametrize("change", [{"seed": 4}, {"cfg": 2.0}, {"sigmas": torch.tensor([1.0, 0.5, 0.0])}])
def test_what_determines_pictures_makes_all_anew(bank: Bank, plan: Any, change: dict[str, Any]) -> None:
    short = replace(plan, trajectory=plan.trajectory[: 2 * SEGMENT], negative=plan.positive)
    film(bank.empty(), short)
    assert film(bank.empty(), replace(short, **change))[1] == [0, 1]


def other_memory(bank: Bank, plan: Any, first: MemoryState) -> Any:
    """The same first segment, of which the artist has said something that changes no choice."""
    state, _ = film(bank.empty(), replace(plan, trajectory=plan.trajectory[:SEGMENT]))
    return bank.edit(state, Edit("include", ((0, SEGMENT),)))


def test_a_film_whose_past_was_told_anew_takes_its_pictures_over(bank: Bank, plan: Any) -> None:
    first, _ = film(bank.empty(), plan)
    rest = replace(plan, trajectory=plan.trajectory[SEGMENT:])
    told = other_memory(bank, plan, first)
    second, made = film(told, rest)
    assert made == [] and second.id != first.id and second.shots == 2
    assert (pixels(second) == pixels(first)).all()
    assert bank.load() == second and Bank.open(bank.root, "film").load() == second
    assert film(told, rest) == (second, [])


def test_depth_and_words_are_told_without_making_pictures_anew(bank: Bank, plan: Any) -> None:
    first, _ = film(bank.empty(), plan)
    deep = replace(plan, depth=np.full((SEGMENT * SEGMENTS, 8, 8), 2.0), prompt="a room")
    second, made = film(bank.empty(), deep)
    assert made == [] and (pixels(second) == pixels(first)).all()
    assert second.segments[0].prompt == "a room" and np.nanmax(second.depth([0])) == 2.0
    assert film(bank.empty(), deep) == (second, []) and film(bank.empty(), plan) == (first, [])


def test_a_damaged_picture_is_not_taken_over(bank: Bank, plan: Any, caplog: pytest.LogCaptureFixture) -> None:
    first, _ = film(bank.empty(), plan)
    rest = replace(plan, trajectory=plan.trajectory[SEGMENT:])
    told = other_memory(bank, plan, first)
    file = bank.segments_path / f"{first.segments.id_of(1)}.safetensors"
    data = bytearray(file.read_bytes())
    data[-40] ^= 1
    file.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        second, made = film(told, rest)
    assert made == [0] and "made again" in caplog.text
    assert (pixels(second) == pixels(film(told, rest)[0])).all()


def with_wrapper(model: Any, folder: Path, code: str) -> Any:
    """The MODEL with a wrapper of another pack in a folder, loaded under the name that the host gives to packs."""
    import comfy.patcher_extension

    pack = folder / "custom_nodes" / "Other.Pack" / "patches.py"
    pack.parent.mkdir(parents=True, exist_ok=True)
    pack.write_text(code)
    spec = importlib.util.spec_from_file_location(f"{pack.parent}".replace(".", "_x_") + ".patches", pack)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    pack.with_suffix(".pyc").unlink(missing_ok=True)
    spec.loader.exec_module(module)
    patched = model.clone()
    patched.add_wrapper(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, module.patch(1.0))
    return patched


CODE = """
def patch(strength):
    def wrapper(executor, *args, **kwargs):
        return executor(*args, **kwargs) * strength
    return wrapper
"""


def test_new_code_of_another_pack_is_said_and_makes_nothing_anew(
    bank: Bank, plan: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = replace(plan, trajectory=plan.trajectory[: 2 * SEGMENT])

    def queued(folder: str, code: str) -> Filmed:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            return film(bank.empty(), replace(short, model=with_wrapper(plan.model, tmp_path / folder, code)))

    first, _ = queued("one", CODE)
    assert queued("moved", CODE) == (first, []) and "other code" not in caplog.text
    assert queued("newer", CODE.replace("* strength", "* (strength + 0.0)")) == (first, [])
    assert "other code of Other.Pack" in caplog.text
    assert queued("stronger", CODE.replace("    def wrapper", "    strength += 1\n    def wrapper"))[1] == [0, 1]


def test_frames_that_are_gone_since_are_not_missed(bank: Bank, plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit may have dropped pictures that a segment looked at: it is found all the same."""
    from scene_memory.memory.bank.pixels import drop_pixels

    first, _ = film(bank.empty(), plan)
    gone = np.array(sorted(set(chosen(first)[2]) - {SEGMENT * 2 - 1}))
    drop_pixels(bank.path, first, gone[gone < SEGMENT])
    limited = replace(bank, max_bytes=10**9)
    for retriever in (plan.retriever, replace(plan.retriever, min_overlap=0.2)):
        again, made = film(limited.empty(), replace(plan, retriever=retriever))
        assert made == [] and again.frames == first.frames


def test_what_cannot_be_found_again_is_said_before_anything_is_made(bank: Bank, plan: Any) -> None:
    from scene_memory.film.loop import generate_shot
    from scene_memory.models.registry import adapter_for

    model = plan.model.clone()
    model.model_options["transformer_options"] = {"of another pack": {"lock": threading.Lock()}}
    said: list[str] = []
    plan = replace(plan, model=model, trajectory=plan.trajectory[:SEGMENT])
    shot = generate_shot(bank.empty(), plan, adapter_for(model), on_warning=said.append)
    with torch.inference_mode():
        next(shot)
        shot.close()
    (words,) = said
    assert "cannot be found again" in words and "of another pack.lock" in words and "Memory Bank (continue)" in words
    assert not list((bank.path / "keys").glob("*.json"))
