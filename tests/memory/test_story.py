"""StoryMem's scripts, and which frames of a story are remembered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.story.keyframes import bank_of, choose_keyframes, picture_features, unlike
from scene_memory.memory.story.script import MAX_BYTES, parse_story, read_story


def script(**changed: Any) -> dict[str, Any]:
    scenes = [
        {
            "scene_num": 1,
            "video_prompts": ["A harbour.", "A boat."],
            "first_frame_prompt": ["a", "b"],
            "cut": [True, False],
        },
        {"scene_num": 2, "video_prompts": ["A house."], "first_frame_prompt": ["c"], "cut": [True]},
    ]
    return {"story_name": "Sea", "story_overview": "Of the sea.", "scenes": scenes, **changed}


def test_a_script_is_read_shot_by_shot(tmp_path: Path) -> None:
    path = tmp_path / "sea.json"
    path.write_text(json.dumps(script()), encoding="utf-8-sig")
    story = read_story(path)
    assert (story.name, story.overview, story.subject, len(story)) == ("Sea", "Of the sea.", "", 3)
    assert [(shot.scene, shot.number, shot.prompt, shot.cut, shot.first_frame) for shot in story.shots] == [
        (1, 1, "A harbour.", True, "a"),
        (1, 2, "A boat.", False, "b"),
        (2, 1, "A house.", True, "c"),
    ]


def test_what_may_be_left_out() -> None:
    story = parse_story(json.dumps({"scenes": [{"video_prompts": ["x", "y"]}, {"video_prompts": ["z"]}]}))
    assert [shot.cut for shot in story.shots] == [True, False, True]
    assert [shot.scene for shot in story.shots] == [1, 1, 2] and story.name == ""
    going_on = parse_story(json.dumps({"scenes": [{"video_prompts": ["x"], "cut": [False]}]}))
    assert going_on.shots[0].cut, "nothing comes before the first shot"


def test_mementos_captions() -> None:
    prompt = "global caption: [A]: a man; shot caption: [A] walks."
    story = parse_story(
        json.dumps(script(reconstruct_target="[A] a man", scenes=[{"video_prompts": [prompt, "plain"]}]))
    )
    assert story.subject == "[A] a man"
    assert [shot.story_caption for shot in story.shots] == ["[A]: a man", "plain"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", "not JSON"),
        ("[1]", "no 'scenes'"),
        ("[" * 100_000, "not JSON"),
        (json.dumps({"scenes": []}), "no 'scenes'"),
        (json.dumps({"scenes": [3]}), "scene 1 has no 'video_prompts'"),
        (json.dumps({"scenes": [{"video_prompts": []}]}), "no 'video_prompts'"),
        (json.dumps({"scenes": [{"video_prompts": ["a", " "]}]}), "prompt 2 is empty"),
        (json.dumps({"scenes": [{"video_prompts": [7]}]}), "prompt 1 is 7"),
        (json.dumps({"scenes": [{"video_prompts": ["a", "b"], "cut": [True]}]}), "cut is 1 entries.*2 prompts"),
        (json.dumps({"scenes": [{"video_prompts": ["a"], "cut": ["yes"]}]}), "cut is .*Use true"),
        (json.dumps({"scenes": [{"video_prompts": ["a"], "cut": True}]}), "cut is True"),
        (json.dumps({"scenes": [{"video_prompts": ["a"], "scene_num": "one"}]}), "scene_num is 'one'"),
        (json.dumps({"scenes": [{"video_prompts": ["a"] * 501}]}), "more than 500 shots"),
        (json.dumps({"scenes": [{"video_prompts": ["a" * 20_001]}]}), "20001 letters"),
        (json.dumps(script(story_name=None)), "story_name is None"),
    ],
)
def test_what_is_no_script_is_refused_with_the_field(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_story(text)


def test_a_file_that_is_no_text_or_far_too_large(tmp_path: Path) -> None:
    path = tmp_path / "story.json"
    path.write_bytes(b'{"scenes": "\xff\xfe"}')
    with pytest.raises(ValueError, match="story.json is not text in UTF-8"):
        read_story(path)
    path.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(ValueError, match="larger than 4 MB"):
        read_story(path)


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_in_the_encodings_that_windows_writes(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "sea.json"
    path.write_bytes(json.dumps(script(story_name="Möwe")).replace("\n", "\r\n").encode(coding))
    assert read_story(path).name == "Möwe"


def test_what_git_or_a_browser_leaves_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "sea.json"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    with pytest.raises(ValueError, match="sea.json: it is a git-lfs pointer.*`git lfs pull`"):
        read_story(path)
    path.write_bytes(b"<!doctype html><p>{}</p>")
    with pytest.raises(ValueError, match="sea.json: it is a web page"):
        read_story(path)


FENCED = "Here is your story:\n\n```json\n{}\n```\n\nShall I *change* {{anything}}?\n"


def test_a_story_in_the_code_fence_of_a_chatbot_is_read() -> None:
    plain = parse_story(json.dumps(script()))
    text = json.dumps(script(), indent=2)
    assert parse_story(FENCED.format(text)) == plain
    assert parse_story(f"```\n{text}\n```") == plain
    assert parse_story(f"- like this:\n  ```JSON\n{text}\n  ```") == plain
    assert parse_story(f"```json\n{text}") == plain, "an open fence, where the answer ends"
    other = FENCED.format('{"a": 1}') + FENCED.format(text) + "```python\nprint({})\n```"
    assert parse_story(other) == plain, "the fence that has scenes"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"Sure!\n{json.dumps(script())}", "Begin the file with {"),
        ("```json\nnothing\n```", "Begin the file with {"),
        (json.dumps(script())[:-1], r"line 1 column \d+ .*Repair it there"),
        (FENCED.format('{"scenes": [,]}'), r"code fence that is not JSON \(.*line 1 column 13.*Repair it there"),
        (FENCED.format('{"a": 1}'), "no 'scenes'"),
        (2 * FENCED.format(json.dumps(script())), "2 scripts in code fences. Keep the one"),
        ("```json\n" * 200_000 + "{", "not JSON"),
        (FENCED.format('{"scenes":' + "[" * 100_000), "code fence that is not JSON"),
    ],
)
def test_an_answer_without_a_whole_script_says_what_to_do(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_story(text)


def directions(*degrees: float) -> np.ndarray[Any, Any]:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_a_keyframe_is_unlike_the_one_before() -> None:
    assert choose_keyframes(directions(0, 90, 10, 26, 20, 60)) == [0, 3, 5]  # cos 26 degrees is 0.899
    assert choose_keyframes(directions(0, 90, 25)) == [0], "frame 1 is left out, and 0.906 is alike"
    assert choose_keyframes(directions(5)) == [0] and choose_keyframes(np.empty((0, 2))) == []


def test_the_threshold_falls_until_there_are_few() -> None:
    turning = directions(*range(0, 180, 6))
    assert choose_keyframes(turning, most=30) == [0, *range(5, 30, 5)], "30 degrees are the first below 0.9"
    few = choose_keyframes(turning, most=3)
    assert len(few) == 3 and few[0] == 0
    between = [float(turning[a] @ turning[b]) for a, b in zip(few[:-1], few[1:], strict=True)]
    assert max(between) < 0.6
    assert choose_keyframes(turning, most=1) == [0]
    with pytest.raises(ValueError, match="per_shot is 0.*Use 3"):
        choose_keyframes(turning, most=0)


def test_what_is_remembered_already_is_not_remembered_again() -> None:
    assert unlike(directions(0, 30, 90), directions(20, 200)) == [2]
    assert unlike(directions(0, 30), np.empty((0, 2))) == [0, 1]


@given(st.lists(st.integers(0, 10_000), max_size=40), st.integers(1, 12), st.data())
def test_the_bank_keeps_the_oldest_and_the_newest(frames: list[int], most: int, data: st.DataObject) -> None:
    fixed = data.draw(st.integers(0, most - 1))
    kept, ordered = bank_of(frames, most, fixed), sorted(set(frames))
    assert kept == sorted(kept) and len(kept) == min(most, len(ordered))
    assert kept[:fixed] == ordered[: min(fixed, len(kept))]
    assert kept[fixed:] == ordered[len(ordered) - max(0, len(kept) - fixed) :] or len(ordered) <= most


def test_a_bank_of_fixed_frames_only_is_refused() -> None:
    with pytest.raises(ValueError, match="fixed is 8 and keep 8"):
        bank_of([1], 8, 8)


def test_features_of_pictures() -> None:
    random = np.random.default_rng(1)
    pictures = random.integers(0, 256, (2, 40, 60, 3), dtype=np.uint8)
    brighter = (pictures[:1] // 2 + 90).astype(np.uint8)
    rows = picture_features(np.concatenate([pictures, brighter, np.full((1, 40, 60, 3), 9, np.uint8)]))
    rows_of_unit = rows[:3] / np.linalg.norm(rows[:3], axis=1, keepdims=True)
    assert rows.shape == (4, 768)
    assert rows_of_unit[0] @ rows_of_unit[2] > 0.99 and abs(rows_of_unit[0] @ rows_of_unit[1]) < 0.3
    assert picture_features(pictures[:, :5, :7]).shape == (2, 768), "smaller than 16 x 16"
    assert choose_keyframes(picture_features(np.repeat(pictures, 3, axis=0))) == [0, 3]
