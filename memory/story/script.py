"""The script of a story: StoryMem's JSON, which Memento's extends; alone, or in a
chatbot's answer: in a code fence, with words before and after it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import open_regular
from ..text import decoded, stand_in

_FENCE = "```"


def script_of(text: str, key: str, what: str) -> Any:
    """The JSON value of ``text``, or of its one code fence that holds an object with ``key``.

    Raises:
        ValueError: there is none, or more than one; says where the JSON breaks, and what to do.
    """
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        blocks = [block for block in _blocks(text) if block.lstrip().startswith("{")]
        if not blocks:
            begins = text.lstrip().startswith("{")
            cure = "Repair it there" if begins else "Begin the file with {"
            raise ValueError(
                f"{what} is not JSON ({error}). {cure}, and use a script like those in StoryMem's folder 'story'."
            ) from error
    found, broken = [], ""
    for block in blocks:
        try:
            found.append(json.loads(block))
        except (json.JSONDecodeError, RecursionError) as error:
            broken = broken or str(error)
    scripts = [value for value in found if key in value] or found
    if not scripts:
        raise ValueError(
            f"{what} has a code fence that is not JSON ({broken}, counted from the fence). Repair it there, or ask for "
            "the whole script again."
        )
    if len(scripts) > 1:
        raise ValueError(f"{what} has {len(scripts)} scripts in code fences. Keep the one that is meant.")
    return scripts[0]


def _blocks(text: str) -> list[str]:
    """What stands in code fences; the last may be open, as in an answer that was cut off."""
    blocks: list[list[str]] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith(_FENCE):
            inside = not inside
            if inside:
                blocks.append([])
        elif inside:
            blocks[-1].append(line)
    return ["".join(block) for block in blocks]


MAX_BYTES = 4 * 2**20
MOST_SHOTS = 500
MOST_LETTERS = 20_000

_GLOBAL, _SHOT = "global caption:", "shot caption:"


def story_caption(prompt: str) -> str:
    """What Memento's prompts say of the whole story, "global caption: ..."; the whole prompt if there is none."""
    if _GLOBAL not in prompt or _SHOT not in prompt:
        return prompt
    return prompt.split(_SHOT)[0].replace(_GLOBAL, "").strip().rstrip(";").strip()


@dataclass(frozen=True)
class StoryShot:
    """One shot: scene and number in it as the script counts them, the prompt, and whether a cut comes before it."""

    scene: int
    number: int
    prompt: str
    cut: bool
    first_frame: str = ""

    @property
    def story_caption(self) -> str:
        """See ``story_caption``."""
        return story_caption(self.prompt)


@dataclass(frozen=True)
class Story:
    """A script: ``shots`` in order, ``subject`` the description that Memento rebuilds beside each shot."""

    name: str
    overview: str
    shots: tuple[StoryShot, ...]
    subject: str = ""

    def __len__(self) -> int:
        return len(self.shots)


def read_story(path: Path) -> Story:
    """The story in a file of text: UTF-8, or UTF-16 with a byte order mark.

    Raises:
        ValueError: it holds none; names the field and what to do.
    """
    data = story_bytes(path)
    if found := stand_in(data):
        raise ValueError(f"{path.name}: {found[0]}. {found[1]}.")
    text = decoded(data)
    if text is None:
        raise ValueError(f"{path.name} is not text in UTF-8 or UTF-16. Save it as UTF-8.")
    return parse_story(text, path.name)


def story_bytes(path: Path) -> bytes:
    """The bytes of a story's file. Raises ``ValueError`` for one that is too large, or no file that has an end."""
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror or error}. Choose another file.") from error
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path.name} is larger than {MAX_BYTES // 2**20} MB. A story is a few kB of text.")
    return data


def parse_story(text: str, what: str = "The story") -> Story:
    """The story in a JSON text: ``scenes``, each with ``video_prompts`` and perhaps ``cut`` and ``first_frame_prompt``.

    The JSON may stand in a code fence, as a chatbot gives it.

    Without ``cut`` each scene begins with one. The first shot of all begins with a cut whatever is said. Raises
    ``ValueError``, naming the field and what to do, for text that holds no story.
    """
    script = script_of(text, "scenes", what)
    if not isinstance(script, dict) or not isinstance(script.get("scenes"), list) or not script["scenes"]:
        raise ValueError(f"{what} has no 'scenes'. Use a script like those in StoryMem's folder 'story'.")
    shots: list[StoryShot] = []
    for index, scene in enumerate(script["scenes"]):
        shots += _shots(scene, index, f"{what}, scene {index + 1}")
        if len(shots) > MOST_SHOTS:
            raise ValueError(f"{what} has more than {MOST_SHOTS} shots. Split it into several stories.")
    shots[0] = StoryShot(shots[0].scene, shots[0].number, shots[0].prompt, True, shots[0].first_frame)
    name, overview, subject = (
        _text(script.get(key, ""), f"{what}: {key}") for key in ("story_name", "story_overview", "reconstruct_target")
    )
    return Story(name, overview, tuple(shots), subject)


def _shots(scene: Any, index: int, what: str) -> list[StoryShot]:
    if not isinstance(scene, dict) or not isinstance(scene.get("video_prompts"), list) or not scene["video_prompts"]:
        raise ValueError(f"{what} has no 'video_prompts'. Give it a list with one prompt for each shot.")
    prompts = scene["video_prompts"]
    cuts = scene.get("cut", [first == 0 for first in range(len(prompts))])
    firsts = scene.get("first_frame_prompt", [""] * len(prompts))
    for key, values in (("cut", cuts), ("first_frame_prompt", firsts)):
        if not isinstance(values, list) or len(values) != len(prompts):
            counted = f"{len(values)} entries" if isinstance(values, list) else f"{values!r:.40}"
            raise ValueError(f"{what}: {key} is {counted}, but there are {len(prompts)} prompts. Give one for each.")
    if not all(isinstance(cut, bool) for cut in cuts):
        raise ValueError(f"{what}: cut is {cuts}. Use true where a cut comes before the shot, false where it goes on.")
    number = scene.get("scene_num", index + 1)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"{what}: scene_num is {number!r:.40}. Use whole numbers from 1.")
    return [
        StoryShot(number, index + 1, _text(prompt, f"{what}, prompt {index + 1}", True), cut, _text(first, what))
        for index, (prompt, cut, first) in enumerate(zip(prompts, cuts, firsts, strict=True))
    ]


def _text(value: Any, what: str, needed: bool = False) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} is {value!r:.40}. Use text in quotes.")
    if len(value) > MOST_LETTERS:
        raise ValueError(f"{what} has {len(value)} letters. Use {MOST_LETTERS} at most.")
    if needed and not value.strip():
        raise ValueError(f"{what} is empty. Say what the shot shows.")
    return value.strip()
