"""Damage in a bank: what is flawed in a file, what is sound behind it, and a head that is made again from what is left.

An id vouches for all that came before it, so segments cannot keep theirs without what they continue. What is sound
behind a damaged one (``Rest``) is copied: the same pictures and cameras, as the segments of a new memory.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..document import is_id, text_id
from ..errors import BankError, DamageError
from ..files import NoFileError, names_in, no_link, read_small, write_whole
from ..state.edits import MAX_EDIT_BYTES, Edit, parse_edit
from ..state.frame_ranges import runs_of, runs_text
from ..state.records import SegmentRecord
from ..state.state import EMPTY_ID, MemoryState
from .head import Head, head_named, head_of, read_head
from .loading import load_state, parent_of, with_file
from .packs import PackLabel, read_pack
from .segment_file import (
    after_another,
    cameras_only,
    decode_some,
    kept_pictures,
    read_cameras,
    read_coded,
    read_extra,
    read_text,
    without_pictures,
)
from .segment_text import parent_in
from .tensor_file import Buffer

_AT_ONCE = 8 << 20
"""Bytes of pixels that are checked between two looks at whether to go on."""
_SHOWN = 12

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Flaws:
    """What is damaged in one segment: numbers of ``frames`` in the memory whose pictures are, ``extras`` ("latents",
    "depth"), whether all of the file is (``whole``), and the first ``problem`` in words."""

    frames: tuple[int, ...] = ()
    extras: tuple[str, ...] = ()
    whole: bool = False
    problem: str = ""

    def __bool__(self) -> bool:
        return bool(self.frames or self.extras or self.whole)


def flaws_of(path: Path, state: MemoryState, number: int, tick: Callable[[float], None]) -> Flaws:
    """What is damaged in the file ``path`` of segment ``number`` of ``state``.

    ``tick`` is called with the share that was looked at, after every few pictures.
    """
    record = state.segments[number]
    everything = tuple(range(record.start, record.start + record.frames))
    try:
        read_cameras(path, record.id, record.start, float(state.times_at([record.start])[0]))
        kept = kept_pictures(path, record.id).nonzero()[0].tolist()
        bad, problem = _bad_pictures(path, record, kept, tick)
    except DamageError as error:
        return Flaws(everything, (), True, str(error))
    extras = []
    for name in ("latents", "depth"):
        try:
            read_extra(path, record.id, name)
        except DamageError as error:
            extras.append(name)
            problem = problem or str(error)
    return Flaws(tuple(record.start + index for index in bad), tuple(extras), False, problem)


def mended(path: Path, state: MemoryState, number: int, flaws: Flaws) -> list[Buffer] | None:
    """The parts of the file of segment ``number`` of ``state`` without what is damaged; its id stays valid.

    None for a segment of version 1, which cannot do without a part of it.
    """
    record = state.segments[number]
    try:
        if flaws.whole:
            return cameras_only(record, *state.camera_rows(record.start, record.start + record.frames))
        return without_pictures(path, record.id, [frame - record.start for frame in flaws.frames], flaws.extras)
    except DamageError:
        raise
    except BankError:
        return None


def flaws_text(found: Sequence[Flaws]) -> str:
    """What was damaged, in a sentence or two; empty if nothing was."""
    frames = sorted({frame for flaws in found for frame in flaws.frames})
    extras = [name for flaws in found for name in flaws.extras]
    said = []
    if frames:
        runs = runs_of(np.asarray(frames))
        said.append(f"The pictures of {len(frames)} frames ({runs_text(runs)}) are damaged and were left out; their "
                    "cameras are kept.")
    for name in ("latents", "depth"):
        if name in extras:
            said.append(f"The {name} of {extras.count(name)} segments are damaged and were left out.")
    problem = next((flaws.problem for flaws in found if flaws.problem), "")
    return " ".join([*said, f"First problem: {problem}"] if said else [])


@dataclass(frozen=True)
class Rest:
    """Sound ``entries`` in a row (ids of segments and edits) whose beginning is lost, and how many ``frames`` they
    have. ``id`` is the first entry's, and names what can be made of them."""

    entries: tuple[str, ...]
    frames: int

    @property
    def id(self) -> str:
        """Id of the first segment behind the damage."""
        return self.entries[0]


def rests_of(folder: Path, head: Head, state: MemoryState) -> list[Rest]:
    """What is sound behind ``state``, which is all that could be loaded of the memory that ``head`` names."""
    result: list[Rest] = []
    entries: list[str] = []
    frames = 0
    for entry in [*_behind(folder, head, state), ""]:
        count = _frames_of(folder, entry)
        if count is not None and (entries or count > 0):
            entries.append(entry)
            frames += count
        elif count is None and entries:
            result.append(Rest(tuple(entries), frames))
            entries, frames = [], 0
    return result


