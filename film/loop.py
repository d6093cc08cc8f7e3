"""The segment loop (Context-as-Memory, Algorithm 2): retrieve, sample, decode, remember, next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management
import numpy as np
import torch
from numpy.typing import NDArray

from ..memory.bank.bank import Bank
from ..memory.bank.keys import kept_code
from ..memory.bank.prepared import Prepared
from ..memory.cameras.camera import FloatArray
from ..memory.cameras.trajectory import Trajectory
from ..memory.retrieval.distances import distances
from ..memory.retrieval.encoded import NOTE
from ..memory.retrieval.reasons import notes_of
from ..memory.retrieval.retrieve import Retrieval
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state.depth import depth_to_keep
from ..memory.state.state import MemoryState
from ..models.host import call_table
from ..models.host.latents import ContextLatents
from ..models.host.sampling import sample, segment_seed
from ..models.registry import FAMILIES, adapter_for
from .colour import anchored
from .context import ContextReader
from .continuity import continues
from .keys import NoIdentity, ShotKey, shot_key
from .model import Adapter, Conditioning
from .next_segment import next_segment
from .recall import Search
from .returned import check_pictures, decoded
from .segment import Segment
from .write_queue import SegmentWriter

log = logging.getLogger(__name__)

NOT_FOUND_AGAIN = (
    "Segments of this shot cannot be found again when it is queued anew, for {what}. They are kept: after a stop, go "
    "on from them with Memory Bank (continue). To have them found again, leave out the node that adds this."
)

StepCallback = Callable[[int, int, torch.Tensor], None]
PicturesCallback = Callable[[int, NDArray[np.uint8]], None]


@dataclass(frozen=True)
class ShotPlan:
    """Everything that determines a shot. `retriever` None looks at the newest frames only; `segment_frames` 0 lets the
    model choose; `width` and `height` 0 take the memory's size, or the model's own. `depth` (F, h, w) is the distance
    along the line of sight in scene units of what the frames will show, NaN where unknown: it is kept for retrieval.
    `colour_anchor` 0..1: how far colours follow the remembered frames' (``colour.anchored``)."""

    model: Any
    vae: Any
    positive: Conditioning
    negative: Conditioning | None
    sampler: Any
    sigmas: torch.Tensor
    seed: int
    cfg: float
    trajectory: Trajectory
    retriever: RetrievalSettings | None = None
    segment_frames: int = 0
    width: int = 0
    height: int = 0
    prompt: str = ""
    depth: FloatArray | None = None
    colour_anchor: float = 0.0


@dataclass(frozen=True)
class SegmentDone:
    """One segment that is safe in the bank: its number in the shot, the memory after it, whether it was made now or was
    there already, and how many remembered frames went through the VAE for it."""

    state: MemoryState
    index: int
    made: bool = True
    encoded: int = 0


@dataclass(frozen=True)
class Shot:
    """What stays the same from segment to segment."""

    plan: ShotPlan
    adapter: Adapter
    settings: RetrievalSettings
    size: tuple[int, int]
    number: int
    latents: ContextLatents | None
    reader: ContextReader
    writer: SegmentWriter
    key: ShotKey | None
    looks_back: bool


def segment_lengths(state: MemoryState, plan: ShotPlan) -> list[int]:
    """New frames of each segment of a plan after a memory."""
    goes_on = continues(state, plan.trajectory)
    return adapter_for(plan.model).segment_lengths(len(plan.trajectory), plan.segment_frames, goes_on)


