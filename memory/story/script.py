"""The script of a story as a text: StoryMem's JSON, which Memento's and ours extend, or Markdown; alone, or in a
chatbot's answer: in a code fence, with words before and after it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..files import open_regular
from ..text import decoded, stand_in
from .markdown import is_markdown, parse_markdown
from .shot_settings import MOST_SEED, MOST_TAKE, camera_move, shot_length
from .story import MOST_LETTERS, MOST_SHOTS, Story, StoryShot, Subject, described

_FENCE = "```"


def script_of(text: str, key: str, what: str) -> Any:
    """The JSON value of ``text``, or of its one code fence that holds an object with ``key``.

    Raises:
        ValueError: there is none, or more than one; says where the JSON breaks, and what to do.
    """
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        blocks = [block for _, block in _blocks(text) if block.lstrip().startswith("{")]
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


def _blocks(text: str) -> list[tuple[int, str]]:
    """What stands in code fences, and how many lines before it; the last may be open, as in an answer cut off."""
    blocks: list[tuple[int, list[str]]] = []
    inside = False
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if line.lstrip().startswith(_FENCE):
            inside = not inside
            if inside:
                blocks.append((number, []))
        elif inside:
            blocks[-1][1].append(line)
    return [(before, "".join(lines)) for before, lines in blocks]


def _markdown_in(text: str, what: str) -> str | None:
    """The Markdown of a text, each line where it stands; None if it holds none, or JSON.

    Raises ``ValueError`` for more than one story.
    """
    blocks = _blocks(text)
    if text.lstrip().startswith("{") or any(block.lstrip().startswith("{") for _, block in blocks):
        return None
    written = [(before, block) for before, block in blocks if is_markdown(block)]
    if len(written) > 1:
        raise ValueError(f"{what} has {len(written)} scripts in code fences. Keep the one that is meant.")
    if written:
        return "\n" * written[0][0] + written[0][1]
    return text if is_markdown(text) else None


MAX_BYTES = 4 * 2**20


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
    """The story in a text: Markdown (``parse_markdown``), or JSON as StoryMem's: ``scenes``, each with
    ``video_prompts`` and perhaps ``cut`` and ``first_frame_prompt``.

    Beside what StoryMem's files have, a scene of ours may have a ``place`` and, for each shot, ``camera``, ``length``,
    ``seed`` and ``take``; the story ``subjects`` by name, and a ``look``. The text may stand in a code fence, as a
    chatbot gives it.

    Without ``cut`` each scene begins with one. The first shot of all begins with a cut whatever is said. Raises
    ``ValueError``, naming the line or field and what to do, for text that holds no story.
    """
    if (written := _markdown_in(text, what)) is not None:
        return parse_markdown(written, what)
    script = script_of(text, "scenes", what)
    if not isinstance(script, dict) or not isinstance(script.get("scenes"), list) or not script["scenes"]:
        raise ValueError(f"{what} has no 'scenes'. Use a script like those in StoryMem's folder 'story'.")
    shots: list[StoryShot] = []
    places: list[tuple[int, str]] = []
    for index, scene in enumerate(script["scenes"]):
        made = _shots(scene, index, f"{what}, scene {index + 1}")
        if place := _text(scene.get("place", ""), f"{what}, scene {index + 1}: place"):
            places.append((made[0].scene, place))
        shots += made
        if len(shots) > MOST_SHOTS:
            raise ValueError(f"{what} has more than {MOST_SHOTS} shots. Split it into several stories.")
    shots[0] = replace(shots[0], cut=True)
    name, overview, subject, look = (
        _text(script.get(key, ""), f"{what}: {key}")
        for key in ("story_name", "story_overview", "reconstruct_target", "look")
    )
    subjects = _subjects(script.get("subjects", {}), what)
    return Story(name, overview, tuple(shots), subject or described(subjects), subjects, look, tuple(places))


def as_json(story: Story) -> str:
    """The script of a story as StoryMem's JSON, with what it has no field for beside; ``parse_story`` reads it."""
    scenes: list[dict[str, Any]] = []
    for first in (index for index, shot in enumerate(story.shots) if shot.number == 1):
        shots = [story.shots[first]]
        for shot in story.shots[first + 1 :]:
            if shot.number == 1:
                break
            shots.append(shot)
        columns: dict[str, tuple[list[Any], Any]] = {
            "first_frame_prompt": ([one.first_frame for one in shots], ""),
            "camera": ([f"{one.move} {one.amount!r}" if one.move else "" for one in shots], ""),
            "length": ([_length_text(one) for one in shots], ""),
            "seed": ([one.seed for one in shots], None),
            "take": ([one.take for one in shots], 0),
        }
        place = story.place(shots[0].scene)
        scenes.append({
            "scene_num": shots[0].scene,
            **({"place": place} if place else {}),
            "video_prompts": [one.prompt for one in shots],
            "cut": [one.cut for one in shots],
            **{key: values for key, (values, usual) in columns.items() if any(one != usual for one in values)},
        })
    script: dict[str, Any] = {"story_name": story.name, "story_overview": story.overview}
    if story.subject:
        script["reconstruct_target"] = story.subject
    if story.subjects:
        script["subjects"] = {one.name: one.description for one in story.subjects}
    if story.look:
        script["look"] = story.look
    return json.dumps({**script, "scenes": scenes}, indent=1, ensure_ascii=False)


