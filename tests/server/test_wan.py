"""Wan models in the real server: without memory what the stock nodes make, bit for bit; with it a film that goes on.

The models are tiny, their weights random, their names those of the public files; the stock loaders load them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from dev.support import tiny_wan
from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank

OpenBank = Callable[[str], Bank]
Prompt = dict[str, dict[str, Any]]
T2V, I2V = "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.1_i2v_480p_14B_fp16.safetensors"
TI2V, A14B = "wan2.2_ti2v_5B_fp16.safetensors", "wan2.2_{}_{}_noise_14B_fp8_scaled.safetensors"
VACE, INPAINT = "wan2.1_vace_1.3B_fp16.safetensors", "wan2.1_fun_inp_1.3B_bf16.safetensors"
SAMPLER = {"cfg": 2.0, "sampler_name": "euler", "scheduler": "simple"}
STEPS, SIDE, FRAMES, SEED = 3, 64, 9, 4
SHOWN = (1, 4, FRAMES - 1)
"""Frames that are compared with the stock nodes'."""


@pytest.fixture
def make(server: HostServer, comfy: Path) -> Callable[[str], str]:
    return tiny_wan.maker(server.base / "models")


def noise_seed(first_frame: int) -> int:
    from scene_memory.film.continuity import segment_seed

    return segment_seed(SEED, first_frame)


class Graph:
    """A prompt with a Wan, its VAE, a prompt pair, sampling settings, and a memory that may begin with a picture."""

    def __init__(self, kit: Any, make: Callable[[str], str], model: str, bank: str, start: bool = False) -> None:
        self.kit = kit
        vae = make("wan2.2_vae.safetensors" if model == TI2V else "wan_2.1_vae.safetensors")
        world = kit.place(bank)
        self.prompt: Prompt = {name: world[name] for name in ("load", "scene", "text", "bank")}
        self.prompt["bank"]["inputs"]["fps"] = 16.0
        if start:
            self.add("picture", "ImageScale", image=["scene", 0], upscale_method="bilinear", crop="center", **size())
            self.prompt["bank"]["inputs"]["start_image"] = ["picture", 0]
        else:
            del self.prompt["bank"]["inputs"]["start_image"]
        self.add("other", "CLIPTextEncode", clip=["load", 1], text="a dim landscape")
        self.add("wan", "UNETLoader", unet_name=make(model), weight_dtype="default")
        self.add("vae", "VAELoader", vae_name=vae)
        self.add("euler", "KSamplerSelect", sampler_name="euler")
        self.add("levels", "BasicScheduler", model=["wan", 0], scheduler="simple", steps=STEPS, denoise=1.0)
        self.moves = 0

    def add(self, name: str, kind: str, /, **inputs: Any) -> list[Any]:
        self.prompt[name] = self.kit.node(kind, **inputs)
        return [name, 0]

    def camera(self, memory: list[Any] | None, frames: int, move: str = "pan") -> list[Any]:
        self.moves += 1
        name = f"camera {self.moves}"
        self.prompt[name] = self.kit.camera(memory, move, frames, 30.0)
        self.prompt[name]["inputs"].update(fps=16.0, aspect=1.0)
        return [name, 0]

    def shot(self, frames: int, start: bool = False, model: list[Any] | None = None, **changed: Any) -> None:
        given: dict[str, Any] = {
            "model": model or ["wan", 0],
            "vae": ["vae", 0],
            "negative": ["other", 0],
            "sampler": ["euler", 0],
            "sigmas": ["levels", 0],
            "cfg": 2.0,
            "segment_frames": FRAMES,
            **({} if start else size()),
            **changed,
        }
        camera = self.camera(["bank", 0], frames)
        self.prompt["shot"] = self.kit.shot(["bank", 0], camera, SEED, **given)
        self.prompt["video"] = self.kit.save(["shot", 0], "wan")

    def stock(self, positive: list[Any], negative: list[Any], latent: list[Any], first_frame: int) -> None:
        """The stock sampler, and its pictures in a memory of their own."""
        sampled = self.add(
            "sampled", "KSampler", model=["wan", 0], seed=noise_seed(first_frame), steps=STEPS, denoise=1.0, **SAMPLER,
            positive=positive, negative=negative, latent_image=latent,
        )  # fmt: skip
        self.keep_stock(sampled)

    def keep_stock(self, sampled: list[Any]) -> None:
        self.add("decoded", "VAEDecode", samples=sampled, vae=["vae", 0])
        for number in SHOWN:
            picture = self.add(f"stock {number}", "ImageFromBatch", image=["decoded", 0], batch_index=number, length=1)
            inputs = {**self.prompt["bank"]["inputs"], "start_image": picture}
            inputs["name"] = f"stock {number} of {self.prompt['bank']['inputs']['name']}"
            self.add(f"stock bank {number}", "SceneMemoryBank", **inputs)
            self.prompt[f"stock video {number}"] = self.kit.save([f"stock bank {number}", 0], f"stock {number}")


