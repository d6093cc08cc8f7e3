"""Damage and lies by number: mutation ``n`` of a bank's files is the same on every machine.

A bank is here a dict of file names and bytes. ``mutated`` gives a changed copy and says what was done to it. Crude
mutations damage bytes and files; honest ones forge contents whose hashes are right, as a malicious maker would.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Files = dict[str, bytes]
Random = np.random.Generator

LINK, FOLDER = b"\0link", b"\0folder"
"""Contents that stand for a link that leads out of the bank, and for a folder in the place of a file."""

HUGE = [0, -1, 1, 2**31 - 1, 2**31, 2**32, 2**48, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 10**30, -(2**63)]
STRANGE: list[Any] = [
    None, True, False, "", "0", "x" * 70000, [], {}, [[]], [None], 0.5, -0.0, 1e308, float("inf"), float("nan"),
    "../..", "/etc/passwd", "\ud800", "\0", "0" * 64, "f" * 64, [0], ["0" * 64] * 3, {"a": {}}, *HUGE,
]


@dataclass
class Mutated:
    """``honest`` contents were forged with right hashes: they may be another memory, but nothing may break."""

    files: Files
    what: str
    honest: bool = False
    archive: bytes | None = None
    touched: set[str] = field(default_factory=set)


def mutated(number: int, new: Files, old: Files, archive: bytes, seed: int = 0) -> Mutated:
    """Mutation ``number`` of a bank of the present format, one of the first, or an archive."""
    random = np.random.default_rng([seed, number])
    kind = random.random()
    if kind < 0.15:
        return _archive(random, new, archive)
    files = dict(old if kind < 0.25 else new)
    before = dict(files)
    if kind < 0.65 or "packs" not in {name.split("/")[0] for name in files}:
        change: Callable[[Random, Files], str] = _pick(random, CRUDE)
        result = Mutated(files, change(random, files))
        if random.random() < 0.2:
            try:
                result.what += "; " + _pick(random, CRUDE)(random, files)
            except (ValueError, TypeError, KeyError, IndexError, struct.error, AttributeError):
                result.what += "; too damaged for more"
    else:
        change = _pick(random, HONEST)
        result = Mutated(files, change(random, files), honest=True)
    result.touched = {name for name in {*before, *files} if before.get(name) != files.get(name)}
    return result


def flip_bits(random: Random, files: Files) -> str:
    name = _name(random, files)
    data, count = bytearray(files[name]), int(random.integers(1, 9))
    # Half of them hit the header, where the structure is.
    reach = len(data) if random.random() < 0.5 else min(len(data), 600)
    for _ in range(count if reach else 0):
        data[random.integers(reach)] ^= 1 << int(random.integers(8))
    files[name] = bytes(data)
    return f"{count} bits of {name} flipped"


def cut_off(random: Random, files: Files) -> str:
    name = _name(random, files)
    files[name] = files[name][: int(random.integers(len(files[name]) + 1))]
    return f"{name} cut off at {len(files[name])}"


def grow(random: Random, files: Files) -> str:
    name = _name(random, files)
    length = int(random.integers(1, 5000))
    extra = random.bytes(length) if random.random() < 0.5 else bytes(length)
    files[name] = files[name] + extra if random.random() < 0.5 else extra + files[name]
    return f"{len(extra)} bytes more in {name}"


def overwrite(random: Random, files: Files) -> str:
    name = _name(random, files)
    data = bytearray(files[name])
    start = int(random.integers(len(data) + 1))
    length = int(random.integers(1, 400))
    data[start : start + length] = _pick(random, [bytes(length), b"\xff" * length, random.bytes(length), b"[" * length])
    files[name] = bytes(data)
    return f"{length} bytes of {name} from {start} overwritten"


def remove(random: Random, files: Files) -> str:
    name = _name(random, files)
    del files[name]
    return f"{name} removed"


def swap(random: Random, files: Files) -> str:
    one, two = _name(random, files), _name(random, files)
    files[one], files[two] = files[two], files[one]
    return f"{one} and {two} swapped"


def copy_over(random: Random, files: Files) -> str:
    one = _name(random, files)
    two = _name(random, {name: b"x" for name in files if name.split("/")[0] == one.split("/")[0]})
    files[two] = files[one]
    return f"{two} replaced by {one}"


def replace_by_link_or_folder(random: Random, files: Files) -> str:
    name = _name(random, files)
    files[name] = _pick(random, [LINK, FOLDER])
    return f"{name} is now a {files[name][1:].decode()}"


def lie_about_length(random: Random, files: Files) -> str:
    name = _name(random, files, ".safetensors")
    length = int(_pick(random, [*HUGE, len(files[name]), len(files[name]) - 8, len(files[name]) - 7, 2, 3]))
    files[name] = struct.pack("<Q", length % 2**64) + files[name][8:]
    return f"{name} says its header has {length} bytes"


def deep_json(random: Random, files: Files) -> str:
    name = _name(random, files)
    depth = int(_pick(random, [10, 1000, 100_000, 1_000_000]))
    text = _pick(random, [b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth, b'{"format":' + b"[" * depth])
    files[name] = struct.pack("<Q", len(text)) + text if name.endswith(".safetensors") else text
    return f"{name} is JSON {depth} deep"


def strange_header(random: Random, files: Files) -> str:
    name = _name(random, files, ".safetensors")
    header, body = split(files[name])
    tensor = _pick(random, [key for key in header if key != "__metadata__"])
    place = _pick(random, ["dtype", "shape", "data_offsets", "all", "gone", "metadata", "text", "name"])
    value = _pick(random, [*STRANGE, [0, 2**40], [-8, 8], [8, 0], [2**31, 2**31], [1] * 100, "F64", "BF16", [-1, 4]])
    if place == "gone":
        del header[tensor]
    elif place == "all":
        header[tensor] = value
    elif place == "metadata":
        header["__metadata__"] = value
    elif place == "text":
        header["__metadata__"][_pick(random, list(header["__metadata__"]))] = value
    elif place == "name":
        header[str(value)[:200]] = header.pop(tensor)
    else:
        header[tensor][place] = value
    files[name] = join(header, body)
    return f"{name}: {place} of {tensor} is {str(value)[:60]}"


def strange_document(random: Random, files: Files) -> str:
    name = _name(random, files, ".json")
    try:
        document = json.loads(files[name])
        key = _pick(random, list(document))
    except (ValueError, TypeError, IndexError):
        return "nothing"
    value = _pick(random, STRANGE)
    if isinstance(document[key], list) and document[key] and random.random() < 0.6:
        way = _pick(random, ["twice", "turned", "shorter", "one strange"])
        document[key] = {"twice": document[key] * 2, "turned": document[key][::-1], "shorter": document[key][1:],
                         "one strange": [*document[key][1:], value]}[way]
        value = way
    elif random.random() < 0.1:
        del document[key]
        value = "gone"
    else:
        document[key] = value
    files[name] = json.dumps(document).encode("utf-8", "surrogatepass")
    return f"{name}: {key} is {str(value)[:60]}"


def edit_of_itself(random: Random, files: Files) -> str:
    """An edit file that names itself, or another that names it, as the memory before it."""
    edits = [name for name in files if name.startswith("edits/")]
    name = _pick(random, edits)
    document = json.loads(files[name])
    document["parent"] = _pick(random, edits)[6:-5]
    files[name] = json.dumps(document).encode()
    packs = [one for one in files if one.startswith("packs/")]
    for one in packs:
        if random.random() < 0.5:
            del files[one]
    return f"{name} follows {document['parent'][:8]}, {len(packs)} packs damaged"


CRUDE = [
    flip_bits, flip_bits, flip_bits, cut_off, cut_off, grow, overwrite, remove, swap, copy_over, deep_json,
    replace_by_link_or_folder, lie_about_length, strange_header, strange_header, strange_document, strange_document,
]


def forged_segment(random: Random, files: Files) -> str:
    """A bank of one segment whose metadata or tensors lie, with right hashes all the way up to the head."""
    name = _pick(random, [one for one in files if one.startswith("segments/")])
    header, body = split(files[name])
    document = json.loads(header["__metadata__"]["scene_memory"])
    document["parent"], document["time"] = "0" * 64, 0.0
    arrays = tensors(header, body)
    what = _lie(random, document, arrays)
    for key, value in arrays.items():
        if isinstance(document.get("tensors"), dict) and isinstance(document["tensors"].get(key), dict):
            if random.random() < 0.9:
                document["tensors"][key] = {"shape": list(value.shape), "sha256": _sha(value.tobytes())}
    text = _canonical(document)
    entry = _sha(text.encode())
    coding = header["__metadata__"].get("coding", "png")
    files[f"segments/{entry}.safetensors"] = packed(arrays, {"scene_memory": text, "coding": coding})
    _point_head(files, id=entry, segments=1, edits=0, pack=None, recent=[entry])
    return f"forged segment: {what}"


def forged_edit(random: Random, files: Files) -> str:
    """One more edit, with a right id, that lies."""
    name = _pick(random, [one for one in files if one.startswith("edits/")])
    document = json.loads(files[name])
    head = json.loads(files["head.json"])
    document["parent"] = head["id"]
    key = _pick(random, ["runs", "kind", "value", "by", "version", "format"])
    runs = [[[0, 10**9]], [[5, 2]], [[-3, 2]], [[0, 1], [0, 1]], [[0, 2**31]], [[0, 1]] * 70000, [[2**40, 2**41]],
            [[1, 2, 3]], [[0.5, 1]], [["a", "b"]], [[0, 1]]]
    document[key] = _pick(random, [*STRANGE, *runs] if key != "runs" else runs)
    text = _canonical(document)
    entry = _sha(text.encode())
    files[f"edits/{entry}.json"] = text.encode()
    _point_head(files, id=entry, edits=head["edits"] + 1, recent=[*head["recent"], entry])
    return f"forged edit: {key} is {str(document[key])[:60]}"


def forged_pack(random: Random, files: Files) -> str:
    """The last pack with lies in its label, its texts or its cameras, and a right id."""
    name = f"packs/{json.loads(files['head.json'])['pack']}.safetensors"
    header, body = split(files[name])
    label = json.loads(header["__metadata__"]["scene_memory"])
    arrays = tensors(header, body)
    what = _pick(random, ["label", "tensor", "records"])
    if what == "label":
        key = _pick(random, list(label))
        label[key] = _pick(random, [*STRANGE, *HUGE])
        what = f"{key} is {str(label[key])[:60]}"
    elif what == "tensor":
        what = _spoil(random, arrays)
    else:
        records, offsets = arrays["records"].copy(), arrays["offsets"]
        texts = [records[begin:end].tobytes() for begin, end in zip(offsets[:-1], offsets[1:], strict=True)]
        order = _pick(random, ["twice", "turned", "deep", "empty", "strange"])
        at = int(random.integers(len(texts)))
        if order == "twice":
            texts[at] = texts[at - 1]
        elif order == "turned":
            texts.reverse()
        elif order == "strange":
            document = json.loads(texts[at])
            document[_pick(random, list(document))] = _pick(random, STRANGE)
            texts[at] = _canonical(document).encode()
        else:
            texts[at] = b"[" * 50000 if order == "deep" else b"{}"
        arrays["records"] = np.frombuffer(b"".join(texts), dtype=np.uint8)
        arrays["offsets"] = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
        what = f"text {at} {order}"
    text = _canonical(label)
    entry = _sha(text.encode())
    files[f"packs/{entry}.safetensors"] = packed(arrays, {"scene_memory": text})
    _point_head(files, pack=entry)
    return f"forged pack: {what}"


def forged_head(random: Random, files: Files) -> str:
    """A head that names what is there, in an order or number that is wrong."""
    head = json.loads(files["head.json"])
    segments = [name[9:-12] for name in files if name.startswith("segments/")]
    edits = [name[6:-5] for name in files if name.startswith("edits/")]
    names = [str(_pick(random, [*segments, *edits, "0" * 64])) for _ in range(int(random.integers(0, 9)))]
    if random.random() < 0.3:
        names = [names[0]] * 3000 if names else []
    head.update(recent=names, segments=len(names), edits=0, id=names[-1] if names else "0" * 64)
    head["pack"] = _pick(random, [None, head["pack"], *(name[6:-12] for name in files if name.startswith("packs/"))])
    if random.random() < 0.3:
        head["segments"], head["edits"] = (int(one) for one in random.integers(0, 30, 2))
    _point_head(files, **head)
    return f"forged head: {len(names)} recent, pack {str(head['pack'])[:8]}"


HONEST = [forged_segment, forged_segment, forged_segment, forged_edit, forged_pack, forged_head, edit_of_itself]


def _lie(random: Random, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    what = _pick(random, ["number", "number", "tensor", "tensor", "tensor", "statement", "deep"])
    if what == "number":
        key = _pick(random, list(document))
        document[key] = _pick(random, STRANGE)
        return f"{key} is {str(document[key])[:60]}"
    if what == "tensor":
        return _spoil(random, arrays)
    if what == "deep":
        value: Any = "x"
        for _ in range(int(_pick(random, [50, 400]))):
            value = [value]
        document["info"] = {"deep": value, "long": "y" * int(_pick(random, [1, 10**5, 2 * 10**6]))}
        return "deep or long info"
    name = _pick(random, list(document["tensors"]))
    document["tensors"][name] = _pick(random, [*STRANGE, {"shape": [2**40, 2**40], "sha256": "0" * 64}])
    arrays.pop(name, None)
    return f"statement of {name} is {str(document['tensors'][name])[:60]}"


def _spoil(random: Random, arrays: dict[str, np.ndarray]) -> str:
    name = _pick(random, list(arrays))
    value = arrays[name]
    way = _pick(random, ["nan", "inf", "huge", "zero", "turned", "shorter", "longer", "other type", "reshaped", "one"])
    if way in ("nan", "inf", "huge", "one") and value.size:
        value = value.copy()
        number = {"nan": np.nan, "inf": np.inf, "huge": 1e300, "one": -1.0}[way]
        with np.errstate(all="ignore"):
            if value.dtype.kind == "f":
                value.reshape(-1)[random.integers(value.size)] = number
            else:
                value.reshape(-1)[random.integers(value.size)] = np.iinfo(value.dtype).max
    elif way == "zero":
        value = np.zeros_like(value)
    elif way == "turned":
        value = value[::-1].copy()
    elif way == "shorter":
        value = value[:-1].copy()
    elif way == "longer":
        value = np.concatenate([value, value])
    elif way == "other type":
        value = value.astype(_pick(random, [np.float32, np.float64, np.uint8, np.int64]))
    elif way == "reshaped":
        value = value.reshape(_pick(random, [(-1,), (1, -1), (-1, 1, 1)]))
    arrays[name] = value
    return f"{name} {way}"


def _archive(random: Random, new: Files, archive: bytes) -> Mutated:
    way = random.random()
    if way < 0.4:
        files = {"archive": archive}
        what = _pick(random, [flip_bits, flip_bits, cut_off, grow, overwrite])(random, files)
        return Mutated({}, what, archive=files["archive"])
    if way < 0.65:
        data = bytearray(archive)
        starts = [i for i in range(len(data) - 4) if data[i : i + 2] == b"PK" and data[i + 2] < 8]
        start = int(_pick(random, starts[-12:] if random.random() < 0.7 else starts))
        kind, offset = _pick(random, [("<H", 2), ("<I", 4)]), int(random.integers(4, 46))
        value = int(_pick(random, [0, 1, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, len(data), 65534])) % 256 ** kind[1]
        if start + offset + kind[1] <= len(data):
            struct.pack_into(kind[0], data, start + offset, value)
        return Mutated({}, f"byte {offset} of the record at {start} is {value}", archive=bytes(data))
    files = {name: data for name, data in new.items() if not name.startswith(("keys/", "history/"))}
    honest = random.random() < 0.4
    what = _pick(random, HONEST if honest else CRUDE)(random, files)
    if random.random() < 0.15:
        files[str(_pick(random, ["../x", "/x", "segments/x", "a" * 5000, "segments/../x", "x\\y", "con"]))] = b"x"
    names = list(files)
    if random.random() < 0.1:
        names += names[:1]
    target = io.BytesIO()
    compression = zipfile.ZIP_DEFLATED if random.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "w", compression) as file:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = compression
            entry.external_attr = 0o120777 << 16 if files[name] == LINK else 0
            file.writestr(entry, files[name])
    return Mutated({}, f"archive, {what}", honest=honest, archive=target.getvalue())


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and tensors of a safetensors file."""
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join(header: object, body: bytes) -> bytes:
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + body


