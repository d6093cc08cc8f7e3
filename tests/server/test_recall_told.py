"""What a film recalled is told where an artist looks: on Shot Generator while it films, and in Memory Info after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from dev.support.client import Run
from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.retrieval.reasons import noted, percent

OpenBank = Callable[[str], Bank]


def shown(server: HostServer, run: Run, node: str) -> np.ndarray:
    """The picture that a node shows."""
    (told,) = run.outputs[node]["images"]
    folder = server.output.parent / told["type"]
    return np.asarray(Image.open(folder / told["subfolder"] / told["filename"]))


def test_the_shot_says_what_it_looks_at_and_memory_info_why(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    prompt = kit.film("recall told", frames=24)
    prompt["fov"]["inputs"].update(strategy="coverage", k=24)
    prompt["info"] = kit.node("SceneMemoryInfo", memory=["shot", 0], thumbnails=0)
    prompt["words"] = kit.node("PreviewAny", source=["info", 1])
    run = server.client.queue(prompt)
    assert run.ok, run.error
    segments = open_bank("recall told").load().segments
    reasons = noted(segments[3].info) or ()
    assert len(reasons) == 17 and reasons[0].rule == "most recent" and max(one.overlap for one in reasons) > 0.9
    said = run.texts("shot")
    assert [line.split("\n")[0] for line in said] == [f"{place} of 3 segments made." for place in (1, 2, 3)]
    best = sorted(reasons, key=lambda one: -one.overlap)[:2]
    newest = ", ".join(f"{one.index} ({percent(one.overlap)})" for one in best)
    assert f"\nLooked at {newest} +15.\n" in said[-1]
    assert said[-1].endswith("\nLooks at 20 of the 24 that k asks for.")
    assert max(map(len, said[-1].splitlines())) < 45, "a node does not wrap lines"
    (words,) = run.outputs["words"]["text"]
    assert f"Segment 4, shot 1, frames 17-24: most recent: 16 (saw {percent(reasons[0].overlap)})" in words
    prompt["shot"]["inputs"].update(width=96, height=60)  # the size that it has: the node runs anew, no segment does
    again = server.client.queue(prompt)
    assert again.texts("shot")[-1].startswith("3 of 3 segments: 0 made, 3 from the bank")
    assert f"Looked at {newest}" in again.texts("shot")[-1]

    prompt["bank"]["inputs"].update(mode="continue")
    prompt["bank"]["inputs"].pop("start_image")
    prompt = {name: prompt[name] for name in ("load", "scene", "text", "bank", "moc", "camera", "fov")}
    prompt["fov"]["inputs"].update(strategy="recent", memory=["bank", 0], trajectory=["camera", 0])
    prompt["see"] = kit.node("PreviewImage", images=["fov", 1])
    blind = shown(server, server.client.queue(prompt), "see")
    prompt["fov"]["inputs"]["model"] = ["load", 0]
    done = server.client.queue(prompt)
    assert done.ok, done.error
    knowing = shown(server, done, "see")
    assert blind.shape[1] == knowing.shape[1] and not np.array_equal(blind[:200], knowing[:200]), "20 of 24 are marked"