def size() -> dict[str, int]:
    return {"width": SIDE, "height": SIDE}


def pictures(bank: Bank) -> np.ndarray:
    state = bank.load()
    return state.read_frames(range(state.frames))


def stock_pictures(open_bank: OpenBank, bank: str) -> np.ndarray:
    """What the stock nodes made of the frames SHOWN."""
    return np.concatenate([pictures(open_bank(f"stock {number} of {bank}")) for number in SHOWN])


def test_text_to_video_without_memory_is_the_stock_sampler_s(
    server: HostServer, kit: Any, make: Any, open_bank: OpenBank
) -> None:
    graph = Graph(kit, make, T2V, "wan t2v")
    graph.shot(FRAMES)
    latent = graph.add("latent", "EmptyHunyuanLatentVideo", **size(), length=FRAMES, batch_size=1)
    graph.stock(["text", 0], ["other", 0], latent, 0)
    run = server.client.queue(graph.prompt)
    assert run.ok, run.error
    ours = pictures(open_bank("wan t2v"))
    assert ours.shape == (FRAMES, SIDE, SIDE, 3) and ours.std() > 5
    assert np.array_equal(ours[list(SHOWN)], stock_pictures(open_bank, "wan t2v"))


def started(kit: Any, make: Any, model: str, bank: str) -> Graph:
    """Begins with a picture, which is taken out of the memory for the stock nodes as well."""
    graph = Graph(kit, make, model, bank, start=True)
    graph.add("first", "SceneMemoryFrames", memory=["bank", 0], frames="all", at_most=1)
    return graph


@pytest.mark.parametrize("model", [I2V, A14B.format("i2v", "high")])
def test_image_to_video_goes_on_from_the_newest_picture_as_the_stock_nodes_do(
    server: HostServer, kit: Any, make: Any, open_bank: OpenBank, model: str
) -> None:
    graph = started(kit, make, model, f"wan i2v {model[:6]}")
    graph.shot(FRAMES - 1, start=True)
    graph.add(
        "i2v", "WanImageToVideo", positive=["text", 0], negative=["other", 0], vae=["vae", 0], start_image=["first", 0],
        **size(), length=FRAMES, batch_size=1,
    )  # fmt: skip
    graph.stock(["i2v", 0], ["i2v", 1], ["i2v", 2], 1)
    run = server.client.queue(graph.prompt)
    assert run.ok, run.error
    ours = pictures(open_bank(f"wan i2v {model[:6]}"))
    assert len(ours) == FRAMES and ours.std() > 5
    assert np.array_equal(ours[list(SHOWN)], stock_pictures(open_bank, f"wan i2v {model[:6]}"))


def test_ti2v_5b_keeps_the_newest_picture_as_the_stock_nodes_do(
    server: HostServer, kit: Any, make: Any, open_bank: OpenBank
) -> None:
    graph = started(kit, make, TI2V, "wan 5b")
    graph.shot(FRAMES - 1, start=True)
    latent = graph.add(
        "latent", "Wan22ImageToVideoLatent", vae=["vae", 0], start_image=["first", 0], **size(), length=FRAMES,
        batch_size=1,
    )  # fmt: skip
    graph.stock(["text", 0], ["other", 0], latent, 1)
    run = server.client.queue(graph.prompt)
    assert run.ok, run.error
    ours = pictures(open_bank("wan 5b"))
    assert len(ours) == FRAMES and ours.std() > 5
    assert np.array_equal(ours[list(SHOWN)], stock_pictures(open_bank, "wan 5b"))


