"""This checkout as a folder in a ComfyUI's custom_nodes: a symbolic link, on Windows a directory junction."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .console import SetupError
from .paths import PACK_FOLDER, ROOT


def link_pack(custom_nodes: Path, checkout: Path = ROOT) -> str:
    """Links the checkout into `custom_nodes` unless it is in there already, and returns its folder name there."""
    custom_nodes.mkdir(parents=True, exist_ok=True)
    for entry in sorted(custom_nodes.iterdir()):
        if entry.is_dir() and entry.resolve() == checkout.resolve():
            return entry.name
    link = custom_nodes / PACK_FOLDER
    _remove_dead_link(link)
    if link.exists():
        raise SetupError(
            f"{link} is there already and is not this checkout: move it away, or run dev.py from inside it."
        )
    if os.name == "nt":
        # A junction needs no administrator, a symbolic link on Windows does.
        made = subprocess.run(["cmd", "/c", "mklink", "/J", str(link), str(checkout)], capture_output=True, text=True)
        if made.returncode:
            raise SetupError(
                f"Windows could not link {checkout} as {link}: {made.stderr.strip() or made.stdout.strip()}"
            )
    else:
        link.symlink_to(checkout, target_is_directory=True)
    return link.name


def _remove_dead_link(link: Path) -> None:
    """Removes a link, never a folder, whose target is another checkout or gone."""
    if link.is_symlink():
        link.unlink()
    elif os.name == "nt" and os.path.lexists(link) and os.path.realpath(link) != os.path.abspath(link):
        os.rmdir(link)
