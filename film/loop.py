"""The segment loop (Context-as-Memory, Algorithm 2): retrieve, sample, decode, remember, next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..memory.bank.bank import Bank
from ..memory.bank.keys import kept_code
from ..memory.bank.pending import PendingSegment
from ..memory.cameras.trajectory import Trajectory
from ..memory.retrieval.distances import distances
from ..memory.retrieval.encoded import NOTE
from ..memory.retrieval.reasons import notes_of
from ..memory.retrieval.retrieve import Retrieval
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state.depth import DEPTH_NOTE, depth_to_keep
from ..memory.state.state import MemoryState
from .colour import anchored
from .context import ContextReader, next_segment, shown
from .continuity import continues, segment_seed
from .depth import SegmentDepth, segment_depth
from .identity import NoIdentity
from .known_pixels import with_known_pixels
from .measured_path import AS_MEASURED, coming_path, segment_cameras
from .model import KEPT, VideoModel
from .plan import ShotPlan, check_plan
from .recall import Described, Search, Shot
from .segment import KnownPixels, Segment
from .write_queue import WriteQueue

log = logging.getLogger(__name__)

NOT_FOUND_AGAIN = (
    "Segments of this shot cannot be found again when it is queued anew, for {what}. They are kept: after a stop, go "
    "on from them with Memory Bank (continue). To have them found again, leave out the node that adds this."
)

ENTERED, KNOWN_SHARE = "memory_enters_as", "known_share"
"""Notes beside a segment that was made with known pixels: the way, and the share 0..1 of its pixels that was known."""

StepCallback = Callable[[int, int, torch.Tensor], None]
PicturesCallback = Callable[[int, NDArray[np.uint8]], None]


@dataclass(frozen=True)
class SegmentDone:
    """One segment that is safe in the bank: its number in the shot, the memory after it, whether it was made now or was
    there already, and how many remembered frames went through the VAE for it."""

    state: MemoryState
    index: int
    made: bool = True
    encoded: int = 0

    @property
    def context(self) -> tuple[int, ...]:
        """The past frames that the segment looked at, as noted beside it."""
        return tuple(self._info.get("context", ()))

    @property
    def depth(self) -> Mapping[str, Any]:
        """How the depth of its frames was made, as noted beside it; empty where no depth source was asked."""
        return dict(self._info.get(DEPTH_NOTE, {}))

    @property
    def _info(self) -> dict[str, Any]:
        return self.state.segments[len(self.state.segments) - 1].info


def segment_lengths(state: MemoryState, plan: ShotPlan, model: VideoModel) -> list[int]:
    """New frames of each segment of a plan after a memory.

    Raises ValueError where the model does not make ``segment_frames`` at a time.
    """
    goes_on = continues(state, plan.trajectory)
    return model.segment_lengths(len(plan.trajectory), plan.segment_frames, goes_on)


def generate_shot(
    state: MemoryState,
    plan: ShotPlan,
    model: VideoModel,
    on_step: StepCallback | None = None,
    on_pictures: PicturesCallback | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> Iterator[SegmentDone]:
    """Make a shot segment by segment. What is yielded is on the disk; a segment is written while the next is made.

    A segment that the bank has from an earlier run of the same plan after the same memory is taken from there.

    Args:
        model: what makes the segments.
        on_step: called as on_step(segment, step, x0) after every sampling step, x0 being the model's latent.
        on_pictures: called as on_pictures(segment, pictures) with the uint8 frames (F, H, W, 3) of a segment as soon as
            they are made.
        on_warning: called, before anything is made, with words for the artist if finished segments of this shot cannot
            be found again.

    Raises:
        ValueError: the model, size, length or frame rate do not fit, in words that name the field.
    """
    size = model.shot_size(state, plan)
    check_plan(state, plan)
    model.check_memory_way(plan)
    shot = _begin(state, plan, model, size, on_warning)
    goes_on, lengths = continues(state, plan.trajectory), segment_lengths(state, plan, model)
    start = there = encoded = 0
    older: set[str] = set()
    try:
        for index, length in enumerate(lengths):
            model.check_interrupted()
            part = slice(start, start + length)
            start += length
            path, depth = coming_path(plan.trajectory, part, state, plan.cameras), _depth(state, plan, part)
            onward = goes_on or index > 0
            overlap = model.overlap_after(state.frames) if onward else 0
            described = partial(_described, shot, path, part.start, depth, onward)
            search = Search(shot, state, path, overlap, depth, partial(_notes, shot), described)
            known = None
            for find in search.ways():
                if (written := shot.queue.wait()) is not None:
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
            segment = next_segment(state, path, shown(retrieval, plan, model), model, size, shot.reader, onward)
            if plan.has_known_pixels:
                far = distances(state, path, shot.settings).depth
                segment = with_known_pixels(segment, state, retrieval, plan, model, shot.reader, far)
            pictures, latent = _made(state, shot, segment, len(path), index, on_step)
            pictures = _anchored(state, shot, segment, path, pictures)
            if on_pictures is not None:
                on_pictures(index, pictures)
            if (written := shot.queue.wait()) is not None:
                yield SegmentDone(state := written, index - 1, encoded=encoded)
            encoded = shot.reader.encoded - before
            found = described(state, pictures)
            ready = _prepared(state, shot, found, search.keys, retrieval, pictures, latent, segment.view)
            shot.reader.made(state.frames, pictures)
            if _bank(state).max_bytes is None:
                shot.queue.begin(ready, state.frames)
                state = ready.state
            else:
                # Keeping the bank within its size may change the memory that the next segment continues.
                yield SegmentDone(state := ready.write(), index, encoded=encoded)
        if (written := shot.queue.wait()) is not None:
            yield SegmentDone(written, len(lengths) - 1, encoded=encoded)
    finally:
        shot.queue.close()
        if there:
            log.info("%d of %d segments of this shot were in the bank already.", there, len(lengths))
        if older:
            log.info(
                "They were made with other code of %s; pictures are not made anew for that. "
                "Another seed, or a new Memory Bank, makes them anew.",
                ", ".join(sorted(older)),
            )


def _begin(
    state: MemoryState,
    plan: ShotPlan,
    model: VideoModel,
    size: tuple[int, int],
    on_warning: Callable[[str], None] | None = None,
) -> Shot:
    newest = model.context_without_retriever
    settings = plan.retriever or RetrievalSettings(strategy="recent", k=max(1, newest))
    if settings.k > model.most_context and plan.has_context:
        log.info("%s looks at no more than %d frames of those found.", model.name, model.most_context)
    latents, queue = model.latents(plan.vae), WriteQueue()
    reader = ContextReader(latents, queue)
    looks_back = plan.retriever is not None or newest > 0 or plan.has_known_pixels
    depth_identity: tuple[Any, ...] = ()
    try:
        depth_identity = plan.depth_source.identity if plan.depth_source is not None else ()
        key = model.shot_key(plan, size)
    except NoIdentity as nothing:
        words = NOT_FOUND_AGAIN.format(what=nothing)
        log.warning(words)
        key = None
        if on_warning is not None:
            on_warning(words)
    return Shot(plan, model, settings, size, state.shots, latents, reader, queue, key, looks_back, depth_identity)


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
    plan, model = shot.plan, shot.model

    def stepped(step: int, x0: torch.Tensor) -> None:
        if on_step is not None:
            on_step(index, step, x0)

    latent = model.sample(plan, segment, segment_seed(plan.seed, state.frames), stepped)
    pictures = model.decode(plan, latent)
    _check_pictures(pictures, len(segment), segment.width, segment.height)
    known = state.frames - segment.first_frame
    return pictures[known : known + new], latent


def _check_pictures(pictures: NDArray[np.uint8], frames: int, width: int, height: int) -> None:
    """Refuses another number or size of decoded pictures (F, H, W, 3) than the segment has."""
    count, tall, wide = pictures.shape[:3]
    if (count, wide, tall) != (frames, width, height):
        raise ValueError(
            f"The VAE gave {count} pictures of {wide}x{tall}, the segment has {frames} of {width}x{height}: it is the "
            f"VAE of another model. Load the one that goes with the model. {KEPT}"
        )


def _anchored(
    state: MemoryState, shot: Shot, segment: Segment, path: Trajectory, pictures: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The new pictures with colours like those of the frames that the segment was given."""
    if not shot.plan.colour_anchor:
        return pictures
    seen, poses, intrinsics = [], [], []
    context = segment.view.frames if segment.view is not None else segment.context
    if context is not None:
        seen, poses, intrinsics = [context.pixels], [context.poses], [context.intrinsics]
    if segment.known is not None:
        begun = segment.trajectory[: len(segment.known)]
        seen, poses, intrinsics = [*seen, segment.known], [*poses, begun.poses], [*intrinsics, begun.intrinsics]
    if not seen:
        return pictures
    cameras = replace(path, poses=np.concatenate(poses), intrinsics=np.concatenate(intrinsics))
    away = distances(state, path, shot.settings).depth
    return anchored(pictures, path, np.concatenate(seen), cameras, shot.plan.colour_anchor, away)


