"""The table of families: what is loaded, and by which stock nodes the same segment is made without a memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ....film.plan import BOTH, CONTEXT_FRAMES
from . import others, stock
from .loaded import Loaded, load_echo, load_wan, load_world, wide_echo, wide_wan, wide_world

T2V, TI2V = "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.2_ti2v_5B_fp16.safetensors"
I2V, VACE = "wan2.1_i2v_480p_14B_fp16.safetensors", "wan2.1_vace_1.3B_fp16.safetensors"
T2V_HIGH, T2V_LOW = (f"wan2.2_t2v_{kind}_noise_14B_fp8_scaled.safetensors" for kind in ("high", "low"))
I2V_HIGH, I2V_LOW = (f"wan2.2_i2v_{kind}_noise_14B_fp8_scaled.safetensors" for kind in ("high", "low"))
INPAINT = "wan2.1_fun_inp_1.3B_bf16.safetensors"
CAMERA21 = "wan2.1_fun_camera_v1.1_1.3B_bf16.safetensors"
CAMERA22 = "wan2.2_fun_camera_high_noise_14B_fp8_scaled.safetensors"

PHANTOM = {"times": "same as the segment", "positions": "after the segment", "blank_negative": True}


@dataclass(frozen=True)
class Family:
    """One row.

    Args:
        load: from a folder for its files. wide: the MODEL with which memory is measured. stock: the stock nodes'
            segment. start: whether a segment goes on from a known picture. size, frames: of the pictures of a segment.
            cfg: guidance. in_diffusers: whether it is compared with diffusers. way: how memory enters.
    """

    load: Callable[[Path], Loaded]
    wide: Callable[[Path], Any]
    stock: stock.Stock
    start: bool = False
    size: tuple[int, int] = (96, 96)
    frames: int = 13
    cfg: float = 2.0
    in_diffusers: bool = True
    way: str = CONTEXT_FRAMES


def _wan(stock_nodes: stock.Stock, file: str, low: str = "", /, **row: Any) -> Family:
    """A row for a Wan; what is no field of ``Family`` says how it is loaded."""
    known = {name: row.pop(name) for name in ("start", "size", "frames", "in_diffusers", "way") if name in row}
    load, wide = (partial(loader, file=file, low=low, **row) for loader in (load_wan, wide_wan))
    return Family(load, wide, stock_nodes, **known)


FAMILIES: dict[str, Family] = {
    "text to video": _wan(stock.text_to_video, T2V),
    "Echo-Memory": Family(
        partial(load_echo, file=T2V), partial(wide_echo, file=T2V), stock.text_to_video, in_diffusers=False
    ),
    "Phantom": _wan(stock.phantom, T2V, **PHANTOM),
    "image to video 2.1": _wan(stock.image_to_video, I2V, start=True, sees=True),
    "image to video A14B": _wan(stock.image_to_video, I2V_HIGH, start=True),
    "pair A14B": _wan(stock.text_to_video, T2V_HIGH, T2V_LOW),
    "TI2V-5B": _wan(stock.image_latent, TI2V, start=True, size=(192, 192)),
    "Fun Camera 2.1": _wan(stock.fun_camera, CAMERA21, start=True, in_diffusers=False),
    "Fun Camera 2.2": _wan(stock.fun_camera, CAMERA22, start=True, in_diffusers=False),
    "VACE": _wan(stock.vace, VACE),
    "Fun Inpaint": _wan(stock.fun_inpaint, INPAINT, in_diffusers=False, way=BOTH),
    "StoryMem": _wan(stock.image_to_video, I2V_HIGH, I2V_LOW, start=True, boundary=0.9, story="StoryMem"),
    "Memento": _wan(
        stock.image_to_video, I2V_HIGH, I2V_LOW, start=True, boundary=0.9, story="Memento", in_diffusers=False
    ),
    "LTX video": Family(others.load_ltx, others.wide_ltx, others.ltx, start=True, frames=17, in_diffusers=False),
    "MiniMax H3": Family(
        others.load_h3, others.narrow_h3, others.h3, start=True, size=(64, 64), frames=22, cfg=1.0, in_diffusers=False
    ),
    "world model": Family(load_world, wide_world, stock.world, size=(96, 60), frames=8, cfg=1.0, in_diffusers=False),
}
