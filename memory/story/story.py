"""A story of several shots: who is in it, where it plays, and what each shot shows."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_SHOTS = 500
MOST_LETTERS = 20_000

GLOBAL, SHOT = "global caption:", "shot caption:"
"""What stands before the two parts of a prompt as Memento was trained on it."""


def story_caption(prompt: str) -> str:
    """What Memento's prompts say of the whole story, "global caption: ..."; the whole prompt if there is none."""
    if GLOBAL not in prompt or SHOT not in prompt:
        return prompt
    return prompt.split(SHOT)[0].replace(GLOBAL, "").strip().rstrip(";").strip()


@dataclass(frozen=True)
class Subject:
    """Who or what must stay the same: a fixed ``name``, and how it looks."""

    name: str
    description: str


@dataclass(frozen=True)
class StoryShot:
    """One shot: scene and number in it as the script counts them, the prompt, and whether a cut comes before it.

    ``move`` is a camera move by its name, empty where the prompt moves the camera, ``amount`` as far as it goes.
    ``frames`` or ``seconds`` say how long it is, 0 as the film's usual; ``seed`` None takes the film's next one;
    ``take`` 2 is its second other take. ``line`` is where it begins in a written story, counted from 1.
    """

    scene: int
    number: int
    prompt: str
    cut: bool
    first_frame: str = ""
    move: str = ""
    amount: float = 0.0
    frames: int = 0
    seconds: float = 0.0
    seed: int | None = None
    take: int = 0
    line: int = field(default=0, compare=False)

    @property
    def story_caption(self) -> str:
        """See ``story_caption``."""
        return story_caption(self.prompt)


@dataclass(frozen=True)
class Story:
    """A script: ``shots`` in order, ``subject`` the description that Memento rebuilds beside each shot.

    ``overview`` says in a sentence or two what happens, ``look`` what all shots have in common, ``places`` what all
    shots of a scene show, by the scene as its shots count it.
    """

    name: str
    overview: str
    shots: tuple[StoryShot, ...]
    subject: str = ""
    subjects: tuple[Subject, ...] = ()
    look: str = ""
    places: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.shots)

    def place(self, scene: int) -> str:
        """What all shots of a scene show; empty where the story says nothing of it."""
        return dict(self.places).get(scene, "")


def described(subjects: tuple[Subject, ...]) -> str:
    """All subjects in one text, each by its name: what Memento rebuilds them from."""
    return " ".join(f"{one.name}: {one.description.rstrip('.')}." for one in subjects)
