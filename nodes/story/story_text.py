"""Story: the script of several shots, written in the node."""

from __future__ import annotations

import logging

from comfy_api.latest import io

from ...memory.story.prompts import DESCRIBED, STYLES, remarks, with_prompts
from ...memory.story.script import as_json, parse_story
from ..messages import say
from ..types import CATEGORY, SceneStory
from .story_load import as_list

log = logging.getLogger(__name__)

EXAMPLE = """# The shell

A girl finds a shell on the beach and brings it to the keeper of the lighthouse.

## Subjects
- Mara: a girl of ten with a red raincoat and short black hair
- Otto: an old man with a white beard and a blue knitted sweater

## Look
Soft natural light, 35 mm film

## Scene 1: the beach
A wide grey beach at low tide, a white lighthouse far away

### Shot
Mara walks along the water and picks up a white shell. Wide shot.

### Shot
cut: no
Mara holds the shell to one ear and listens. Close shot.

## Scene 2: the lighthouse
A round kitchen with stone walls and a small window to the sea

### Shot
Otto sits at a wooden table and looks up. Mara comes in through a green door. Medium shot.
"""
SHOWN = 3


class StoryText(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryStory",
            display_name="Story",
            category=f"{CATEGORY}/story",
            description="A story of several shots, written here: who is in it, scenes, shots. Says what a video model "
            "would not understand. Story Film films it.",
            search_aliases=["storyboard", "script", "shot list", "screenplay", "markdown", "StoryMem", "Memento"],
            inputs=[
                io.String.Input(
                    "text",
                    default=EXAMPLE,
                    multiline=True,
                    dynamic_prompts=False,
                    tooltip="The story, in Markdown: # title, ## Subjects, ## for each scene, ### for each shot. Under "
                    "a shot: camera, length, cut, seed and take, a line each, then what it shows. StoryMem's and "
                    "Memento's JSON and a chatbot's whole answer can be pasted, too. Recommended: change the example.",
                ),
                io.Combo.Input(
                    "prompts",
                    options=list(STYLES),
                    default=DESCRIBED,
                    tooltip="What each shot's prompt becomes. 'subjects described' says how each subject looks where "
                    "it is first named, and what its scene shows; 'global and shot caption' is the form of Memento. "
                    "Recommended: subjects described; Memento's form with Memento.",
                ),
            ],
            outputs=[
                SceneStory.Output(display_name="story", tooltip="The story, for Story Film."),
                io.Int.Output(display_name="shots", tooltip="How many shots it has."),
                io.String.Output(
                    display_name="subject", tooltip="All subjects in one text, for Memento in Story Memory Options."
                ),
                io.String.Output(display_name="text", tooltip="The shots as a list to read, with their full prompts."),
                io.String.Output(display_name="json", tooltip="The script as StoryMem's JSON, to save or to hand on."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, text: str | None) -> bool | str:
        try:
            if text is not None:
                parse_story(text)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, text: str, prompts: str = DESCRIBED) -> io.NodeOutput:
        """Raises ValueError, with the line and what to do, for a text that is no story."""
        written = parse_story(text)
        story, found = with_prompts(written, prompts), remarks(written)
        lines = [f"{f'Shot {one.shot}: ' if one.shot else ''}{one.text}" for one in found]
        more = f" And {len(lines) - SHOWN} more, in the log." if len(lines) > SHOWN else ""
        say(cls, "\n".join([f"{story.name or 'Story'}: {len(story)} shots", *lines[:SHOWN]]) + more)
        for line in lines:
            log.warning("Story %r: %s", story.name, line)
        return io.NodeOutput(story, len(story), story.subject, as_list(story), as_json(written))
