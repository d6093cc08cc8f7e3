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
    "film": {"memory", "kernels", "models"},
    "models": {"memory", "kernels", "world", "film"},
    "pipeline": {"memory", "kernels", "film", "models"},
    "nodes": {"memory", "kernels", "world", "film", "models"},
}
MAY_IMPORT_HOST: dict[str, set[str]] = {
    "memory": set(),
    "kernels": set(),
    "world": set(),
    "pipeline": set(),
    "film": {name for name in HOST if name.startswith("comfy")},
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


@pytest.mark.parametrize("layer", MAY_IMPORT_HOST)
def test_a_layer_knows_of_comfyui_no_more_than_it_may(layer: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(layer)
        for name in imported(path)
        if name.split(".")[0] in HOST - MAY_IMPORT_HOST[layer]
    ]
    assert wrong == []


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