def _prepared(
    state: MemoryState,
    shot: Shot,
    found: Described,
    keys: list[str],
    retrieval: Retrieval | None,
    pictures: NDArray[np.uint8],
    latent: torch.Tensor,
    view: KnownPixels | None,
) -> PendingSegment:
    # Only where each frame has a latent of its own, and looks as that says, do latents stand for frames.
    alone = latent.ndim == 5 and latent.shape[2] == len(pictures) == 1 and not shot.plan.colour_anchor
    kept = shot.latents.kept(latent) if shot.latents and alone else None
    return _bank(state).prepare(
        state,
        frames=pictures,
        trajectory=found.trajectory,
        shot=shot.number,
        prompt=shot.plan.prompt,
        info={**_notes(shot, retrieval, view), **found.info},
        latents=kept,
        latent_space=shot.latents.space if shot.latents and kept is not None else "",
        depth=found.depth,
        key=keys,
        code=shot.key.code if shot.key else None,
    )


def _notes(shot: Shot, retrieval: Retrieval | None, view: KnownPixels | None = None) -> dict[str, Any]:
    """What is written down beside a segment, for whoever looks at the bank."""
    plan = shot.plan
    entered: dict[str, Any] = {ENTERED: plan.memory_enters_as} if plan.has_known_pixels else {}
    if view is not None:
        entered[KNOWN_SHARE] = round(view.share, 2)
    return {
        "seed": plan.seed,
        "cfg": plan.cfg,
        "sigmas": [round(float(sigma), 6) for sigma in plan.sigmas],
        "strategy": shot.settings.strategy,
        **shot.model.notes(),
        **notes_of(retrieval.reasons if retrieval else ()),
        **({NOTE: True} if shot.latents and plan.has_context else {}),
        **entered,
    }


