"""A hash of any value by the data that it holds, equal in every process; or a refusal where there is none.

Numbers, texts, arrays, tensors and containers count by content; an object by the name of its class and its state; our
own dataclasses by their name and the fields that do not stand at their default, so that a new field whose default means
"as before" keeps what is known; a function by its name and the values that it closes over. Names are those inside a
module: where a module lies, and what its code says in detail, is no data. Only of packs of others is the code looked
at, and kept beside the hash (``code``), because there is no version to go by.

What holds hidden state (a lock, an open file) has no identity and is refused: a key that might match what is not the
same must not exist. State that code reaches through its module is not seen.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import re
import struct
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

MOST_PARTS = 300_000
LEAST_SAMPLED = 4096
"""Bytes up to which a weight is taken whole."""

HASHED_AS = "scene_memory_told"
"""Attribute of a function of ours: the data that is hashed for it, instead of its name and closure."""

_ATOMS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
_OURS = __name__.removesuffix(".film.identity")
_LIBRARIES = {"comfy_kitchen", "einops", "numpy", "scipy", "torch", "torchsde", "torchvision", "transformers"}
_BOOKKEEPING = (
    "_torchdynamo",
    "_dynamo",
    "_is_param",
)
"""What torch.compile and PyTorch hang on functions, tensors and layers."""

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))

Special = Mapping[type, Callable[["Identity", Any], None]]
Parts = Mapping[str, nn.Module]


class NoIdentity(ValueError):
    """A value has no stable identity; the message says which one and where it is."""


class Identity:
    """One sha256 that grows with every ``add``.

    Args:
        special: how objects of a class are hashed, where their attributes are not the best account of them.
        host: first names of a host's modules; its private attributes are no data, its code is not looked at.
        bookkeeping: how names begin of what the host hangs on functions, tensors and layers.
    """

    def __init__(
        self, special: Special | None = None, host: frozenset[str] = frozenset(), bookkeeping: tuple[str, ...] = ()
    ) -> None:
        self._hash = hashlib.sha256()
        self._special, self._host, self._bookkeeping = special or {}, host, bookkeeping
        self._seen: dict[int, tuple[int, Any]] = {}
        self._known: dict[int, str] = {}
        self._networks = 0
        self._open: list[int] = []
        self._path: list[str] = []
        self._parts = 0
        self._sample = 0
        self._code: dict[str, set[bytes]] = {}

    def add(self, name: str, value: Any, *, sample: int = 0) -> Identity:
        """Takes in a value under a name. With ``sample``, of each larger tensor only so many numbers, evenly spread.

        Raises:
            NoIdentity: the value, or something in it, has none.
        """
        before, self._sample = self._sample, sample or self._sample
        self._path.append(name)
        self._update(b"name", name.encode())
        self._value(value)
        self._path.pop()
        self._sample = before
        return self

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    @property
    def code(self) -> dict[str, str]:
        """Beside the hash: for each pack of others that functions or classes came from, 16 hex digits of their code."""
        return {pack: hashlib.sha256(b"".join(sorted(found))).hexdigest()[:16] for pack, found in self._code.items()}

    def managed(self, parts: Parts, originals: Mapping[str, Tensor], sample: int) -> None:
        """A network that the host loads, patches and moves: classes of its parts and a sample of its weights.

        What else hangs on the parts is left out, for others write there while a model is sampled. Wherever a part turns
        up again, its name is hashed.

        Args:
            parts: the network and all modules in it by name, as they are when it is not patched.
            originals: weights of any shape that are in the network under this name when it is not patched.
        """
        self._networks += 1
        for name, part in parts.items():
            self._update(b"part", name.encode())
            self._class(type(part))
            self._known[id(part)] = f"{self._networks} {name}"
            self._seen[id(part)] = (-1, part)
            for key, weight in _weights(part):
                whole = f"{name}.{key}" if name else key
                self.add(whole, originals.get(whole, weight), sample=sample)

    def _update(self, tag: bytes, data: bytes) -> None:
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
            self._update(kind.__name__.encode(), _atom(value))
        elif isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, np.ndarray | np.generic):
            self._array(np.asarray(value))
        elif isinstance(value, enum.Enum):
            self._update(b"enum", f"{kind.__qualname__}.{value.name}".encode())
        elif isinstance(value, torch.dtype | torch.device | torch.layout):
            self._update(b"torch", str(value).encode())
        elif isinstance(value, types.ModuleType):
            self._update(b"module", re.split(r"[./\\]", value.__name__)[-1].encode())
        else:
            self._compound(value, kind)

    def _compound(self, value: Any, kind: type) -> None:
        if id(value) in self._known:
            return self._update(b"part of the network", self._known[id(value)].encode())
        plain = kind in (list, tuple, dict, set, frozenset)
        if id(value) in self._open or (not plain and id(value) in self._seen):
            order = self._open.index(id(value)) if plain else self._seen[id(value)][0]
            return self._update(b"again", str(order).encode())
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
        for kind, hash_into in self._special.items():
            if isinstance(value, kind):
                return hash_into(self, value)
        compiled = _under_compile(value)
        if compiled is not None:
            return self._value(compiled)
        if isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.MethodType):
            self._update(b"method", value.__func__.__qualname__.encode())
            self._value(value.__self__)
            self._value(value.__func__)
        elif isinstance(value, types.BuiltinFunctionType | types.BuiltinMethodType | types.WrapperDescriptorType):
            self._update(b"builtin", f"{getattr(value, '__module__', '')}.{value.__qualname__}".encode())
            owner = getattr(value, "__self__", None)
            if owner is not None and not isinstance(owner, types.ModuleType | type):
                self._value(owner)
        elif isinstance(value, nn.Module):
            self._network(value)
        elif dataclasses.is_dataclass(value):
            self._fields(value)
        else:
            self._reduced(value)

    def _fields(self, value: Any) -> None:
        self._class(type(value))
        fields = [one for one in dataclasses.fields(value) if one.init]
        ours, values = _is_ours(type(value)), {one.name: getattr(value, one.name) for one in fields}
        kept = {one.name for one in fields if not (ours and _is_usual(values[one.name], one.default))}
        self._attributes({name: held for name, held in values.items() if name in kept}, private=True)

    def _reduced(self, value: Any) -> None:
        """An object by what would make it again: the account that its own class gives of its state."""
        kind = type(value)
        try:
            account = value.__reduce_ex__(4)
        except Exception as error:
            raise self._refuse(f"is a {kind.__qualname__}, which hides its state ({error})") from error
        self._class(kind)
        if isinstance(account, str):
            return self._update(b"global", account.encode())
        make, arguments, state, items, pairs = (*account, None, None, None)[:5]
        if state is None and arguments == (kind,) and _is_token(kind):
            raise self._refuse(f"is a {kind.__qualname__}, which is only equal to itself")
        self._update(b"made by", getattr(make, "__qualname__", str(make)).encode())
        self._items("arguments", arguments)
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                lazy = {name for name in part if isinstance(getattr(kind, name, None), functools.cached_property)}
                kept = {name: held for name, held in part.items() if name not in lazy}
                self._attributes(kept, private=not self._is_hosts(kind))
            else:
                self._value(part)
        self._items("items", list(items) if items is not None else [])
        self._pairs("pairs", list(pairs) if pairs is not None else [])

    def _network(self, module: nn.Module) -> None:
        for name, part in module.named_modules():
            self._update(b"part", name.encode())
            self._class(type(part))
            own = {key: held for key, held in vars(part).items() if key not in _OF_EVERY_MODULE}
            self._attributes(own, private=not self._is_hosts(type(part)))
            for key, weight in _weights(part):
                self.add(f"{name}.{key}" if name else key, weight, sample=self._sample or 64)

    def _items(self, tag: str, values: Any) -> None:
        self._update(tag.encode(), str(len(values)).encode())
        for index, value in enumerate(values):
            self._path.append(str(index))
            self._value(value)
            self._path.pop()

    def _pairs(self, tag: str, pairs: list[tuple[Any, Any]]) -> None:
        self._update(tag.encode(), str(len(pairs)).encode())
        for key, value in pairs:
            self._path.append(str(key)[:40])
            self._value(key)
            self._value(value)
            self._path.pop()

    def _attributes(self, attributes: Mapping[str, Any], private: bool = False) -> None:
        kept = [
            (name, held)
            for name, held in attributes.items()
            if not str(name).startswith(_BOOKKEEPING + self._bookkeeping) and (private or str(name)[:1] != "_")
        ]
        self._pairs("attributes", sorted(kept, key=lambda pair: str(pair[0])))

    def _set(self, tag: str, values: Any) -> None:
        digests = []
        for value in values:
            inner = Identity(self._special, self._host, self._bookkeeping)
            inner._path, inner._known, inner._code = self._path, self._known, self._code
            inner._value(value)
            digests.append(inner._hash.digest())
        self._update(tag.encode(), b"".join(sorted(digests)))

    def _array(self, array: np.ndarray[Any, Any]) -> None:
        if array.dtype.hasobject:
            return self._items("objects", array.reshape(-1).tolist())
        self._update(b"array", f"{array.dtype.str}{array.shape}".encode())
        self._update(b"data", np.ascontiguousarray(array).tobytes())

    def _tensor(self, tensor: Tensor) -> None:
        if type(tensor) not in (Tensor, nn.Parameter, nn.Buffer):
            self._class(type(tensor))
            # Patches that hang on a weight are hashed with the MODEL that hangs them there.
            hidden = {name: held for name, held in vars(tensor).items() if name != "patches"}
            self._attributes(hidden, private=True)
            if any(isinstance(part, Tensor) for part in hidden.values()):
                return  # A wrapper: what it wraps has been hashed.
            tensor = tensor.as_subclass(Tensor)
        tensor = tensor.detach()
        if tensor.device.type == "meta" or tensor.layout != torch.strided:
            raise self._refuse("is a tensor without plain numbers in it")
        self._update(b"tensor", f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        flat = tensor.resolve_conj().resolve_neg().reshape(-1)
        if self._sample and flat.numel() * flat.element_size() > max(LEAST_SAMPLED, self._sample * flat.element_size()):
            sampled = torch.linspace(0, flat.numel() - 1, self._sample, dtype=torch.float64).long()
            flat = flat[sampled.to(flat.device)]
        self._update(b"data", flat.cpu().contiguous().view(torch.uint8).numpy().tobytes())

    def _function(self, function: types.FunctionType) -> None:
        data = vars(function).get(HASHED_AS)
        if data is not None:
            return self._value(data)
        self._update(b"function", function.__qualname__.encode())
        if self._is_foreign(function):
            self._items("defaults", function.__defaults__ or ())
            self._pairs("keyword defaults", list((function.__kwdefaults__ or {}).items()))
            self._beside(function, [function.__code__])
        self._items("closure", [_cell(cell) for cell in function.__closure__ or ()])
        self._attributes(vars(function))

    def _class(self, kind: type) -> None:
        self._update(b"class", class_name(kind).encode())
        if self._is_foreign(kind):
            self._beside(kind, [one.__code__ for one in _functions(kind)])

    def _is_hosts(self, thing: Any) -> bool:
        return _top(thing) in self._host

    def _is_foreign(self, thing: Any) -> bool:
        """Whether something comes from a pack of others: not ours, nor the host's, nor of a library below both."""
        known = _is_ours(thing) or self._is_hosts(thing)
        return not (known or _top(thing) in _LIBRARIES or _top(thing) in sys.stdlib_module_names)

    def _beside(self, thing: Any, codes: list[types.CodeType]) -> None:
        digests = sorted(_code_digest(code) for code in codes)
        whole = hashlib.sha256(b"".join([thing.__qualname__.encode(), *digests])).digest()
        self._code.setdefault(_pack_of(thing), set()).add(whole)


