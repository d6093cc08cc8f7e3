"""`dev.py demo`: the workflow "A minute in one take" through a real server, with memory and without."""

from __future__ import annotations

import argparse
import copy
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .checks import has_gpu
from .console import LINE, SetupError, bar, say
from .measure import measure_bank, video_seconds
from .paths import DEMO, ROOT
from .support.client import PromptRejected, Run
from .support.server import HostServer
from .support.workflow_api import to_prompt

Json = dict[str, Any]
Prompt = dict[str, Json]
WORKFLOW = ROOT / "workflows" / "A minute in one take.json"
BANK, SHOT = "SceneMemoryBank", "SceneMemoryShotGenerator"
BANKS = "scene_memory"
TIMEOUT_S = 3600


class ProgressBar:
    """Turns the server's events into one line that moves."""

    def __init__(self, prompt: Prompt) -> None:
        self._titles = {node: made["class_type"] for node, made in prompt.items()}
        self._shown = 0.0
        self._tenths = -1
        self._started = time.monotonic()
        self._live = sys.stdout.isatty()

    def __call__(self, kind: str, data: Json) -> None:
        if kind != "progress" or not data.get("max"):
            return
        share, now = data["value"] / data["max"], time.monotonic()
        title = self._titles.get(str(data.get("node")).split(".")[0], "")
        line = f"{bar(share)} {share:4.0%}  {now - self._started:4.0f} s  {title}"
        if self._live and (now - self._shown > 0.2 or share == 1):
            self._shown = now
            sys.stdout.write("\r" + line.ljust(LINE))
            sys.stdout.flush()
        elif not self._live and int(share * 10) != self._tenths:
            self._tenths = int(share * 10)
            say(line)

    def end(self) -> None:
        if self._live and self._shown:
            say("")


def with_bank(prompt: Prompt, name: str) -> Prompt:
    """The same prompt, writing to the bank `name`."""
    changed = copy.deepcopy(prompt)
    for node in changed.values():
        if node["class_type"] == BANK:
            node["inputs"]["name"] = name
    return changed


def without_memory(prompt: Prompt) -> Prompt:
    """The same prompt with no retriever at any Shot Generator: each segment sees only the newest frames."""
    changed = copy.deepcopy(prompt)
    for node in changed.values():
        if node["class_type"] == SHOT:
            node["inputs"].pop("retriever", None)
        if "filename_prefix" in node["inputs"]:
            node["inputs"]["filename_prefix"] = f"{node['inputs']['filename_prefix']} without memory"
    return changed


def generate(server: HostServer, prompt: Prompt) -> Run:
    """Runs a prompt with a progress bar.

    Raises:
        SetupError: the server refused it, or a node failed; the sentence names the node and the reason.
    """
    progress = ProgressBar(prompt)
    try:
        run = server.client.queue(prompt, timeout=TIMEOUT_S, on_event=progress)
    except PromptRejected as refused:
        raise SetupError(f"The server refused the workflow: {refused}") from None
    finally:
        progress.end()
    if run.error is not None:
        raise SetupError(f"{run.error.get('node_type')} failed: {run.error.get('exception_message', '').strip()}")
    if run.interrupted:
        raise SetupError("Somebody stopped the generation.")
    return run


def saved_video(run: Run, server: HostServer) -> Path:
    """The video file that a run saved."""
    files: list[Path] = [
        server.output / file.get("subfolder", "") / file["filename"]
        for output in run.outputs.values()
        for group in output.values()
        for file in (group if isinstance(group, list) else [])
        if isinstance(file, Mapping) and str(file.get("filename", "")).endswith(".mp4") and file.get("type") == "output"
    ]
    if not files:
        raise SetupError("The workflow ended without saving an MP4.")
    return files[-1]


def make_demo(server: HostServer, setup_s: float) -> Json:
    """Generates the film twice, prints what came out, and returns the figures."""
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    prompt = to_prompt(workflow, server.client.object_info())
    shutil.rmtree(server.output / BANKS, ignore_errors=True)

    say("Generating the film with memory ...")
    run = generate(server, with_bank(prompt, "demo"))
    peak = server.peak_rss_mb()
    video = saved_video(run, server)
    film = measure_bank(server.output / BANKS, "demo")
    shots = sum(run.node_seconds(node) for node in run.executed if prompt.get(node, {}).get("class_type") == SHOT)

    say("Generating it again at the same seeds with memory off ...")
    other_run = generate(server, with_bank(without_memory(prompt), "demo without memory"))
    other = measure_bank(server.output / BANKS, "demo without memory")

    figures = {
        "video_s": round(video_seconds(video), 2),
        "setup_s": round(setup_s, 1),
        "generation_s": round(run.seconds, 1),
        "segment_s": round(shots / film.segments, 2),
        "segments": film.segments,
        "frames": film.frames,
        "peak_rss_mb": round(peak),
        "revisit_psnr_memory": round(film.revisit_psnr, 2),
        "revisit_psnr_off": round(other.revisit_psnr, 2),
        "revisit_gain": round(film.revisit_psnr - other.revisit_psnr, 2),
        "motion": round(film.motion, 4),
    }
    say(
        f"""
Video             {figures["video_s"]} s, {film.frames} frames in {film.segments} segments
File              {video}
Without memory    {saved_video(other_run, server)}
Set-up            {figures["setup_s"]} s
Generation        {figures["generation_s"]} s, {figures["segment_s"]} s per segment
Peak RAM          {figures["peak_rss_mb"]} MB (server)
Revisit PSNR      {figures["revisit_psnr_memory"]} dB with memory, {figures["revisit_psnr_off"]} dB with memory off: \
{figures["revisit_gain"]:+} dB over {film.revisits} pairs of frames at one pose
Motion            {figures["motion"]} mean difference between frames (0 to 1)"""
    )
    return figures


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("dev.py demo")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--setup-seconds", type=float, default=0.0)
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    say("Starting ComfyUI ...")
    try:
        with HostServer(Path(sys.executable), Path(os.environ["COMFYUI_PATH"]), base=DEMO, cpu=not has_gpu()) as server:
            figures = make_demo(server, arguments.setup_seconds + time.monotonic() - started)
    except SetupError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"figures": figures}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
