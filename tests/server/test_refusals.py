"""Bad input: the error names the field, the value and the cure, and the server lives on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dev.support.client import PromptRejected
from dev.support.server import HostServer


def rejection(server: HostServer, prompt: dict[str, Any]) -> str:
    """What the server says of a prompt that does not validate."""
    with pytest.raises(PromptRejected) as refused:
        server.client.queue(prompt)
    return json.dumps(refused.value.node_errors)


def failure(server: HostServer, prompt: dict[str, Any], node: str) -> str:
    """What a node says when it fails; the server must run another prompt after it."""
    run = server.client.queue(prompt)
    assert run.error is not None, "the prompt ran"
    assert run.error["node_id"] == node
    return str(run.error["exception_message"])


@pytest.fixture(autouse=True)
def the_server_lives_on(server: HostServer, kit: Any) -> Any:
    yield
    assert server.client.queue(kit.film("alive", frames=3)).ok


def test_k_of_zero(server: HostServer, kit: Any) -> None:
    """The widget does not offer it, and over a wire the node says it in full where the artist looks first."""
    prompt = kit.film("k of zero")
    assert "smaller than min of 1" in rejection(server, kit.changed(prompt, "fov", k=0))
    wired = kit.changed(prompt, "fov", k=["zero", 0])
    wired["zero"] = kit.node("PrimitiveInt", value=0)
    assert "k is 0: retrieval needs at least 1 frame. Use 20" in failure(server, wired, "fov")


def test_a_camera_path_without_frames(server: HostServer, kit: Any) -> None:
    said = rejection(server, kit.changed(kit.film("no frames"), "camera", frames=0))
    assert "frames" in said and "0" in said and "min" in said


@pytest.mark.parametrize("name", ["../outside", "a/b", "C:\\film", "..", "con", "", "x" * 65])
def test_a_bank_name_that_is_no_name(server: HostServer, kit: Any, name: str) -> None:
    said = rejection(server, kit.changed(kit.film("fine"), "bank", name=name))
    assert "bank name" in said
    assert not (server.output.parent / "outside").exists()


def test_a_bank_to_continue_that_is_not_there(server: HostServer, kit: Any) -> None:
    said = failure(server, kit.changed(kit.film("never made"), "bank", mode="continue"), "bank")
    assert "There is no memory bank 'never made'" in said and "Choose one" in said


def test_a_shot_of_another_size_than_the_memory(server: HostServer, kit: Any) -> None:
    said = failure(server, kit.film("other size", width=48, height=48), "shot")
    assert "48x48" in said and "96x60" in said and "Use 0" in said


def test_a_size_the_model_cannot_make(server: HostServer, kit: Any) -> None:
    prompt = kit.changed(kit.film("odd size"), "bank", width=100, height=64)
    said = failure(server, prompt, "shot")
    assert "100x64" in said and "multiples of 12" in said and "Use 96x60" in said


def test_a_camera_path_at_another_rate_than_the_memory(server: HostServer, kit: Any) -> None:
    prompt = kit.film("other rate")
    prompt["camera"] = kit.camera(None)
    prompt["camera"]["inputs"]["fps"] = 24.0
    said = failure(server, prompt, "shot")
    assert "24" in said and "8" in said and "fps" in said


def test_a_segment_longer_than_the_model_makes(server: HostServer, kit: Any) -> None:
    said = failure(server, kit.film("long segment", frames=100, segment_frames=99), "shot")
    assert "segment_frames is 99" in said and "Use 0" in said


def test_guidance_without_a_negative_prompt(server: HostServer, kit: Any) -> None:
    said = failure(server, kit.film("no negative", cfg=3.0), "shot")
    assert "cfg is 3" in said and "negative" in said and "use cfg 1" in said


def test_a_latent_of_a_size_the_model_cannot_paint(server: HostServer, kit: Any) -> None:
    prompt = kit.place("odd latent")
    prompt["empty"] = kit.node("EmptyLatentImage", width=104, height=64, batch_size=1)
    settings = {"seed": 3, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
    conditions = {"positive": ["text", 0], "negative": ["text", 0], "latent_image": ["empty", 0]}
    prompt["sampled"] = kit.node("KSampler", model=["load", 0], **settings, **conditions)
    prompt["latent"] = kit.node("SaveLatent", samples=["sampled", 0], filename_prefix="odd")
    said = failure(server, prompt, "sampled")
    assert "multiples of 12" in said and "Use 96 x 60" in said


def test_weights_that_are_missing_damaged_or_of_another_model(server: HostServer, kit: Any) -> None:
    said = rejection(server, kit.changed(kit.film("no weights"), "load", weights="gone.safetensors"))
    assert "gone.safetensors" in said
    folder = server.base / "models" / "scene_memory"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "broken.safetensors").write_bytes(b"\xff" * 64)
    header = json.dumps({"__metadata__": {"format": "pt"}}).encode()
    (folder / "other.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    for name, word in (("broken.safetensors", "damaged"), ("other.safetensors", "format")):
        prompt = kit.changed(kit.film(f"weights {name}"), "load", weights=name)
        said = failure(server, prompt, "load")
        assert name in said and word in said and "train the weights" in said


def test_an_empty_memory_has_no_video(server: HostServer, kit: Any) -> None:
    prompt = kit.place("empty film")
    del prompt["bank"]["inputs"]["start_image"]
    prompt["video"] = kit.save(["bank", 0], "empty film")
    assert "The memory is empty" in failure(server, prompt, "video")


def test_a_video_cannot_be_saved_outside_the_output_folder(server: HostServer, kit: Any) -> None:
    said = rejection(server, kit.changed(kit.film("escape"), "video", filename_prefix="../../escape"))
    assert "'../../escape', which leads out of the output folder" in said
    assert not list(server.base.parent.glob("escape*"))


def edit(kit: Any, **inputs: Any) -> dict[str, Any]:
    settings = {"action": "pin", "frames": "0", "strength": 1.0, **inputs}
    prompt = kit.place("refused edits")
    prompt["edit"] = kit.node("SceneMemoryEditor", memory=["bank", 0], **settings)
    return prompt


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"frames": "0-5"}, ['frames says "0-5"', "has 1 frames", "up to 0"]),
        ({"frames": ""}, ["frames is empty", "last 8"]),
        ({"frames": "the table"}, ['frames says "the table"', "24-40"]),
        ({"frames": "shot 7"}, ['frames says "shot 7"', "It has shots 0"]),
        ({"action": "superseded", "outdated": "0"}, ['outdated is "0"', "frame 0 is also among frames 0"]),
    ],
)
def test_frames_that_are_not_there(server: HostServer, kit: Any, inputs: dict[str, Any], said: list[str]) -> None:
    message = failure(server, edit(kit, **inputs), "edit")
    assert all(words in message for words in said), message


def test_an_action_and_a_strength_that_do_not_exist(server: HostServer, kit: Any) -> None:
    assert "paint" in rejection(server, edit(kit, action="paint"))
    said = rejection(server, edit(kit, action="strength", strength=11.0))
    assert "strength" in said and "11" in said and "max" in said


def test_nothing_can_be_edited_shown_or_saved_of_an_empty_memory(server: HostServer, kit: Any) -> None:
    prompt = edit(kit)
    del prompt["bank"]["inputs"]["start_image"]
    assert "the memory is empty" in failure(server, prompt, "edit")
    prompt["edit"] = kit.node("SceneMemorySave", memory=["bank", 0], filename_prefix="memory/nothing")
    assert "memory is empty" in failure(server, prompt, "edit")
    prompt["edit"] = kit.node("SceneMemoryInfo", memory=["bank", 0], thumbnails=4)
    assert server.client.queue(prompt).ok, "Memory Info says in its picture that nothing is remembered"


@pytest.mark.parametrize("file", ["none", "gone.scenememory.zip", "../../secret.scenememory.zip", "/etc/passwd"])
def test_a_memory_file_that_is_not_there_or_not_ours_to_read(server: HostServer, kit: Any, file: str) -> None:
    for prompt in (
        {"load": kit.node("SceneMemoryLoad", file=file, name="x"), "v": kit.save(["load", 0], "x")},
        kit.changed(kit.film("no file"), "bank", mode="import", file=file),
    ):
        said = rejection(server, prompt)
        assert f"file is '{file}'" in said and "Save Memory" in said and "input folder" in said


def test_a_file_that_is_not_chosen_does_not_matter_to_a_new_memory(server: HostServer, kit: Any) -> None:
    assert server.client.queue(kit.changed(kit.film("no import", frames=3), "bank", file="gone.scenememory.zip")).ok


def test_a_damaged_memory_file_is_named_and_leaves_no_bank(server: HostServer, kit: Any) -> None:
    folder = server.base / "input"
    folder.mkdir(exist_ok=True)
    (folder / "broken.scenememory.zip").write_bytes(b"PK\x03\x04 and then nothing" * 40)
    prompt = {"load": kit.node("SceneMemoryLoad", file="broken.scenememory.zip", name="")}
    prompt["video"] = kit.save(["load", 0], "broken")
    assert "broken.scenememory.zip" in failure(server, prompt, "load")
    assert not (server.output / "scene_memory" / "broken").exists()


def test_a_name_that_another_bank_has(server: HostServer, kit: Any) -> None:
    prompt = kit.film("taken", frames=3)
    prompt["save"] = kit.node("SceneMemorySave", memory=["shot", 0], filename_prefix="memory/taken")
    prompt["file"] = kit.node("PreviewAny", source=["save", 1])
    file = server.client.queue(prompt).outputs["file"]["text"][0]
    assert server.client.queue(kit.film("somebody else", frames=3, seed=9)).ok
    loading = {"load": kit.node("SceneMemoryLoad", file=file, name="somebody else")}
    loading["video"] = kit.save(["load", 0], "taken")
    said = failure(server, loading, "load")
    assert "'somebody else'" in said and "another name" in said
    loading["load"]["inputs"]["name"] = "../up"
    assert "bank name" in rejection(server, loading)


def test_an_earlier_memory_that_the_bank_does_not_have(server: HostServer, kit: Any) -> None:
    assert server.client.queue(kit.film("no earlier", frames=3)).ok
    prompt = kit.changed(kit.film("no earlier", frames=3), "bank", mode="continue", earlier="ffffffffffff")
    said = failure(server, prompt, "bank")
    assert "earlier is 'ffffffffffff'" in said and "Memory Info" in said


def test_a_memory_cannot_be_saved_outside_the_output_folder(server: HostServer, kit: Any) -> None:
    prompt = kit.film("escaping", frames=3)
    prompt["save"] = kit.node("SceneMemorySave", memory=["shot", 0], filename_prefix="../../escape")
    del prompt["video"]
    with pytest.raises(PromptRejected, match="which leads out of the output folder"):
        server.client.queue(prompt)