def rests_in(folder: Path, heads: Iterable[Head], empty: MemoryState) -> list[Rest]:
    """What is sound behind damage in the memories of the bank in ``folder`` that ``heads`` name; ``empty`` is its empty
    memory."""
    found: dict[str, Rest] = {}
    for named in heads:
        state = empty
        try:
            state = load_state(folder, named, state)
        except DamageError:
            pass
        if state.id != named.id:
            found |= {rest.id: rest for rest in rests_of(folder, named, state)}
    return list(found.values())


def rests_text(rests: Sequence[Rest]) -> str:
    """How the artist gets at them."""
    if not rests:
        return ""
    named = " and ".join(f"the {rest.frames} frames from {rest.id[:_SHOWN]} on" for rest in rests)
    return (f"Behind the damage {named} are sound. To make a film of its own of them, set Memory Bank to 'continue' "
            "and write that id into 'earlier'.")


def film_of(folder: Path, empty: MemoryState, rest: Rest) -> MemoryState:
    """The entries of ``rest`` as a memory of their own in the bank ``folder``, whose ``empty`` memory is given. It is
    among the earlier memories under the id of ``rest`` as well. Raises ``BankError`` if the disk refuses."""
    state, offset = empty, 0
    for entry in rest.entries:
        edit_path = folder / "edits" / f"{entry}.json"
        if edit_path.is_file():
            state = _edited(folder, state, edit_path, offset)
            continue
        path = no_link(folder / "segments" / f"{entry}.safetensors")
        if not state.frames:
            document = read_text(path, entry)
            offset = round(document["time"] * document["fps"])
        try:
            state = _continued(folder, state, path, entry)
        except DamageError as problem:
            if not state.frames:
                raise
            _log.warning("Memory bank %r: a segment does not fit behind the others and is left out, with all behind "
                         "it. %s", folder.name, problem)
            break
    write_whole(no_link(folder / "history" / f"{rest.id}.json"), head_of(state).text)
    _log.warning("Memory bank %r: %d frames whose beginning is lost are now the memory %s.", folder.name, state.frames,
                 state.id[:_SHOWN])
    return state


def sound_head(folder: Path) -> Head:
    """The head of the bank in ``folder``. One that is damaged or lost is made again; ``head.lock`` must be held.

    Raises ``DamageError`` if it cannot be, or cannot be read just now.
    """
    try:
        return read_head(folder / "head.json", f"head.json of the memory bank {folder.name!r}")
    except DamageError as problem:
        if isinstance(problem.__cause__, OSError) and not isinstance(
            problem.__cause__, FileNotFoundError | NoFileError
        ):
            # It may be sound, and only cannot be read just now.
            raise
        return head_again(folder, problem)


def head_again(folder: Path, problem: DamageError) -> Head:
    """The head of the bank in ``folder``, whose own has the ``problem``; written, and the damaged one kept aside.

    ``head.lock`` must be held. Of several ends of chains that no head of the history names, the newest is taken; the
    others are put into the history, so that all stays within reach. Raises ``problem`` if no segment says it.
    """
    parents, packs = _parents(folder)
    chains = sorted((_chain(parents, end) for end in set(parents) - set(parents.values())),
                    key=lambda chain: _rank(folder, chain))
    if not chains:
        raise problem
    heads = [_head(folder, chain, packs) for chain in chains]
    best = heads[-1]
    path, aside = folder / "head.json", folder / "head.json.damaged"
    try:
        if os.path.lexists(path):
            os.replace(path, aside)
        for other in heads[:-1]:
            if not (folder / "history" / f"{other.id}.json").is_file():
                write_whole(no_link(folder / "history" / f"{other.id}.json"), other.text)
        write_whole(path, best.text)
    except (OSError, BankError) as refused:
        _log.warning("Memory bank %r: head.json could not be mended on the disk. %s", folder.name, refused)
    _log.warning("Memory bank %r: head.json was damaged or lost and was made again from the segments: the memory %s of "
                 "%d segments. What was there is in %s. %s", folder.name, best.id[:12], best.segments, aside.name,
                 problem)
    return best


