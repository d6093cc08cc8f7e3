"""Story Film: a chain of Shot Generators, one for each shot of a story."""

from __future__ import annotations

import re
from typing import Any

from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder

from ...memory.retrieval.settings import RetrievalSettings
from ...memory.state.state import MemoryState
from ...memory.story.keyframes import THRESHOLD, bank_of
from ...memory.story.story import Story, StoryShot
from ...models.registry import adapter_for
from ...models.story.keyframe_choice import LIKENESS, QUERY, RULES, rule_for
from ..inputs import fixed_seed, guidance, side
from ..remember.fov_retriever import FovRetriever
from ..shot.shot_generator import ShotGenerator
from ..types import CATEGORY, SceneMemory, SceneStory
from .story_camera import StoryCamera
from .story_keyframes import StoryKeyframes

PER_SHOT = 3
FPS = 16.0
AGAIN = 1_000_003
"""How far apart the seeds of the takes of one shot are."""


class StoryFilm(io.ComfyNode):
    makes = (StoryCamera, ShotGenerator, FovRetriever, StoryKeyframes)
    """Nodes of ours that it puts into the graph: ComfyUI does not ask them whether a prompt can run."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryStoryFilm",
            display_name="Story Film",
            category=f"{CATEGORY}/story",
            description="Films a story: for each shot its prompt, a camera, a Shot Generator and Story Keyframes. "
            "Shots that are in the bank already are taken from there, so a film that was stopped goes on.",
            search_aliases=["storyboard", "multi shot", "StoryMem", "Memento"],
            enable_expand=True,
            inputs=[
                SceneStory.Input("story", tooltip="What to film. Recommended: Story, or Load Story."),
                io.Model.Input("model", tooltip="The video model. Recommended: MODEL of Story Memory Options."),
                io.Clip.Input("clip", tooltip="The text encoder of the model. Recommended: CLIP of Load CLIP."),
                io.Vae.Input("vae", tooltip="The VAE of the model. Recommended: wan_2.1_vae."),
                SceneMemory.Input(
                    "memory",
                    tooltip="What the film begins with. Recommended: Memory Bank; its start image is remembered as a "
                    "reference.",
                ),
                io.Sampler.Input("sampler", tooltip="The sampling method. Recommended: uni_pc by KSampler Select."),
                io.Sigmas.Input("sigmas", tooltip="The noise levels. Recommended: Basic Scheduler, simple, 40 steps."),
                io.Conditioning.Input(
                    "negative", optional=True, tooltip="What to avoid. Recommended: CLIP Text Encode; needed for cfg."
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="Tells Story Keyframes which pictures are alike. Recommended: clip_vision_h.",
                ),
                fixed_seed(
                    "The first shot's seed; each later one takes the next number, where the story says none. "
                    "Recommended: fixed.",
                    most=0xFFFFFFFFFFFF,
                ),
                io.String.Input(
                    "takes",
                    default="",
                    tooltip="Shots to make anew: '4' makes shot 4 with another seed, '4=2, 7' the second other take of "
                    "4 and the first of 7. The shots before stay as they are. Recommended: empty.",
                ),
                guidance(
                    "How strictly to follow the prompts. Recommended: 3.5; 1 with LoRAs for 4 steps.",
                    default=3.5,
                ),
                io.Int.Input(
                    "frames",
                    default=81,
                    min=5,
                    max=1001,
                    tooltip="Frames of a shot, those included with which it begins; a shot whose length the story says "
                    "has that many new ones. Recommended: 81.",
                ),
                io.Int.Input(
                    "last_shot", default=0, min=0, max=500, tooltip="Film up to this shot; 0 is all. Recommended: 0."
                ),
                io.Int.Input("keep", default=8, min=2, max=19, tooltip="Keyframes remembered. Recommended: 8."),
                io.Int.Input(
                    "fixed", default=3, min=0, max=18, tooltip="Of these, the oldest that always stay. Recommended: 3."
                ),
                side("width", "Width while nothing is remembered; 0 takes the model's own. Recommended: 0."),
                side("height", "Height while nothing is remembered; 0 takes the model's own. Recommended: 0."),
                io.Combo.Input(
                    "keyframes",
                    options=list(RULES),
                    default=LIKENESS,
                    optional=True,
                    tooltip="How Story Keyframes chooses. Recommended: likeness for StoryMem; 'KeyframeQuery if the "
                    "model has it' for Memento.",
                ),
                io.Float.Input(
                    "cfg_on_cuts",
                    default=0.0,
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    optional=True,
                    tooltip="cfg of shots that begin with a cut, from the second on; 0 takes cfg. Recommended: 5 for "
                    "Memento, 0 for StoryMem.",
                ),
                io.Model.Input(
                    "first_shot_model",
                    optional=True,
                    tooltip="Films shot 1 while nothing is remembered, as the authors of StoryMem and Memento do. "
                    "Recommended: Wan 2.2 text to video, its pair joined by Wan Memory Options.",
                ),
                io.Sigmas.Input(
                    "first_shot_sigmas",
                    optional=True,
                    tooltip="Noise levels of first_shot_model. Recommended: Basic Scheduler on that model, shift 12.",
                ),
            ],
            outputs=[
                SceneMemory.Output(display_name="memory", tooltip="The memory with all shots; for Memory to Video.")
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
        )

    @classmethod
    def validate_inputs(cls, takes: str | None) -> bool | str:
        try:
            takes_of(takes or "")
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        story: Story,
        model: Any,
        clip: Any,
        vae: Any,
        memory: MemoryState,
        sampler: Any,
        sigmas: Any,
        seed: int,
        takes: str,
        cfg: float,
        frames: int,
        last_shot: int,
        keep: int,
        fixed: int,
        width: int,
        height: int,
        negative: Any = None,
        clip_vision: Any = None,
        keyframes: str = LIKENESS,
        cfg_on_cuts: float = 0.0,
        first_shot_model: Any = None,
        first_shot_sigmas: Any = None,
    ) -> io.NodeOutput:
        bank_of([], keep, fixed)
        keyframes = rule_for(keyframes, model)
        wires = cls.hidden.dynprompt.get_node(node_id=cls.hidden.unique_id)["inputs"]
        graph, again = GraphBuilder(), takes_of(takes)
        given = {name: wires[name] for name in ("model", "vae", "sampler", "sigmas", "negative") if name in wires}
        chosen = {"keep": keep, "fixed": fixed, "per_shot": PER_SHOT, "likeness": THRESHOLD}
        if "clip_vision" in wires:
            chosen["clip_vision"] = wires["clip_vision"]
        if keyframes == QUERY:
            chosen |= {"by": QUERY, **{name: wires[name] for name in ("model", "vae", "clip")}}
        retriever = _retriever(graph, keep + 1)
        overlap, last = adapter_for(model).overlap, wires["memory"]
        shots = story.shots[: last_shot or None]

        def asked(coming: int) -> dict[str, Any]:
            """What Story Keyframes is told before a shot."""
            return {**chosen, "prompt": shots[coming].prompt} if keyframes == QUERY else chosen

        if memory.frames and not len(memory.pinned_frames()):
            last = graph.node(class_type="SceneMemoryStoryKeyframes", id="keyframes 0", memory=last, **asked(0)).out(
                index=0
            )
        for number, shot in enumerate(shots, 1):
            text = graph.node(class_type="CLIPTextEncode", id=f"text {number}", clip=wires["clip"], text=shot.prompt)
            camera = graph.node(
                class_type="SceneMemoryStoryCamera",
                id=f"camera {number}",
                memory=last,
                cut=shot.cut,
                frames=_length(shot, memory.fps or FPS) or (frames if shot.cut else frames - overlap),
                **_picture(model, width, height),
                **({"move": shot.move, "amount": shot.amount} if shot.move else {}),
            )
            first = number == 1 and not memory.frames
            made = graph.node(
                class_type="SceneMemoryShotGenerator",
                id=f"shot {number}",
                **{**given, **(_first_shot(wires) if first else {})},
                positive=text.out(index=0),
                memory=last,
                trajectory=camera.out(index=0),
                retriever=retriever,
                seed=(seed + number - 1 if shot.seed is None else shot.seed) + AGAIN * again.get(number, shot.take),
                cfg=cfg_on_cuts if cfg_on_cuts and shot.cut and not first else cfg,
                segment_frames=frames,
                width=width if number == 1 else 0,
                height=height if number == 1 else 0,
            )
            last = made.out(index=0)
            if number < len(shots):
                keys = graph.node(
                    class_type="SceneMemoryStoryKeyframes", id=f"keyframes {number}", memory=last, **asked(number)
                )
                last = keys.out(index=0)
        return io.NodeOutput(last, expand=graph.finalize())


def _length(shot: StoryShot, fps: float) -> int:
    """New frames of a shot as the story says it, 0 if it does not."""
    return shot.frames or (max(1, round(shot.seconds * fps)) if shot.seconds else 0)


def _first_shot(wires: dict[str, Any]) -> dict[str, Any]:
    """What shot 1 is filmed with instead, where it is connected."""
    if "first_shot_model" not in wires:
        return {}
    model = {"model": wires["first_shot_model"]}
    return {**model, "sigmas": wires["first_shot_sigmas"]} if "first_shot_sigmas" in wires else model


def takes_of(text: str) -> dict[int, int]:
    """Which other take of which shot, from "4=2, 7".

    Raises:
        ValueError: it is not that.
    """
    found: dict[int, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d{1,4})(?:\s*=\s*(\d{1,6}))?", part)
        if match is None:
            raise ValueError(f"takes is {text!r}: {part!r} is no shot. Use '4' or '4=2', joined with commas.")
        found[int(match[1])] = int(match[2] or 1)
    return found


def _retriever(graph: GraphBuilder, k: int) -> list[Any]:
    usual = RetrievalSettings()
    retriever = graph.node(
        class_type="SceneMemoryFovRetriever",
        id="retriever",
        k=k,
        strategy="pinned",
        seed=0,
        depth=usual.depth,
        near=usual.near,
        far=usual.far,
        min_overlap=usual.min_overlap,
        far_share=usual.far_share,
        preview_frame=0,
    )
    out: list[Any] = retriever.out(index=0)
    return out


def _picture(model: Any, width: int, height: int) -> dict[str, float]:
    """What the first camera is told of the picture; later ones ask the memory."""
    usual = adapter_for(model).default_size
    return {"fov": 70.0, "fps": FPS, "aspect": (width or usual[0]) / (height or usual[1])}
