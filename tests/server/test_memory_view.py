"""Memory View in the real server: an animatic without a model, and known pixels for the stock nodes as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from dev.support import tiny_wan
from dev.support.server import HostServer

SIDE, FRAMES, PHOTOGRAPHS = 64, 9, 12
VACE, FUN = "wan2.1_vace_1.3B_fp16.safetensors", "wan2.1_i2v_480p_14B_fp16.safetensors"


def viewed(kit: Any, name: str, with_depth: bool = True, **given: Any) -> dict[str, Any]:
    """A room photographed all around, and a path aside as the memory knows it; no model is loaded."""
    prompt: dict[str, Any] = {name: made for name, made in kit.place(name).items() if name in ("scene", "bank")}
    del prompt["bank"]["inputs"]["start_image"]
    prompt["around"] = kit.camera(None, "look around", PHOTOGRAPHS, 330.0)
    prompt["around"]["inputs"]["aspect"] = 1.0
    prompt["scene"]["inputs"].update(width=SIDE, height=SIDE, trajectory=["around", 0])
    prompt["remember"] = kit.node(
        "SceneMemoryRememberPictures", memory=["bank", 0], trajectory=["around", 0], images=["scene", 0]
    )
    if with_depth:
        deep = {"depth": ["scene", 2], "depth_kind": "white is far (linear)", "depth_scale": 20.0}
        prompt["remember"]["inputs"].update(deep)
    prompt["aside"] = kit.camera(None, "truck", FRAMES, 0.5)
    prompt["aside"]["inputs"]["aspect"] = 1.0
    prompt["fov"] = kit.retriever(k=5, strategy="coverage")
    prompt["view"] = kit.node(
        "SceneMemoryView", memory=["remember", 0], trajectory=["aside", 0], retriever=["fov", 0],
        **{"segment_frames": 4, "width": 0, "height": 0, "fill": "grey", "grow": 0, "depth_edges": 0, **given},
    )  # fmt: skip
    prompt["saved"] = kit.node("SaveImage", images=["view", 0], filename_prefix=f"view {name}")
    prompt["masks"] = kit.node("MaskToImage", mask=["view", 1])
    prompt["saved masks"] = kit.node("SaveImage", images=["masks", 0], filename_prefix=f"mask {name}")
    prompt["saved depth"] = kit.node("SaveImage", images=["view", 2], filename_prefix=f"depth {name}")
    prompt["curve"] = kit.node("PreviewImage", images=["view", 4])
    prompt["words"] = kit.node("PreviewAny", source=["view", 5])
    return prompt


def saved(server: HostServer, run: Any, node: str) -> np.ndarray:
    folder = server.output
    return np.stack([cv2.imread(str(folder / file["filename"]))[..., ::-1] for file in run.outputs[node]["images"]])


def test_a_path_is_shown_with_its_mask_depth_and_how_much_is_known(server: HostServer, kit: Any) -> None:
    prompt = viewed(kit, "animatic")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    images, masks, depth = (saved(server, run, node) for node in ("saved", "saved masks", "saved depth"))
    assert len(images) == len(masks) == len(depth) == FRAMES
    unknown = masks[..., 0] > 127
    assert 0.0 < unknown.mean() < 0.3 and np.isin(images[unknown], (127, 128)).all()
    assert (depth[unknown] == 0).all() and depth[~unknown].min() > 0 and depth.max() == 255
    shares = [float(share) for share in run.outputs["words"]["text"][0].split(",")]
    assert np.allclose(shares, 1 - unknown.mean(axis=(1, 2)), atol=2e-3)
    (curve,) = run.outputs["curve"]["images"]
    assert cv2.imread(str(server.base / "temp" / curve["filename"])).shape[1] == 960
    assert server.client.queue(prompt).executed == []


def test_without_depth_the_node_says_that_frames_are_only_turned(server: HostServer, kit: Any) -> None:
    run = server.client.queue(viewed(kit, "no depth", with_depth=False))
    assert run.ok, run.error
    texts = [data["text"] for _, kind, data in run.events if kind == "text" and data["node"] == "view"]
    assert any("No depth is remembered: frames are only turned" in text for text in texts)
    shares = [float(share) for share in run.outputs["words"]["text"][0].split(",")]
    assert shares[0] > 0.9 and shares[-1] == 0.0


def test_an_empty_memory_is_refused_in_words(server: HostServer, kit: Any) -> None:
    prompt = viewed(kit, "nothing yet")
    prompt["view"]["inputs"]["memory"] = ["bank", 0]
    error = server.client.queue(prompt).error
    assert error is not None and "The memory is empty" in error["exception_message"]


@pytest.mark.parametrize("model", [VACE, FUN])
def test_the_stock_nodes_take_it_as_it_is(server: HostServer, kit: Any, comfy: Any, model: str) -> None:
    """What is known goes into the model, and another memory makes another film."""
    make: Callable[[str], str] = tiny_wan.maker(server.base / "models")
    prompt = viewed(kit, f"for {model[:10]}")
    prompt["load"] = kit.node("SceneMemoryLoadWorldModel", weights="bundled")
    prompt["text"] = kit.node("CLIPTextEncode", clip=["load", 1], text="a room")
    prompt["wan"] = kit.node("UNETLoader", unet_name=make(model), weight_dtype="default")
    prompt["vae"] = kit.node("VAELoader", vae_name=make("wan_2.1_vae.safetensors"))
    shared = {"positive": ["text", 0], "negative": ["text", 0], "vae": ["vae", 0], "width": SIDE, "height": SIDE,
              "length": FRAMES, "batch_size": 1}  # fmt: skip
    if model == VACE:
        prompt["control"] = kit.node(
            "WanVaceToVideo", **shared, strength=1.0, control_video=["view", 0], control_masks=["view", 1]
        )
    else:
        prompt["last"] = kit.node("ImageFromBatch", image=["view", 0], batch_index=FRAMES - 1, length=1)
        prompt["first"] = kit.node("ImageFromBatch", image=["view", 0], batch_index=0, length=1)
        prompt["control"] = kit.node(
            "WanFunInpaintToVideo", **shared, start_image=["first", 0], end_image=["last", 0]
        )
    prompt["sampled"] = kit.node(
        "KSampler", model=["wan", 0], seed=1, steps=2, cfg=1.0, sampler_name="euler", scheduler="simple", denoise=1.0,
        positive=["control", 0], negative=["control", 1], latent_image=["control", 2],
    )  # fmt: skip
    prompt["decoded"] = kit.node("VAEDecode", samples=["sampled", 0], vae=["vae", 0])
    prompt["film"] = kit.node("SaveImage", images=["decoded", 0], filename_prefix=f"filmed {model[:10]}")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    film = saved(server, run, "film")
    assert len(film) == FRAMES and film.std() > 1
    other = server.client.queue(kit.changed(prompt, "scene", seed=11))
    assert other.ok and not np.array_equal(saved(server, other, "film"), film)
