"""Every workflow that comes with the pack runs in the real server, at reduced length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dev.paths import ROOT
from dev.support import tiny_files, tiny_wan
from dev.support.client import PromptRejected
from dev.support.server import HostServer
from dev.support.workflow_api import to_prompt
from scene_memory.memory.bank.bank import Bank

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
WITH_FILES = [path for path in WORKFLOWS if tiny_files.needs_files(json.loads(path.read_text(encoding="utf-8")))]
FRAMES, SHOTS = 9, 2
BANK, REMEMBER = "SceneMemoryBank", "SceneMemoryRememberPictures"
SHOT, FILM, OPTIONS = "SceneMemoryShotGenerator", "SceneMemoryStoryFilm", "SceneMemoryWanOptions"
LOOK_BACK = (
    "Wan 2.1 text to video",
    "Wan 2.2 text to video",
    "Wan 2.2 image to video",
    "Wan 2.2 TI2V-5B",
    "Wan 2.1 image to video",
    "Wan 2.1 VACE",
    "Echo-Memory",
    "LTX video",
    "MiniMax H3",
)
REFUSE = [f"{name}, turn and return" for name in ("Wan 2.1 text to video", "Wan 2.2 TI2V-5B", "Wan 2.1 VACE")]
REFUSE += ["Wan 2.2 Fun Camera, along a path", "StoryMem, a story in shots"]
OTHER_FAMILY = "wan2.1_fun_control_1.3B_bf16.safetensors"


def test_there_are_workflows() -> None:
    assert {path.stem for path in WORKFLOWS} >= {
        "A minute in one take",
        "Three shots, one room",
        "What changed stays changed",
        "A place that was photographed",
        "Wan 2.1 VACE, known pixels",
        "Extend any video",
        *(f"{name}, turn and return" for name in LOOK_BACK),
        *(f"{name} Fun Camera, along a path" for name in ("Wan 2.1", "Wan 2.2")),
        "Wan 2.2 text to video in 4 steps",
        "Phantom, one subject in two shots",
        "StoryMem, a story in shots",
        "Memento, a story in shots",
    }


LOADERS = (
    "UNETLoader",
    "CheckpointLoaderSimple",
    "VAELoader",
    "CLIPLoader",
    "CLIPVisionLoader",
    "SceneMemoryLoadStoryLora",
    "LoraLoaderModelOnly",
)


@pytest.mark.parametrize("path", WITH_FILES, ids=lambda path: path.stem)
def test_a_note_names_every_file_its_folder_and_the_memory_to_expect(path: Path) -> None:
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
    note = next(node["widgets_values"][0] for node in nodes if node["type"] == "MarkdownNote")
    loaded = {node["widgets_values"][0] for node in nodes if node["type"] in LOADERS}
    rows = {row.split("|")[1].strip(): row.split("|")[2:5] for row in note.splitlines() if ".safetensors |" in row}
    assert set(rows) == loaded
    assert all(cell.strip() for row in rows.values() for cell in row), "folder, size, and where it comes from"
    assert "VRAM to expect" in note and "not measured with this pack" in note
    picture = path.with_suffix(".jpg").read_bytes()
    assert picture[:2] == b"\xff\xd8" and len(picture) < 125_000


def filmed_moves(prompt: dict[str, Any]) -> int:
    """How many camera moves the shots of a workflow follow."""
    waiting = [made["inputs"]["trajectory"][0] for made in prompt.values() if made["class_type"] == SHOT]
    moves = set(waiting)
    while waiting:
        before = prompt[waiting.pop()]["inputs"].get("before")
        if before is not None:
            moves.add(before[0])
            waiting.append(before[0])
    return len(moves)


@pytest.fixture(autouse=True)
def host(comfy: Path) -> None:
    """Tiny models are made by the host's own classes."""


def prompt_of(server: HostServer, path: Path) -> dict[str, Any]:
    """The prompt of a workflow at reduced length, what it loads being there."""
    workflow = json.loads(path.read_text(encoding="utf-8"))
    tiny_files.lay_out(workflow, server.base)
    prompt = to_prompt(workflow, server.client.object_info())
    if tiny_files.needs_files(workflow):
        prompt = tiny_files.reduced(prompt, tiny_files.shot_frames(workflow))
    for made in prompt.values():
        if made["class_type"] == "SceneMemoryCameraTrajectory":
            made["inputs"]["frames"] = tiny_files.shot_frames(workflow)
        if made["class_type"] == "SceneMemoryBank":
            made["inputs"]["name"] = f"reduced {path.stem}"
    return prompt


