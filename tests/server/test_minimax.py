"""MiniMax H3 in the real server: without memory what the stock nodes make, bit for bit; with it a film that goes on.

Its network is loaded by the stock loader; VAE and text encoder, which exist in full size only, by a node for tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dev.support import tiny_h3
from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank

pytestmark = pytest.mark.slow

SIDE, FRAMES, SEED, STEPS = 64, 22, 4, 2
SHOWN = (0, 7, FRAMES - 1)
TEXT = "a room, the camera turns to the left"
SAMPLER = {"cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}


def base_of(kit: Any, bank: str) -> dict[str, Any]:
    """A model and its parts, noise levels, a prompt and an empty memory."""
    return {
        "h3": kit.node("UNETLoader", unet_name=tiny_h3.MODEL, weight_dtype="default"),
        "files": kit.node("LoadTinyH3"),
        "euler": kit.node("KSamplerSelect", sampler_name="euler"),
        "levels": kit.node("BasicScheduler", model=["h3", 0], scheduler="simple", steps=STEPS, denoise=1.0),
        "text": kit.node(
            "SceneMemoryMinimaxPrompt", clip=["files", 1], prompt=TEXT, with_references="", references="at cuts",
            reference_size="match",
        ),
        "bank": memory(kit, bank),
    }  # fmt: skip


def memory(kit: Any, name: str, **start: Any) -> dict[str, Any]:
    return kit.node("SceneMemoryBank", name=name, mode="new", fov=70.0, fps=24.0, width=0, height=0, **start)


def shot(kit: Any, prompt: dict[str, Any], number: int, after: list[Any], frames: int, **given: Any) -> list[Any]:
    """A pan, or another move, along which a shot is filmed after a memory."""
    move = given.pop("move", "pan")
    camera = kit.camera(after, move, frames, 40.0)
    camera["inputs"].update(fps=24.0, aspect=1.0)
    prompt[f"camera {number}"] = camera
    shared: dict[str, Any] = {
        "model": ["h3", 0], "vae": ["files", 0], "positive": ["text", 0], "sampler": ["euler", 0],
        "sigmas": ["levels", 0], "segment_frames": FRAMES, "width": SIDE, "height": SIDE, **given,
    }  # fmt: skip
    prompt[f"shot {number}"] = kit.shot(after, [f"camera {number}", 0], SEED, **shared)
    return [f"shot {number}", 0]


def stock(kit: Any, prompt: dict[str, Any], begun: int, **frames: Any) -> None:
    """The same pictures by stock nodes alone, some of them in memories of their own."""
    from scene_memory.film.continuity import segment_seed

    i2v, sampled, decoded = (f"{name} {begun}" for name in ("i2v", "sampled", "decoded"))
    prompt[i2v] = kit.node(
        "MiniMaxH3ImageToVideo", clip=["files", 1], vae=["files", 0], prompt=TEXT, width=SIDE, height=SIDE,
        length=FRAMES, **frames,
    )  # fmt: skip
    prompt[sampled] = kit.node(
        "KSampler", model=["h3", 0], seed=segment_seed(SEED, begun + len(frames)), steps=STEPS, positive=[i2v, 0],
        negative=[i2v, 0], latent_image=[i2v, 1], **SAMPLER,
    )  # fmt: skip
    prompt[decoded] = kit.node("VAEDecode", samples=[sampled, 0], vae=["files", 0])
    for place in SHOWN:
        name = f"stock {place} of {begun}"
        prompt[f"picture {name}"] = kit.node("ImageFromBatch", image=[decoded, 0], batch_index=place, length=1)
        prompt[f"bank {name}"] = memory(kit, name, start_image=[f"picture {name}", 0])
        prompt[f"saved {name}"] = kit.save([f"bank {name}", 0], name)


def pictures(server: HostServer, bank: str) -> np.ndarray:
    state = Bank.open(server.output / "scene_memory", bank).load()
    return state.read_frames(range(state.frames))


def test_without_memory_and_from_a_first_frame_it_is_the_stock_graph_bit_for_bit(
    tiny_loaders: HostServer, kit: Any
) -> None:
    prompt = base_of(kit, "h3 film")
    last = shot(kit, prompt, 1, ["bank", 0], 2 * FRAMES - 1)
    prompt["video"] = kit.save(last, "h3")
    stock(kit, prompt, 0)
    newest = FRAMES - 1
    prompt["frame"] = kit.node("SceneMemoryFrames", memory=last, frames=str(newest), at_most=1)
    stock(kit, prompt, newest, first_frame=["frame", 0])
    run = tiny_loaders.client.queue(prompt)
    assert run.ok, run.error
    film = pictures(tiny_loaders, "h3 film")
    assert film.shape == (2 * FRAMES - 1, SIDE, SIDE, 3) and film.std() > 5
    for place in SHOWN:
        assert np.array_equal(film[place], pictures(tiny_loaders, f"stock {place} of 0")[0])
    # The second segment begins with the newest frame, which is not in the film twice.
    for place in SHOWN[1:]:
        assert np.array_equal(film[newest + place], pictures(tiny_loaders, f"stock {place} of {newest}")[0])


def test_after_a_cut_the_shot_looks_at_what_is_remembered(tiny_loaders: HostServer, kit: Any) -> None:
    films = []
    for seen in (True, False):
        prompt = base_of(kit, f"h3 cut {seen}")
        first = shot(kit, prompt, 1, ["bank", 0], FRAMES)
        prompt["fov"] = kit.retriever(k=3, strategy="first")
        given = {"retriever": ["fov", 0]} if seen else {}
        last = shot(kit, prompt, 2, first, FRAMES, move="orbit", **given)
        # A camera of its own, far from the first one's end: a cut.
        prompt["camera 2"]["inputs"].pop("memory")
        prompt["video"] = kit.save(last, "h3 cut")
        run = tiny_loaders.client.queue(prompt)
        assert run.ok, run.error
        films.append(pictures(tiny_loaders, f"h3 cut {seen}"))
    assert all(len(film) == 2 * FRAMES for film in films)
    assert np.array_equal(films[0][:FRAMES], films[1][:FRAMES])
    assert not np.array_equal(films[0][FRAMES:], films[1][FRAMES:])


def test_a_finished_prompt_is_refused_with_what_to_do(tiny_loaders: HostServer, kit: Any) -> None:
    prompt = base_of(kit, "h3 refused")
    prompt["plain"] = kit.node("CLIPTextEncode", clip=["files", 1], text=TEXT)
    last = shot(kit, prompt, 1, ["bank", 0], FRAMES, positive=["plain", 0])
    prompt["video"] = kit.save(last, "h3 refused")
    run = tiny_loaders.client.queue(prompt)
    assert run.error is not None and run.error["node_id"] == "shot 1"
    assert "Connect MiniMax H3 Prompt" in run.error["exception_message"]
