"""The newest frontend of ComfyUI, beside the one that the pinned ComfyUI brings: fetched once, checked by its hash."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path, PurePosixPath

from ..console import SetupError
from ..paths import HOST
from ..pip import pip

PROJECT = "comfyui-frontend-package"
VERSION = "1.58.1"
SHA256 = "37912597537a731a8f421179618a736c24184c5bdbfa327f38b2fb7c291852d9"
INSIDE = PurePosixPath("comfyui_frontend_package/static")
FOLDER = HOST / "frontend" / VERSION
STAMP = FOLDER / "unpacked.txt"


def newest_frontend(python: Path) -> Path:
    """The folder for ComfyUI's ``--front-end-root``; `python` has the pip that fetches it where it is not there yet.

    Raises:
        SetupError: it could not be fetched, or is another file than expected.
    """
    static = FOLDER / "static"
    if STAMP.is_file() and STAMP.read_text() == SHA256:
        return static
    downloads = FOLDER / "download"
    shutil.rmtree(FOLDER, ignore_errors=True)
    downloads.mkdir(parents=True)
    wanted = downloads / "wanted.txt"
    wanted.write_text(f"{PROJECT}=={VERSION} --hash=sha256:{SHA256}\n")
    command = ["download", "--no-deps", "--only-binary", ":all:", "--dest", str(downloads)]
    try:
        title = f"Fetching ComfyUI's frontend {VERSION}"
        pip(python, [*command, "--requirement", str(wanted)], title, HOST / "frontend.log")
    except SetupError as problem:
        raise SetupError(f"The tests with ComfyUI's frontend {VERSION} cannot run: {problem}") from None
    wheels = sorted(downloads.glob("*.whl"))
    if len(wheels) != 1 or hashlib.sha256(wheels[0].read_bytes()).hexdigest() != SHA256:
        raise SetupError(f"The fetched frontend is not the expected file: delete {FOLDER} and run this again.")
    unpack(wheels[0], static)
    shutil.rmtree(downloads, ignore_errors=True)
    STAMP.write_text(SHA256)
    return static


def unpack(wheel: Path, destination: Path) -> None:
    """Unpacks what the page needs from a wheel of the frontend.

    Raises:
        SetupError: the wheel has a path that leads out of its folder, or no page in it.
    """
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name)
            if INSIDE not in path.parents or name.endswith(("/", ".map")):
                continue
            parts = path.relative_to(INSIDE).parts
            if ".." in parts or any(":" in part or "\\" in part for part in parts):
                raise SetupError(f"The archive {wheel.name} has a path that leads out of its folder: {name}")
            target = destination.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
    if not (destination / "index.html").is_file():
        raise SetupError(f"The archive {wheel.name} has no {INSIDE}: it is not the expected file.")
