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
