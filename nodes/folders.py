"""Where the pack reads and writes: only inside ComfyUI's own folders.

A node offers a list of files and takes one by name (`FileKind`); what it saves goes where the host's own rules for
filename_prefix say, with dates, and with refusals in words.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import folder_paths
from comfy_api.latest import io
from server import PromptServer

from ..memory.bank.archive import ENDING
from ..memory.camera_files.layouts import LAYOUTS
from ..memory.camera_files.source import MAX_BYTES, second_files
from ..memory.story import script
from ..models.world.loader import WEIGHTS
from .file_lists import FileLists, FoundFile, newest

BUNDLED = "bundled"
MODEL_FOLDER = BANKS = "scene_memory"
NO_FILE = "none"
IN_OUTPUT = " [output]"
CAMERA_ENDINGS = (".txt", ".json", ".npy", ".npz", ".csv", ".bin", ".tum", ".kitti")
STORY_ENDING, BUNDLED_STORY = ".json", " [bundled]"
STORIES = Path(__file__).resolve().parent.parent / "workflows" / "stories"

LONGEST_NAME = 180
"""Bytes of a name before its number and ending: file systems take 255, and a file has a longer name while it grows."""

_DATE = re.compile(r"%date:([^%]*)%")
_PART = re.compile(r"yyyy|yyy|yy|MM?|dd?|hh?|mm?|ss?")
_WORDS = {"M": "%m", "d": "%d", "h": "%H", "m": "%M", "s": "%S"}
_NOT_ON_WINDOWS = '<>:"|?*'


def register() -> None:
    """Tell ComfyUI of the folder for world models that the user trained, models/scene_memory, and ask to be told of
    prompts: no list of files is made while one is taken in."""
    folder_paths.add_model_folder_path(
        folder_name=MODEL_FOLDER, full_folder_path=str(Path(folder_paths.models_dir) / MODEL_FOLDER)
    )
    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.add_on_prompt_handler(handler=_prompt_came)


def _prompt_came(prompt: dict[str, Any]) -> dict[str, Any]:
    LISTS.prompt_came()
    return prompt


def banks() -> Path:
    """The folder of memory banks."""
    return Path(folder_paths.get_output_directory()) / BANKS


def world_models() -> list[str]:
    """Names of the world models that can be loaded."""
    found = folder_paths.get_filename_list(folder_name=MODEL_FOLDER)
    return [BUNDLED, *(name for name in found if name.endswith(".safetensors"))]


def world_model(name: str) -> Path:
    """The file of a world model from `world_models`."""
    if name == BUNDLED:
        return WEIGHTS
    return Path(folder_paths.get_full_path_or_raise(folder_name=MODEL_FOLDER, filename=name))


def diffusion_models() -> list[str]:
    """Names of the files that Load Diffusion Model offers and that hold plain numbers."""
    found = folder_paths.get_filename_list(folder_name="diffusion_models")
    return [name for name in found if name.endswith(".safetensors")]


def diffusion_model(name: str) -> Path:
    """The file of a name from `diffusion_models`."""
    return Path(folder_paths.get_full_path_or_raise(folder_name="diffusion_models", filename=name))


@dataclass(frozen=True)
class FileKind:
    """Files that nodes offer in a list and take by name.

    Attributes:
        about: what is asked for, such as "a story (.json)".
        endings: how a name may end, in lower case.
        listed: which of the files that were found are offered.
        in_output: whether files of the output folder are offered too, with ' [output]' behind their names.
    """

    about: str
    endings: tuple[str, ...]
    listed: Callable[[FoundFile], bool]
    in_output: bool = True

    def names(self) -> list[str]:
        """Names for a combo: those in the input folder, then those in the output folder, the newest of each first.
        What a file holds is known when it is read."""
        ours = newest([file for file in LISTS.files(INPUT) if self.listed(file)])
        theirs = newest([file for file in LISTS.files(OUTPUT) if self.listed(file)]) if self.in_output else []
        return [*ours, *(f"{name}{IN_OUTPUT}" for name in theirs)]

    def file(self, name: str, field: str = "file", known: Callable[[], list[str]] | None = None) -> Path:
        """The file of a name. It is looked at alone, without a scan: a list may be cut, this is not.

        Args:
            name: as `names` gives it.
            field: the input that holds the name.
            known: the list for the error, where it is more than `names`.

        Raises ValueError if it is no such file inside ComfyUI's folders, with some of those that there are.
        """
        problem: str | None = ""
        inside = PurePath(name.removesuffix(IN_OUTPUT))
        proper = inside.parts and not inside.is_absolute() and ".." not in inside.parts and "\0" not in name
        if proper and inside.name.lower().endswith(self.endings):
            output = name.endswith(IN_OUTPUT)
            folder = folder_paths.get_output_directory() if output else folder_paths.get_input_directory()
            path = Path(folder) / inside
            if (problem := fault_of(path)) is None:
                return path
        there = "; ".join((known or self.names)()[:10]) or "none"
        raise ValueError(
            f"{field} is {name[:200]!r}{problem}: choose {self.about}. There are: {there}. Put yours into ComfyUI's "
            "input folder and press R to see it."
        )


MEMORIES = FileKind(
    f"a file made by Save Memory ({ENDING})",
    (ENDING,),
    lambda file: file.name.endswith(ENDING) and len(file.folders) < 2,
)
CAMERAS = FileKind(
    f"a file with a camera path ({', '.join(CAMERA_ENDINGS)})",
    CAMERA_ENDINGS,
    lambda file: file.name.lower().endswith(CAMERA_ENDINGS) and file.folders[:1] != (BANKS,),
)
_IN_FOLDER = FileKind(
    f"a story ({STORY_ENDING}, at most {script.MAX_BYTES // 2**20} MB)",
    (STORY_ENDING,),
    lambda file: file.name.endswith(STORY_ENDING) and file.size <= script.MAX_BYTES and len(file.folders) < 2,
    in_output=False,
)


def camera_file(name: str, field: str = "file") -> Path:
    """The file of a camera path by its name in `CAMERAS`; what is beside it and belongs to it may be read, too.

    Raises ValueError if there is no such file, with some of those that there are; or its second file leads elsewhere.
    """
    path = CAMERAS.file(name, field)
    for second in _seconds(path):
        if os.path.lexists(second) and not is_inside(second):
            raise ValueError(
                f"{field} is {name!r}, and {second.name} beside it, which would hold its lens, is a link that leads "
                "out of ComfyUI's folders: it is not followed. Put the file itself there."
            )
    return path


def camera_stamp(path: Path) -> str:
    """A hash of what is in a camera file, and in the files beside it that hold a lens for it."""
    digest = hashlib.sha256()
    for file in (path, *_seconds(path)):
        if file.is_file() and file.stat().st_size <= MAX_BYTES:
            digest.update(f"{file.name} {file.stat().st_size}\n".encode())
            with open(file, "rb") as opened:
                while block := opened.read(2**20):
                    digest.update(block)
    return digest.hexdigest()


def _seconds(path: Path) -> list[Path]:
    """Where the second file of each layout would be."""
    words = {layout.intrinsics for layout in LAYOUTS.values() if layout.intrinsics is not None}
    return sorted({file for pair in words for file in second_files(path, *pair)})


@cache
def _bundled_stories() -> tuple[str, ...]:
    return tuple(f"{path.stem}{BUNDLED_STORY}" for path in sorted(STORIES.glob(f"*{STORY_ENDING}")))


def stories() -> list[str]:
    """Stories that come with the pack, as "NAME [bundled]", then the JSON files in the input folder and the folders
    directly in it, the newest first."""
    return [*_bundled_stories(), *_IN_FOLDER.names()]


def story_file(name: str) -> Path:
    """The file of a name from `stories`.

    Raises ValueError if there is no such file, with some of those that there are, or if it is too large.
    """
    if name in _bundled_stories():
        return STORIES / f"{name.removesuffix(BUNDLED_STORY)}{STORY_ENDING}"
    path = _IN_FOLDER.file(name, known=stories)
    if path.stat().st_size > script.MAX_BYTES:
        raise ValueError(
            f"file is {name!r}, which is larger than {script.MAX_BYTES // 2**20} MB: choose {_IN_FOLDER.about}."
        )
    return path


def is_inside(path: Path) -> bool:
    """Whether a path, its links followed, lies in ComfyUI's input or output folder."""
    homes = (folder_paths.get_input_directory(), folder_paths.get_output_directory())
    return any(folder_paths.is_within_directory(directory=home, target=str(path)) for home in homes)


