"""A segment's keys: hashes of all that determines it, so that what is in the bank already is loaded, not made.

A key that matches what is not the same would put a wrong picture into the film; a key that misses costs hours. So keys
are made of data alone (``identity.py``), and hold what determines the pictures and nothing else.

There are two, and both lead to the same segment:

- ``asked``: what was asked for: the memory that the segment follows, its cameras, the settings of retrieval, and what
  all segments of the shot share. Whoever asks the same again is given the same segment, whatever the machine or a newer
  rule of retrieval would choose today, and nothing is retrieved.
- ``made``: what the model is given: the remembered frames that were chosen, by the pixels, latents and cameras that are
  read of them, the known pictures it begins with, its cameras, its noise. Settings that do not change the choice find
  the segment by this key; so does a film whose other shots have changed, and then takes its pictures over.

What is hashed by name has a version: RECIPE for the loop, ``VideoModel.version``, ``colour.VERSION``,
``known_pixels.VERSION``, ``moc.patch.VERSION``. Raise one when the same data comes to mean other pictures, also when
the default of a field of ours changes, for fields at their default are not hashed; and only then: each film made before
is then made anew when it is queued. tests/film/golden_keys.json holds keys still; it is changed together with a
version, never alone.

Recipe 1 (0.1.0 to 0.3.0) hashed code, too: an update of the pack, the host or Python made everything anew. Recipe 2
hashes data. Its keys cannot match those of recipe 1; memories from then can be gone on from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..memory.cameras.trajectory import Trajectory
from .colour import VERSION as COLOUR_VERSION
from .identity import Identity

RECIPE = 2
"""Raised whenever the segment loop changes what a segment looks like. See above."""


@dataclass(frozen=True)
class Read:
    """What is read of a remembered frame: the sha256 of its pixels, the identity of its latent where the bank has one
    ("" where it is encoded from the pixels), its camera, and its number, where that counts (else -1)."""

    pixels: bytes
    latent: str
    pose: NDArray[np.float64]
    intrinsics: NDArray[np.float64]
    number: int = -1


@dataclass(frozen=True)
class Viewed:
    """What known pixels follow from: remembered frames, oldest first, the z-depth (K, h, w) that the memory has of them
    (None: none), how far things are taken to be where there is none, whether what is known is held at each step, and
    the version of the geometry."""

    frames: Sequence[Read]
    depth: NDArray[np.float32] | None
    distance: float
    held: bool
    version: int


@dataclass(frozen=True)
class Given:
    """What the model is given for a segment, beside what its shot shares.

    whole: cameras of all frames that are made, known ones included. new: how many go into the film. context: remembered
    frames, oldest first. known: pictures with which it begins. seed: of its noise. first_frame: its number in the film,
    where that counts (else -1). colour: (share, distance) of ``colour.anchored``, where colours are anchored. view:
    what known pixels follow from, where there are any.
    """

    whole: Trajectory
    new: int
    context: Sequence[Read]
    known: Sequence[Read]
    seed: int
    first_frame: int = -1
    colour: tuple[float, float] | None = None
    view: Viewed | None = None


@dataclass(frozen=True)
class ShotKey:
    """Keys of a shot's segments. ``shared`` is what all of them have in common, hashed once. ``code``: for each pack of
    others that has functions in the MODEL, a digest of their code, which no key holds."""

    shared: str
    code: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, identity: Identity, **ingredients: Any) -> ShotKey:
        """The keys of a shot with these ingredients, hashed by name with an ``Identity`` that knows their classes.

        Raises:
            NoIdentity: something has no identity; the message says what.
        """
        whole = identity.add("recipe", RECIPE)
        for name, value in sorted(ingredients.items()):
            whole.add(name, value)
        return cls(whole.hexdigest(), whole.code)

    def asked(self, parent: str, path: Trajectory, *settings: Any) -> str:
        """The key (64 hex digits) of what follows the memory with the id ``parent`` along ``path``."""
        return _hashed(b"asked", self.shared, parent, repr((len(path), path.fps)), path.poses, path.intrinsics,
                       Identity().add("settings", settings).hexdigest())  # fmt: skip

    def made(self, given: Given) -> str:
        """The key (64 hex digits) of what the model makes of that."""
        parts: list[Any] = [given.whole.poses, given.whole.intrinsics]
        numbers = [RECIPE, given.new, given.whole.fps, given.seed, given.first_frame]
        view = given.view
        for frames in (given.context, given.known, *((view.frames,) if view else ())):
            numbers += [len(frames)]
            for one in frames:
                parts += [one.pixels, one.latent, one.pose, one.intrinsics, repr(one.number)]
        if view is not None:
            told = repr((view.version, view.distance, view.held, None if view.depth is None else view.depth.shape))
            parts += ["view", told, *([] if view.depth is None else [view.depth])]
        colour = repr((COLOUR_VERSION, *given.colour)) if given.colour else ""
        return _hashed(b"made", self.shared, json.dumps(numbers), colour, *parts)


def _hashed(*parts: bytes | str | NDArray[Any]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        data = np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else part
        data = data.encode() if isinstance(data, str) else data
        whole.update(len(data).to_bytes(8, "little"))
        whole.update(data)
    return whole.hexdigest()