@pytest.fixture
def its_server(request: pytest.FixtureRequest, path: Path) -> HostServer:
    """The server for a workflow: some need one that can load their text encoder in a small size."""
    small = path.stem.startswith(("LTX video", "MiniMax H3"))
    found: HostServer = request.getfixturevalue("tiny_loaders" if small else "server")
    return found


@pytest.mark.server
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_and_saves_its_film(its_server: HostServer, path: Path) -> None:
    server = its_server
    prompt = prompt_of(server, path)
    run = server.client.queue(prompt)
    assert run.ok, run.error
    assert any(file["filename"].endswith(".mp4") for out in run.outputs.values() for file in out.get("images", []))
    state = Bank.open(server.output / "scene_memory", f"reduced {path.stem}").load()
    kinds = [made["class_type"] for made in prompt.values()]
    frames = tiny_files.shot_frames(json.loads(path.read_text(encoding="utf-8")))
    begun = sum("start_image" in made["inputs"] for made in prompt.values() if made["class_type"] == BANK)
    begun += frames * kinds.count(REMEMBER)
    assert state.frames == begun + frames * (filmed_moves(prompt) + SHOTS * kinds.count(FILM))
    if path in WITH_FILES:
        pictures = state.read_frames(range(begun, state.frames)).astype(np.float64)
        assert np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2, 3)).min() > 0.5, "no frame comes twice"
    looked_back = [bool(record.info["context"]) for record in state.segments if "context" in record.info]
    assert len(looked_back) > 1 and all(looked_back[1:])
    assert server.client.queue(prompt).executed == []


def loads(prompt: dict[str, Any], kind: str) -> dict[str, Any]:
    """The inputs of the first loader of a kind."""
    inputs: dict[str, Any] = next(made["inputs"] for made in prompt.values() if made["class_type"] == kind)
    return inputs


@pytest.mark.parametrize(
    ("workflow", "kind", "field", "folder"),
    [
        ("Wan 2.2 text to video, turn and return", "UNETLoader", "unet_name", "models/diffusion_models"),
        ("Wan 2.2 text to video, turn and return", "VAELoader", "vae_name", "models/vae"),
        ("Wan 2.2 text to video, turn and return", "CLIPLoader", "clip_name", "models/text_encoders"),
        ("Wan 2.1 Fun Camera, along a path", "CLIPVisionLoader", "clip_name", "models/clip_vision"),
        ("Echo-Memory, turn and return", OPTIONS, "camera_layers", "models/diffusion_models"),
        ("StoryMem, a story in shots", "SceneMemoryLoadStoryLora", "lora", "models/loras"),
        ("LTX video, turn and return", "CheckpointLoaderSimple", "ckpt_name", "models/checkpoints"),
    ],
)
def test_a_file_that_is_missing_is_named_before_anything_runs(
    server: HostServer, workflow: str, kind: str, field: str, folder: str
) -> None:
    path = ROOT / "workflows" / f"{workflow}.json"
    saved = json.loads(path.read_text(encoding="utf-8"))
    tiny_files.lay_out(saved, server.base)
    prompt = to_prompt(saved, server.client.object_info())
    name = loads(prompt, kind)[field]
    file = server.base / folder / name
    away = file.with_suffix(".away")
    file.rename(away)
    try:
        with pytest.raises(PromptRejected) as refused:
            server.client.queue(prompt)
    finally:
        away.rename(file)
    told = {error["class_type"]: error["errors"] for error in refused.value.node_errors.values()}
    assert any(error["type"] == "value_not_in_list" and name in error["details"] for error in told[kind])
    assert any(error["details"].startswith(field) for error in told[kind])


def refusal(server: HostServer, prompt: dict[str, Any]) -> str:
    """What the artist reads, in the node that refuses."""
    error = server.client.queue(prompt).error
    assert error is not None and error["node_type"].startswith("SceneMemory"), error
    return str(error["exception_message"])