def fault_of(path: Path) -> str | None:
    """Why a path is no file inside ComfyUI's folders, to be read after its name; None where it is one."""
    if not os.path.lexists(path):
        return ", which is not there"
    if not is_inside(path):
        return ", a link that leads out of ComfyUI's folders, which is not followed (put the file itself there)"
    if path.is_dir():
        return ", which is a folder"
    return None if path.is_file() else ", which is no ordinary file"


INPUT, OUTPUT = "input", "output"
LISTS = FileLists(
    lambda: {INPUT: Path(folder_paths.get_input_directory()), OUTPUT: Path(folder_paths.get_output_directory())},
    (ENDING, *CAMERA_ENDINGS, STORY_ENDING),
    lambda: {banks()},
)
"""All lists of the nodes come from one look at ComfyUI's folders."""


def filename_prefix(usual: str, recommended: str) -> io.String.Input:
    """The input of a node that saves a file."""
    return io.String.Input(
        "filename_prefix",
        default=usual,
        tooltip="Folder and start of the file's name in the output folder. %date:yyyy-MM-dd%, %year%, %month%, %day%, "
        "%hour%, %minute%, %second% and, in the page, %Node name.widget% are filled in, as in Save Video. "
        f"Recommended: {recommended}.",
    )


def check_prefix(prefix: str | None) -> bool | str:
    """For `validate_inputs`: True, or why no file can have such a name. None comes over a wire."""
    try:
        if prefix is not None:
            _checked(prefix)
    except ValueError as error:
        return str(error)
    return True


