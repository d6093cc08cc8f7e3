"""One file that may hold a camera path: its bytes, bounded, and what they are as text or as JSON."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from ..text import decoded, stand_in

MAX_POSES = 1_000_000
MAX_BYTES = 256 * 2**20
MAX_JSON_BYTES = 128 * 2**20
_MAX_JSON_LISTS = 8 * MAX_POSES
_MAX_JSON_VALUES = 48 * MAX_POSES


class CameraFileError(ValueError):
    """A file holds no camera path that can be used; says where, what is there, and what to do."""


class Source:
    """The content of a file of at most 256 MiB; each reading of it is made once, when first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        try:
            if not path.is_file():
                raise CameraFileError(f"{path.name} is no file. Choose a file with a camera path.")
            with open(path, "rb") as file:
                self.data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise CameraFileError(
                f"{path.name} cannot be read: {error.strerror or error}. Check that the file is there and may be read."
            ) from error
        if len(self.data) > MAX_BYTES:
            raise CameraFileError(
                f"{path.name} has more than {MAX_BYTES} bytes, the most that is read. Keep only the "
                "cameras that the shot needs."
            )
        if not self.data.strip():
            raise CameraFileError(f"{path.name} is empty. Choose a file with a camera path.")
        if found := stand_in(self.data):
            self.refuse(*found)

    def refuse(self, problem: str, cure: str, where: str = "") -> NoReturn:
        """Raises the error of this file; ``problem`` and ``cure`` have no full stop, ``where`` is a line or frame."""
        place = f"{self.name}, {where}" if where else self.name
        raise CameraFileError(f"{place}: {problem}. {cure}.")

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

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text; line n of the file is ``lines[n - 1]``."""
        return self.text.split("\n")

    @cached_property
    def starts_as_json(self) -> bool:
        return self.is_text and self.text.lstrip()[:1] in ("{", "[")

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
        if text.count("[") + text.count("{") > _MAX_JSON_LISTS or text.count(",") > _MAX_JSON_VALUES:
            raise ValueError(f"it holds more than {MAX_POSES} cameras can need")
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


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"it holds {word}, which is no number of a camera")
