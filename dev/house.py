"""The plan of the house in figures: `python dev.py house --json FILE`.

Read from the source alone. A figure that grows asks for a reason.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from .paths import ROOT

NOT_SHIPPED = {"dev", "dev_tools", "benchmarks", "dev.py"}
OUTSIDE = {"tests", "node_modules", "out"}
SHORT = 4
"""Lines up to which a function with one caller is counted: it may read better where it is called."""

SHAPE = re.compile(r"\(\s*(?:[\w.*+/…× -]+,\s*)*[\w.*+/…× -]+,?\s*\)(?<!\(s\))", re.UNICODE)
AXES = re.compile(r"^\(\s*(?:\.\.\.|…|(?:\d+|[A-Za-z]{1,2}\d?|[A-Za-z]{1,2}\s*[*+/-]\s*\w+|\w+\s*[*+]\s*[A-Za-z]|"
                  r"frames|height|width|channels|tokens|heads|queries|keys|batch)\b)")  # fmt: skip
FLAT = re.compile(r"\b(scalar|one number|1-D|one-dimensional|a number (for|of) each|shape)\b")
SAYS = re.compile(r"\b[Rr](aises?|efuse[sd]?)\b")
INNER = {"NotImplementedError", "AssertionError", "StopIteration", "KeyboardInterrupt"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("dev.py house", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout to look at")
    parser.add_argument("--names", action="store_true", help="also name what is counted")
    arguments = parser.parse_args(argv)
    house = House(arguments.root)
    figures = house.figures()
    print(json.dumps(figures, indent=2))
    if arguments.names:
        for title, names in house.names().items():
            print(f"\n{title}:", *names, sep="\n  ")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


class House:
    """The Python files of a checkout, by their dotted name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = {_module(path.relative_to(root)): path for path in _sources(root)}
        self.text = {name: path.read_text(encoding="utf-8") for name, path in self.files.items()}
        self.shipped = {
            name: ast.parse(self.text[name])
            for name, path in self.files.items()
            if path.relative_to(root).parts[0] not in NOT_SHIPPED
        }
        self.arrows = {name: set(self._imports(name)) for name in self.shipped}
        self.aliases = _array_names(self.shipped.values())

    def figures(self) -> dict[str, float]:
        """The figures, by their names in the JSON."""
        names = self.names()
        modules = [name for name in self.shipped if not self._is_package(name)]
        return {
            "files": len(self.files),
            "shipped_files": len(self.shipped),
            "shipped_lines": sum(self.text[name].count("\n") for name in self.shipped),
            "one_importer_share": round(len(names["modules with one importer"]) / len(modules), 3),
            "one_caller_short_privates": len(names["short private functions with one caller"]),
            "import_cycles": len(names["import cycles"]),
            "arrays_without_shape": len(names["functions of arrays without a shape"]),
            "raises_unsaid": len(names["functions that raise and do not say so"]),
        }

    def names(self) -> dict[str, list[str]]:
        """What is counted, by title."""
        importers = Counter(target for targets in self.arrows.values() for target in targets)
        return {
            "modules with one importer": sorted(
                name for name in self.shipped if importers[name] == 1 and not self._is_package(name)
            ),
            "short private functions with one caller": sorted(self._short_privates()),
            "import cycles": sorted(" -> ".join(sorted(circle)) for circle in circles(self.arrows)),
            "functions of arrays without a shape": sorted(self._unshaped()),
            "functions that raise and do not say so": sorted(self._unsaid()),
        }

    def _is_package(self, name: str) -> bool:
        return self.files[name].name == "__init__.py"

    def _imports(self, name: str) -> Iterator[str]:
        """Modules of the house that a module imports, anywhere in it."""
        folder = name.split(".") if self._is_package(name) else name.split(".")[:-1]
        for node in ast.walk(self.shipped[name]):
            if not isinstance(node, ast.ImportFrom) or not node.level:
                continue
            base = [*folder[: len(folder) - node.level + 1], *(node.module or "").split(".")]
            found = ".".join(filter(None, base))
            for alias in node.names:
                whole = f"{found}.{alias.name}".strip(".")
                target = whole if whole in self.files else found
                if target in self.shipped and target != name:
                    yield target

    def _short_privates(self) -> Iterator[str]:
        for name, tree in self.shipped.items():
            called = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
            for part in tree.body:
                if isinstance(part, Function) and part.name[0] == "_" and called[part.name] == 1:
                    if (part.end_lineno or 0) - part.lineno < SHORT and not part.decorator_list:
                        yield f"{name}.{part.name}"

    def _unshaped(self) -> Iterator[str]:
        for name, function, words in self._public():
            annotated = [one.annotation for one in [*function.args.args, *function.args.kwonlyargs]]
            if self.aliases & set(_words(*annotated, function.returns)) and not _tells_a_shape(words):
                yield name

    def _unsaid(self) -> Iterator[str]:
        for name, function, words in self._public():
            if any(_raises(node) for node in _own(function)) and not SAYS.search(words):
                yield name

    def _public(self) -> Iterator[tuple[str, Function, str]]:
        """Public functions and methods, with the words that describe them: their own, and their class's."""
        for name, tree in self.shipped.items():
            for part in tree.body:
                if isinstance(part, Function) and part.name[0] != "_":
                    yield f"{name}.{part.name}", part, ast.get_docstring(part) or ""
                elif isinstance(part, ast.ClassDef) and part.name[0] != "_":
                    about = ast.get_docstring(part) or ""
                    for method in part.body:
                        if isinstance(method, Function) and method.name[0] != "_":
                            words = f"{ast.get_docstring(method) or ''}\n{about}"
                            yield f"{name}.{part.name}.{method.name}", method, words


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Groups of more than one node in which each can be reached from each (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in arrows[node]:
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            group = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(group)

    for node in arrows:
        if node not in order:
            visit(node)
    return found


def _sources(root: Path) -> list[Path]:
    folders = [one for one in root.iterdir() if one.is_dir() and one.name[0] != "." and one.name not in OUTSIDE]
    return sorted([*root.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))])


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _words(*annotations: ast.expr | None) -> Iterator[str]:
    """Names in annotations, also in those that are text."""
    for one in annotations:
        for node in ast.walk(one) if one is not None else ():
            if isinstance(node, ast.Name):
                yield node.id
            elif isinstance(node, ast.Attribute):
                yield node.attr


def _array_names(trees: object) -> set[str]:
    """Names of array types: numpy's, torch's, and aliases of these."""
    known = {"NDArray", "ndarray", "Tensor"}
    aliases: dict[str, set[str]] = defaultdict(set)
    for tree in trees:  # type: ignore[attr-defined]
        for part in tree.body:
            if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
                value = part.value
                if isinstance(value, ast.Subscript) and not {"Callable", "dict", "Mapping"} & set(_words(value)):
                    aliases[part.targets[0].id] |= set(_words(value))
    return known | {name for name, words in aliases.items() if words & known}


def _tells_a_shape(words: str) -> bool:
    shapes = (found.group() for found in SHAPE.finditer(words))
    return any("," in shape and AXES.match(shape) for shape in shapes) or bool(FLAT.search(words))


def _own(function: Function) -> Iterator[ast.AST]:
    """All nodes of a function that are not of a function inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def _raises(node: ast.AST) -> bool:
    if not isinstance(node, ast.Raise) or node.exc is None:
        return False
    return not INNER & set(_words(node.exc))


if __name__ == "__main__":
    raise SystemExit(main())
