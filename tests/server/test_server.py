"""The real server with this pack in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dev.paths import ROOT
from dev.support.client import PromptRejected
from dev.support.server import HostServer


def image_prompt(seed: int, prefix: str) -> dict[str, object]:
    """A stock prompt: a plain image in the colour `seed`, inverted, saved."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": seed}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": prefix}},
    }


def test_the_server_runs_a_prompt_and_saves_its_image(server: HostServer) -> None:
    seen: list[str] = []
    run = server.client.queue(image_prompt(1, "plain"), on_event=lambda kind, data: seen.append(kind))
    assert run.ok and run.executed == ["1", "2", "3"]
    assert "execution_start" in seen and "execution_success" in seen
    (image,) = run.outputs["3"]["images"]
    assert (server.output / image["filename"]).is_file()


def test_a_prompt_that_changes_at_its_end_reuses_its_beginning(server: HostServer) -> None:
    server.client.queue(image_prompt(2, "first"))
    run = server.client.queue(image_prompt(2, "second"))
    assert run.cached == {"1", "2"} and run.executed == ["3"]


def test_a_prompt_that_does_not_validate_is_refused_and_the_server_lives_on(server: HostServer) -> None:
    wrong = image_prompt(3, "wrong")
    wrong["2"] = {"class_type": "ImageInvert", "inputs": {}}
    with pytest.raises(PromptRejected) as refused:
        server.client.queue(wrong)
    assert refused.value.node_errors["2"]["errors"][0]["type"] == "required_input_missing"
    assert server.client.queue(image_prompt(3, "right")).ok


def test_a_node_that_fails_is_reported_and_the_server_lives_on(server: HostServer) -> None:
    prompt = image_prompt(4, "gone")
    prompt["1"] = {"class_type": "LoadImage", "inputs": {"image": "no picture.png"}}
    (server.base / "input").mkdir(exist_ok=True)
    (server.base / "input" / "no picture.png").write_bytes(b"not a picture")
    run = server.client.queue(prompt)
    assert run.error is not None and run.error["node_id"] == "1"
    assert server.client.queue(image_prompt(4, "back")).ok


def test_the_server_restarts_with_its_files_where_they_were(server: HostServer) -> None:
    before = server.client.queue(image_prompt(5, "kept")).outputs["3"]["images"][0]["filename"]
    server.restart()
    assert (server.output / before).is_file()
    assert server.client.queue(image_prompt(5, "kept")).executed == ["1", "2", "3"]
    assert server.peak_rss_mb() > 100


SERVING = """
import sys
from pathlib import Path
from dev.support.server import HostServer
with HostServer(Path(sys.executable), Path(sys.argv[1]), base=Path(sys.argv[2])) as server:
    print(server.pid, flush=True)
    server.wait()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a process could answer")
@pytest.mark.parametrize("early", [False, True], ids=["while it serves", "while it starts"])
def test_a_sigterm_ends_the_comfyui_that_was_started(comfyui: Path, tmp_path: Path, early: bool) -> None:
    command = [sys.executable, "-c", SERVING, str(comfyui), str(tmp_path)]
    serving = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert serving.stdout is not None
    if early:
        log = tmp_path / "comfyui.log"
        while not (log.is_file() and log.stat().st_size):
            time.sleep(0.05)
    else:
        assert int(serving.stdout.readline())
    started = [child.pid for child in psutil.Process(serving.pid).children(recursive=True)]
    assert started
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(60) != 0
    assert not any(psutil.pid_exists(pid) for pid in started)
