"""The steps of a page such as docs/adding.md, followed word for word in a copy of the pack."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..paths import ROOT

_STEP = re.compile(r"^(\d+)\. ", re.M)
_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Step:
    """A numbered step: its words on one line, and the block of code below them; "" where there is none."""

    words: str
    code: str


def steps_of(page: str, chapter: str) -> list[Step]:
    """The steps of a chapter of a page in Markdown.

    Raises ValueError where there is no such chapter, or its steps are not numbered 1, 2, 3.
    """
    _, found, rest = page.partition(f"\n## {chapter}\n")
    numbers = _STEP.split(rest.partition("\n## ")[0])[1:]
    if not found or [int(number) for number in numbers[::2]] != list(range(1, 1 + len(numbers) // 2)):
        raise ValueError(f"{chapter!r} is no chapter with steps that are numbered 1, 2, 3.")
    result = []
    for text in numbers[1::2]:
        blocks = _BLOCK.findall(text)
        words = _BLOCK.split(text)[0].partition("\n\n")[0]
        result.append(Step(" ".join(words.split()), blocks[0] if blocks else ""))
    return result


def copy_tracked(to: Path) -> None:
    """Copies all files that git tracks, as a clone would have them."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, to / name)


def follow(step: Step, root: Path) -> str:
    """Does what a step says in a copy of the pack; what is to be run is returned, as the paths of a test run.

    Raises ValueError where the words are none that can be followed, or the place that they name is not there.
    """
    for pattern, act in _ACTIONS.items():
        if (found := re.search(pattern, step.words)) is not None:
            return act(root, step.code, *found.groups()) or ""
    raise ValueError(f"It is not clear what to do: {step.words}")


def _write(root: Path, code: str, name: str) -> None:
    if (root / name).exists():
        raise ValueError(f"{name} is there already.")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(code, encoding="utf-8")


def _import(root: Path, code: str, name: str) -> None:
    """In the order of the alphabet, as ruff wants it."""
    lines = _lines(root / name)
    ours = [number for number, line in enumerate(lines) if line.startswith("from .")]
    after = [number for number in ours if lines[number] < code]
    _insert(root / name, lines, after[-1] + 1 if after else ours[0], code)


def _end_of(root: Path, code: str, name: str, what: str) -> None:
    lines = _lines(root / name)
    begin = _only(lines, what, name)
    end = next(number for number in range(begin, len(lines)) if lines[number].strip() in (")", "}", "]"))
    _insert(root / name, lines, end, code)


def _end_of_rows(root: Path, code: str, name: str, kind: str, heading: str) -> None:
    lines, mark = _lines(root / name), {"table": "|", "list": "- "}[kind]
    first = next(n for n in range(_only(lines, heading, name), len(lines)) if lines[n].startswith(mark))
    end = next((n for n in range(first, len(lines)) if not lines[n].startswith(mark)), len(lines))
    _insert(root / name, lines, end, code)


def _above(root: Path, code: str, name: str, what: str) -> None:
    lines = _lines(root / name)
    _insert(root / name, lines, _only(lines, what, name), f"{code}\n\n")


def _raise(root: Path, code: str, name: str, words: str) -> None:
    text = (root / name).read_text(encoding="utf-8")
    text, count = re.subn(rf"(\d+) (?={re.escape(words)})", lambda number: f"{int(number[1]) + 1} ", text)
    if count != 1:
        raise ValueError(f"{name} has {count} numbers before {words!r}, expected 1.")
    (root / name).write_text(text, encoding="utf-8")


def _run(root: Path, code: str, paths: str) -> str:
    return paths


_ACTIONS: dict[str, Callable[..., str | None]] = {
    r"Write `([^`]+)`": _write,
    r"In `([^`]+)`, among the imports": _import,
    r"In `([^`]+)`, at the end of `([^`]+)`": _end_of,
    r"In `([^`]+)`, at the end of the (table|list) under `([^`]+)`": _end_of_rows,
    r"In `([^`]+)`, above `([^`]+)`": _above,
    r"In `([^`]+)`, raise by one the number before `([^`]+)`": _raise,
    r"Run `python dev.py test ([^`]+)`": _run,
}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


def _only(lines: list[str], begin: str, name: str) -> int:
    """The number of the one line that begins so."""
    found = [number for number, line in enumerate(lines) if line.startswith(begin)]
    if len(found) != 1:
        raise ValueError(f"{name} has {len(found)} lines that begin with {begin!r}, expected 1.")
    return found[0]


def _insert(path: Path, lines: list[str], number: int, code: str) -> None:
    path.write_text("".join([*lines[:number], code, *lines[number:]]), encoding="utf-8")
