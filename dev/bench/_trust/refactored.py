"""A copy of a Python package after an afternoon of refactoring that changes nothing of what it does."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Collection
from pathlib import Path

Moves = dict[str, str]
"""Modules by their dotted path inside the package, and their new last name."""


class _Reworded(ast.NodeTransformer):
    """Every text in a `raise` is another."""

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and len(part.value) > 8:
                part.value = f"{part.value} (reworded)"
        return node


class _Renamed(ast.NodeTransformer):
    """Names of local variables, everywhere in their function."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(f"{node.id}_renamed", node.ctx), node) if node.id in self.names else node


def _locals_of(function: ast.FunctionDef) -> set[str]:
    """Variables of a function that can be renamed by their name alone, in it and in all inside it."""
    parts = list(ast.walk(function))
    stored = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    other = {part.arg for part in parts if isinstance(part, ast.arg)}
    other |= {
        part.name
        for part in parts
        if isinstance(part, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler) and part.name
    }
    for part in parts:
        if isinstance(part, ast.Global | ast.Nonlocal):
            other |= set(part.names)
        elif isinstance(part, ast.Import | ast.ImportFrom):
            other |= {(name.asname or name.name).split(".")[0] for name in part.names}
        elif isinstance(part, ast.ClassDef):
            # What is stored in a class body is an attribute.
            other |= {one.id for one in ast.walk(part) if isinstance(one, ast.Name)}
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in ("locals", "vars"):
            return set()
        elif isinstance(part, ast.MatchAs | ast.MatchStar | ast.MatchMapping):
            return set()
    return stored - other


class _Imports(ast.NodeTransformer):
    """Relative imports of modules that have moved."""

    def __init__(self, package: list[str], moves: Moves) -> None:
        self.package, self.moves = package, moves

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if node.level:
            base = self.package[: len(self.package) - node.level + 1]
            module = ".".join([*base, *filter(None, [node.module])])
            if module in self.moves:
                node.module = ".".join([*(node.module or "").split(".")[:-1], self.moves[module]])
            for name in node.names:
                if (inner := f"{module}.{name.name}".lstrip(".")) in self.moves:
                    name.name, name.asname = self.moves[inner], name.asname or name.name
        return node


def refactored(source: str, package: list[str], moves: Moves) -> str:
    """The source of a module with other words, names of locals and imports, and no comments."""
    tree = _Imports(package, moves).visit(_Reworded().visit(ast.parse(source)))
    for top in ast.walk(tree):
        for child in ast.iter_child_nodes(top):
            if isinstance(child, ast.FunctionDef) and not isinstance(top, ast.FunctionDef):
                _Renamed(_locals_of(child)).visit(child)
    return ast.unparse(ast.fix_missing_locations(tree))


def copy_refactored(root: Path, files: Collection[str], target: Path, moves: Moves) -> None:
    """Copies ``files`` of the package in ``root`` to ``target``, those of Python refactored."""
    for name in files:
        path, new = Path(name), target / name
        new.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".py":
            shutil.copyfile(root / path, new)
            continue
        dotted = [*path.parent.parts, *([] if path.name == "__init__.py" else [path.stem])]
        if moved := moves.get(".".join(dotted)):
            new = new.with_name(f"{moved}.py")
        source = (root / path).read_text(encoding="utf-8")
        new.write_text(refactored(source, list(path.parent.parts), moves), encoding="utf-8")
