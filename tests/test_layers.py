"""Imports go down only (DESIGN: layers). Read from the source, so that an import inside a function counts too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOST = {
    "comfy", "comfy_api", "comfy_execution", "comfy_extras", "execution", "folder_paths", "latent_preview",
    "node_helpers", "nodes", "server",
}  # fmt: skip
MAY_IMPORT: dict[str, set[str]] = {
    "memory": set(),
    "kernels": set(),
    "world": {"memory", "kernels"},
    "film": {"memory", "kernels"},
    "models": {"memory", "kernels", "world", "film"},
    "pipeline": {"memory", "kernels", "film", "models"},
    "nodes": {"memory", "kernels", "world", "film", "models"},
}
INSIDE: dict[str, dict[str, set[str]]] = {
    "memory": {
        "errors": set(),
        "text": set(),
        "cameras": set(),
        "part_files": set(),
        "files": {"errors", "part_files"},
        "document": {"errors"},
        "camera_files": {"cameras", "errors", "files", "text"},
        "geometry": {"cameras"},
        "geometry/memory_view": {"cameras", "geometry", "retrieval", "state"},
        "retrieval/index": {"cameras"},
        "state": {"cameras", "document", "errors", "retrieval/index"},
        "retrieval": {"cameras", "retrieval/index", "state"},
        "bank": {"cameras", "document", "errors", "files", "part_files", "state"},
        "pictures": {"cameras", "consistency", "retrieval", "state"},
        "consistency": {"cameras", "geometry", "geometry/memory_view", "retrieval", "state"},
        "story": {"cameras", "files", "text"},
    },
    "models": {
        "host": set(),
        "blocks": set(),
        "inputs": {"host"},
        "moc": {"blocks", "host"},
        "wan": {"blocks", "host", "inputs", "moc"},
        "story": {"blocks", "host", "inputs", "wan"},
        "minimax": {"blocks", "host", "inputs"},
        "world": {"host"},
        "registry": {"host", "minimax", "story", "wan", "world"},
        "moc/again": {"host", "moc", "registry"},
    },
}
"""The rooms of a layer, and those that each may import; one with a slash is a folder or file of its own in another."""

A_MODEL = {"blocks", "host", "inputs"}
"""What any other model may import; the registry may import it."""

MAY_IMPORT_HOST: dict[str, set[str]] = {
    "memory": set(),
    "kernels": set(),
    "world": set(),
    "pipeline": set(),
    "film": set(),
    "models": {name for name in HOST if name.startswith("comfy")} | {"latent_preview", "node_helpers"},
    "nodes": HOST,
}


def sources(layer: str) -> list[Path]:
    return sorted((ROOT / layer).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Absolute dotted names of what a file imports; imports inside the pack begin with a dot."""
    folder = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module)
        elif isinstance(node, ast.ImportFrom):
            base = [*folder[: len(folder) - node.level + 1], *filter(None, [node.module])]
            names = [alias.name for alias in node.names] if not base else [""]
            yield from ("." + ".".join([*base, name]).strip(".") for name in names)


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_a_layer_imports_only_what_lies_below_it(layer: str) -> None:
    allowed = MAY_IMPORT[layer] | {layer}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(layer)
        for name in imported(path)
        if name.startswith(".") and name[1:].split(".")[0] not in allowed
    ]
    assert sources(layer) and wrong == []


@pytest.mark.parametrize("layer", INSIDE)
def test_a_room_imports_only_the_rooms_below_it(layer: str) -> None:
    rooms = rooms_of(layer)
    wrong, met = [], set()
    for path in sources(layer):
        if path == ROOT / layer / "__init__.py":
            continue
        here = room_of(path.relative_to(ROOT / layer).with_suffix("").as_posix(), rooms)
        met.add(here)
        for name in imported(path):
            if name.startswith(f".{layer}."):
                there = room_of(name.removeprefix(f".{layer}.").replace(".", "/"), rooms)
                if there not in rooms[here] | {here}:
                    wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == [] and met == set(rooms)


def rooms_of(layer: str) -> dict[str, set[str]]:
    """The rooms of a layer, with those of models that INSIDE does not name."""
    rooms = dict(INSIDE[layer])
    if layer == "models":
        names = {path.relative_to(ROOT / layer).with_suffix("").parts[0] for path in sources(layer)}
        others = names - set(rooms) - {"__init__"}
        rooms |= dict.fromkeys(others, A_MODEL) | {"registry": rooms["registry"] | others}
    return rooms


def room_of(place: str, rooms: dict[str, set[str]]) -> str:
    """The room that a file or folder below its layer is in."""
    found = [room for room in rooms if place == room or place.startswith(f"{room}/")]
    assert found, f"{place} is in no room of INSIDE"
    return max(found, key=len)


def test_the_rooms_stand_on_each_other_in_no_circle() -> None:
    for layer in INSIDE:
        left = rooms_of(layer)
        while bottom := [room for room, below in left.items() if not below & set(left)]:
            left = {room: below for room, below in left.items() if room not in bottom}
        assert left == {}


@pytest.mark.parametrize("layer", MAY_IMPORT_HOST)
def test_a_layer_knows_of_comfyui_no_more_than_it_may(layer: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(layer)
        for name in imported(path)
        if name.split(".")[0] in HOST - MAY_IMPORT_HOST[layer]
    ]
    assert wrong == []


@pytest.mark.parametrize("path", sources("pipeline"), ids=lambda path: path.stem)
def test_what_the_pipeline_takes_of_the_models_needs_no_host(path: Path) -> None:
    """Also through what that imports in turn; an import inside a function counts too."""
    waiting, seen = [name for name in imported(path) if name.startswith(".models")], set()
    while waiting:
        file = file_of(waiting.pop())
        if file is None or file in seen:
            continue
        seen.add(file)
        names = list(imported(file))
        assert not [name for name in names if name.split(".")[0] in HOST], file
        waiting += [name for name in names if name.startswith(".")]


def file_of(name: str) -> Path | None:
    """The file of a dotted name inside the pack."""
    path = ROOT.joinpath(*name[1:].split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def test_the_entry_point_imports_nothing_heavy() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {getattr(node, "module", None) for node in top} == {"__future__", "typing"}


def test_an_import_that_leads_up_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory" / "deep").mkdir(parents=True)
    file = tmp_path / "memory" / "deep" / "wrong.py"
    file.write_text(
        "from ...nodes.bank import X\nfrom ... import kernels\nfrom ..camera import Y\nimport comfy.utils\n"
    )
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    assert list(imported(file)) == [".nodes.bank", ".kernels", ".memory.camera", "comfy.utils"]
