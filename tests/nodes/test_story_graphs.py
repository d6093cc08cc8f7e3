"""The graphs that Story Film puts in its place, held still: a change here makes every film of a story anew.

golden_story_graphs.json holds what is expected; put in what the failed comparison shows only where a change is meant.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.state.state import MemoryState
from scene_memory.memory.story.script import parse_story, read_story
from scene_memory.memory.story.story import Story

GOLDEN = json.loads(Path(__file__).with_name("golden_story_graphs.json").read_text(encoding="utf-8"))
STORIES = Path(__file__).resolve().parents[2] / "workflows" / "stories"
WRITTEN = """# Sea
## A harbour
### Shot
camera: dolly in 2
length: 2 s
A harbour.
### Shot
cut: no
length: 20 frames
seed: 99
A boat leaves.
## A house
### Shot
take: 2
A house.
"""
WIRES = {name: [name, 0] for name in ("story", "model", "clip", "vae", "memory", "sampler", "sigmas", "negative")}
Expand = Callable[..., dict[str, Any]]


@pytest.fixture
def expand(wan: Any) -> Expand:
    """The nodes that stand for a story, the graph's prefix taken off their ids."""
    from comfy_api.latest import io
    from comfy_execution.graph import DynamicPrompt

    from scene_memory.models.story.options import StoryOptions, with_story
    from scene_memory.nodes.story.story_film import StoryFilm

    model = with_story(wan.model("wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors"), StoryOptions())
    prompt = DynamicPrompt({"film": {"class_type": "SceneMemoryStoryFilm", "inputs": WIRES}})
    node = StoryFilm.PREPARE_CLASS_CLONE(
        {"hidden_inputs": {io.Hidden.unique_id: "film", io.Hidden.dynprompt: prompt}}
    )

    def made(story: Story, **changed: Any) -> dict[str, Any]:
        given = {"seed": 5, "takes": "", "cfg": 3.5, "frames": 81, "last_shot": 0, "keep": 8, "fixed": 3, "width": 0,
                 "height": 0, "memory": MemoryState(), **changed}  # fmt: skip
        graph = node.execute(
            story=story, model=model, clip=None, vae=None, sampler=None, sigmas=None, **given
        ).expand
        prefix = next(iter(graph)).removesuffix("retriever")
        return json.loads(json.dumps(graph).replace(prefix, ""))

    return made


@pytest.mark.parametrize("name", ["The lighthouse", "The clockmaker", "written"])
def test_the_graph_of_a_story_stays(expand: Expand, name: str) -> None:
    story = parse_story(WRITTEN) if name == "written" else read_story(STORIES / f"{name}.json")
    assert expand(story) == GOLDEN[name]


def shot(graph: dict[str, Any], number: int) -> dict[str, Any]:
    """What belongs to one shot, by node."""
    return {name: graph[f"{name} {number}"] for name in ("text", "camera", "shot")}


def test_an_edit_of_one_shot_leaves_the_nodes_of_all_others(expand: Expand) -> None:
    before = expand(parse_story(WRITTEN))
    after = expand(parse_story(WRITTEN.replace("A boat leaves.", "camera: pan 20\nA boat sinks.")))
    assert [shot(before, number) == shot(after, number) for number in (1, 2, 3)] == [True, False, True]
    again = expand(parse_story(WRITTEN), takes="3=5")
    assert again["shot 3"]["inputs"]["seed"] == 5 + 2 + 5 * 1_000_003, "takes of the node go before the story's"


def test_lengths_in_seconds_follow_the_rate_of_the_memory(expand: Expand, tmp_path: Path) -> None:
    from scene_memory.memory.cameras.presets import make_preset

    state = Bank.create(tmp_path, "film").empty()
    assert expand(parse_story(WRITTEN))["camera 1"]["inputs"]["frames"] == 32
    path = make_preset("static", frames=1, fps=24.0, amount=0.0, fov=70.0, aspect=1.5)
    assert state.bank is not None
    state = state.bank.append(state, frames=np.zeros((1, 32, 48, 3), np.uint8), trajectory=path, shot=0)
    assert expand(parse_story(WRITTEN), memory=state)["camera 1"]["inputs"]["frames"] == 48