def class_name(kind: type) -> str:
    """The name of a class inside its module; of one that was made inside a function, its own name and its bases'.

    The host's plain layers and those that cast their weights first compute the same.
    """
    if "<locals>" in kind.__qualname__:
        return f"{kind.__name__}({', '.join(class_name(base) for base in kind.__bases__)})"
    return kind.__qualname__.removeprefix("disable_weight_init.").removeprefix("manual_cast.")


def _weights(part: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters of a module itself, and buffers that are saved with it: what else it keeps is worked out from them.

    Not by ``state_dict``: layers of packed weights give placeholders there.
    """
    lazy = part._non_persistent_buffers_set
    for name, weight in [*part._parameters.items(), *part._buffers.items()]:
        if weight is not None and name not in lazy:
            yield name, weight


def _under_compile(value: Any) -> Any:
    """What torch.compile or torch.compiler.disable has wrapped; None for all else."""
    if isinstance(value, torch._dynamo.eval_frame.OptimizedModule):
        return ("compiled", value._orig_mod)
    if isinstance(value, types.FunctionType):
        return vars(value).get("_torchdynamo_orig_callable")
    return None


def _is_usual(held: Any, usual: Any) -> bool:
    return type(held) is type(usual) and type(held) in _ATOMS and _atom(held) == _atom(usual)


def _is_ours(kind: Any) -> bool:
    return f"{kind.__module__}.".startswith(f"{_OURS}.")


def _top(thing: Any) -> str:
    return (thing.__module__ or "").split(".")[0]


def _pack_of(thing: Any) -> str:
    """The folder or file of the pack that something comes from. The host names a pack's modules after its whole path,
    with dots in it written as _x_."""
    found = re.split(r"[/\\]", thing.__module__ or "")[-1].split(".")[0]
    return found.replace("_x_", ".")[:80]


def _atom(value: Any) -> bytes:
    return struct.pack("<d", value) if isinstance(value, float) else value if type(value) is bytes else _text(value)


def _text(value: Any) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else repr(value).encode()


def _cell(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _is_token(kind: type) -> bool:
    """Whether a class holds nothing, so that an object of it without attributes can only serve as a mark."""
    own = [name for part in kind.__mro__ if part is not object for name in vars(part)]
    return all(name.startswith("__") and name.endswith("__") for name in own)


def _functions(kind: type) -> list[types.FunctionType]:
    """The functions that a class itself defines, also inside properties and decorators."""
    found = []
    for held in vars(kind).values():
        for way in ("fget", "__func__", "func", "__wrapped__"):
            held = getattr(held, way, None) or held
        if isinstance(held, types.FunctionType):
            found.append(held)
    return found


def _code_digest(code: types.CodeType) -> bytes:
    whole = hashlib.sha256(code.co_code + repr(code.co_names).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            whole.update(_code_digest(constant))
        else:
            whole.update(repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant).encode())
    return whole.digest()
