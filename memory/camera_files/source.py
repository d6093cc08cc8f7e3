"""One file that may hold a camera path: its bytes, bounded, and what they are as text or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NoReturn

from ..text import decoded, stand_in

MAX_POSES = 1_000_000
MAX_BYTES = 256 * 2**20
MAX_JSON_BYTES = 128 * 2**20
MAX_PARSED_BYTES = 2**30
_LIST_BYTES, _OBJECT_BYTES, _VALUE_BYTES = 100, 300, 32
"""What Python keeps for a list, an object and a number of JSON, about: it bounds what a text may become."""
LONGEST_LINE = 2**20
"""Characters of a line; a longer one is cut, and so is none that a camera can be on."""
_BEGINNING = 2**14
_ROW = re.compile(r"\n[^\S\n]*[^\s#]")
_OPENS = re.compile(r"\s*[\[{]")


class CameraFileError(ValueError):
    """A file holds no camera path that can be used; says where, what is there, and what to do."""


class Source:
    """The content of a file of at most 256 MiB; each reading of it is made once, when first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.notes: list[str] = []
        try:
            if not path.is_file():
                raise CameraFileError(f"{path.name} is no file. Choose a file with a camera path.")
            with open(path, "rb") as file:
                # Asked for no more than is there: the room for it is taken before the file is read.
                self.data = file.read(min(path.stat().st_size, MAX_BYTES) + 1)
        except OSError as error:
            raise CameraFileError(
                f"{path.name} cannot be read: {error.strerror or error}. Check that the file is there and may be read."
            ) from error
        if len(self.data) > MAX_BYTES:
            raise CameraFileError(
                f"{path.name} has more than {MAX_BYTES} bytes, the most that is read. Keep only the "
                "cameras that the shot needs."
            )
        if self.data.isspace() or not self.data:
            raise CameraFileError(f"{path.name} is empty. Choose a file with a camera path.")
        if found := stand_in(self.data):
            self.refuse(*found)

    def refuse(self, problem: str, cure: str, where: str = "") -> NoReturn:
        """Raises the error of this file; ``problem`` and ``cure`` have no full stop, ``where`` is a line or frame."""
        location = f"{self.name}, {where}" if where else self.name
        raise CameraFileError(f"{location}: {problem}. {cure}.")

    def note(self, what: str) -> None:
        """Keeps a sentence for the artist, with its full stop: what was put right or left out, and what was assumed."""
        if what not in self.notes:
            self.notes.append(what)

    @cached_property
    def _decoded(self) -> str | None:
        return decoded(self.data)

    @property
    def is_text(self) -> bool:
        """Whether the bytes are text in UTF-8, or in UTF-16 with a byte order mark."""
        return self._decoded is not None

    @property
    def text(self) -> str:
        """The file as text; refuses other files."""
        if self._decoded is None:
            self.refuse(
                "it is no text in UTF-8 or UTF-16",
                "Save it as plain text in UTF-8, or choose another layout",
            )
        return self._decoded

    def lines(self) -> Iterator[str]:
        """The lines of the text one after another, none of them kept."""
        text, begin = self.text, 0
        while (end := text.find("\n", begin)) >= 0:
            yield text[begin:end]
            begin = end + 1
        yield text[begin:]

    @cached_property
    def beginning(self) -> list[str]:
        """The first lines, some hundred at most: comments that name the columns, and the like."""
        return self.text[:_BEGINNING].split("\n")

    def row_begins(self, first: int = 0) -> Iterator[int]:
        """Where each line begins that holds something and is no comment, from line index ``first``.

        Without keeping the others: a file may be nothing but comments.
        """
        text, begin = self.text, 0
        for _ in range(first):
            begin = text.find("\n", begin) + 1
            if not begin:
                return
        if self.line_at(begin).lstrip()[:1] not in ("", "#"):
            yield begin
        for found in _ROW.finditer(text, begin):
            yield found.start() + 1

    def line_at(self, begin: int) -> str:
        """The line that begins at ``begin``, its first `LONGEST_LINE` characters."""
        end = self.text.find("\n", begin, begin + LONGEST_LINE)
        return self.text[begin : end if end >= 0 else begin + LONGEST_LINE]

    def line_number(self, begin: int) -> int:
        """The number, from 1, of the line that begins at ``begin``."""
        return self.text.count("\n", 0, begin) + 1

    @cached_property
    def first_rows(self) -> list[str]:
        """The first three lines of `row_begins`, looked for once: every layout asks for them."""
        return [self.line_at(begin) for begin in islice(self.row_begins(), 3)]

    @cached_property
    def starts_as_json(self) -> bool:
        return self.is_text and _OPENS.match(self.text) is not None

    @property
    def is_table(self) -> bool:
        """Whether it is text that is no JSON: it may have a camera a line."""
        return self.is_text and not self.starts_as_json

    @cached_property
    def json_problem(self) -> str:
        """Why the text is no JSON; empty if it is."""
        self._document  # noqa: B018
        return self._problem

    @property
    def is_json(self) -> bool:
        return self.starts_as_json and not self.json_problem

    @property
    def document(self) -> object:
        """The value of a JSON file; refuses other files."""
        if not self.starts_as_json:
            self.refuse("it is no JSON", "Choose the JSON file, or another layout")
        if self.json_problem:
            self.refuse(self.json_problem, "Repair the JSON, or export the file again")
        return self._document

    @cached_property
    def _document(self) -> object:
        self._problem = ""
        try:
            return self.parse_json(self.text)
        except ValueError as error:
            self._problem = str(error)
        return None

    def parse_json(self, text: str) -> object:
        """The value of ``text``; raises ``ValueError`` whose words say what is wrong, NaN and too much included."""
        if len(text) > MAX_JSON_BYTES:
            raise ValueError(f"it has more than {MAX_JSON_BYTES} bytes of JSON")
        lists, objects, values = map(text.count, "[{,")
        if lists * _LIST_BYTES + objects * _OBJECT_BYTES + values * _VALUE_BYTES > MAX_PARSED_BYTES:
            raise ValueError(f"its {values + 1} values are more than {MAX_POSES} cameras can need")
        try:
            return json.loads(text, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {error.lineno}, column {error.colno} is no JSON: {error.msg}") from error
        except RecursionError as error:
            raise ValueError("its lists are nested too deep") from error


def sibling(path: Path, word: str, other: str) -> Path:
    """The second file of a layout: ``a_poses.npy`` -> ``a_intrinsics.npy``; a name without the word gets it added."""
    if word in path.stem:
        before, _, after = path.stem.rpartition(word)
        stem = f"{before}{other}{after}"
    else:
        stem = f"{path.stem}_{other}"
    return path.with_name(stem + path.suffix)


def second_files(path: Path, word: str, other: str) -> list[Path]:
    """Where the second file may be: beside the first as `sibling`, or by its name in the folder ``other`` if the first
    is in the folder ``word``: ``pose/a.npz`` -> ``intrinsics/a.npz``."""
    folder = [path.parent.with_name(other) / path.name] if path.parent.name == word else []
    return [sibling(path, word, other), *folder]


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"it holds {word}, which is no number of a camera")
