"""Arrays from .npz files: the .npy files of a zip, of bounded size."""

from __future__ import annotations

import io
import zipfile
import zlib

from ..cameras.camera import FloatArray
from .npy import array_of, shape_of
from .source import MAX_BYTES, Source

_MAGIC = b"PK\x03\x04"
_HEAD = 2**16
"""Bytes that hold the head of any array of plain numbers."""
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What Python's zip reader raises for archives that are damaged, encrypted or compressed in an unknown way."""


def is_npz(source: Source) -> bool:
    return source.data.startswith(_MAGIC)


def npz_shapes(source: Source) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays by their names; empty where it is no .npz file."""
    if not is_npz(source):
        return {}
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            return {
                name.removesuffix(".npy"): shape_of(archive.open(name).read(_HEAD))
                for name in archive.namelist()[:64]
                if name.endswith(".npy")
            }
    except _BROKEN:
        return {}


def npz_array(source: Source, name: str) -> FloatArray:
    """The numbers of the array ``name``; refuses files that have none, are damaged or hold too much."""
    if not is_npz(source):
        source.refuse("it is no .npz file", "Choose the .npz file that the program wrote, or another layout")
    member = f"{name}.npy"
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            names = archive.namelist()
            size = archive.getinfo(member).file_size if member in names else 0
            data = archive.read(member) if 0 < size <= MAX_BYTES else b""
    except _BROKEN as error:
        source.refuse(f"it is no whole archive: {error}", "The file is cut off or damaged: copy it again")
    if member not in names:
        known = ", ".join(other.removesuffix(".npy") for other in names[:12])
        source.refuse(f"it has no array {name!r}, only {known}", "Choose the file of poses, or another layout")
    if size > MAX_BYTES:
        source.refuse(f"its array {name!r} has more than {MAX_BYTES} bytes", "Keep only the cameras of the shot")
    return array_of(source, data)
