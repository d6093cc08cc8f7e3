"""What a machine must have, asked before anything is begun."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from .console import SetupError

FULL_SETUP_GB = 8.0
SMALL_SETUP_GB = 0.5


def require_disk(folder: Path, gigabytes: float) -> None:
    """Refuses to begin what would fill the disk."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise SetupError(
            f"Not enough disk: set-up needs about {gigabytes:g} GB, {folder} has {free:.1f} GB free; "
            "make room and run this again."
        )


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def require_port(port: int) -> int:
    """The port itself, if a server can listen on it."""
    if not 1 <= port <= 65535:
        raise SetupError(f"Port {port} does not exist: choose one from 1024 to 65535, for example --port 8188.")
    if not port_is_free(port):
        raise SetupError(
            f"Port {port} is taken, perhaps by another ComfyUI: close that, or use another with --port {free_port()}."
        )
    return port


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def has_gpu() -> bool:
    """Whether ComfyUI may be started without `--cpu`: an NVIDIA driver that answers, or Apple silicon."""
    if sys.platform == "darwin":
        return os.uname().machine == "arm64"
    found = shutil.which("nvidia-smi")
    return bool(found) and subprocess.run([str(found), "-L"], capture_output=True, timeout=30).stdout.startswith(b"GPU")
