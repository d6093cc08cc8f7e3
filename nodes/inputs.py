"""Inputs that several nodes share, so that their limits cannot drift apart."""

from __future__ import annotations

from comfy_api.latest import io

from ..world.network import PATCH
from .pictures import DEPTH_KINDS, NEAR_IS_WHITE
from .types import SceneDepth

FRAMES = "Frames by number, joined with commas: 12, 24-40, 100- (to the end), shot 2, last shot, first 8, last 8, all."


def field_of_view(tooltip: str) -> io.Float.Input:
    return io.Float.Input("fov", default=70.0, min=5.0, max=150.0, step=1.0, tooltip=tooltip)


def frame_rate(tooltip: str) -> io.Float.Input:
    return io.Float.Input("fps", default=8.0, min=1.0, max=120.0, step=1.0, tooltip=tooltip)


def fixed_seed(tooltip: str, *, default: int = 0, most: int = 0xFFFFFFFF, optional: bool = False) -> io.Int.Input:
    """A seed that stays until the artist changes it.

    The page puts a *control after generate* beside every number called seed, and lets it draw another number after each
    Run unless it is told otherwise: then the same graph, queued again, would find nothing of what it has made.
    """
    return io.Int.Input(
        "seed",
        default=default,
        min=0,
        max=most,
        optional=optional,
        control_after_generate=io.ControlAfterGenerate.fixed,
        tooltip=tooltip,
    )


def guidance(tooltip: str, *, default: float = 1.0, optional: bool = False) -> io.Float.Input:
    """How strictly the sampler follows the prompt."""
    return io.Float.Input("cfg", default=default, min=0.0, max=30.0, step=0.1, optional=optional, tooltip=tooltip)


def side(name: str, tooltip: str, optional: bool = False) -> io.Int.Input:
    """A width or height in pixels; 0 leaves it to the node."""
    return io.Int.Input(name, default=0, min=0, max=4096, step=4, optional=optional, tooltip=tooltip)


def world_side(name: str, default: int) -> io.Int.Input:
    """A width or height that the world model can paint."""
    return io.Int.Input(
        name,
        default=default,
        min=2 * PATCH,
        max=80 * PATCH,
        step=PATCH,
        tooltip=f"{name.capitalize()} in pixels, a multiple of {PATCH}. Recommended: {default}.",
    )


def frames_text(recommended: str, what: str = "") -> io.String.Input:
    """Frames named in words."""
    return io.String.Input(
        "frames",
        default=recommended,
        tooltip=f"{what}{FRAMES} Memory Info shows the numbers. Recommended: {recommended}.",
    )


def depth_kind() -> io.Combo.Input:
    """What the grey of a depth picture means."""
    return io.Combo.Input(
        "depth_kind",
        options=DEPTH_KINDS,
        default=NEAR_IS_WHITE,
        optional=True,
        tooltip="What the grey of the depth picture means. Depth estimators such as Depth Anything make near things "
        "white. World Scene's depth is linear. Recommended: as your depth node says.",
    )


def depth_scale() -> io.Float.Input:
    """How far away white is in a depth picture."""
    return io.Float.Input(
        "depth_scale",
        default=1.0,
        min=0.001,
        max=100_000.0,
        step=0.1,
        optional=True,
        tooltip="How far away pure white is, in scene units (about metres). "
        "Recommended: 1 where white is near; 20 for World Scene's depth.",
    )


def depth_source(tooltip: str) -> io.Input:
    """Where depth of new frames comes from."""
    return SceneDepth.Input("depth_source", optional=True, tooltip=tooltip)


def memory_limit() -> io.Float.Input:
    """How much disk a bank may take."""
    return io.Float.Input(
        "max_size_gb",
        default=0.0,
        min=0.0,
        max=100_000.0,
        step=1.0,
        optional=True,
        tooltip="The most that the bank may take on disk, in GB; 0 is no limit. Above it, pictures of this film that "
        "other frames show as well are dropped. The first frame, pinned frames, the newest segment and the last frame "
        "of each shot are never dropped, and no segment is ever made again for it. Recommended: 0.",
    )


THIS_FILM, WHOLE_BANK = "this film", "the whole bank, earlier films too"


def limit_covers() -> io.Combo.Input:
    """Whether a limit may delete earlier films."""
    return io.Combo.Input(
        "limit_covers",
        options=[THIS_FILM, WHOLE_BANK],
        default=THIS_FILM,
        optional=True,
        tooltip="What max_size_gb may remove. 'this film' drops pictures of this film only: earlier takes and other "
        "films in the bank stay, also when the bank is then larger. 'the whole bank' deletes earlier takes and other "
        "films of this bank first, the oldest first; Memory Info lists them. Recommended: this film.",
    )
