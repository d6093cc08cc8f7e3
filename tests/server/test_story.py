"""Stories in the real server: Story Film with tiny Wan 2.2 models, keyframes, another take, what is refused."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dev.support import tiny_wan
from dev.support.client import PromptRejected
from dev.support.server import LOCAL, HostServer
from scene_memory.memory.bank.bank import Bank

Prompt = dict[str, dict[str, Any]]
OpenBank = Callable[[str], Bank]
HIGH, LOW = (f"wan2.2_i2v_{kind}_noise_14B_fp8_scaled.safetensors" for kind in ("high", "low"))
SIDE, FRAMES = 64, 9
STORY = {
    "story_name": "Sea",
    "story_overview": "Of the sea.",
    "reconstruct_target": "a fisherman",
    "scenes": [
        {"scene_num": 1, "video_prompts": ["A harbour.", "A boat leaves."], "cut": [True, False]},
        {"scene_num": 2, "video_prompts": ["A house."], "cut": [True]},
    ],
}


@pytest.fixture
def graph(server: HostServer, comfy: Path, kit: Any) -> Callable[..., Prompt]:
    make = tiny_wan.maker(server.base / "models")

    def build(bank: str, story: dict[str, Any] = STORY, start: bool = True, **options: Any) -> Prompt:
        folder = server.base / "input"
        folder.mkdir(exist_ok=True)
        (folder / f"{bank}.json").write_text(json.dumps(story), encoding="utf-8")
        lora = options.pop("lora", "")
        world = kit.place(bank)
        prompt: Prompt = {name: world[name] for name in ("load", "scene", "bank")}
        prompt["bank"]["inputs"].update(fps=16.0, width=SIDE, height=SIDE)
        if not start:
            del prompt["bank"]["inputs"]["start_image"]
        film = {name: options.pop(name) for name in ("takes", "last_shot", "seed") if name in options}
        given = {"method": "StoryMem", "known_frames": "1 picture (MI2V)", "spacing": 1, "subject": "", **options}
        nodes = {
            "story": ("SceneMemoryLoadStory", {"file": f"{bank}.json"}),
            "high": ("UNETLoader", {"unet_name": make(HIGH), "weight_dtype": "default"}),
            "low": ("UNETLoader", {"unet_name": make(LOW), "weight_dtype": "default"}),
            "vae": ("VAELoader", {"vae_name": make("wan_2.1_vae.safetensors")}),
            "pair": (
                "SceneMemoryWanOptions",
                {"model": ["high", 0], "low_noise_model": ["low", 0], "boundary": 0.6, "context_time": "auto",
                 "context_position": "auto", "blank_negative": False, "camera_scale": 1.0},
            ),
            "model": ("SceneMemoryStoryOptions", {"model": ["pair", 0], "clip": ["load", 1], **given}),
            "other": ("CLIPTextEncode", {"clip": ["load", 1], "text": "dull"}),
            "euler": ("KSamplerSelect", {"sampler_name": "euler"}),
            "levels": (
                "BasicScheduler", {"model": ["high", 0], "scheduler": "simple", "steps": 2, "denoise": 1.0},
            ),
            "film": (
                "SceneMemoryStoryFilm",
                {"story": ["story", 0], "model": ["model", 0], "clip": ["load", 1], "vae": ["vae", 0],
                 "memory": ["bank", 0], "sampler": ["euler", 0], "sigmas": ["levels", 0], "negative": ["other", 0],
                 "seed": 3, "takes": "", "cfg": 2.0, "frames": FRAMES, "last_shot": 0, "keep": 4, "fixed": 1,
                 "width": 0, "height": 0, **film},
            ),
        }  # fmt: skip
        prompt |= {name: kit.node(kind, **inputs) for name, (kind, inputs) in nodes.items()}
        if not start:
            prompt["film"]["inputs"].update(width=SIDE, height=SIDE)
        if lora:
            prompt["lora"] = kit.node("SceneMemoryLoadStoryLora", model=["high", 0], lora=lora, strength=1.0)
            prompt["pair"]["inputs"]["model"] = ["lora", 0]
        prompt["video"] = kit.save(["film", 0], bank)
        return prompt

    return build


def shots_of(bank: Bank) -> dict[int, np.ndarray]:
    state = bank.load()
    pictures, shots = state.read_frames(range(state.frames)), state.shot_ids
    return {int(shot): pictures[shots == shot] for shot in np.unique(shots)}


@pytest.mark.parametrize(("method", "known"), [("StoryMem", 1), ("StoryMem", 5), ("Memento", 1)])
def test_a_story_is_filmed_shot_by_shot(
    server: HostServer, graph: Any, open_bank: OpenBank, method: str, known: int
) -> None:
    name = f"story {method} {known}"
    chosen = "1 picture (MI2V)" if known == 1 else "5 pictures (MM2V)"
    prompt = graph(name, method=method, known_frames=chosen, subject="a fisherman" if method == "Memento" else "")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank(name).load()
    shots = shots_of(open_bank(name))
    assert [len(shot) for shot in shots.values()] == [1, FRAMES, FRAMES - known, FRAMES]
    assert all(shot.std() > 5 for shot in shots.values())
    notes = [segment.info["context"] for segment in state.segments if "context" in segment.info]
    assert notes[0] == [0] and all(0 in seen and len(seen) > 1 for seen in notes[1:]), "the reference stays"
    pinned = state.pinned_frames().tolist()
    assert pinned[0] == 0 and 1 < len(pinned) <= 4 and max(pinned) < 1 + 2 * FRAMES - known


WRITTEN = """# Sea
## Subjects
- Mara: a girl with a red coat
## A harbour
Rain
### Shot
camera: pan left 30
length: 13 frames
Mara waits. She looks at the sea.
### Shot
cut: no
length: 0.5 s
seed: 99
A boat leaves.
"""


def test_a_story_that_was_written_in_the_node_is_filmed_as_it_says(
    server: HostServer, graph: Any, kit: Any, open_bank: OpenBank
) -> None:
    prompt = graph("story written", start=False)
    prompt["story"] = kit.node("SceneMemoryStory", text=WRITTEN, prompts="subjects described")
    prompt["list"] = kit.node("PreviewAny", source=["story", 3])
    prompt["json"] = kit.node("PreviewAny", source=["story", 4])
    run = server.client.queue(prompt)
    assert run.ok, run.error
    assert "Sea: 2 shots" in run.texts("story")[-1] and "Shot 1: 'she': a model does not know" in run.texts("story")[-1]
    assert run.outputs["list"]["text"][0] == (
        "1. scene 1, cut: Mara (a girl with a red coat) waits. She looks at the sea. Rain\n"
        "2. scene 1, goes on: A boat leaves. Rain"
    )
    assert json.loads(run.outputs["json"]["text"][0])["scenes"][0]["length"] == ["13 frames", "0.5 s"]
    state = open_bank("story written").load()
    shots = shots_of(open_bank("story written"))
    assert [len(shot) for shot in shots.values()] == [13, 8]
    turned = state.poses[0, :3, :3].T @ state.poses[12, :3, :3]
    assert np.degrees(np.arctan2(turned[0, 2], turned[2, 2])) == pytest.approx(-30.0, abs=1e-6)
    assert np.array_equal(state.poses[12:], np.repeat(state.poses[12:13], 9, axis=0)), "the prompt moves the camera"
    assert [segment.info["seed"] for segment in state.segments][-1] == 99


def test_a_story_that_makes_no_sense_is_refused_before_anything_runs(server: HostServer, graph: Any, kit: Any) -> None:
    prompt = graph("story wrong", start=False)
    prompt["story"] = kit.node("SceneMemoryStory", text="# T\n## S\n### Shot\ncamera: fly\nx", prompts="as written")
    with pytest.raises(PromptRejected) as refused:
        server.client.queue(prompt)
    assert "line 4: camera: 'fly' is no camera move" in json.dumps(refused.value.node_errors)


def check(server: HostServer, body: bytes) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(f"{server.url}/scene_memory/story/check", data=body)
    try:
        with LOCAL.open(request, timeout=60) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def test_a_text_is_checked_while_it_is_written(server: HostServer) -> None:
    status, said = check(server, json.dumps({"text": WRITTEN}).encode())
    assert status == 200 and said["shots"] == 2 and not said["problem"]
    assert [(one["shot"], one["line"]) for one in said["remarks"]] == [(1, 6)]
    status, said = check(server, json.dumps({"text": "# T\n## S\n### Shot\nseed: x\ny"}).encode())
    assert status == 200 and said["shots"] == 0 and "line 4: seed" in said["problem"]
    deep = json.dumps({"text": "[" * 60_000}).encode()
    assert check(server, deep)[1]["problem"]
    for body, wrong, words in [
        (b"{", 400, "no JSON"), (b"[]", 400, "Send the story"), (b'{"text": 3}', 400, "Send the story"),
        (b'{"text": "' + b"x" * 70_000 + b'"}', 413, "The story takes more than 65536 bytes"),
    ]:  # fmt: skip
        status, said = check(server, body)
        assert status == wrong and words in said["error"]


def test_another_take_of_a_shot_leaves_the_shots_before_and_comes_back_from_the_bank(
    server: HostServer, graph: Any, open_bank: OpenBank
) -> None:
    name = "story takes"
    assert (run := server.client.queue(graph(name, start=False))).ok, run.error
    first = shots_of(open_bank(name))
    assert (run := server.client.queue(graph(name, start=False, takes="2"))).ok, run.error
    second = shots_of(open_bank(name))
    assert [len(shot) for shot in second.values()] == [FRAMES, FRAMES - 1, FRAMES]
    same = [np.array_equal(first[number], second[number]) for number in first]
    assert same == [True, False, False], "what comes after sees the new take"
    assert (run := server.client.queue(graph(name, start=False))).ok, run.error
    third = shots_of(open_bank(name))
    assert all(np.array_equal(first[number], third[number]) for number in first)


def test_the_first_shot_by_another_model_and_cfg_on_cuts(
    server: HostServer, graph: Any, kit: Any, open_bank: OpenBank
) -> None:
    """Shot 1 as the authors film it, by text to video; a cfg of their own for cuts, not for the shot that goes on."""
    plain, name = "story one model", "story first shot"
    assert (run := server.client.queue(graph(plain, start=False))).ok, run.error
    prompt = graph(name, start=False)
    make = tiny_wan.maker(server.base / "models")
    prompt["first"] = kit.node(
        "UNETLoader", unet_name=make("wan2.1_t2v_1.3B_fp16.safetensors"), weight_dtype="default"
    )
    prompt["first levels"] = kit.node(
        "BasicScheduler", model=["first", 0], scheduler="simple", steps=3, denoise=1.0
    )
    prompt["film"]["inputs"].update(
        first_shot_model=["first", 0], first_shot_sigmas=["first levels", 0], cfg_on_cuts=5.0
    )
    assert (run := server.client.queue(prompt)).ok, run.error
    notes = [segment.info for segment in open_bank(name).load().segments]
    assert [note["cfg"] for note in notes] == [2.0, 2.0, 5.0]
    assert [len(note["sigmas"]) for note in notes] == [4, 3, 3]
    one, two = shots_of(open_bank(plain)), shots_of(open_bank(name))
    assert one[0].shape == two[0].shape and not np.array_equal(one[0], two[0])


def test_keyframe_query_is_taken_where_the_model_has_it(server: HostServer, graph: Any, open_bank: OpenBank) -> None:
    prompt = graph("story either", start=False)
    prompt["film"]["inputs"]["keyframes"] = "KeyframeQuery if the model has it"
    assert (run := server.client.queue(prompt)).ok, run.error
    likeness = graph("story likeness", start=False)
    assert (run := server.client.queue(likeness)).ok, run.error
    found = [open_bank(name).load().pinned_frames().tolist() for name in ("story either", "story likeness")]
    assert found[0] == found[1], "this model has none, so it is likeness"


def test_a_lora_as_pytorch_saved_it_is_read_as_plain_numbers(
    server: HostServer, graph: Any, open_bank: OpenBank
) -> None:
    folder = server.base / "models" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    random = torch.Generator().manual_seed(1)
    layer = "high_noise_model.base_model.model.blocks.0.self_attn.q.lora_"
    shapes = {"A": (4, tiny_wan.DIM), "B": (tiny_wan.DIM, 4)}
    weights = {f"{layer}{part}.default.weight": torch.randn(shape, generator=random) for part, shape in shapes.items()}
    torch.save({"trainable_state_dict": weights, "step": 3}, folder / "backbone_high_noise.pth")
    torch.save({"model": Path("a program")}, folder / "program.pth")
    films = []
    for lora in ("", "backbone_high_noise.pth"):
        name = f"story pth {bool(lora)}"
        assert (run := server.client.queue(graph(name, last_shot=1, start=False, lora=lora))).ok, run.error
        films.append(shots_of(open_bank(name))[0])
    assert not np.array_equal(*films)
    refused = server.client.queue(graph("story pth no", last_shot=1, start=False, lora="program.pth"))
    assert "program.pth cannot be read" in str(refused.error)


def test_a_lora_as_its_authors_saved_it_changes_the_film(server: HostServer, graph: Any, open_bank: OpenBank) -> None:
    random = torch.Generator().manual_seed(1)
    folder = server.base / "models" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    layer = "base_model.model.blocks.0.self_attn.q.lora_"
    shapes = {"A": (4, tiny_wan.DIM), "B": (tiny_wan.DIM, 4)}
    weights = {f"{layer}{part}.weight": torch.randn(shape, generator=random) for part, shape in shapes.items()}
    save_file(weights, folder / "story_high.safetensors")
    save_file({"blocks.0.ffn.0.weight": torch.zeros(2, 2)}, folder / "story_other.safetensors")
    films = []
    for lora in ("", "story_high.safetensors"):
        name = f"story lora {bool(lora)}"
        assert (run := server.client.queue(graph(name, last_shot=1, start=False, lora=lora))).ok, run.error
        shots = shots_of(open_bank(name))
        assert list(shots) == [0], "no more than last_shot"
        films.append(shots[0])
    assert films[0].shape == films[1].shape and not np.array_equal(*films)
    refused = server.client.queue(graph("story lora no", last_shot=1, start=False, lora="story_other.safetensors"))
    assert "holds no LoRA" in str(refused.error)


def test_what_is_refused(server: HostServer, graph: Any) -> None:
    prompt = graph("story refused", story={"scenes": [{"video_prompts": ["a", ""]}]}, start=False)
    assert "prompt 2 is empty" in str(server.client.queue(prompt).error)
    prompt = graph("story refused", takes="two", start=False)
    with pytest.raises(PromptRejected, match="'two' is no shot"):
        server.client.queue(prompt)
    prompt = graph("story refused", start=False)
    prompt["film"]["inputs"]["fixed"] = 4
    assert "fixed is 4 and keep 4" in str(server.client.queue(prompt).error)
    prompt = graph("story refused", start=False)
    prompt["story"]["inputs"]["file"] = "../secret.json"
    with pytest.raises(PromptRejected, match="choose a story"):
        server.client.queue(prompt)
    prompt = graph("story refused", start=False)
    prompt["pair"]["inputs"].pop("low_noise_model")
    name = tiny_wan.maker(server.base / "models")("wan2.1_t2v_1.3B_fp16.safetensors")
    prompt["high"]["inputs"]["unet_name"] = name
    assert "takes Wan 2.2 image to video A14B" in str(server.client.queue(prompt).error)