_TYPES = {"F64": "<f8", "I64": "<i8", "F32": "<f4", "F16": "<f2", "U8": "|u1"}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}


def tensors(header: dict[str, Any], body: bytes) -> dict[str, np.ndarray]:
    return {
        name: np.frombuffer(body[slice(*value["data_offsets"])], _TYPES[value["dtype"]]).reshape(value["shape"])
        for name, value in header.items() if name != "__metadata__"
    }


def packed(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": metadata}
    body = b""
    for name, value in arrays.items():
        data = value.tobytes()
        header[name] = {"dtype": _NAMES[value.dtype], "shape": list(value.shape),
                        "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    return join(header, body)


def _point_head(files: Files, **changes: Any) -> None:
    head = json.loads(files["head.json"])
    head.update(changes)
    files["head.json"] = _canonical(head).encode()


def _canonical(document: object) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _name(random: Random, files: Files, ending: str = "") -> str:
    names = sorted(name for name in files if name.endswith(ending) and (not ending or len(files[name]) > 16))
    if not names:
        names = sorted(files)
    # Everything hangs on the head.
    heads = [name for name in names if name in ("head.json", "archive")]
    return str(_pick(random, heads)) if heads and random.random() < 0.1 else str(_pick(random, names))


def _pick(random: Random, options: Any) -> Any:
    return options[int(random.integers(len(options)))]
