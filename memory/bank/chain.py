"""The head of a bank made again from what is left: every segment and every edit names the memory that it continues."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import BankError, DamageError
from ..files import names_in, no_link, write_whole
from ..state.state import EMPTY_ID, MemoryState
from .head import ID, Head, head_named
from .loading import load_state, parent_of
from .packs import PackLabel, read_pack
from .segment_text import digest, parent_in

_log = logging.getLogger(__name__)


def head_again(folder: Path, problem: DamageError) -> Head:
    """The head of the bank in ``folder``, whose own has the ``problem``; written, and the damaged one kept aside.

    ``head.lock`` must be held. Of several ends of chains that no head of the history names, the newest is taken; the
    others are put into the history, so that all stays within reach. Raises ``problem`` if there is no segment to tell.
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


def _parents(folder: Path) -> tuple[dict[str, str], dict[str, PackLabel]]:
    """For every entry that can be told of, the memory that it continues; and the packs that can be read, by name."""
    parents: dict[str, str] = {}
    packs: dict[str, PackLabel] = {}
    for name in names_in(folder / "packs", ".safetensors"):
        try:
            pack = read_pack(folder / "packs" / f"{name}.safetensors", name)
            parents.update({digest(text): parent_in(text) for text in pack.texts})
            packs[name] = pack.label
        except BankError:
            continue
    for kind, ending in (("segments", ".safetensors"), ("edits", ".json")):
        for name in names_in(folder / kind, ending):
            if name not in parents and ID.fullmatch(name):
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
    places = {entry: place for place, entry in enumerate(chain)}
    packed, pack = 0, None
    for name, label in packs.items():
        if label.last in places and label.parent in (EMPTY_ID, *places) and places[label.last] >= packed:
            if _leads_back(packs, label):
                packed, pack = places[label.last] + 1, name
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