def save_place(prefix: str, width: int = 0, height: int = 0) -> tuple[str, str, int, str]:
    """Folder, start of the name, number, and the folder inside the output folder, for a file to be saved.

    Raises ValueError where no file can have such a name.
    """
    found = folder_paths.get_save_image_path(
        filename_prefix=_checked(prefix),
        output_dir=folder_paths.get_output_directory(),
        image_width=width,
        image_height=height,
    )
    return found[:4]


def with_dates(prefix: str, now: time.struct_time | None = None) -> str:
    """Fills in %date:yyyy-MM-dd hh.mm.ss% as the page does for the host's own nodes."""
    now = now or time.localtime()

    def part(found: re.Match[str]) -> str:
        word = found[0]
        if word[0] == "y":
            return {"yyyy": f"{now.tm_year}", "yy": f"{now.tm_year}"[2:]}.get(word, word)
        number = int(time.strftime(_WORDS[word[0]], now))
        return f"{number:0{len(word)}}"

    return _DATE.sub(lambda found: _PART.sub(part, found[1]), prefix)


def _checked(prefix: str) -> str:
    """The prefix with its dates filled in. Raises ValueError where no file can have such a name."""
    filled = with_dates(prefix.strip())
    inside = os.path.normpath(filled) if filled else ""
    name = os.path.basename(inside)
    if name in ("", ".", ".."):
        raise ValueError(
            f"filename_prefix is {prefix!r}: the file would have no name. Use a folder and a name, such as "
            "video/my film."
        )
    if any(ord(letter) < 32 for letter in filled):
        raise ValueError(
            "filename_prefix holds a letter that cannot be seen, such as a line break. Write it on one line."
        )
    output = folder_paths.get_output_directory()
    if not folder_paths.is_within_directory(directory=output, target=os.path.join(output, inside)):
        raise ValueError(
            f"filename_prefix is {prefix[:100]!r}, which leads out of the output folder. Use a folder and a name "
            "inside it, such as video/my film."
        )
    longest = max(inside.split(os.sep), key=lambda part: len(os.fsencode(part)))
    if (length := len(os.fsencode(longest))) > LONGEST_NAME:
        raise ValueError(
            f"filename_prefix has a name of {length} bytes ({longest[:20]!r} ...); with number and ending it would be "
            f"too long for a file. Use {LONGEST_NAME} at most."
        )
    if os.name == "nt" and (wrong := [letter for letter in os.path.splitdrive(filled)[1] if letter in _NOT_ON_WINDOWS]):
        raise ValueError(
            f"filename_prefix is {prefix!r}, and Windows allows no {wrong[0]} in names. Leave it out, such as "
            "%date:hh.mm% for %date:hh:mm%."
        )
    return filled
