"""Bad input to the nodes that edit and carry memories: the error names the field, the value and the cure."""

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
    """What a node says when it fails."""
    run = server.client.queue(prompt)
    assert run.error is not None, "the prompt ran"
    assert run.error["node_id"] == node
    return str(run.error["exception_message"])


@pytest.fixture(autouse=True)
def the_server_lives_on(server: HostServer, kit: Any) -> Any:
    yield
    assert server.client.queue(kit.film("alive", frames=3)).ok


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