def _bad_pictures(
    path: Path, record: SegmentRecord, kept: Sequence[int], tick: Callable[[float], None]
) -> tuple[list[int], str]:
    at_once = max(1, _AT_ONCE // (3 * record.size[0] * record.size[1]))
    bad: list[int] = []
    problem = ""
    for first in range(0, len(kept), at_once):
        some = kept[first : first + at_once]
        coded = [picture for picture in read_coded(path, record.id, some) if picture is not None]
        for index, pixels in zip(some, decode_some(coded), strict=True):
            if isinstance(pixels, DamageError):
                bad.append(index)
                problem = problem or str(pixels)
        tick((first + len(some)) / len(kept))
    return bad, problem


def _behind(folder: Path, head: Head, state: MemoryState) -> list[str]:
    """Ids of the entries behind ``state``, as far back as they can be followed."""
    known = set(state.entry_ids())
    entries = [entry for entry in head.recent if entry not in known]
    if len(entries) == len(head.recent):
        at, before = (head.recent[0] if head.recent else head.id), dict[str, None]()
        try:
            while (at := parent_of(folder, at)) not in (EMPTY_ID, state.id) and at not in before:
                before[at] = None
        except BankError:
            pass
        entries = [*reversed(before), *(head.recent or (head.id,))]
    return entries


def _frames_of(folder: Path, entry: str) -> int | None:
    """How many frames a sound entry has, 0 for an edit; None for a damaged one, and for a segment of version 1."""
    try:
        if (folder / "edits" / f"{entry}.json").is_file():
            parent_of(folder, entry)
            return 0
        path = no_link(folder / "segments" / f"{entry}.safetensors")
        time = read_text(path, entry)["time"]
        return None if time is None else read_cameras(path, entry, 0, time).record.frames
    except BankError:
        return None


def _continued(folder: Path, state: MemoryState, path: Path, entry: str) -> MemoryState:
    copy, parts = after_another(path, entry, state.id, state.end_time)
    target = no_link(folder / "segments" / f"{copy}.safetensors")
    if not target.is_file():
        write_whole(target, *parts, folder=False)
    return with_file(folder, state, copy)


def _edited(folder: Path, state: MemoryState, path: Path, offset: int) -> MemoryState:
    """``state`` with the edit in ``path``, which counts frames from the lost beginning."""
    edit, _ = parse_edit(read_small(path, MAX_EDIT_BYTES, path.name), path.name)
    runs = [(max(0, start - offset), stop - offset) for start, stop in edit.runs if stop > offset]
    if not runs:
        return state
    result = state.with_edit(Edit(edit.kind, tuple(runs), edit.value, max(-1, edit.by - offset)))
    entry = result.edit_entries[-1]
    write_whole(no_link(folder / "edits" / f"{entry.id}.json"), entry.text.encode("ascii"), folder=False)
    return result


def _parents(folder: Path) -> tuple[dict[str, str], dict[str, PackLabel]]:
    """For every entry that can be read, the memory that it continues; and the packs that can be read, by name."""
    parents: dict[str, str] = {}
    packs: dict[str, PackLabel] = {}
    for name in names_in(folder / "packs", ".safetensors"):
        try:
            pack = read_pack(folder / "packs" / f"{name}.safetensors", name)
            parents.update({text_id(text): parent_in(text) for text in pack.texts})
            packs[name] = pack.label
        except BankError:
            continue
    for kind, ending in (("segments", ".safetensors"), ("edits", ".json")):
        for name in names_in(folder / kind, ending):
            if name not in parents and is_id(name):
                try:
                    parents[name] = parent_of(folder, name)
                except BankError as problem:
                    _log.warning("Memory bank %r: %s", folder.name, problem)
    return parents, packs


def _chain(parents: Mapping[str, str], end: str) -> list[str]:
    """The entries that lead to ``end``, first to last; what the first continues may be lost."""
    result, at = [end], parents[end]
    while at in parents:
        result.append(at)
        at = parents[at]
    if at != EMPTY_ID:
        result.append(at)
    return result[::-1]


def _rank(folder: Path, chain: list[str]) -> tuple[bool, bool, float, int]:
    """The last of all is the bank's memory: not in the history, and the newest."""
    end = chain[-1]
    newest = 0.0
    for path in (folder / "segments" / f"{end}.safetensors", folder / "edits" / f"{end}.json"):
        if path.is_file():
            newest = path.stat().st_mtime
    return not (folder / "history" / f"{end}.json").is_file(), newest > 0.0, newest, len(chain)


def _head(folder: Path, chain: list[str], packs: Mapping[str, PackLabel]) -> Head:
    positions = {entry: position for position, entry in enumerate(chain)}
    packed, pack = 0, None
    for name, label in packs.items():
        if label.last in positions and label.parent in (EMPTY_ID, *positions) and positions[label.last] >= packed:
            if _leads_back(packs, label):
                packed, pack = positions[label.last] + 1, name
    edits = sum((folder / "edits" / f"{entry}.json").is_file() for entry in chain)
    head = Head(chain[-1], len(chain) - edits, edits, pack, tuple(chain[packed:]), b"")
    try:
        shown = load_state(folder, head, MemoryState())
    except DamageError:
        shown = MemoryState()
    return head_named(head.id, head.segments, head.edits, pack, head.recent, shown)


def _leads_back(packs: Mapping[str, PackLabel], label: PackLabel) -> bool:
    """Whether a pack and those before it lead back to the beginning."""
    seen = 0
    while label.before is not None and seen <= len(packs):
        if label.before not in packs:
            return False
        label, seen = packs[label.before], seen + 1
    return label.before is None