@pytest.mark.parametrize("start", [False, True])
def test_vace_is_the_stock_graph_s_with_the_newest_frame_as_its_reference_and_first_frame(
    server: HostServer, kit: Any, make: Any, open_bank: OpenBank, start: bool
) -> None:
    name = f"wan vace {start}"
    graph = started(kit, make, VACE, name) if start else Graph(kit, make, VACE, name)
    graph.shot(FRAMES - start, start=start)
    given: dict[str, Any] = {}
    if start:
        mask = graph.add("mask", "SolidMask", value=0.0, **size())
        given = {"reference_image": ["first", 0], "control_video": ["first", 0], "control_masks": mask}
    graph.add(
        "vace", "WanVaceToVideo", positive=["text", 0], negative=["other", 0], vae=["vae", 0], **size(), length=FRAMES,
        batch_size=1, strength=1.0, **given,
    )  # fmt: skip
    graph.stock(["vace", 0], ["vace", 1], ["vace", 2], int(start))
    trimmed = graph.add("trimmed", "TrimVideoLatent", samples=["sampled", 0], trim_amount=["vace", 3])
    graph.prompt["decoded"]["inputs"]["samples"] = trimmed
    run = server.client.queue(graph.prompt)
    assert run.ok, run.error
    ours = pictures(open_bank(name))
    assert len(ours) == FRAMES and ours.std() > 5
    assert np.array_equal(ours[list(SHOWN)], stock_pictures(open_bank, name))


@pytest.mark.parametrize(("model", "node"), [(VACE, "WanVaceToVideo"), (INPAINT, "WanFunInpaintToVideo")])
def test_known_pixels_of_an_empty_memory_are_the_stock_graph_s(
    server: HostServer, kit: Any, make: Any, open_bank: OpenBank, model: str, node: str
) -> None:
    name = f"wan nothing known {node}"
    graph = Graph(kit, make, model, name)
    graph.shot(FRAMES, memory_enters_as="known pixels")
    more = {"strength": 1.0} if model == VACE else {}
    graph.add(
        "stock", node, positive=["text", 0], negative=["other", 0], vae=["vae", 0], **size(), length=FRAMES,
        batch_size=1, **more,
    )  # fmt: skip
    graph.stock(["stock", 0], ["stock", 1], ["stock", 2], 0)
    run = server.client.queue(graph.prompt)
    assert run.ok, run.error
    ours = pictures(open_bank(name))
    assert len(ours) == FRAMES and ours.std() > 5
    assert np.array_equal(ours[list(SHOWN)], stock_pictures(open_bank, name))


@pytest.mark.parametrize(
    ("model", "way"), [(VACE, "both"), (VACE, "known pixels"), (INPAINT, "known pixels"), (I2V, "Uni3C")]
)
def test_a_film_by_known_pixels_goes_on_and_is_found_again(
    server: HostServer, kit: Any, make: Any, open_bank: OpenBank, model: str, way: str
) -> None:
    name = f"wan {way} {model[7:12]}"
    graph = Graph(kit, make, model, name, start=True)
    graph.prompt["fov"] = kit.retriever(k=4)
    wired: dict[str, Any] = {"memory_enters_as": way}
    if way == "Uni3C":
        patch = graph.add("patch", "ModelPatchLoader", name=make(tiny_wan.UNI3C))
        guided = graph.add(
            "guided", "SceneMemoryWanOptions", model=["wan", 0], boundary=0.9, context_time="auto",
            context_position="auto", blank_negative=False, camera_scale=1.0, uni3c=patch, uni3c_strength=1.0,
        )  # fmt: skip
        wired = {"memory_enters_as": "known pixels", "model": guided}
    graph.shot(16, start=True, retriever=["fov", 0], **wired)
    run = server.client.queue(graph.prompt)
    assert run.ok, run.error
    state = open_bank(name).load()
    assert [record.frames for record in state.segments] == [1, 8, 8]
    for record in list(state.segments)[1:]:
        assert record.info["memory_enters_as"] == wired["memory_enters_as"] and record.info["known_share"] > 0.1
    plain = Graph(kit, make, model, f"{name} plain", start=True)
    plain.prompt["fov"] = kit.retriever(k=4)
    plain.shot(16, start=True, retriever=["fov", 0])
    assert server.client.queue(plain.prompt).ok
    assert not np.array_equal(pictures(open_bank(name)), pictures(open_bank(f"{name} plain")))
    assert server.client.queue(kit.changed(graph.prompt, "video", filename_prefix="tests/wan again")).ok
    assert open_bank(name).load().id == state.id


