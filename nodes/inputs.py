"""Inputs that several nodes share, so that their limits cannot drift apart."""

from __future__ import annotations

from comfy_api.latest import io

from ..world.network import PATCH


def field_of_view(tooltip: str) -> io.Float.Input:
    return io.Float.Input("fov", default=70.0, min=5.0, max=150.0, step=1.0, tooltip=tooltip)


def frame_rate(tooltip: str) -> io.Float.Input:
    return io.Float.Input("fps", default=8.0, min=1.0, max=120.0, step=1.0, tooltip=tooltip)


def side(name: str, tooltip: str) -> io.Int.Input:
    """A width or height in pixels; 0 leaves it to the node."""
    return io.Int.Input(name, default=0, min=0, max=4096, step=4, tooltip=tooltip)


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
