"""How much longer a prompt takes to be accepted where the output folder holds 120,000 pictures."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dev.support.server import HostServer

FILES, FOLDERS, ROUNDS = 120_000, 60, 15


def figures() -> dict[str, float]:
    """The median time of POST /prompt over two real servers, asked in turn: the output folder of one is empty, that of
    the other holds 120,000 pictures in 60 folders. One more is saved there before each prompt, as every run does.

    Returns:
        prompt_ms_120k_files: milliseconds with these files, and prompt_ratio_120k_files: how many times longer than
        with the empty folder. longest_wait_ms_120k_files: the longest that another request waited, while all lists of
        files were asked for and prompts came in.
    """
    with (
        tempfile.TemporaryDirectory(prefix="many files") as place,
        served(Path(place) / "empty", 0) as empty,
        served(Path(place) / "full", FILES) as full,
    ):
        times: dict[str, list[float]] = {"empty": [], "full": []}
        for number in range(-2, ROUNDS):
            for name, (server, graph) in (("empty", empty), ("full", full)):
                (server.output / f"saved {number}.png").touch()
                taken = accepted(server, graph)
                if number >= 0:
                    times[name].append(taken)
        server, graph = full
        with asking(server) as waits:
            for number in range(3):
                (server.output / f"shown {number}.png").touch()
                server.client.object_info("SceneMemoryLoadTrajectory")
                accepted(server, graph)
    median = {name: 1000 * statistics.median(values) for name, values in times.items()}
    return {
        "prompt_ratio_120k_files": round(median["full"] / median["empty"], 3),
        "prompt_ms_120k_files": round(median["full"], 2),
        "longest_wait_ms_120k_files": round(1000 * max(waits), 1),
    }


@contextmanager
def served(base: Path, pictures: int) -> Iterator[tuple[HostServer, dict[str, Any]]]:
    """A server of its own with so many pictures in its output folder, and a prompt that loads a file of each kind."""
    (base / "input").mkdir(parents=True)
    (base / "input" / "way.txt").write_text("".join(f"{t} {t} 0 0 0 0 0 1\n" for t in range(9)))
    for number in range(pictures):
        folder = base / "output" / f"film {number % FOLDERS}"
        if number < FOLDERS:
            folder.mkdir(parents=True)
        (folder / f"picture_{number:06}_.png").touch()
    with HostServer(Path(sys.executable), Path(os.environ["COMFYUI_PATH"]), base=base) as server:
        yield server, prompt(saved_memory(server))


def saved_memory(server: HostServer) -> str:
    """The name of a file that Save Memory has just written."""
    graph = {
        "scene": node("SceneMemoryWorldScene", place="room", seed=7, width=96, height=60, fov=70.0),
        "bank": node("SceneMemoryBank", name="film", mode="new", fov=70.0, fps=8.0, width=0, height=0,
                     start_image=["scene", 0]),
        "save": node("SceneMemorySave", memory=["bank", 0], filename_prefix="memory/film"),
        "name": node("PreviewAny", source=["save", 1]),
    }  # fmt: skip
    return str(server.client.queue(graph).outputs["name"]["text"][0])


def prompt(memory: str) -> dict[str, Any]:
    """Load Trajectory, Load Memory and Load Story."""
    path = node("SceneMemoryLoadTrajectory", file="way.txt", layout="auto", begins="as it is", scale=1.0, first_frame=0,
                frames=0, fps=8.0, fov=0.0, aspect=0.0, camera="")  # fmt: skip
    return {
        "path": path,
        "memory": node("SceneMemoryLoad", file=memory, name=""),
        "story": node("SceneMemoryLoadStory", file="The lighthouse [bundled]"),
        "frames": node("PreviewAny", source=["path", 1]),
        "info": node("SceneMemoryInfo", memory=["memory", 0]),
        "shots": node("PreviewAny", source=["story", 1]),
    }


def accepted(server: HostServer, graph: dict[str, Any]) -> float:
    """Seconds until the server has taken a prompt in; returns when it has also run."""
    begun = time.perf_counter()
    number = server.client.submit(graph)
    taken = time.perf_counter() - begun
    while server.client.history(number) is None:
        time.sleep(0.01)
    return taken


@contextmanager
def asking(server: HostServer) -> Iterator[list[float]]:
    """Asks the server for its queue again and again, and notes how long each answer took, in seconds."""
    over, waits = threading.Event(), [0.0]

    def ask() -> None:
        while not over.is_set():
            begun = time.perf_counter()
            server.client.request("/queue")
            waits.append(time.perf_counter() - begun)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


if __name__ == "__main__":
    print(json.dumps(figures(), indent=1))
