"""What COLMAP's images and cameras say, whether in text or in binary."""

from __future__ import annotations

from dataclasses import dataclass

from ..cameras.camera import FloatArray
from .poses import Where


@dataclass(frozen=True)
class Images:
    """``values`` (F, 7): quaternion with w first and translation, world-to-camera; CAMERA_ID and NAME of each."""

    values: FloatArray
    cameras: list[str]
    names: list[str]
    where: Where


@dataclass(frozen=True)
class Camera:
    """The words CAMERA_ID MODEL WIDTH HEIGHT PARAMS[] of one camera, and where they stand."""

    words: list[str]
    place: str