@pytest.mark.parametrize("name", REFUSE)
def test_a_model_or_vae_of_another_family_is_refused_by_name_with_what_to_do(server: HostServer, name: str) -> None:
    path = ROOT / "workflows" / f"{name}.json"
    make = tiny_wan.maker(server.base / "models")
    prompt = prompt_of(server, path)
    loads(prompt, "UNETLoader")["unet_name"] = make(OTHER_FAMILY)
    if any(made["class_type"] == OPTIONS for made in prompt.values()):
        expected = "WAN21 with 48 channels. Leave this node out, or load one of those"
    else:
        expected = "(WAN21 with 48 channels) yet. Load one that it serves"
    assert expected in refusal(server, prompt)
    prompt = prompt_of(server, path)
    vae = loads(prompt, "VAELoader")
    right, wrong = vae["vae_name"], next(file for file in tiny_wan.VAES if file != vae["vae_name"])
    vae["vae_name"] = make(wrong)
    assert f"Load {right} in Load VAE" in refusal(server, prompt)


def test_the_low_noise_model_of_another_family_is_refused(server: HostServer) -> None:
    prompt = prompt_of(server, ROOT / "workflows" / "Wan 2.2 text to video, turn and return.json")
    low = prompt[
        next(made for made in prompt.values() if made["class_type"] == OPTIONS)["inputs"]["low_noise_model"][0]
    ]
    loader = prompt[low["inputs"]["model"][0]]
    loader["inputs"]["unet_name"] = tiny_wan.maker(server.base / "models")("wan2.2_ti2v_5B_fp16.safetensors")
    assert "a pair must be of one family. Load the low noise file that goes with" in refusal(server, prompt)


def test_a_lora_or_camera_layers_of_another_family_are_refused(server: HostServer) -> None:
    prompt = prompt_of(server, ROOT / "workflows" / "StoryMem, a story in shots.json")
    other = {
        "lora_unet_down_blocks_0.lora_A.weight": torch.zeros(4, 8),
        "lora_unet_down_blocks_0.lora_B.weight": torch.zeros(8, 4),
    }
    save_file(other, server.base / "models" / "loras" / "of_another_family.safetensors")
    loads(prompt, "SceneMemoryLoadStoryLora")["lora"] = "of_another_family.safetensors"
    said = refusal(server, prompt)
    assert "Nothing in of_another_family.safetensors fits this model. Use it on Wan 2.2 A14B" in said
    prompt = prompt_of(server, ROOT / "workflows" / "Echo-Memory, turn and return.json")
    name = tiny_wan.maker(server.base / "models")("wan2.1_t2v_1.3B_fp16.safetensors")
    loads(prompt, OPTIONS)["camera_layers"] = name
    said = refusal(server, prompt)
    assert f"{name} has no camera layers" in said and "context_k1/epoch-0.safetensors" in said


def test_what_changed_stays_changed_with_the_editor_and_falls_back_without_it(server: HostServer) -> None:
    """In the third shot the model sees only frames of the second, the changed one; else frames of the first as well."""
    path = ROOT / "workflows" / "What changed stays changed.json"
    workflow = json.loads(path.read_text(encoding="utf-8"))
    first_shot = set(range(1, 1 + FRAMES))
    for mode, name in ((0, "changed"), (4, "bypassed")):
        for made in workflow["nodes"]:
            if made["type"] == "SceneMemoryEditor":
                made["mode"] = mode
        prompt = to_prompt(workflow, server.client.object_info())
        for made in prompt.values():
            if made["class_type"] == "SceneMemoryCameraTrajectory":
                made["inputs"]["frames"] = FRAMES
            if made["class_type"] == "SceneMemoryBank":
                made["inputs"]["name"] = name
            if made["class_type"] == "SceneMemoryEditor":
                made["inputs"]["frames"] = "shot 2"
        run = server.client.queue(prompt)
        assert run.ok, run.error
        state = Bank.open(server.output / "scene_memory", name).load()
        assert bool(state.edits) == (mode == 0)
        seen = {index for record in list(state.segments)[-2:] for index in record.info["context"]}
        assert bool(seen & first_shot) == (mode == 4)
