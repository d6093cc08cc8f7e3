"""Safetensors files, read in small pieces and written in one go.

The layout is that of the safetensors library: 8 bytes with the length of the header, the header as JSON, the tensors.
Files come from anywhere, so the header is bounded and every number in it is checked before anything else is read, and
no file is mapped: one that is cut off while it is read gives an error, not a crash.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import damaged
from ..files import open_regular

if TYPE_CHECKING:
    from typing import TypeGuard

MAX_HEADER_BYTES = 4 * 1024 * 1024

_TYPES = {"F64": "<f8", "I64": "<i8", "F32": "<f4", "F16": "<f2", "U8": "|u1"}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}

Buffer = bytes | memoryview
Tensor = NDArray[Any] | Sequence[bytes]


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies: its type's name, its shape, and its bytes ``begin`` to ``end`` of the file."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


class TensorFile:
    """An open file: ``metadata`` and ``tensors`` by name are known, the data are read when asked for."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self.name = name
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise damaged(f"{name} has no header that this format allows")
        self.metadata, self.tensors = _header(file.read(length), 8 + length, size, name)

    def stored(self, name: str, kind: str, shape: tuple[int, ...] | None = None) -> Stored:
        """Where the tensor lies. Raises ``DamageError`` if it is not there, or of another type or shape."""
        found = self.tensors.get(name)
        if found is None:
            raise damaged(f"{self.name} has no tensor {name!r}")
        if found.kind != kind or (shape is not None and found.shape != shape):
            raise damaged(f"{self.name}: {name!r} is {found.kind} {found.shape}, expected {kind} {shape or ''}")
        return found

    def read(self, name: str, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """The whole tensor, which must be of that type and shape."""
        found = self.stored(name, kind, shape)
        return np.frombuffer(self.bytes_at(found.begin, found.end), dtype=_TYPES[kind]).reshape(shape)

    def bytes_at(self, begin: int, end: int) -> bytes:
        """Bytes ``begin`` to ``end`` of the file. Raises ``DamageError`` if it is shorter."""
        self._file.seek(begin)
        data = self._file.read(end - begin)
        if len(data) != end - begin:
            raise damaged(f"{self.name} is cut off")
        return data


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Opens ``path`` for reading. Raises ``DamageError`` that names it, for what is no such file."""
    try:
        with open_regular(path) as file:
            yield TensorFile(file, path.name)
    except FileNotFoundError as error:
        raise damaged(f"{path.name} is missing from {path.parent}") from error
    except OSError as error:
        raise damaged(f"{path.name} cannot be read ({error.strerror or error})") from error


def encode_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> list[Buffer]:
    """The parts of a file that hold ``tensors`` of any shape, in that order; a list of bytes is one uint8 tensor (n,).

    Put the types with the largest items first, so that every tensor is aligned.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts: list[Buffer] = []
    at = 0
    for name, value in tensors.items():
        if isinstance(value, np.ndarray):
            little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
            kind, shape, size = _NAMES[little.dtype], list(value.shape), little.nbytes
            parts.append(little.reshape(-1).view(np.uint8).data)
        else:
            size = sum(map(len, value))
            kind, shape = "U8", [size]
            parts.extend(value)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return [struct.pack("<Q", len(text)) + text, *parts]


def _header(text: bytes, data: int, size: int, name: str) -> tuple[dict[str, str], dict[str, Stored]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(f"{name} has a header that is not JSON") from error
    if not isinstance(document, dict):
        raise damaged(f"{name} has a header that this format does not allow")
    metadata = document.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise damaged(f"{name} has metadata that this format does not allow")
    return metadata, {key: _stored(key, value, data, size, name) for key, value in document.items()}


def _stored(key: str, value: object, data: int, size: int, name: str) -> Stored:
    wrong = damaged(f"{name}: the type, shape or position of tensor {key[:40]!r} is not one that this format allows")
    if not isinstance(value, dict):
        raise wrong
    kind, shape, span = value.get("dtype"), value.get("shape"), value.get("data_offsets")
    if not (isinstance(kind, str) and kind in _TYPES and _is_whole(shape) and _is_whole(span)):
        raise wrong
    if len(shape) > 8 or len(span) != 2 or not span[0] <= span[1] <= size - data:
        raise wrong
    if math.prod(shape) * np.dtype(_TYPES[kind]).itemsize != span[1] - span[0]:
        raise wrong
    return Stored(kind, tuple(shape), data + span[0], data + span[1])


def _is_whole(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(one) is int and 0 <= one < 2**48 for one in value)
