"""The prompt that each shot of a story is filmed with, and what in it a video model cannot understand.

A model sees one prompt at a time: it knows nothing of who "she" was in the shot before, or what "Mara" looks like.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .story import GLOBAL, SHOT, Story, StoryShot, Subject, described

DESCRIBED, WRITTEN, CAPTIONS = "subjects described", "as written", "global and shot caption (Memento)"
STYLES = (DESCRIBED, WRITTEN, CAPTIONS)

_PRONOUN = re.compile(r"\b(he|him|his|she|her|hers|they|them|their|theirs)\b", re.I)
_SOMEBODY = re.compile(
    r"\b(?:the|this|that)\s+(?:(?:same|other|old|young|little|small|tall)\s+)*"
    r"(man|woman|boy|girl|child|kid|person|people|couple|figure|stranger|hero|heroine|protagonist|character)\b",
    re.I,
)
_WORD = re.compile(r"[^\W\d_][\w'’-]{2,}")
_NEAR = 0.8


@dataclass(frozen=True)
class Remark:
    """What may go wrong in a shot (counted from 1; 0 is the story as a whole), and the cure, in words; ``line`` is
    where the shot begins in a written story, 0 if there are no lines."""

    shot: int
    line: int
    text: str


def with_prompts(story: Story, style: str = DESCRIBED) -> Story:
    """The story with the prompts that a model is given.

    "subjects described" says behind the first mention of each subject how it looks, then what the scene and all shots
    have in common; a model without a memory of names understands that. "global and shot caption (Memento)" is the
    form that Memento was trained on. "as written" leaves them alone. A prompt that has both captions already stays.

    Raises ``ValueError`` for a style that there is not.
    """
    if style not in STYLES:
        raise ValueError(f"prompts is {style!r}: use one of {', '.join(STYLES)}.")
    if style == WRITTEN:
        return story
    made = _captions if style == CAPTIONS else _described
    shots = [shot if GLOBAL in shot.prompt and SHOT in shot.prompt else replace(shot, prompt=made(story, shot))
             for shot in story.shots]
    return replace(story, shots=tuple(shots))


def remarks(story: Story) -> list[Remark]:
    """Pronouns, people without a name, subjects that are never seen or spelt in another way, shot by shot."""
    found = [one for number, shot in enumerate(story.shots, 1) for one in _of_shot(story.subjects, number, shot)]
    for subject in story.subjects:
        if not any(_mention(subject.name).search(shot.prompt) for shot in story.shots):
            found.append(Remark(0, 0, f"No shot names {subject.name!r}. Use the name as it stands among the subjects, "
                                      "or take the subject out."))
    return found


def _of_shot(subjects: tuple[Subject, ...], number: int, shot: StoryShot) -> Iterator[Remark]:
    prompt = shot.prompt
    pronouns = list(dict.fromkeys(word.lower() for word in _PRONOUN.findall(prompt)))
    if pronouns:
        said = ", ".join(repr(word) for word in pronouns)
        yield Remark(number, shot.line, f"{said}: a model does not know who that is. Use the name, or say how the one "
                                        "looks.")
    if not subjects:
        return
    if somebody := _SOMEBODY.search(prompt):
        yield Remark(number, shot.line, f"{somebody[0]!r} may be anybody. Use the name of a subject.")
    names = {part for one in subjects for part in one.name.split()}
    for word in dict.fromkeys(_WORD.findall(prompt)):
        plain = re.sub(r"['’]s?$", "", word)
        if plain[:1].isupper() and plain not in names and (near := difflib.get_close_matches(plain, names, 1, _NEAR)):
            yield Remark(number, shot.line, f"{plain!r} is no subject. Did you mean {near[0]!r}?")


def _mention(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.I)


def _described(story: Story, shot: StoryShot) -> str:
    text, behind, inserted = shot.prompt, list[Subject](), list[tuple[int, str]]()
    for subject in story.subjects:
        mentions = list(_mention(subject.name).finditer(text))
        # "Mara's (a girl ...) hand" reads badly: there it is said at the end.
        plain = [one.end() for one in mentions if not re.match(r"['’]", text[one.end() :])]
        if plain:
            inserted.append((plain[0], subject.description.rstrip(". ")))
        elif mentions:
            behind.append(subject)
    for at, how in sorted(inserted, reverse=True):
        text = f"{text[:at]} ({how}){text[at:]}"
    return _joined(text, described(tuple(behind)), story.place(shot.scene), story.look)


def _captions(story: Story, shot: StoryShot) -> str:
    whole = _joined(story.overview, described(story.subjects)) or shot.prompt
    return f"{GLOBAL} {whole.rstrip('.')}; {SHOT} {_joined(story.place(shot.scene), shot.prompt, story.look)}"


def _joined(*parts: str) -> str:
    """Texts as sentences behind each other."""
    *first, last = [part.strip() for part in parts if part.strip()] or [""]
    return " ".join([part if part.endswith((".", "!", "?", "…", '"')) else f"{part}." for part in first] + [last])
