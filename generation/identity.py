"""A hash of any value by what it holds, equal in every process; or the plain statement that there is none.

Numbers, texts, arrays, tensors, containers and ordinary objects count by content; functions and classes by their name
and code, with the values that they close over. What holds hidden state (a lock, an open file, a random generator of a
library) has no identity and is refused: a key that might match what is not the same must not exist. State that code
reaches through objects of other modules is not seen.
"""

from __future__ import annotations

import enum
import hashlib
import struct
import types
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

MOST_PARTS = 300_000
LEAST_SAMPLED = 4096
"""Bytes up to which a weight is taken whole."""

_ATOMS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
_FOREIGN = ("builtins", "torch", "abc", "typing", "enum", "collections", "numpy")
_HOST_NOTES = ("comfy_", "prev_comfy_", "weight_function", "bias_function", "weight_comfy_", "bias_comfy_")

Special = Mapping[type, Callable[["Identity", Any], None]]


class NoIdentity(ValueError):
    """A value has no stable identity; the message says which one and where it is."""


class Identity:
    """One sha256 that grows with every ``add``.

    Args:
        special: how objects of a class are told, for classes with a better account of themselves than their attributes.
    """

    def __init__(self, special: Special | None = None) -> None:
        self._hash = hashlib.sha256()
        self._special = special or {}
        self._seen: dict[int, tuple[int, Any]] = {}
        self._open: list[int] = []
        self._path: list[str] = []
        self._parts = 0
        self._sample = 0

    def add(self, name: str, value: Any, *, sample: int = 0) -> Identity:
        """Takes in a value under a name. With ``sample``, of each larger tensor only so many numbers, evenly spread.

        Raises:
            NoIdentity: the value, or something in it, has none.
        """
        before, self._sample = self._sample, sample or self._sample
        self._path.append(name)
        self._told(b"name", name.encode())
        self._value(value)
        self._path.pop()
        self._sample = before
        return self

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def managed(self, module: nn.Module, originals: Mapping[str, Tensor], sample: int) -> None:
        """A network that the host loads and moves: classes of its parts and a sample of its weights.

        Args:
            originals: weights that are in the network under this name when it is not patched.
        """
        for name, part in module.named_modules():
            self._told(b"part", name.encode())
            self._class(type(part))
        for name, weight in module.state_dict().items():
            if isinstance(weight, Tensor):
                self.add(name, originals.get(name, weight), sample=sample)

    def _told(self, tag: bytes, data: bytes) -> None:
        self._hash.update(b"%s %d\n" % (tag, len(data)))
        self._hash.update(data)

    def _refuse(self, why: str) -> NoIdentity:
        return NoIdentity(f"{'.'.join(self._path)} {why}")

    def _value(self, value: Any) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise self._refuse(f"has more than {MOST_PARTS} parts")
        kind = type(value)
        if kind in _ATOMS:
            self._told(kind.__name__.encode(), _atom(value))
        elif isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, np.ndarray | np.generic):
            self._array(np.asarray(value))
        elif isinstance(value, enum.Enum):
            self._told(b"enum", f"{kind.__module__}.{kind.__qualname__}.{value.name}".encode())
        elif isinstance(value, torch.dtype | torch.device | torch.layout):
            self._told(b"torch", str(value).encode())
        elif isinstance(value, types.ModuleType):
            self._told(b"module", value.__name__.encode())
        else:
            self._compound(value, kind)

    def _compound(self, value: Any, kind: type) -> None:
        plain = kind in (list, tuple, dict, set, frozenset)
        if id(value) in self._open or (not plain and id(value) in self._seen):
            order = self._open.index(id(value)) if plain else self._seen[id(value)][0]
            self._told(b"again", str(order).encode())
            return
        if not plain:
            # Kept alive, or another object could take its number.
            self._seen[id(value)] = (len(self._seen), value)
        self._open.append(id(value))
        try:
            if kind in (list, tuple):
                self._items(kind.__name__, value)
            elif kind is dict:
                self._pairs("dict", list(value.items()))
            elif kind in (set, frozenset):
                self._set(kind.__name__, value)
            else:
                self._object(value)
        finally:
            self._open.pop()

    def _object(self, value: Any) -> None:
        for kind, tell in self._special.items():
            if isinstance(value, kind):
                self._class(type(value))
                return tell(self, value)
        if isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.MethodType):
            self._told(b"method", value.__func__.__qualname__.encode())
            self._value(value.__self__)
            self._value(value.__func__)
        elif isinstance(value, types.BuiltinFunctionType | types.BuiltinMethodType | types.WrapperDescriptorType):
            self._told(b"builtin", f"{getattr(value, '__module__', '')}.{value.__qualname__}".encode())
            owner = getattr(value, "__self__", None)
            if owner is not None and not isinstance(owner, types.ModuleType | type):
                self._value(owner)
        elif isinstance(value, nn.Module):
            self._network(value)
        else:
            self._reduced(value)

    def _reduced(self, value: Any) -> None:
        """An object by what would make it again: the account that its own class gives of its state."""
        try:
            account = value.__reduce_ex__(4)
        except Exception as error:
            raise self._refuse(f"is a {_named(type(value))}, which hides its state ({error})") from error
        self._class(type(value))
        if isinstance(account, str):
            return self._told(b"global", account.encode())
        make, arguments, state, items, pairs = (*account, None, None, None)[:5]
        if state is None and arguments == (type(value),) and _is_token(type(value)):
            raise self._refuse(f"is a {_named(type(value))}, which is only equal to itself")
        self._told(b"made by", getattr(make, "__qualname__", str(make)).encode())
        self._items("arguments", arguments)
        for part in state if isinstance(state, tuple) else (state,):
            self._attributes(part) if isinstance(part, dict) else self._value(part)
        self._items("items", list(items) if items is not None else [])
        self._pairs("pairs", list(pairs) if pairs is not None else [])

    def _network(self, module: nn.Module) -> None:
        for name, part in module.named_modules():
            self._told(b"part", name.encode())
            self._class(type(part))
            own = {key: kept for key, kept in vars(part).items() if key[:1] != "_" and not key.startswith(_HOST_NOTES)}
            self._attributes({key: kept for key, kept in own.items() if key != "training"})
        for name, weight in module.state_dict().items():
            self.add(name, weight, sample=self._sample or 64)

    def _items(self, tag: str, values: Any) -> None:
        self._told(tag.encode(), str(len(values)).encode())
        for place, value in enumerate(values):
            self._path.append(str(place))
            self._value(value)
            self._path.pop()

    def _pairs(self, tag: str, pairs: list[tuple[Any, Any]]) -> None:
        self._told(tag.encode(), str(len(pairs)).encode())
        for key, value in pairs:
            self._path.append(str(key)[:40])
            self._value(key)
            self._value(value)
            self._path.pop()

    def _attributes(self, attributes: Mapping[str, Any]) -> None:
        self._pairs("attributes", sorted(attributes.items(), key=lambda pair: str(pair[0])))

    def _set(self, tag: str, values: Any) -> None:
        digests = []
        for value in values:
            inner = Identity(self._special)
            inner._path = self._path
            inner._value(value)
            digests.append(inner._hash.digest())
        self._told(tag.encode(), b"".join(sorted(digests)))

    def _array(self, array: np.ndarray[Any, Any]) -> None:
        if array.dtype.hasobject:
            return self._items("objects", array.reshape(-1).tolist())
        self._told(b"array", f"{array.dtype.str}{array.shape}".encode())
        self._told(b"data", np.ascontiguousarray(array).tobytes())

    def _tensor(self, tensor: Tensor) -> None:
        if type(tensor) not in (Tensor, nn.Parameter, nn.Buffer):
            self._class(type(tensor))
            hidden = vars(tensor)
            self._attributes(hidden)
            if any(isinstance(part, Tensor) for part in hidden.values()):
                return  # A wrapper: what it wraps has been told.
            tensor = tensor.as_subclass(Tensor)
        tensor = tensor.detach()
        if tensor.device.type == "meta" or tensor.layout != torch.strided:
            raise self._refuse("is a tensor without plain numbers in it")
        self._told(b"tensor", f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        flat = tensor.resolve_conj().resolve_neg().reshape(-1)
        if self._sample and flat.numel() * flat.element_size() > max(LEAST_SAMPLED, self._sample * flat.element_size()):
            places = torch.linspace(0, flat.numel() - 1, self._sample, dtype=torch.float64).long()
            flat = flat[places.to(flat.device)]
        self._told(b"data", flat.cpu().contiguous().view(torch.uint8).numpy().tobytes())

    def _function(self, function: types.FunctionType) -> None:
        self._told(b"function", _named(function).encode())
        self._code(function.__code__)
        self._items("defaults", function.__defaults__ or ())
        self._pairs("keyword defaults", list((function.__kwdefaults__ or {}).items()))
        self._items("closure", [_cell(cell) for cell in function.__closure__ or ()])
        self._attributes(vars(function))
        for name in sorted(_names(function.__code__)):
            if name in function.__globals__:
                self._global(name, function.__globals__[name], function.__module__)

    def _global(self, name: str, value: Any, module: str) -> None:
        """What code finds by name in its module: data and helpers of the same module; the rest by name only."""
        data = isinstance(value, (*_ATOMS, list, tuple, dict, set, frozenset, Tensor, np.ndarray))
        helper = isinstance(value, types.FunctionType | type) and value.__module__ == module
        self._told(b"global", name.encode())
        if data or helper:
            self._path.append(name)
            self._value(value)
            self._path.pop()

    def _code(self, code: types.CodeType) -> None:
        self._told(b"code", code.co_code)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_argcount, code.co_flags)
        self._told(b"names", repr(names).encode())
        for constant in code.co_consts:
            self._code(constant) if isinstance(constant, types.CodeType) else self._value(constant)

    def _class(self, kind: type) -> None:
        digest = _class_digests.get(kind)
        if digest is None:
            inner = Identity()
            inner._told(b"class", " ".join(_named(part) for part in kind.__mro__).encode())
            for part in kind.__mro__:
                if part.__module__.split(".")[0] not in _FOREIGN:
                    for name, function in sorted(_functions(part).items()):
                        inner._told(b"has", name.encode())
                        inner._code(function.__code__)
                    constants = {name: held for name, held in vars(part).items() if isinstance(held, _ATOMS)}
                    inner._attributes({name: held for name, held in constants.items() if name[:2] != "__"})
            digest = _class_digests[kind] = inner._hash.digest()
        self._told(b"class", digest)


_class_digests: weakref.WeakKeyDictionary[type, bytes] = weakref.WeakKeyDictionary()


def _atom(value: Any) -> bytes:
    return struct.pack("<d", value) if isinstance(value, float) else value if type(value) is bytes else _text(value)


def _text(value: Any) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else repr(value).encode()


def _named(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _cell(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _names(code: types.CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _is_token(kind: type) -> bool:
    """Whether a class holds nothing, so that an object of it without attributes can only serve as a mark."""
    own = [name for part in kind.__mro__ if part is not object for name in vars(part)]
    return all(name.startswith("__") and name.endswith("__") for name in own)


def _functions(kind: type) -> dict[str, types.FunctionType]:
    """The functions that a class itself defines, also inside properties and decorators."""
    found = {}
    for name, held in vars(kind).items():
        for way in ("fget", "__func__", "func", "__wrapped__"):
            held = getattr(held, way, None) or held
        if isinstance(held, types.FunctionType):
            found[name] = held
    return found
