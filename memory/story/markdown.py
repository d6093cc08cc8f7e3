"""A story as people write it, in Markdown: a title, subjects, scenes as headings, shots as headings or numbered lines.

    # The shell
    A girl finds a shell and brings it to the lighthouse.

    ## Subjects
    - Mara: a girl of ten with a red raincoat and short black hair

    ## Scene 1: the beach
    A wide grey beach at low tide, soft morning light.

    ### Shot
    camera: pan left 30
    length: 5 s
    Mara walks along the water and picks up a white shell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .shot_settings import SETTINGS, meant
from .story import MOST_LETTERS, MOST_SHOTS, Story, StoryShot, Subject, described

_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*")
_NUMBERED = re.compile(r" {0,3}\d{1,3}[.)]\s+(.*)")
_SETTING = re.compile(r"\s*(?:[-*+]\s+)?[*_]{0,3}([A-Za-z][A-Za-z ]{1,20}?)[*_]{0,3}\s*:[*_]{0,3}\s*(.*)")
_SUBJECT = re.compile(
    r"\s*(?:(?:[-*+]|\d{1,3}[.)])\s+)?[*_]{0,3}([^:*_]{1,80}?)[*_]{0,3}\s*(?::|\s[-\u2013\u2014]\s)[*_]{0,3}\s*(.*)"
)
_SUBJECTS = {"subject", "subjects", "character", "characters", "cast", "people"}
_OVERVIEW, _LOOK = {"caption", "overview", "summary", "story"}, {"look", "style", "visual style"}


def is_markdown(text: str) -> bool:
    """Whether a text has a heading of Markdown, so that it is a written story."""
    return any(_HEADING.fullmatch(line) for line in text.splitlines())


@dataclass
class _Shot:
    line: int
    fields: dict[str, Any] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


@dataclass
class _Scene:
    line: int
    title: str
    words: list[str] = field(default_factory=list)
    shots: list[_Shot] = field(default_factory=list)


def parse_markdown(text: str, what: str = "The story") -> Story:
    """The story in a Markdown text. ``what`` names it in messages.

    Headings of level 1 are its title, of level 2 "Subjects", "Caption", "Look" and, by any other name, scenes; deeper
    ones and numbered lines are shots. The text below a title, a scene or a shot is what it says; lines such as
    "camera: pan 30" are settings of a shot (``shot_settings.SETTINGS``). Each scene begins with a cut, its other shots
    go on, where they do not say otherwise.

    Raises ``ValueError`` with the line and what to do.
    """
    reader = _Reader(what)
    for number, line in _lines(text):
        reader.read(number, line)
    return reader.story()


class _Reader:
    def __init__(self, what: str) -> None:
        self.what = what
        self.title = ""
        self.overview: list[str] = []
        self.look: list[str] = []
        self.people: dict[str, tuple[int, list[str]]] = {}
        self.scenes: list[_Scene] = []
        self.section = "overview"
        self.person: list[str] | None = None

    def read(self, number: int, line: str) -> None:
        """Takes one line in, by what it is and where it stands. Raises ``ValueError`` for one that makes no sense."""
        if heading := _HEADING.fullmatch(line):
            self._heading(number, len(heading[1]), heading[2].strip("*_ "))
        elif self.section == "subjects":
            self._subject(number, line)
        elif self.section == "scene":
            self._of_scene(number, line)
        else:
            (self.look if self.section == "look" else self.overview).append(line.strip())

    def story(self) -> Story:
        """The story of all lines. Raises ``ValueError`` for what is missing."""
        subjects = tuple(self._described(name, *given) for name, given in self.people.items())
        shots: list[StoryShot] = []
        places: list[tuple[int, str]] = []
        for number, scene in enumerate(self.scenes, 1):
            if not scene.shots:
                raise self._wrong(scene.line, f"the scene {scene.title!r} has no shots. Write '### Shot' below it, and "
                                              "below that what the shot shows")
            if place := self._text(scene.words, scene.line):
                places.append((number, place))
            shots += [self._shot(shot, number, index) for index, shot in enumerate(scene.shots, 1)]
        if not shots:
            raise ValueError(f"{self.what} has no shots. Write '## Scene 1', below it '### Shot', and below that what "
                             "the shot shows.")
        if len(shots) > MOST_SHOTS:
            raise ValueError(f"{self.what} has more than {MOST_SHOTS} shots. Split it into several stories.")
        overview, look = self._text(self.overview, 1), self._text(self.look, 1)
        return Story(self.title, overview, tuple(shots), described(subjects), subjects, look, tuple(places))

    def _heading(self, number: int, level: int, words: str) -> None:
        self.person = None
        name = words.lower().rstrip(":")
        if level == 1:
            if self.title or self.scenes:
                raise self._wrong(number, f"{words!r:.60} is a second title. Begin scenes with ## and shots with ###")
            self.title, self.section = words, "overview"
        elif level == 2:
            known = {**dict.fromkeys(_SUBJECTS, "subjects"), **dict.fromkeys(_LOOK, "look")}
            self.section = known.get(name, "overview" if name in _OVERVIEW and not self.scenes else "scene")
            if self.section == "scene":
                self.scenes.append(_Scene(number, words))
        else:
            if self.section != "scene":
                self.section = "scene"
                self.scenes.append(_Scene(number, words))
            self.scenes[-1].shots.append(_Shot(number))

    def _subject(self, number: int, line: str) -> None:
        found = _SUBJECT.fullmatch(line)
        if found and not line.startswith(("  ", "\t")):
            name = found[1].strip()
            if name.lower() in map(str.lower, self.people):
                raise self._wrong(number, f"there are two subjects called {name!r}. Give each a name of its own")
            self.person = [found[2].strip()]
            self.people[name] = (number, self.person)
        elif self.person is not None:
            self.person.append(line.strip())
        elif line.strip():
            raise self._wrong(number, f"{line.strip()!r:.60} is no subject. Write a name, a colon, and how it looks: "
                                      "'- Mara: a girl of ten with a red raincoat'")

    def _of_scene(self, number: int, line: str) -> None:
        scene = self.scenes[-1]
        if numbered := _NUMBERED.fullmatch(line):
            scene.shots.append(_Shot(number))
            line = numbered[1]
        if not scene.shots:
            scene.words.append(line.strip())
            return
        shot, setting = scene.shots[-1], _SETTING.fullmatch(line)
        word = setting[1].lower() if setting else ""
        if setting and word in SETTINGS:
            self._setting(shot, number, word, setting[2])
        elif setting and (right := meant(word)):
            raise self._wrong(number, f"{word!r} is nothing that a shot has. Did you mean {right!r}?", "")
        else:
            shot.words.append(line.strip())

    def _setting(self, shot: _Shot, number: int, word: str, given: str) -> None:
        try:
            found = SETTINGS[word](given.strip().strip("*_"))
        except ValueError as problem:
            raise self._wrong(number, f"{word}: {problem}", "") from None
        if found.keys() & shot.fields.keys():
            raise self._wrong(number, f"this shot has a second {word}. Keep one")
        shot.fields.update(found)

    def _shot(self, shot: _Shot, scene: int, number: int) -> StoryShot:
        prompt = self._text(shot.words, shot.line)
        if not prompt:
            raise self._wrong(shot.line, "this shot says nothing. Write below it what it shows")
        fields = {"cut": number == 1, **shot.fields}
        if scene == number == 1:
            fields["cut"] = True  # Nothing comes before the first shot.
        return StoryShot(scene, number, prompt, line=shot.line, **fields)

    def _described(self, name: str, line: int, words: list[str]) -> Subject:
        description = self._text(words, line)
        if not description:
            raise self._wrong(line, f"{name!r} has no description. Write behind the colon how it looks")
        return Subject(name, description)

    def _text(self, words: list[str], line: int) -> str:
        text = " ".join(filter(None, words))
        if len(text) > MOST_LETTERS:
            raise self._wrong(line, f"there are {len(text)} letters from here. Use {MOST_LETTERS} at most")
        return text

    def _wrong(self, line: int, problem: str, end: str = ".") -> ValueError:
        return ValueError(f"{self.what}, line {line}: {problem}{end}")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1; comments of HTML and lines that only part the text are left out."""
    comment = False
    for number, line in enumerate(text.splitlines(), 1):
        opened = line.lstrip().startswith("<!--")
        if not comment and not opened and not re.fullmatch(r"\s*([-*_=])(\s*\1){2,}\s*", line):
            yield number, line
        comment = (comment or opened) and "-->" not in line
