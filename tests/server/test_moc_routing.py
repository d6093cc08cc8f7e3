"""The picture of what routed attention looked into, in the real server."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from dev.support.server import HostServer


def watched(kit: Any, name: str, frame: int = -1, **moc: Any) -> dict[str, Any]:
    """A film of two segments, the newest one watched, its frames and the watched ones saved, and the pictures."""
    prompt = kit.changed(kit.film(name, frames=16), "moc", **{"top_k": 2, "switch_on": 1, **moc})
    prompt["watch"] = kit.node(
        "SceneMemoryMocRouting",
        model=["moc", 0],
        positive=["text", 0],
        sampler=["moc", 1],
        sigmas=["moc", 2],
        memory=["shot", 0],
        frame=frame,
    )
    prompt["again"] = kit.node("VAEDecode", samples=["watch", 3], vae=["load", 2])
    prompt["frames"] = kit.node("SceneMemoryFrames", memory=["shot", 0], frames="last 8", at_most=8)
    for place, images in (("saved again", "again"), ("saved frames", "frames"), ("map", "watch"), ("layers", "watch")):
        slot = 1 if place == "layers" else 0
        prompt[place] = kit.node("SaveImage", images=[images, slot], filename_prefix=f"{name} {place}")
    prompt["said"] = kit.node("PreviewAny", source=["watch", 2])
    return prompt


def pictures(server: HostServer, run: Any, place: str) -> list[np.ndarray]:
    return [cv2.imread(str(server.output / file["filename"])) for file in run.outputs[place]["images"]]


def test_a_segment_is_made_again_as_it_was_and_its_picture_shows_layers_and_frames(
    server: HostServer, kit: Any
) -> None:
    run = server.client.queue(watched(kit, "watched"))
    assert run.ok, run.error
    again, frames = (np.stack(pictures(server, run, place)) for place in ("saved again", "saved frames"))
    # Save Image cuts what the memory rounds.
    assert again.shape == (8, 60, 96, 3) and np.abs(again.astype(int) - frames).max() <= 1
    (drawn,), (layers,) = (pictures(server, run, place) for place in ("map", "layers"))
    assert drawn.shape[0] > 8 * 20 and drawn.std() > 10 and layers.std() > 5
    (said,) = run.outputs["said"]["text"]
    assert "8 new frames, " in said and " remembered ones, " in said and "2 steps" in said
    assert "Routed in" in said and "stayed dense" not in said
    assert all(f"frame {number}: " in said for number in range(9, 17)), said
    assert run.outputs["watch"]["images"], "the node itself shows the picture"


def test_what_stays_dense_is_drawn_grey_with_what_it_would_choose(server: HostServer, kit: Any) -> None:
    run = server.client.queue(watched(kit, "watched dense", dense_layers=100))
    assert run.ok, run.error
    (said,) = run.outputs["said"]["text"]
    assert "Routed in 0 of" in said and "stayed dense" in said and "100% of the query-key pairs" in said
    layers = pictures(server, run, "layers")[0].astype(int)[60:, 80:]
    assert np.abs(layers - layers.mean(axis=2, keepdims=True)).max() <= 4


def test_the_latent_of_a_stock_sampler_is_sampled_as_it_would_be(server: HostServer, kit: Any) -> None:
    prompt = kit.place("watched latent")
    prompt["moc"]["inputs"]["switch_on"] = 1
    prompt["empty"] = kit.node("SceneMemoryEmptyWorldLatent", width=96, height=60, frames=8, batch_size=1)
    shared: dict[str, Any] = {"model": ["moc", 0], "positive": ["text", 0], "negative": ["other", 0], "cfg": 2.0,
                              "sampler": ["moc", 1], "sigmas": ["moc", 2]}  # fmt: skip
    prompt["other"] = kit.node("CLIPTextEncode", clip=["load", 1], text="a dim landscape")
    prompt["watch"] = kit.node("SceneMemoryMocRouting", **shared, latent=["empty", 0], seed=3)
    prompt["stock"] = kit.node("SamplerCustom", **shared, latent_image=["empty", 0], add_noise=True, noise_seed=3)
    for place, samples in (("again", ["watch", 3]), ("plain", ["stock", 0])):
        prompt[place] = kit.node("VAEDecode", samples=samples, vae=["load", 2])
        prompt[f"saved {place}"] = kit.node("SaveImage", images=[place, 0], filename_prefix=f"watched {place}")
    prompt["said"] = kit.node("PreviewAny", source=["watch", 2])
    run = server.client.queue(prompt)
    assert run.ok, run.error
    again, plain = (np.stack(pictures(server, run, f"saved {place}")) for place in ("again", "plain"))
    assert np.array_equal(again, plain) and plain.std() > 1
    assert run.outputs["said"]["text"] == ["No remembered frame reaches the model here: nothing to choose from."]


def test_what_cannot_be_watched_is_refused_with_the_cure(server: HostServer, kit: Any) -> None:
    whole = watched(kit, "watched not")
    neither = {**whole, "watch": {**whole["watch"], "inputs": {**whole["watch"]["inputs"]}}}
    del neither["watch"]["inputs"]["memory"]
    for prompt, said in (
        (kit.changed(whole, "watch", model=["load", 0]), "is not routed"),
        (kit.changed(whole, "watch", frame=0), "was brought in"),
        (kit.changed(whole, "watch", frame=900), "the memory holds 17 frames"),
        (neither, "either 'memory' or 'latent'"),
        (kit.changed(whole, "watch", latent=["empty", 0]) | {
            "empty": kit.node("SceneMemoryEmptyWorldLatent", width=96, height=60, frames=8, batch_size=1)
        }, "either 'memory' or 'latent'"),
    ):  # fmt: skip
        run = server.client.queue(prompt)
        assert run.error is not None and run.error["node_id"] == "watch"
        assert said in run.error["exception_message"], run.error["exception_message"]