def _length_text(shot: StoryShot) -> str:
    return f"{shot.frames} frames" if shot.frames else f"{shot.seconds!r} s" if shot.seconds else ""


def _subjects(given: Any, what: str) -> tuple[Subject, ...]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{what}: subjects is {given!r:.40}. Give each by its name: {{\"Mara\": \"a girl of ten\"}}.")
    found = tuple(Subject(_text(name, f"{what}: a subject's name", True),
                          _text(words, f"{what}: subject {name!r:.40}", True)) for name, words in given.items())
    if len({one.name.lower() for one in found}) < len(found):
        raise ValueError(f"{what}: two subjects have the same name. Give each a name of its own.")
    return found


def _shots(scene: Any, index: int, what: str) -> list[StoryShot]:
    if not isinstance(scene, dict) or not isinstance(scene.get("video_prompts"), list) or not scene["video_prompts"]:
        raise ValueError(f"{what} has no 'video_prompts'. Give it a list with one prompt for each shot.")
    prompts = scene["video_prompts"]
    columns: dict[str, list[Any]] = {
        "cut": [first == 0 for first in range(len(prompts))],
        **{key: [""] * len(prompts) for key in ("first_frame_prompt", "camera", "length")},
        "seed": [None] * len(prompts),
        "take": [0] * len(prompts),
    }
    for key in columns:
        values = scene.get(key, columns[key])
        if not isinstance(values, list) or len(values) != len(prompts):
            counted = f"{len(values)} entries" if isinstance(values, list) else f"{values!r:.40}"
            raise ValueError(f"{what}: {key} is {counted}, but there are {len(prompts)} prompts. Give one for each.")
        columns[key] = values
    if not all(isinstance(cut, bool) for cut in columns["cut"]):
        raise ValueError(
            f"{what}: cut is {columns['cut']}. Use true where a cut comes before the shot, false where it goes on."
        )
    number = scene.get("scene_num", index + 1)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"{what}: scene_num is {number!r:.40}. Use whole numbers from 1.")
    shots = []
    for at, prompt in enumerate(prompts):
        shot = f"{what}, shot {at + 1}"
        shots.append(StoryShot(
            number, at + 1, _text(prompt, f"{what}, prompt {at + 1}", True), columns["cut"][at],
            _text(columns["first_frame_prompt"][at], what),
            **_said(columns["camera"][at], camera_move, f"{shot}: camera"),
            **_said(columns["length"][at], shot_length, f"{shot}: length"),
            seed=_whole(columns["seed"][at], MOST_SEED, f"{shot}: seed", None),
            take=_whole(columns["take"][at], MOST_TAKE, f"{shot}: take", 0) or 0,
        ))
    return shots


def _said(value: Any, read: Callable[[str], dict[str, Any]], what: str) -> dict[str, Any]:
    text = _text(value, what)
    try:
        return read(text) if text else {}
    except ValueError as problem:
        raise ValueError(f"{what}: {problem}") from None


def _whole(value: Any, most: int, what: str, usual: int | None) -> int | None:
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{what} is {value!r:.40}. Use a whole number from 0 to {most}.")
    return value


def _text(value: Any, what: str, needed: bool = False) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} is {value!r:.40}. Use text in quotes.")
    if len(value) > MOST_LETTERS:
        raise ValueError(f"{what} has {len(value)} letters. Use {MOST_LETTERS} at most.")
    if needed and not value.strip():
        raise ValueError(f"{what} is empty. Say what the shot shows.")
    return value.strip()