def generate_shot(
    state: MemoryState,
    plan: ShotPlan,
    on_step: StepCallback | None = None,
    on_pictures: PicturesCallback | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> Iterator[SegmentDone]:
    """Make a shot segment by segment. What is yielded is on the disk; a segment is written while the next is made.

    A segment that the bank has from an earlier run of the same plan after the same memory is taken from there.

    Args:
        on_step: called as on_step(segment, step, x0) after every sampling step, x0 being the model's latent.
        on_pictures: called as on_pictures(segment, pictures) with the uint8 frames (F, H, W, 3) of a segment as soon as
            they are made.
        on_warning: called, before anything is made, with words for the artist if finished segments of this shot cannot
            be found again.

    Raises:
        ValueError: the model, size, length or frame rate do not fit, in words that name the field; or this ComfyUI.
    """
    if words := call_table.misfit(__name__, besides=FAMILIES):
        raise ValueError(words)
    adapter = adapter_for(plan.model)
    size = shot_size(state, plan, adapter)
    _check(state, plan)
    shot = _begin(state, plan, adapter, size, on_warning)
    goes_on = continues(state, plan.trajectory)
    lengths = adapter.segment_lengths(len(plan.trajectory), plan.segment_frames, goes_on)
    start = there = encoded = 0
    older: set[str] = set()
    try:
        for index, length in enumerate(lengths):
            comfy.model_management.throw_exception_if_processing_interrupted()
            part = slice(start, start + length)
            start += length
            path, depth = plan.trajectory[part], _depth(state, plan, part)
            onward = goes_on or index > 0
            overlap = adapter.overlap_after(state.frames) if onward else 0
            search = Search(shot, state, path, overlap, depth, lambda retrieval: _notes(shot, retrieval))
            known = None
            for find in search.ways():
                if (written := shot.writer.wait()) is not None:
                    yield SegmentDone(state := written, index - 1, encoded=encoded)
                if (known := find(state)) is not None:
                    break
            if known is not None:
                there += 1
                older |= _older(shot, _bank(state), search.keys[-1])
                # A film that ends here may be above a limit that was set, or a kill came before it was kept.
                yield SegmentDone(state := _bank(state).within(known), index, made=False)
                continue
            retrieval = search.retrieval
            before = shot.reader.encoded
            segment = next_segment(state, path, retrieval, adapter, size, shot.reader, onward)
            pictures, latent = _made(state, shot, segment, len(path), index, on_step)
            pictures = _anchored(state, shot, segment, path, pictures)
            if on_pictures is not None:
                on_pictures(index, pictures)
            if (written := shot.writer.wait()) is not None:
                yield SegmentDone(state := written, index - 1, encoded=encoded)
            encoded = shot.reader.encoded - before
            ready = _prepared(state, shot, path, depth, search.keys, retrieval, pictures, latent)
            shot.reader.made(state.frames, pictures)
            if _bank(state).max_bytes is None:
                shot.writer.begin(ready, state.frames)
                state = ready.state
            else:
                # Keeping the bank within its size may change the memory that the next segment continues.
                yield SegmentDone(state := ready.write(), index, encoded=encoded)
        if (written := shot.writer.wait()) is not None:
            yield SegmentDone(written, len(lengths) - 1, encoded=encoded)
    finally:
        shot.writer.close()
        if there:
            log.info("%d of %d segments of this shot were in the bank already.", there, len(lengths))
        if older:
            log.info(
                "They were made with other code of %s; pictures are not made anew for that. "
                "Another seed, or a new Memory Bank, makes them anew.",
                ", ".join(sorted(older)),
            )


def shot_size(state: MemoryState, plan: ShotPlan, adapter: Adapter) -> tuple[int, int]:
    """(width, height) of a shot: the memory's, else what the plan says, else the model's own."""
    if state.size is not None:
        kept = (state.size[1], state.size[0])
        wanted = (plan.width or kept[0], plan.height or kept[1])
        if wanted != kept:
            raise ValueError(
                f"width x height is {wanted[0]}x{wanted[1]}, but the memory holds {kept[0]}x{kept[1]} frames. "
                "Use 0 to take the memory's size, or start a new Memory Bank."
            )
        size = kept
    else:
        size = (plan.width or adapter.default_size[0], plan.height or adapter.default_size[1])
    adapter.check_size(*size)
    return size


def _begin(
    state: MemoryState,
    plan: ShotPlan,
    adapter: Adapter,
    size: tuple[int, int],
    on_warning: Callable[[str], None] | None = None,
) -> Shot:
    newest = adapter.context_without_retriever
    settings = plan.retriever or RetrievalSettings(strategy="recent", k=max(1, newest))
    if settings.k > adapter.most_context:
        log.info("%s looks at no more than %d frames of those found.", adapter.name, adapter.most_context)
    latents = ContextLatents(plan.vae) if adapter.context_latents else None
    writer = SegmentWriter()
    reader, looks_back = ContextReader(latents, writer), plan.retriever is not None or newest > 0
    try:
        key = plan_key(plan, adapter, size)
    except NoIdentity as nothing:
        words = NOT_FOUND_AGAIN.format(what=nothing)
        log.warning(words)
        key = None
        if on_warning is not None:
            on_warning(words)
    return Shot(plan, adapter, settings, size, state.shots, latents, reader, writer, key, looks_back)


def plan_key(plan: ShotPlan, adapter: Adapter, size: tuple[int, int]) -> ShotKey:
    """What all segments of a plan share. Raises ``NoIdentity`` if something in it has none."""
    return shot_key(
        adapter=(adapter.name, adapter.version),
        model=plan.model,
        vae=plan.vae,
        conditioning=(plan.positive, plan.negative),
        sampler=plan.sampler,
        sigmas=plan.sigmas,
        numbers=(plan.cfg, size),
    )


def _older(shot: Shot, bank: Bank, key: str) -> set[str]:
    """Packs of others whose code is not what it was when the segment of a key was made."""
    note = bank.note_of(key)
    now = kept_code(shot.key.code) if shot.key else {}
    then = note.code if note is not None else now
    return {pack for pack in {*then, *now} if then.get(pack) != now.get(pack)}


def _bank(state: MemoryState) -> Bank:
    assert state.bank is not None, "checked before the first segment"
    return state.bank


def _made(
    state: MemoryState, shot: Shot, segment: Segment, new: int, index: int, on_step: StepCallback | None
) -> tuple[NDArray[np.uint8], torch.Tensor]:
    """The new pictures of a segment, and its latent."""
    plan = shot.plan
    latent = sample(
        plan.model,
        shot.adapter.prepare(plan.model, plan.positive, plan.negative, segment, plan.vae),
        plan.sampler,
        plan.sigmas,
        cfg=plan.cfg,
        seed=segment_seed(plan.seed, state.frames),
        on_step=lambda step, x0: on_step(index, step, x0) if on_step else None,
    )
    pictures = decoded(plan.vae, latent)
    check_pictures(pictures, len(segment), segment.width, segment.height)
    known = state.frames - segment.first_frame
    return pictures[known : known + new], latent


def _anchored(
    state: MemoryState, shot: Shot, segment: Segment, path: Trajectory, pictures: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The new pictures with colours like those of the frames that the segment was given."""
    if not shot.plan.colour_anchor:
        return pictures
    seen, poses, lenses = [], [], []
    if segment.context is not None:
        seen, poses, lenses = [segment.context.pixels], [segment.context.poses], [segment.context.intrinsics]
    if segment.known is not None:
        begun = segment.trajectory[: len(segment.known)]
        seen, poses, lenses = [*seen, segment.known], [*poses, begun.poses], [*lenses, begun.intrinsics]
    if not seen:
        return pictures
    cameras = replace(path, poses=np.concatenate(poses), intrinsics=np.concatenate(lenses))
    away = distances(state, path, shot.settings).depth
    return anchored(pictures, path, np.concatenate(seen), cameras, shot.plan.colour_anchor, away)


def _prepared(
    state: MemoryState,
    shot: Shot,
    path: Trajectory,
    depth: NDArray[np.float16] | None,
    keys: list[str],
    retrieval: Retrieval | None,
    pictures: NDArray[np.uint8],
    latent: torch.Tensor,
) -> Prepared:
    # Only where each frame has a latent of its own, and looks as that says, do latents stand for frames.
    alone = latent.ndim == 5 and latent.shape[2] == len(pictures) == 1 and not shot.plan.colour_anchor
    kept = shot.latents.kept(latent) if shot.latents and alone else None
    return _bank(state).prepare(
        state,
        frames=pictures,
        trajectory=path,
        shot=shot.number,
        prompt=shot.plan.prompt,
        info=_notes(shot, retrieval),
        latents=kept,
        latent_space=shot.latents.space if shot.latents and kept is not None else "",
        depth=depth,
        key=keys,
        code=shot.key.code if shot.key else None,
    )


def _notes(shot: Shot, retrieval: Retrieval | None) -> dict[str, Any]:
    """What is written down beside a segment, for whoever looks at the bank."""
    plan = shot.plan
    return {
        "seed": plan.seed,
        "cfg": plan.cfg,
        "sigmas": [round(float(sigma), 6) for sigma in plan.sigmas],
        "strategy": shot.settings.strategy,
        **notes_of(retrieval.reasons if retrieval else ()),
        **({NOTE: True} if shot.latents else {}),
    }


def _depth(state: MemoryState, plan: ShotPlan, part: slice) -> NDArray[np.float16] | None:
    if plan.depth is None:
        return None
    maps = plan.depth[part]
    return depth_to_keep(maps, len(maps), state.depth_size)


def _check(state: MemoryState, plan: ShotPlan) -> None:
    if state.bank is None:
        raise ValueError("The memory has no bank to write to. Start from a Memory Bank node.")
    if plan.cfg != 1 and plan.negative is None:
        raise ValueError(
            f"cfg is {plan.cfg:g}, but nothing is connected to 'negative', which it steers away from. "
            "Connect a CLIP Text Encode there, or use cfg 1."
        )
    if plan.sigmas.numel() < 2:
        raise ValueError(f"sigmas holds {plan.sigmas.numel()} numbers: one step needs 2. Use 2 steps or more.")
    if state.fps is not None and abs(state.fps - plan.trajectory.fps) > 1e-6:
        raise ValueError(
            f"The camera path runs at {plan.trajectory.fps:g} frames a second, the memory at {state.fps:g}. "
            "Connect the memory to Camera Trajectory, or set the same fps."
        )
    if not 0.0 <= plan.colour_anchor <= 1.0:
        raise ValueError(
            f"colour_anchor is {plan.colour_anchor:g}: it must lie between 0 and 1. Use 0.5, or 0 for off."
        )
    if plan.depth is not None and len(plan.depth) != len(plan.trajectory):
        raise ValueError(
            f"There are {len(plan.depth)} depth maps for a camera path of {len(plan.trajectory)} frames. "
            "Connect one for each frame, or leave 'depth' open."
        )
