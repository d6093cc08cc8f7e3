"""What workflows load that does not come with the pack: tiny stand-ins with the public names, in a server's folders."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from . import tiny_h3, tiny_ltx, tiny_wan

EMPTY = {"CLIPLoader": "text_encoders", "CLIPVisionLoader": "clip_vision"}
"""Loaders whose files can be chosen here but not loaded, and their folders: the host knows one size of each."""

H3 = (tiny_h3.MODEL, tiny_h3.REFERENCES, tiny_h3.VAE, tiny_h3.TEXT)
LTX = (tiny_ltx.CHECKPOINT, tiny_ltx.TEXT)
H3_PROMPT = "SceneMemoryMinimaxPrompt"
TEXT_ENCODERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "wan": ("SceneMemoryLoadWorldModel", {"weights": "bundled"}, 1),
    "minimax": ("LoadTinyH3", {}, 1),
    "ltxv": ("LoadTinyT5", {}, 0),
}
"""What stands in for Load CLIP of each type: a node, its inputs, and which of its outputs is the CLIP."""


def needs_files(workflow: Mapping[str, Any]) -> bool:
    """Whether a workflow loads models that do not come with the pack."""
    return any(node["type"] in ("UNETLoader", "CheckpointLoaderSimple") for node in workflow["nodes"])


def lay_out(workflow: Mapping[str, Any], base: Path) -> None:
    """Puts what a workflow loads into a server's folders, under its public names: tiny models, a first picture, a clip.

    Text encoder and CLIP vision are empty files (of Wan) or small: they can be chosen, not loaded.
    """
    models = base / "models"
    for node in workflow["nodes"]:
        name = (node.get("widgets_values") or [""])[0]
        if name in H3:
            tiny_h3.make(models)
        elif name in LTX:
            tiny_ltx.make(models)
        elif node["type"] in ("UNETLoader", "VAELoader"):
            tiny_wan.maker(models)(name)
        elif node["type"] == "SceneMemoryLoadStoryLora":
            tiny_wan.make_lora(models / "loras", name)
        elif node["type"] == "LoraLoaderModelOnly":
            tiny_wan.make_lora(models / "loras", name, front="diffusion_model.")
        elif node["type"] in EMPTY:
            path = models / EMPTY[node["type"]] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        elif node["type"] == "LoadImage":
            path = base / "input" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file():
                picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
                cv2.imwrite(str(path), cv2.GaussianBlur(picture, (9, 9), 4))
        elif node["type"] == "LoadVideo":
            path = base / "input" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file():
                write_clip(path, shot_frames(workflow))


def write_clip(path: Path, frames: int) -> None:
    """A video of so many frames of 128 x 96, along which a camera pans over a wall of spots."""
    spots = np.random.default_rng(0).integers(0, 256, (24, 64, 3), dtype=np.uint8)
    wall = np.asarray(cv2.resize(spots, (256, 96), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=16, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(frames):
            picture = np.ascontiguousarray(wall[:, 3 * number : 3 * number + 128])
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))


def shot_frames(workflow: Mapping[str, Any]) -> int:
    """Pictures of a shot that is as short as can be and yet of two segments, the second from the newest picture."""
    kinds = {node["type"] for node in workflow["nodes"]}
    if H3_PROMPT in kinds:
        return 2 * 22 - 1
    return 17 if "CheckpointLoaderSimple" in kinds else 9


def reduced(prompt: dict[str, dict[str, Any]], frames: int, side: int = 64) -> dict[str, dict[str, Any]]:
    """A prompt for tiny models: small pictures, two steps, short shots of short segments, no more than two of a story.

    Where a big text encoder is loaded stands, for Wan, the world model's CLIP; for LTX video and MiniMax H3 a node for
    tests that loads theirs in a small size, H3's VAE too. CLIP vision, which is optional, is left out.
    """
    small = copy.deepcopy(prompt)
    h3 = any(node["class_type"] == H3_PROMPT for node in small.values())
    clips = {name: node["inputs"]["type"] for name, node in small.items() if node["class_type"] == "CLIPLoader"}
    eyes = [name for name, node in small.items() if node["class_type"] == "CLIPVisionLoader"]
    for name in eyes:
        del small[name]
    for name, node in small.items():
        if name in clips:
            kind, inputs, _ = TEXT_ENCODERS[clips[name]]
            node.update(class_type=kind, inputs=dict(inputs))
        elif h3 and node["class_type"] == "VAELoader":
            node.update(class_type="LoadTinyH3", inputs={})
        smaller = _small(side, frames).get(node["class_type"], {})
        node["inputs"].update({key: value for key, value in smaller.items() if key in node["inputs"]})
        if node["inputs"].get("switch_step"):
            node["inputs"]["switch_step"] = 1
        for key, value in list(node["inputs"].items()):
            if isinstance(value, list) and value[0] in clips:
                node["inputs"][key] = [value[0], TEXT_ENCODERS[clips[value[0]]][2]]
            elif isinstance(value, list) and value[0] in eyes:
                del node["inputs"][key]
    return small


def _small(side: int, frames: int) -> dict[str, dict[str, Any]]:
    """Which inputs of which node are made smaller, and to what."""
    return {
        "SceneMemoryBank": {"width": side, "height": side},
        "SceneMemoryRememberPictures": {"width": side, "height": side},
        "SceneMemoryWorldScene": {"width": side, "height": side},
        "SceneMemoryMocSampler": {"steps": 2},
        "BasicScheduler": {"steps": 2},
        "LTXVScheduler": {"steps": 2},
        "SceneMemoryCameraTrajectory": {"frames": frames, "aspect": 1.0},
        "SceneMemoryStoryCamera": {"frames": frames, "aspect": 1.0},
        "SceneMemoryStoryFilm": {"frames": frames, "last_shot": 2, "width": side, "height": side},
        "SceneMemoryShotGenerator": {"width": side, "height": side, "segment_frames": frames // 2 + 1},
    }