def _depth(state: MemoryState, plan: ShotPlan, part: slice) -> NDArray[np.float16] | None:
    if plan.depth is None:
        return None
    maps = plan.depth[part]
    return depth_to_keep(maps, len(maps), state.depth_size)


def _described(
    shot: Shot,
    path: Trajectory,
    start: int,
    given: NDArray[np.float16] | None,
    goes_on: bool,
    state: MemoryState,
    pictures: NDArray[np.uint8] | None,
) -> Described:
    """What is kept beside new pictures (F, H, W, 3) after a memory: measured cameras where they are asked for, and
    depth, which is read off with these."""
    cameras: dict[str, Any] = {}
    if shot.plan.cameras == AS_MEASURED:
        measured = segment_cameras(state, path, pictures, goes_on, lambda share: shot.model.check_interrupted())
        path, cameras = measured.trajectory, measured.info
    depth = _depth_of(shot, path, start, given, state, pictures)
    return Described(path, depth.depth, {**cameras, **depth.info})


def _depth_of(
    shot: Shot,
    path: Trajectory,
    start: int,
    given: NDArray[np.float16] | None,
    state: MemoryState,
    pictures: NDArray[np.uint8] | None,
) -> SegmentDepth:
    """Depth of new pictures (F, H, W, 3) after a memory, or that (F, h, w) which the plan has given for them."""
    source = shot.plan.depth_source
    if source is None:
        return SegmentDepth(given)
    if pictures is None:
        return SegmentDepth(None, {"source": source.source.name, "left_out": ["Its pictures were dropped."]})
    return segment_depth(state, source, path, pictures, start)
