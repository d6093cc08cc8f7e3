"""Arrays from .npy files: plain numbers only, never objects, and nothing larger than the file itself."""

from __future__ import annotations

import io
from tokenize import TokenError

import numpy as np

from ..cameras.camera import FloatArray
from .source import MAX_POSES, CameraFileError, Source

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
    """The numbers of an .npy file."""
    if not is_npy(source):
        source.refuse("it is no .npy file", "Choose the .npy file; take it out of an .npz first")
    return array_of(source, source.data)


def array_of(source: Source, data: bytes) -> FloatArray:
    """The numbers of ``data``, the bytes of an .npy file that is ``source`` or in it."""
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
