"""docs/adding.md, followed word for word in a copy of the pack: what it adds is there, and films in the real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dev.paths import PACK_FOLDER, ROOT
from dev.support.recipe import Step, copy_tracked, follow, steps_of
from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank

PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
CHAPTERS = {
    name: steps_of(PAGE, name)
    for name in ("A video model", "A retrieval strategy", "A camera move", "A camera file layout")
}
FILM = "Film with it."


def written(folder: Path) -> dict[str, list[str]]:
    """The lines of every text file of a copy of the pack and of what lies beside it."""
    files = [path for path in folder.rglob("*") if path.suffix in (".py", ".md")]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8").splitlines() for path in files}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server with a fresh copy of the pack in it."""
    base = tmp_path_factory.mktemp("adding")
    copy_tracked(base / "custom_nodes" / PACK_FOLDER)
    return base


@pytest.fixture(scope="module")
def followed(base: Path) -> dict[str, dict[str, int]]:
    """After all steps of all chapters: for each chapter, which files it has written, and how many lines into each."""
    found = {}
    for name, steps in CHAPTERS.items():
        before = written(base / "custom_nodes")
        for step in steps:
            if not step.words.startswith(FILM):
                follow(step, base / "custom_nodes" / PACK_FOLDER)
        after = written(base / "custom_nodes")
        found[name] = {
            file: len(lines) - len(before.get(file, []))
            for file, lines in after.items()
            if lines != before.get(file, [])
        }
    return found


@pytest.fixture(scope="module")
def toy_server(base: Path, followed: dict[str, Any], comfyui: Path) -> Iterator[HostServer]:
    """The server with the copy, and the pack beside it that the page has put there."""
    copy = base / "custom_nodes" / PACK_FOLDER
    server = HostServer(Path(sys.executable), comfyui, base=base, checkout=copy)
    # The last option of the command is the list of custom nodes that are loaded.
    server._command.append("toy_video")
    with server:
        yield server


def test_a_model_is_one_file_and_one_record(followed: dict[str, dict[str, int]]) -> None:
    ours = {
        file.removeprefix(f"{PACK_FOLDER}/"): lines
        for file, lines in followed["A video model"].items()
        if file.startswith(PACK_FOLDER) and "/tests/" not in file
    }
    assert set(ours) == {"models/toy.py", "models/registry.py"}
    assert ours["models/registry.py"] == 1, "its import"


def test_the_tests_that_the_page_names_pass_in_the_copy(base: Path, followed: dict[str, Any], comfyui: Path) -> None:
    """Those of the pure library in one run: what they hold, such as help pages, is part of what the steps do."""
    copy = base / "custom_nodes" / PACK_FOLDER
    named = [follow(step, copy) for steps in CHAPTERS.values() for step in steps if step.words.startswith("Run ")]
    assert len(named) == len(CHAPTERS)
    paths = sorted({path for paths in named for path in paths.split()})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths]
    variables = {**os.environ, "COMFYUI_PATH": str(comfyui)}
    run = subprocess.run(command, cwd=copy, env=variables, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]


def film() -> dict[str, dict[str, Any]]:
    """The graph of the page."""
    (step,) = (step for step in CHAPTERS["A video model"] if step.words.startswith(FILM))
    prompt: dict[str, dict[str, Any]] = json.loads(step.code)
    return prompt


def test_the_toy_films_two_segments_and_finds_both_again(toy_server: HostServer) -> None:
    run = toy_server.client.queue(film())
    assert run.ok, run.error
    assert "2 of 2 segments made" in run.texts("shot")[-1]
    state = Bank.open(toy_server.output / "scene_memory", "toy").load()
    assert state.frames == 16 and [one.frames for one in state.segments] == [8, 8]
    assert [list(one.info["context"]) for one in state.segments] == [[], [7]]
    pictures = state.read_frames(range(16))
    assert pictures.shape == (16, 60, 96, 3)
    assert np.ptp(pictures, axis=(0, 1, 2)).max() <= 1, "one colour: the second segment saw the first"
    assert pictures[0, 0, 0].std() > 20, "a colour of the noise, not grey"

    toy_server.client.free()
    again = toy_server.client.queue(film())
    assert again.ok and "2 of 2 segments: 0 made, 2 from the bank" in again.texts("shot")[-1]
    assert Bank.open(toy_server.output / "scene_memory", "toy").load().id == state.id


def test_another_seed_is_another_colour_that_is_remembered_as_well(toy_server: HostServer, kit: Any) -> None:
    colours = []
    for seed in (1, 2):
        prompt = kit.changed(kit.changed(film(), "shot", seed=seed), "bank", name=f"toy {seed}")
        run = toy_server.client.queue(prompt)
        assert run.ok, run.error
        pictures = Bank.open(toy_server.output / "scene_memory", f"toy {seed}").load().read_frames(range(16))
        assert np.ptp(pictures, axis=(0, 1, 2)).max() <= 1
        colours.append(pictures[0, 0, 0].astype(int))
    assert np.abs(colours[0] - colours[1]).max() > 20


def test_the_strategy_the_move_and_the_layout_are_there_for_artists(toy_server: HostServer, kit: Any) -> None:
    (toy_server.base / "input").mkdir(exist_ok=True)
    rows = [f"0 0 {0.1 * number:g} {3 * number} 0 0" for number in range(8)]
    (toy_server.base / "input" / "walk.txt").write_text("\n".join(rows), encoding="utf-8")
    prompt = kit.changed(kit.changed(film(), "camera", move="nod", amount=10), "bank", name="all added")
    prompt["found"] = kit.retriever(strategy="nearest", k=4)
    prompt["shot"]["inputs"]["retriever"] = ["found", 0]
    prompt["file"] = kit.node(
        "SceneMemoryLoadTrajectory", file="walk.txt", layout="Yaw pitch roll", begins="where the film stands",
        scale=1.0, first_frame=0, frames=0, fps=0.0, fov=0.0, aspect=0.0, camera="", memory=["shot", 0],
    )  # fmt: skip
    prompt["on"] = kit.shot(["shot", 0], ["file", 0], retriever=["found", 0])
    prompt["on"]["inputs"].update({name: prompt["shot"]["inputs"][name] for name in ("model", "vae", "positive")})
    prompt["on"]["inputs"].update({name: prompt["shot"]["inputs"][name] for name in ("sampler", "sigmas")})
    prompt["video"]["inputs"]["memory"] = ["on", 0]
    run = toy_server.client.queue(prompt)
    assert run.ok, run.error
    state = Bank.open(toy_server.output / "scene_memory", "all added").load()
    assert state.frames == 16 + 7
    last = state.segments[len(state.segments) - 1].info
    assert last["strategy"] == "nearest" and len(last["context"]) == 4


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("Think about it", "It is not clear what to do: Think about it"),
        ("Write `models/ltx.py`:", "models/ltx.py is there already"),
        ("In `models/registry.py`, at the end of `MODELS`:", "0 lines that begin with 'MODELS', expected 1"),
        ("In `README.md`, raise by one the number before `pictures of cats`.", "0 numbers before 'pictures of cats'"),
    ],
)
def test_a_step_that_cannot_be_followed_is_not_passed_over(base: Path, words: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        follow(Step(words, "x = 1\n"), base / "custom_nodes" / PACK_FOLDER)