def test_known_pixels_are_refused_where_the_model_has_no_place_for_them(
    server: HostServer, kit: Any, make: Any
) -> None:
    graph = Graph(kit, make, T2V, "wan refused pixels")
    graph.shot(FRAMES, memory_enters_as="known pixels")
    said = refusal(server, graph.prompt)
    assert "memory_enters_as is known pixels" in said and "Use context frames" in said and "VACE" in said
    graph = Graph(kit, make, VACE, "wan refused hold")
    graph.shot(FRAMES, hold_known=True)
    assert "hold_known is on, but memory_enters_as is context frames" in refusal(server, graph.prompt)
    patch = graph.add("patch", "ModelPatchLoader", name=make(tiny_wan.UNI3C))
    graph.prompt["shot"]["inputs"]["model"] = graph.add(
        "guided", "SceneMemoryWanOptions", model=["wan", 0], boundary=0.9, context_time="auto",
        context_position="auto", blank_negative=False, camera_scale=1.0, uni3c=patch,
    )  # fmt: skip
    assert "uni3c is connected, but the model is Wan VACE" in refusal(server, graph.prompt, "guided")


def test_a_pair_is_what_two_advanced_samplers_make(
    server: HostServer, kit: Any, make: Any, open_bank: OpenBank
) -> None:
    graph = Graph(kit, make, A14B.format("t2v", "high"), "wan pair")
    low = graph.add("low", "UNETLoader", unet_name=make(A14B.format("t2v", "low")), weight_dtype="default")
    pair = graph.add(
        "pair", "SceneMemoryWanOptions", model=["wan", 0], low_noise_model=low, boundary=0.9, context_time="auto",
        context_position="auto", blank_negative=False, camera_scale=1.0,
    )  # fmt: skip
    graph.shot(FRAMES, model=pair)
    empty = graph.add("latent", "EmptyHunyuanLatentVideo", **size(), length=FRAMES, batch_size=1)
    shared = {**SAMPLER, "steps": STEPS, "noise_seed": noise_seed(0), "positive": ["text", 0], "negative": ["other", 0]}
    # Of three steps at shift 8 the levels are 1, 0.94 and 0.8: two lie above 0.9.
    high = graph.add(
        "first half", "KSamplerAdvanced", model=["wan", 0], add_noise="enable", start_at_step=0, end_at_step=2,
        return_with_leftover_noise="enable", latent_image=empty, **shared,
    )  # fmt: skip
    sampled = graph.add(
        "second half", "KSamplerAdvanced", model=low, add_noise="disable", start_at_step=2, end_at_step=1000,
        return_with_leftover_noise="disable", latent_image=high, **shared,
    )  # fmt: skip
    graph.keep_stock(sampled)
    run = server.client.queue(graph.prompt)
    assert run.ok, run.error
    assert np.array_equal(pictures(open_bank("wan pair"))[list(SHOWN)], stock_pictures(open_bank, "wan pair"))


@pytest.mark.parametrize(
    ("model", "start"),
    [(T2V, False), (TI2V, True), (VACE, True), ("wan2.2_fun_camera_high_noise_14B_fp8_scaled.safetensors", True)],
)
def test_a_film_looks_back_and_has_no_frame_twice(
    server: HostServer, kit: Any, make: Any, open_bank: OpenBank, model: str, start: bool
) -> None:
    name = f"wan film {model[:16]}"
    graph = Graph(kit, make, model, name, start=start)
    graph.prompt["fov"] = kit.retriever(k=4)
    graph.shot(20, start=start, retriever=["fov", 0])
    run = server.client.queue(graph.prompt)
    assert run.ok, run.error
    state = open_bank(name).load()
    assert [record.frames for record in state.segments] == ([1, 8, 8, 4] if start else [9, 8, 3])
    assert all(record.info["context"] for record in list(state.segments)[1:])
    frames = state.read_frames(range(state.frames)).astype(np.float64)
    assert np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3)).min() > 0.5
    # Anew from the same memory it is taken from the bank, every segment of it.
    assert server.client.queue(kit.changed(graph.prompt, "video", filename_prefix="tests/wan again")).ok
    assert open_bank(name).load().id == state.id


def test_what_a_shot_sees_changes_it_and_routing_leaves_some_of_it_out(
    server: HostServer, kit: Any, make: Any, open_bank: OpenBank
) -> None:
    ids = {}
    for name, k, top_k in (("few", 2, 0), ("many", 6, 0), ("routed", 6, 1), ("routed to all", 6, 100)):
        graph = Graph(kit, make, T2V, f"wan {name}")
        graph.prompt["fov"] = kit.retriever(k=k)
        model = ["wan", 0]
        if top_k:
            moc = kit.place("unused")["moc"]
            moc["inputs"].update(model=model, top_k=top_k, switch_on=1)
            graph.prompt["moc"] = moc
            model = ["moc", 0]
        graph.shot(33, model=model, retriever=["fov", 0])
        run = server.client.queue(graph.prompt)
        assert run.ok, run.error
        ids[name] = pictures(open_bank(f"wan {name}"))
    assert np.array_equal(ids["many"], ids["routed to all"])
    assert not np.array_equal(ids["many"], ids["few"]) and not np.array_equal(ids["many"], ids["routed"])
    assert np.array_equal(ids["many"][:FRAMES], ids["routed"][:FRAMES]), "the first segment had nothing to look at"


