"""Load Story: the script of several shots, in StoryMem's or Memento's JSON."""

from __future__ import annotations

import hashlib

from comfy_api.latest import io

from ...memory.story.script import read_story, story_bytes
from ...memory.story.story import Story
from .. import folders
from ..messages import say
from ..types import CATEGORY, SceneStory


class LoadStory(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryLoadStory",
            display_name="Load Story",
            category=f"{CATEGORY}/story",
            description="Reads the script of a story of several shots: the JSON that StoryMem and Memento use. Story "
            "Film films it.",
            search_aliases=["storyboard", "StoryMem", "Memento", "shot list", "script"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=[folders.NO_FILE, *folders.stories()],
                    default=folders.NO_FILE,
                    tooltip="A story that comes with the pack, or one in ComfyUI's input folder. Press R to see a file "
                    "that you have just put there. Recommended: a bundled one first, then one of your own like it.",
                ),
            ],
            outputs=[
                SceneStory.Output(display_name="story", tooltip="The story, for Story Film."),
                io.Int.Output(display_name="shots", tooltip="How many shots it has."),
                io.String.Output(
                    display_name="subject", tooltip="Memento's description of the subject, if it has one."
                ),
                io.String.Output(display_name="text", tooltip="The shots as a list to read, with their numbers."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, file: str | None) -> bool | str:
        try:
            if file is not None:
                folders.story_file(file)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str | None) -> object:
        """Runs again when the file has changed."""
        if file is None:
            return float("nan")
        return hashlib.sha256(story_bytes(folders.story_file(file))).hexdigest()

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        story = read_story(folders.story_file(file))
        say(cls, f"{story.name or file}: {len(story)} shots")
        return io.NodeOutput(story, len(story), story.subject, as_list(story))


def as_list(story: Story) -> str:
    """The shots, one a line."""
    lines = [
        f"{number}. scene {shot.scene}, {'cut' if shot.cut else 'goes on'}: {shot.prompt}"
        for number, shot in enumerate(story.shots, 1)
    ]
    return "\n".join(lines)
