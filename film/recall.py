"""Finds a segment in the bank before it is made: by what is asked for, or by what the model would be given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..memory.bank.bank import Bank
from ..memory.cameras.trajectory import Trajectory
from ..memory.retrieval.distances import distances
from ..memory.retrieval.retrieve import Retrieval
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state.state import MemoryState
from .context import ContextReader, choose_context, shown
from .continuity import segment_seed, whole_path
from .keys import Given, ShotKey
from .known_pixels import VERSION, viewed
from .latents import ContextLatents
from .measured_path import AS_MEASURED
from .measured_path import VERSION as CAMERAS_VERSION
from .model import VideoModel
from .plan import ShotPlan
from .write_queue import WriteQueue

Found = Callable[[MemoryState], MemoryState | None]


@dataclass(frozen=True)
class Shot:
    """What stays the same from segment to segment: size is (width, height), number that of the shot in the film, key
    None where its segments cannot be found again."""

    plan: ShotPlan
    model: VideoModel
    settings: RetrievalSettings
    size: tuple[int, int]
    number: int
    latents: ContextLatents | None
    reader: ContextReader
    queue: WriteQueue
    key: ShotKey | None
    looks_back: bool
    depth_identity: tuple[Any, ...] = ()
    """What determines the depth that is kept (``DepthSource.identity``); empty without a depth source."""


@dataclass(frozen=True, eq=False)
class Described:
    """What is kept beside a segment's pictures: their cameras, ``depth`` (F, h, w) or None, and notes."""

    trajectory: Trajectory
    depth: NDArray[np.float16] | None
    info: dict[str, Any]


@dataclass
class Search:
    """The search for one segment: what follows ``state`` along ``path``, after ``overlap`` known pictures.

    ``keys`` are those that the segment has so far; ``retrieval`` says what it looks back at, and is worked out when it
    is first needed: a segment that is found by what was asked for needs none. ``described`` finds what is read off
    pictures (F, H, W, 3) that are taken over, None where they are lost.
    """

    shot: Shot
    state: MemoryState
    path: Trajectory
    overlap: int
    depth: NDArray[np.float16] | None
    notes: Callable[[Retrieval | None], dict[str, Any]]
    described: Callable[[MemoryState, NDArray[np.uint8] | None], Described] | None = None
    keys: list[str] = field(default_factory=list)
    _chosen: list[Retrieval | None] = field(default_factory=list)

    @property
    def retrieval(self) -> Retrieval | None:
        """What the segment looks back at, of what is on the disk."""
        return self._on_disk()

    def ways(self) -> Iterator[Found]:
        """Ways to find the segment, the surest first; each that leads somewhere becomes the memory with the segment.

        A frame that was chosen may be gone from the disk since: so the choice of the memory alone is asked for first.
        """
        key, bank = self.shot.key, _bank(self.state)
        if key is None:
            return
        asked = self._asked(key)
        self.keys = [asked]
        if bank.knows(asked):
            yield lambda state: bank.recall(state, asked)
        for choice in (self._by_memory, self._on_disk):
            made = self._made(key, choice())
            if made not in self.keys:
                self.keys = [asked, made]
                if bank.knows(made):
                    yield self._taken_over

    def _taken_over(self, state: MemoryState) -> MemoryState | None:
        asked, made = self.keys
        bank = _bank(state)
        found = Described(self.path, self.depth, {})
        reads = self.shot.depth_identity or self.shot.plan.cameras == AS_MEASURED
        if self.described is not None and reads:
            found = self.described(state, bank.pictures_of(made))
        return bank.take_over(
            state,
            made,
            trajectory=found.trajectory,
            shot=self.shot.number,
            prompt=self.shot.plan.prompt,
            info={**self.notes(self._chosen[-1]), **found.info},
            depth=found.depth,
            also=[asked],
        )

    def _by_memory(self) -> Retrieval | None:
        if not self._chosen:
            self._chosen.append(self._choice(on_disk=False))
        return self._chosen[0]

    def _on_disk(self) -> Retrieval | None:
        chosen = self._by_memory()
        if len(self._chosen) == 1:
            here = chosen is None or bool(self.shot.reader.has(self.state, chosen.indices).all())
            self._chosen.append(chosen if here else self._choice(on_disk=True))
        return self._chosen[1]

    def _choice(self, on_disk: bool) -> Retrieval | None:
        shot = self.shot
        if not shot.looks_back:
            return None
        most = shot.model.most_context
        if shot.plan.has_known_pixels:
            # A model's own limit is one of context frames.
            most = max(most, shot.settings.k)
        return choose_context(self.state, self.path, shot.settings, most, shot.reader, on_disk)

    def _asked(self, key: ShotKey) -> str:
        shot, plan = self.shot, self.shot.plan
        settings: tuple[Any, ...] = (shot.number, plan.prompt, self.depth, self.overlap, plan.seed, plan.colour_anchor)
        if shot.depth_identity:
            # Depth that is kept is part of the memory, not of the pictures: hashed here, and not with what is made.
            settings = (*settings, shot.depth_identity)
        if plan.cameras == AS_MEASURED:
            settings = (*settings, plan.cameras, CAMERAS_VERSION)
        if plan.has_known_pixels:
            settings = (*settings, plan.memory_enters_as, plan.hold_known, VERSION)
        return key.asked(self.state.id, self.path, shot.settings if shot.looks_back else None, *settings)

    def _made(self, key: ShotKey, retrieval: Retrieval | None) -> str:
        shot, state, reader = self.shot, self.state, self.shot.reader
        numbered, new = shot.model.frame_numbers, len(self.path)
        first = state.frames - self.overlap
        anchor, plan, context = shot.plan.colour_anchor, shot.plan, shown(retrieval, shot.plan, shot.model)
        far = distances(state, self.path, shot.settings).depth if anchor or plan.has_known_pixels else 0.0
        return key.made(
            Given(
                whole=whole_path(state, self.path, self.overlap, shot.model.made_for(new + self.overlap)),
                new=new,
                context=reader.identities(state, np.sort(context.indices), numbered) if context else (),
                known=reader.identities(state, range(first, state.frames), numbered),
                seed=segment_seed(shot.plan.seed, state.frames),
                first_frame=first if numbered else -1,
                colour=(anchor, far) if anchor else None,
                view=viewed(state, retrieval, plan, reader, far) if plan.has_known_pixels else None,
            )
        )


def _bank(state: MemoryState) -> Bank:
    assert state.bank is not None, "checked before the first segment"
    return state.bank