def test_lora_easycache_and_context_windows_work_beside_the_memory(
    server: HostServer, kit: Any, make: Any, open_bank: OpenBank
) -> None:
    import torch

    loras = server.base / "models" / "loras"
    loras.mkdir(parents=True, exist_ok=True)
    random = torch.Generator().manual_seed(1)
    weights = {}
    for block in (0, 1):
        for part in ("q", "k", "v", "o"):
            key = f"diffusion_model.blocks.{block}.self_attn.{part}"
            weights[f"{key}.lora_A.weight"] = torch.randn(4, tiny_wan.DIM, generator=random)
            weights[f"{key}.lora_B.weight"] = 0.2 * torch.randn(tiny_wan.DIM, 4, generator=random)
    save_file(weights, loras / "tiny_wan_lora.safetensors")
    windows = {"context_schedule": "standard_static", "context_stride": 1, "fuse_method": "pyramid"}
    windows |= {name: False for name in ("closed_loop", "freenoise", "retain_first_frame", "split_conds_to_windows")}
    beside: dict[str, tuple[str, dict[str, Any]] | None] = {
        "plain": None,
        "lora": ("LoraLoaderModelOnly", {"lora_name": "tiny_wan_lora.safetensors", "strength_model": 1.0}),
        "easycache": (
            "EasyCache",
            {"reuse_threshold": 0.0, "start_percent": 0.0, "end_percent": 1.0, "verbose": False},
        ),
        "windows": ("WanContextWindowsManual", {"context_length": 5, "context_overlap": 0, **windows}),
    }
    made = {}
    for name, patch in beside.items():
        graph = Graph(kit, make, T2V, f"wan {name}")
        graph.prompt["fov"] = kit.retriever(k=4)
        model = graph.add("patched", patch[0], model=["wan", 0], **patch[1]) if patch else ["wan", 0]
        graph.shot(17, model=model, retriever=["fov", 0])
        run = server.client.queue(graph.prompt)
        assert run.ok, (name, run.error)
        made[name] = pictures(open_bank(f"wan {name}"))
        assert made[name].shape == (17, SIDE, SIDE, 3)
    assert np.array_equal(made["plain"], made["easycache"]), "a threshold of 0 reuses nothing"
    assert not np.array_equal(made["plain"], made["lora"]) and not np.array_equal(made["plain"], made["windows"])


def refusal(server: HostServer, prompt: Prompt, node: str = "shot") -> str:
    run = server.client.queue(prompt)
    assert run.error is not None and run.error["node_id"] == node, json.dumps(run.error)
    return str(run.error["exception_message"])


def test_what_does_not_fit_is_refused_by_name_with_what_to_do(server: HostServer, kit: Any, make: Any) -> None:
    graph = Graph(kit, make, T2V, "wan refused")
    graph.shot(FRAMES)
    prompt = graph.prompt
    other = kit.changed(prompt, "wan", unet_name=make("wan2.1_fun_control_1.3B_bf16.safetensors"))
    said = refusal(server, other)
    assert "WAN21" in said and "48 channels" in said and "TI2V-5B" in said
    said = refusal(server, kit.changed(prompt, "vae", vae_name=make("wan2.2_vae.safetensors")))
    assert "48 channels" in said and "wan_2.1_vae.safetensors" in said
    said = refusal(server, kit.changed(prompt, "shot", segment_frames=8))
    assert "4n+1" in said and "9" in said
    said = refusal(server, kit.changed(prompt, "shot", width=72))
    assert "multiples of 16" in said
    prompt["pair"] = kit.node(
        "SceneMemoryWanOptions", model=["wan", 0], low_noise_model=["five", 0], boundary=0.9, context_time="auto",
        context_position="auto", blank_negative=False, camera_scale=1.0,
    )  # fmt: skip
    prompt["five"] = kit.node("UNETLoader", unet_name=make(TI2V), weight_dtype="default")
    prompt["shot"]["inputs"]["model"] = ["pair", 0]
    said = refusal(server, prompt)
    assert "TI2V-5B" in said and "one family" in said
    said = refusal(server, kit.changed(prompt, "pair", model=["load", 0]), "pair")
    assert "WorldModel" in said and "Leave this node out" in said
