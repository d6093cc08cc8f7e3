"""Prompts with our nodes, for the tests that run them in the real server."""

from __future__ import annotations

import copy
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.support import tiny_h3, tiny_ltx, tiny_wan
from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank

Prompt = dict[str, dict[str, Any]]


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def place(bank: str) -> Prompt:
    """A start picture in a memory, the model, and a sampler: what every film begins with."""
    return {
        "load": node("SceneMemoryLoadWorldModel", weights="bundled"),
        "scene": node("SceneMemoryWorldScene", place="room", seed=7, width=96, height=60, fov=70.0),
        "text": node("CLIPTextEncode", clip=["load", 1], text=["scene", 1]),
        "bank": node(
            "SceneMemoryBank",
            name=bank,
            mode="new",
            fov=70.0,
            fps=8.0,
            width=0,
            height=0,
            start_image=["scene", 0],
        ),
        "moc": node(
            "SceneMemoryMocSampler",
            model=["load", 0],
            routing=True,
            top_k=5,
            dense_layers=0,
            sampler_name="euler",
            scheduler="simple",
            steps=2,
        ),
    }


def camera(memory: list[Any] | None, move: str = "pan", frames: int = 8, amount: float = 30.0) -> dict[str, Any]:
    inputs = {"move": move, "frames": frames, "amount": amount, "radius": 2.0, "easing": "smooth"}
    made = node("SceneMemoryCameraTrajectory", **inputs, fov=70.0, fps=8.0, aspect=1.6)
    if memory is not None:
        made["inputs"]["memory"] = memory
    return made


def retriever(**changed: Any) -> dict[str, Any]:
    inputs = {"k": 6, "strategy": "fov_nonadjacent_far", "seed": 0, "depth": 3.0, "near": 0.1, "far": 30.0}
    return node(
        "SceneMemoryFovRetriever", **{**inputs, "min_overlap": 0.1, "far_share": 0.25, "preview_frame": 0, **changed}
    )


def shot(memory: list[Any], trajectory: list[Any], seed: int = 1, **changed: Any) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "model": ["moc", 0],
        "vae": ["load", 2],
        "positive": ["text", 0],
        "memory": memory,
        "trajectory": trajectory,
        "sampler": ["moc", 1],
        "sigmas": ["moc", 2],
        "seed": seed,
        "cfg": 1.0,
        "segment_frames": 0,
        "width": 0,
        "height": 0,
    }
    return node("SceneMemoryShotGenerator", **{**inputs, **changed})


def save(memory: list[Any], name: str) -> dict[str, Any]:
    return node("SceneMemoryToVideo", memory=memory, filename_prefix=f"tests/{name}", scale=2, fps=0.0, quality=23)


def film(bank: str, frames: int = 16, **shot_changes: Any) -> Prompt:
    """One shot from a start picture, saved."""
    return {
        **place(bank),
        "camera": camera(["bank", 0], "turn away and come back", frames),
        "fov": {**retriever()},
        "shot": shot(["bank", 0], ["camera", 0], retriever=["fov", 0], **shot_changes),
        "video": save(["shot", 0], bank),
    }


def listed(server: HostServer, node: str, field: str, name: str) -> list[str]:
    """The files that a node offers, once a name is among them: no list is read again right after a prompt came in."""
    deadline = time.monotonic() + 10.0
    while True:
        found: list[str] = server.client.object_info(node)[node]["input"]["required"][field][1]["options"]
        if name in found:
            return found
        assert time.monotonic() < deadline, f"{name} is not among {found}"
        time.sleep(0.2)


def changed(prompt: Prompt, where: str, **inputs: Any) -> Prompt:
    """The prompt with other inputs at one node."""
    result = copy.deepcopy(prompt)
    result[where]["inputs"].update(inputs)
    return result


class Kit:
    """The functions above, for tests that cannot import a neighbour."""

    node, place, camera, retriever = (
        staticmethod(node),
        staticmethod(place),
        staticmethod(camera),
        staticmethod(retriever),
    )
    shot, save, film, changed = staticmethod(shot), staticmethod(save), staticmethod(film), staticmethod(changed)
    listed = staticmethod(listed)


@pytest.fixture
def kit() -> type[Kit]:
    return Kit


@pytest.fixture
def open_bank(server: HostServer) -> Callable[[str], Bank]:
    """Opens a bank that the server has written."""
    return lambda name: Bank.open(server.output / "scene_memory", name)


@pytest.fixture(scope="session")
def tiny_loaders(comfyui: Path, comfy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostServer]:
    """A server of its own with nodes for tests that load small what the stock loaders know in full size only:
    MiniMax H3's VAE and text encoder, and LTX video's text encoder. All files of these models are there."""
    base = tmp_path_factory.mktemp("tiny loaders")
    tiny_h3.make(base / "models")
    tiny_ltx.make(base / "models")
    beside = base / "custom_nodes" / "tiny_loaders"
    shutil.copytree(Path(__file__).parent / "tiny_loaders", beside)
    for made in (tiny_h3, tiny_ltx, tiny_wan):
        shutil.copy(Path(str(made.__file__)), beside)
    server = HostServer(Path(sys.executable), comfyui, base=base)
    # The last option of the command is the list of custom nodes that are loaded.
    server._command.append(beside.name)
    with server:
        yield server
