"""A film whose segments cannot be found again says so on the node that the artist sees, before anything is sampled."""

from __future__ import annotations

import json
from typing import Any

from dev.support.client import Run
from dev.support.server import HostServer

STORY = {
    "story_name": "Sea",
    "story_overview": "Of the sea.",
    "scenes": [{"scene_num": 1, "video_prompts": ["A bright landscape.", "A dim landscape."], "cut": [True, True]}],
}
FRAMES = 8


def before_the_first_step(run: Run, node: str) -> str:
    """What a node said before any node had sampled a step; World Scene, which only draws, has its bar earlier."""
    told = []
    for _, kind, data in run.events:
        if kind == "progress" and data["node"] != "scene":
            return "\n".join(told)
        if kind == "text" and data["node"] == node:
            told.append(data["text"])
    raise AssertionError("nothing was sampled")


def test_shot_generator_says_so_before_it_films(tiny_loaders: HostServer, kit: Any) -> None:
    prompt = kit.film("hides its state", frames=2 * FRAMES, model=["hiding", 0])
    prompt["hiding"] = kit.node("PatchThatHidesItsState", model=["moc", 0])
    run = tiny_loaders.client.queue(prompt)
    assert run.ok, run.error
    words = before_the_first_step(run, "shot")
    assert "cannot be found again" in words and "optimized_attention_override" in words
    assert "Memory Bank (continue)" in words and "leave out the node that adds this" in words
    # It is said again below each line that takes its place, so that it is still there when the artist comes back.
    assert all(words in said for said in run.texts("shot"))
    assert "segments made" in run.texts("shot")[-1]


def test_a_film_that_can_be_found_again_says_nothing_of_it(tiny_loaders: HostServer, kit: Any) -> None:
    run = tiny_loaders.client.queue(kit.film("hides nothing", frames=FRAMES))
    assert run.ok, run.error
    assert run.texts("shot") and not any("cannot be found" in said for said in run.texts("shot"))


def test_story_film_says_so_for_the_shots_that_it_makes(tiny_loaders: HostServer, kit: Any) -> None:
    """Its Shot Generators are in no graph: what they say stands on Story Film, with the number of the shot."""
    folder = tiny_loaders.base / "input"
    folder.mkdir(exist_ok=True)
    (folder / "sea.json").write_text(json.dumps(STORY), encoding="utf-8")
    prompt = kit.place("story hides its state")
    prompt["bank"]["inputs"].update(fps=16.0)
    prompt["hiding"] = kit.node("PatchThatHidesItsState", model=["moc", 0])
    prompt["story"] = kit.node("SceneMemoryLoadStory", file="sea.json")
    prompt["film"] = kit.node(
        "SceneMemoryStoryFilm", story=["story", 0], model=["hiding", 0], clip=["load", 1], vae=["load", 2],
        memory=["bank", 0], sampler=["moc", 1], sigmas=["moc", 2], seed=3, takes="", cfg=1.0, frames=FRAMES,
        last_shot=0, keep=4, fixed=1, width=0, height=0,
    )  # fmt: skip
    prompt["video"] = kit.save(["film", 0], "story hides its state")
    run = tiny_loaders.client.queue(prompt)
    assert run.ok, run.error
    assert "Shot 1: Segments of this shot cannot be found again" in before_the_first_step(run, "film")
    said = run.texts("film")
    assert any(line.startswith("Keyframes 1: ") for line in said)
    assert said[-1].startswith("Shot 2: 1 of 1 segments made.") and "cannot be found again" in said[-1]
    assert {data["node"] for _, kind, data in run.events if kind == "text"} <= set(prompt), "a text that nobody sees"
