"""The Python and the ComfyUI that everything runs with: our own, made once, or the person's by COMFYUI_PATH."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .checks import FULL_SETUP_GB, SMALL_SETUP_GB, require_disk
from .console import SetupError, say
from .host import COMFYUI_VERSION, SHA256, host_is_ready, install_host
from .link import link_pack
from .paths import COMFYUI, ROOT, VENV, venv_python
from .pip import pip

REQUIREMENTS = ("requirements-dev.txt", "requirements-test.txt")
STAMP = VENV / "scene_memory.json"
LOG = VENV / "setup.log"
RUN_MODULES = ("torch", "torchaudio", "aiohttp", "av", "comfyui_frontend_package", "cv2")
PIPELINE_MODULES = ("diffusers", "transformers")
TEST_MODULES = ("pytest", "xdist", "hypothesis", "mypy", "ruff", "playwright", *PIPELINE_MODULES)


@dataclass(frozen=True)
class Environment:
    """An interpreter, and the ComfyUI folder it can run. `private` is False for the person's own installation."""

    python: Path
    comfyui: Path
    private: bool


def prepare(*, tests: bool = False, pipeline: bool = False) -> Environment:
    """Makes or finds what is needed. `tests` also asks for the test tools, `pipeline` for what pipeline/ needs.

    Raises:
        SetupError: something that the person must change.
    """
    given = os.environ.get("COMFYUI_PATH", "").strip()
    if not given:
        return private()
    return existing(Path(given).expanduser().resolve(), tests=tests, pipeline=pipeline)


def existing(comfyui: Path, *, tests: bool, pipeline: bool = False) -> Environment:
    """The ComfyUI at COMFYUI_PATH with the Python that belongs to it. Nothing is installed there."""
    if not (comfyui / "main.py").is_file() or not (comfyui / "comfy_api" / "latest").is_dir():
        raise SetupError(
            f"COMFYUI_PATH is {comfyui}, where no ComfyUI {COMFYUI_VERSION} or newer is: "
            "give the folder that has its main.py."
        )
    python = python_of(comfyui)
    wanted = RUN_MODULES + (TEST_MODULES if tests else PIPELINE_MODULES if pipeline else ())
    missing = missing_modules(python, wanted)
    if missing:
        files = " ".join(f'-r "{ROOT / name}"' for name in ["requirements.txt"] + ["requirements-test.txt"] * tests)
        extra = ' "diffusers>=0.37" transformers' if pipeline else ""
        raise SetupError(f"{python} lacks {', '.join(missing)}: run  {python} -m pip install {files}{extra}")
    say(f"Using the ComfyUI in {comfyui} with {python}")
    return Environment(python, comfyui, private=False)


def python_of(comfyui: Path) -> Path:
    """The interpreter of an installation: its virtual environment, the portable one beside it, else this one."""
    candidates = [venv_python(comfyui / name) for name in (".venv", "venv", "env")]
    candidates.append(comfyui.parent / "python_embeded" / "python.exe")
    return next((path for path in candidates if path.is_file()), Path(sys.executable))


def private() -> Environment:
    """The environment in `.venv` with the pinned ComfyUI in `.host`, made or repaired where it is not whole."""
    python = venv_python(VENV)
    environment = Environment(python, COMFYUI, private=True)
    if is_whole(python):
        link_pack(COMFYUI / "custom_nodes")
        return environment
    if is_usable(python):
        say("The requirements have changed: bringing .venv up to date")
        require_disk(ROOT, SMALL_SETUP_GB)
    else:
        if VENV.exists():
            # pip takes a package whose files were half written for installed; only a new start is sure.
            say("Removing a set-up that was not finished")
            shutil.rmtree(VENV, ignore_errors=True)
        require_disk(ROOT, FULL_SETUP_GB)
        say(f"Setting up Python packages in .venv and ComfyUI {COMFYUI_VERSION} in .host: once, some minutes and 8 GB")
        make_venv()
    STAMP.unlink(missing_ok=True)
    if not host_is_ready():
        pip(python, ["install", "setuptools<82", "wheel"], "Installing build tools", LOG)
        install_host(python, LOG)
    link_pack(COMFYUI / "custom_nodes")
    files = ["-r", str(ROOT / "requirements-dev.txt"), "-r", str(COMFYUI / "requirements.txt")]
    pip(python, ["install", *files], "Installing Python packages", LOG)
    STAMP.write_text(json.dumps({"fingerprint": fingerprint()}))
    if not is_whole(python):
        missing = missing_modules(python, RUN_MODULES + TEST_MODULES)
        STAMP.unlink(missing_ok=True)
        raise SetupError(f"Set-up ended without {', '.join(missing)}: delete {VENV} and run this again.")
    return environment


def is_whole(python: Path) -> bool:
    """Whether the last set-up came to its end with today's requirements, and nothing was taken away since."""
    return stamped() == fingerprint() and host_is_ready() and is_usable(python)


def is_usable(python: Path) -> bool:
    """Whether some set-up came to its end, be it with older requirements."""
    return bool(stamped()) and not missing_modules(python, RUN_MODULES + TEST_MODULES)


def stamped() -> str:
    """The fingerprint of the last set-up that came to its end, or nothing."""
    try:
        return str(json.loads(STAMP.read_text())["fingerprint"])
    except (OSError, ValueError, KeyError):
        return ""


def fingerprint() -> str:
    """What the environment is made from, as one hash."""
    digest = hashlib.sha256(SHA256.encode())
    for name in REQUIREMENTS:
        digest.update((ROOT / name).read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def missing_modules(python: Path, modules: Sequence[str]) -> list[str]:
    """Those of `modules` that `python` would not find; all of them where it does not even start."""
    code = "import sys, importlib.util as u; print(' '.join(m for m in sys.argv[1:] if u.find_spec(m) is None))"
    try:
        found = subprocess.run([str(python), "-c", code, *modules], capture_output=True, text=True, cwd=VENV.anchor)
    except OSError:
        return list(modules)
    return found.stdout.split() if found.returncode == 0 else list(modules)


def make_venv() -> None:
    """Makes `.venv` with this Python."""
    # The Python behind an environment: the running one may be the one in .venv that was just removed.
    base = getattr(sys, "_base_executable", sys.executable)
    made = subprocess.run([base, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True)
    if made.returncode == 0:
        return
    reason = (made.stdout + made.stderr).strip()
    if "ensurepip" in reason:
        raise SetupError(
            "This Python cannot make virtual environments: install what is missing "
            "(Debian and Ubuntu: sudo apt install python3-venv) and run this again."
        )
    raise SetupError(f"Python could not make {VENV}: {reason.splitlines()[-1] if reason else 'it gave no reason'}")
