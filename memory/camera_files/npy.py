"""Arrays from .npy files and the .npy files of an .npz: plain numbers only, never objects, and nothing larger than the
file itself, or than a bound in a zip.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from tokenize import TokenError

import numpy as np

from ..cameras.camera import FloatArray
from .source import MAX_BYTES, MAX_POSES, CameraFileError, Source

MAGIC = b"\x93NUMPY"


def is_npy(source: Source) -> bool:
    return source.data.startswith(MAGIC)


def npy_shape(source: Source) -> tuple[int, ...]:
    """The shape that the file's head claims; () for a head that cannot be read."""
    return shape_of(source.data)


def shape_of(data: bytes) -> tuple[int, ...]:
    """As `npy_shape`, of the beginning of such a file."""
    try:
        return _head(data)[0]
    except ValueError:
        return ()


def is_one_pose(source: Source) -> bool:
    """Whether it is a single matrix of a camera, not four rows of intrinsics: its last row is 0 0 0 1."""
    if npy_shape(source) != (4, 4):
        return False
    try:
        matrix = npy_array(source)
    except CameraFileError:
        return False
    return bool(np.array_equal(matrix[3], (0.0, 0.0, 0.0, 1.0)))


def npy_array(source: Source) -> FloatArray:
    """The numbers of an .npy file. Their shape is the file's. Refuses what `array_of` does."""
    if not is_npy(source):
        source.refuse("it is no .npy file", "Choose the .npy file; take it out of an .npz first")
    return array_of(source, source.data)


def array_of(source: Source, data: bytes) -> FloatArray:
    """The numbers of ``data``, the bytes of an .npy file that is ``source`` or in it. Their shape is the file's, with
    at most 100,000 cameras along the first axis. Refuses objects, a damaged head and bytes that are more or fewer than
    the shape takes."""
    try:
        shape, fortran, kind, begin = _head(data)
    except ValueError as error:
        source.refuse(f"its head cannot be read: {error}", "Save it again with numpy.save")
    if kind.kind not in "fiu":
        source.refuse(f"it holds {kind}, expected plain numbers", "Save it as float32 or float64; objects are not read")
    count = 1
    for side in shape:
        count *= side
    if (shape and shape[0] > MAX_POSES) or count > 16 * MAX_POSES:
        source.refuse(f"its shape is {shape}, at most {MAX_POSES} cameras are read", "Keep only those of the shot")
    there = len(data) - begin
    if count * kind.itemsize != there:
        source.refuse(
            f"its shape is {shape}, which takes {count * kind.itemsize} bytes, and {there} are there",
            "The file is cut off or damaged: copy it again",
        )
    values = np.frombuffer(data, dtype=kind, count=count, offset=begin)
    return np.asarray(values.reshape(shape, order="F" if fortran else "C"), dtype=np.float64)


def _head(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether columns come first, kind of number, and where they begin. ValueError for anything else."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} is not used for plain numbers")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, kind = read(file)
    except (SyntaxError, TokenError, TypeError, MemoryError, RecursionError) as error:
        # numpy reads the head as Python literals, and a damaged one fails there in many ways.
        raise ValueError(str(error)) from error
    return shape, fortran, kind, file.tell()


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
    """The numbers of the array ``name``; refuses files that have none, are damaged or hold too much. Their shape is the
    array's."""
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
