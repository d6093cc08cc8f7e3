"""Stories as people write them, what becomes of their prompts, and what a model would not understand in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.cameras.presets import PRESETS
from scene_memory.memory.story.prompts import CAPTIONS, DESCRIBED, STYLES, WRITTEN, remarks, with_prompts
from scene_memory.memory.story.script import as_json, parse_story, read_story
from scene_memory.memory.story.shot_settings import camera_move, shot_length
from scene_memory.memory.story.story import Story, Subject

SHELL = """# The shell

A girl finds a shell.
She brings it to the keeper.

## Subjects
- **Mara**: a girl of ten with a red raincoat
- Otto - an old keeper with a white beard
  and a blue sweater.

## Look
Watercolour

## Scene 1: the beach
A grey beach

### Shot
camera: pan left 30
length: 5 s
Mara walks along the water
and picks up a shell.

### Shot 2
- **cut:** no
- seed: 7
- take: 2
- length: 33 frames
Close on Mara's hands.

## Scene 2

1. Otto opens the door.
2. Otto and Mara smile. Note: it rains.
   - first frame: a door
"""
MARA, OTTO = "a girl of ten with a red raincoat", "an old keeper with a white beard and a blue sweater."


def written(shot: str, subjects: str = "- Mara: a girl\n- Old Tom: a man") -> Story:
    return parse_story(f"# T\n## Subjects\n{subjects}\n## Scene\n### Shot\n{shot}\n")


def test_a_written_story_is_read_with_what_it_says_of_each_shot() -> None:
    story = parse_story(SHELL)
    assert (story.name, story.overview) == ("The shell", "A girl finds a shell. She brings it to the keeper.")
    assert story.subjects == (Subject("Mara", MARA), Subject("Otto", OTTO))
    assert story.subject == f"Mara: {MARA}. Otto: {OTTO}"
    assert story.look == "Watercolour" and story.place(1) == "A grey beach" and story.place(2) == ""
    one, two, three, four = story.shots
    assert [(shot.scene, shot.number, shot.cut) for shot in story.shots] == [
        (1, 1, True), (1, 2, False), (2, 1, True), (2, 2, False),
    ]  # fmt: skip
    assert one.prompt == "Mara walks along the water and picks up a shell."
    assert (one.move, one.amount, one.seconds, one.seed, one.take) == ("pan", -30.0, 5.0, None, 0)
    assert (two.prompt, two.move, two.frames, two.seed, two.take) == ("Close on Mara's hands.", "", 33, 7, 2)
    assert three.prompt == "Otto opens the door." and four.first_frame == "a door"
    assert four.prompt == "Otto and Mara smile. Note: it rains.", "a colon alone makes no setting"
    assert [SHELL.splitlines()[shot.line - 1] for shot in story.shots] == [
        "### Shot", "### Shot 2", "1. Otto opens the door.", "2. Otto and Mara smile. Note: it rains.",
    ]  # fmt: skip


def test_line_ends_fences_comments_and_answers_around_it_change_nothing(tmp_path: Path) -> None:
    plain = parse_story(SHELL)
    answer = f"Here is *your* story:\n\n```markdown\n{SHELL}```\n\nMore?\n"
    assert parse_story(answer) == plain and parse_story(f"```\n{SHELL}") == plain
    assert parse_story(answer).shots[0].line == plain.shots[0].line + 3, "lines as they stand in the text"
    path = tmp_path / "shell.json"
    path.write_bytes(SHELL.replace("\n", "\r\n").encode("utf-8-sig"))
    assert read_story(path) == plain
    assert parse_story(SHELL.replace("## Look", "<!-- not\nthis -->\n---\n## Look")) == plain
    with pytest.raises(ValueError, match="2 scripts in code fences"):
        parse_story(2 * f"```\n{SHELL}```\n")


def test_scenes_and_shots_without_more_than_their_headings() -> None:
    story = parse_story("### Shot\nA house.\n### Shot\nA tree.\n## Next\n### Shot\nA river.")
    assert [(shot.scene, shot.cut, shot.prompt) for shot in story.shots] == [
        (1, True, "A house."), (1, False, "A tree."), (2, True, "A river."),
    ]  # fmt: skip
    assert parse_story("### Shot\ncut: no\nA house.").shots[0].cut, "nothing comes before the first shot"
    assert story.name == story.subject == ""


def test_the_json_of_a_story_says_all_of_it() -> None:
    story = parse_story(SHELL)
    assert parse_story(as_json(story)) == story
    lighthouse = Path(__file__).resolve().parents[2] / "workflows" / "stories" / "The lighthouse.json"
    again = parse_story(as_json(read_story(lighthouse)))
    assert again == read_story(lighthouse)
    assert set(re.findall(r'^  "(\w+)"|^   "(\w+)"', as_json(again), re.M)) <= {
        ("", "scene_num"), ("", "video_prompts"), ("", "first_frame_prompt"), ("", "cut"),
    }, "a story of StoryMem has StoryMem's fields alone"  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# T\n## Scene\nA beach.", r"line 2: the scene 'Scene' has no shots.*### Shot"),
        ("# T\nWords.", r"has no shots. Write '## Scene 1'"),
        ("# T\n## S\n### Shot\n\n### Shot\nx", "line 3: this shot says nothing"),
        ("# T\n## S\n### Shot\ncamera: pam 30\nx", r"line 4: camera: 'pam 30' is no camera move. Did you mean 'pan'"),
        ("# T\n## S\n### Shot\ncamra: pan 30\nx", r"line 4: 'camra' is nothing that a shot has. Did you mean 'camera'"),
        ("# T\n## S\n### Shot\nlength: 5\nx", r"line 4: length: '5' is no length. Use '81 frames' or '5 s'"),
        ("# T\n## S\n### Shot\nlength: 2.5 frames\nx", "line 4: length: .*a whole number"),
        ("# T\n## S\n### Shot\nlength: 0 s\nx", "line 4: length: .*more than 0"),
        ("# T\n## S\n### Shot\nseed: -1\nx", "line 4: seed: '-1' is no seed"),
        ("# T\n## S\n### Shot\ncut: maybe\nx", "line 4: cut: 'maybe' is neither yes nor no"),
        ("# T\n## S\n### Shot\nseed: 1\nseed: 2\nx", "line 5: this shot has a second seed"),
        ("# T\n## Subjects\nnobody\n## S\n### Shot\nx", "line 3: 'nobody' is no subject.*colon"),
        ("# T\n## Subjects\n- Mara:\n## S\n### Shot\nx", "line 3: 'Mara' has no description"),
        ("# T\n## Subjects\n- Mara: a\n- mara: b\n## S\n### Shot\nx", "line 4: there are two subjects called 'mara'"),
        ("# T\n# U\n## S\n### Shot\nx", "line 2: 'U' is a second title"),
        ("# T\n## S\n" + "### Shot\nx\n" * 501, "more than 500 shots"),
        ("# T\n## S\n### Shot\n" + "x" * 20_001, "line 3: there are 20001 letters from here"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_the_cure(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_story(text)


@given(st.text(alphabet="#-*12. :\nabMcutseed`{[\"", max_size=200))
def test_any_text_is_a_story_or_refused_in_words(text: str) -> None:
    try:
        story = parse_story(text)
    except ValueError as problem:
        assert len(str(problem)) > 20
    else:
        assert parse_story(as_json(story)) == story


@pytest.mark.parametrize(
    ("text", "move", "amount"),
    [
        ("pan", "pan", PRESETS["pan"].amount),
        ("Pan left", "pan", -PRESETS["pan"].amount),
        ("pan left 30°", "pan", -30.0),
        ("pan -30 degrees", "pan", -30.0),
        ("dolly in 1.5 m", "dolly", 1.5),
        ("push in", "dolly", PRESETS["dolly"].amount),
        ("pull back 2", "dolly", -2.0),
        ("turn away and come back 90", "turn away and come back", 90.0),
        ("dolly zoom", "dolly zoom", PRESETS["dolly zoom"].amount),
        ("stand still", "static", 0.0),
    ],
)
def test_a_camera_in_words(text: str, move: str, amount: float) -> None:
    assert camera_move(text) == {"move": move, "amount": amount}


def test_every_move_can_be_said_by_its_name() -> None:
    for name, preset in PRESETS.items():
        assert camera_move(name) == {"move": name, "amount": preset.amount}
    with pytest.raises(ValueError, match="goes too far"):
        camera_move("pan 99999")


@pytest.mark.parametrize(
    ("text", "length"),
    [("81 frames", {"frames": 81}), ("5s", {"seconds": 5.0}), ("1 frame", {"frames": 1}), ("2.5 s", {"seconds": 2.5})],
)
def test_a_length_in_words(text: str, length: dict[str, float]) -> None:
    assert shot_length(text) == length


def test_prompts_say_how_the_named_look_and_what_the_scene_shows() -> None:
    story = parse_story(SHELL)
    one, two, three, four = (shot.prompt for shot in with_prompts(story, DESCRIBED).shots)
    assert one == f"Mara ({MARA}) walks along the water and picks up a shell. A grey beach. Watercolour"
    assert two == f"Close on Mara's hands. Mara: {MARA}. A grey beach. Watercolour"
    assert three == f"Otto ({OTTO[:-1]}) opens the door. Watercolour"
    assert four == f"Otto ({OTTO[:-1]}) and Mara ({MARA}) smile. Note: it rains. Watercolour"
    assert with_prompts(story, WRITTEN) == story
    captions = with_prompts(story, CAPTIONS)
    whole = f"{story.overview} Mara: {MARA}. Otto: {OTTO[:-1]}"
    assert captions.shots[2].prompt == f"global caption: {whole}; shot caption: Otto opens the door. Watercolour"
    assert captions.shots[2].story_caption == whole
    assert with_prompts(captions, CAPTIONS) == captions, "a prompt that has its captions stays"
    with pytest.raises(ValueError, match="prompts is 'loud'"):
        with_prompts(story, "loud")


def test_a_name_in_the_description_of_another_is_not_described_again() -> None:
    story = written("Mara waves to Tom.", "- Mara: a girl like Tom\n- Tom: a boy like Mara")
    assert with_prompts(story).shots[0].prompt == "Mara (a girl like Tom) waves to Tom (a boy like Mara)."


def test_stories_of_storymem_stay_as_they_are() -> None:
    for path in (Path(__file__).resolve().parents[2] / "workflows" / "stories").glob("*.json"):
        story = read_story(path)
        for style in STYLES[:2]:
            assert with_prompts(story, style) == story


@pytest.mark.parametrize(
    ("shot", "says"),
    [
        ("Mara runs. She laughs with him.", ["'she', 'him': a model does not know who that is"]),
        ("The old man looks at Mara.", ["'The old man' may be anybody"]),
        ("Marra runs.", ["'Marra' is no subject. Did you mean 'Mara'?"]),
        ("Mara's dog and the dog's ball lie near a theatre; it is heated.", []),
        ("A crowd on a Market square. Old Tom sings.", []),
    ],
)
def test_what_a_model_cannot_understand(shot: str, says: list[str]) -> None:
    found = [one for one in remarks(written(shot)) if one.shot]
    assert len(found) == len(says) and all(one.line == 6 for one in found)
    assert all(one.text.startswith(words) for one, words in zip(found, says, strict=True))


def test_a_subject_that_is_never_seen_is_said_once_for_the_story() -> None:
    (one,) = remarks(written("Mara runs."))
    assert one.shot == 0 and one.text.startswith("No shot names 'Old Tom'")
    assert not remarks(parse_story("# T\n## S\n### Shot\nThe man walks."))
