"""A ComfyUI whose functions are others than those known here: the pack loads, says so in one line, and what would fail
is refused when it is queued, by name. The other nodes work on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.support.client import PromptRejected
from dev.support.server import HostServer

CHANGED = '''
import latent_preview

def get_previewer(latent_format, device, method):
    return None

latent_preview.get_previewer = get_previewer
'''


@pytest.fixture(scope="module")
def newer(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostServer]:
    """A server in which the function that Shot Generator takes previews from has one more input."""
    base = tmp_path_factory.mktemp("newer comfyui")
    other = base / "custom_nodes" / "newer_host"
    other.mkdir(parents=True)
    (other / "prestartup_script.py").write_text(CHANGED, encoding="utf-8")
    (other / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n", encoding="utf-8")
    server = HostServer(Path(sys.executable), comfyui, base=base)
    # The last option of the command is the list of custom nodes that are loaded.
    server._command.append(other.name)
    with server:
        yield server


def test_a_film_is_refused_in_the_queue_and_the_log_says_it_in_one_line(newer: HostServer, kit: Any) -> None:
    lines = [line for line in newer.log_text().splitlines() if "get_previewer" in line]
    assert len(lines) == 1 and "It stops: ShotGenerator, StoryFilm." in lines[0]
    assert "Update SceneMemory" in lines[0] and "Traceback" not in newer.log_text()
    with pytest.raises(PromptRejected) as refused:
        newer.client.queue(kit.film("newer host", frames=3))
    (error,) = refused.value.node_errors["shot"]["errors"]
    assert "get_previewer is another" in error["details"] and "latent_format, device, method" in error["details"]
    assert set(refused.value.node_errors) == {"shot"}
    assert not (newer.output / "scene_memory" / "newer host").exists(), "nothing ran"


def test_what_does_not_use_it_works_on(newer: HostServer, kit: Any) -> None:
    prompt = kit.place("without a film")
    prompt["camera"] = kit.camera(["bank", 0])
    prompt["see"] = kit.node("SceneMemoryPreviewTrajectory", trajectory=["camera", 0])
    run = newer.client.queue(prompt)
    assert run.ok, run.error
