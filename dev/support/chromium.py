"""A Chromium or Chrome for the browser tests: the one that is there, else Debian's, else Playwright's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ..console import Progress, SetupError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
WINDOWS = (
    "Google/Chrome/Application/chrome.exe",
    "Chromium/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)
MACOS = (
    "Google Chrome.app/Contents/MacOS/Google Chrome",
    "Chromium.app/Contents/MacOS/Chromium",
    "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
HELP = (
    "The browser tests need Chromium or Chrome: install one "
    "(Debian: apt install chromium; Windows, macOS: Google Chrome) and run this again."
)
PLAYWRIGHTS_OWN = (
    "from playwright.sync_api import sync_playwright as s\nwith s() as p: print(p.chromium.executable_path)"
)


def find_browser(python: Path) -> Path | None:
    """A browser that starts, or None. `python` has Playwright, whose own browser is looked at last."""
    for path in [*installed_browsers(), *playwrights_own(python)]:
        if starts(path):
            return path
    return None


def ensure_browser(python: Path) -> Path:
    """A browser that starts, installed if need be and if that is allowed.

    Raises:
        SetupError: there is none and none could be installed.
    """
    for install in (None, install_debian, install_playwrights):
        if install is not None:
            install(python)
        if found := find_browser(python):
            return found
    raise SetupError(HELP)


def installed_browsers() -> list[Path]:
    """Where a system keeps Chromium, Chrome or Edge, as far as they exist."""
    places = [Path(found) for name in NAMES if (found := shutil.which(name))]
    if sys.platform == "darwin":
        places += [root / app for root in (Path("/Applications"), Path.home() / "Applications") for app in MACOS]
    if os.name == "nt":
        roots = [os.environ.get(key) for key in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")]
        places += [Path(root) / app for root in roots if root for app in WINDOWS]
    return [place for place in places if place.is_file()]


def playwrights_own(python: Path) -> list[Path]:
    asked = subprocess.run([str(python), "-c", PLAYWRIGHTS_OWN], capture_output=True, text=True)
    path = Path(asked.stdout.strip() or "none")
    return [path] if asked.returncode == 0 and path.is_file() else []


def starts(browser: Path) -> bool:
    """Whether the browser is more than a name; on Windows `--version` would open a window, so there the file counts."""
    if os.name == "nt":
        return True
    try:
        return subprocess.run([str(browser), "--version"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def install_debian(python: Path) -> None:
    """Debian's package, where apt-get is there and may install: as root, or with a sudo that asks for no password."""
    apt, sudo = shutil.which("apt-get"), shutil.which("sudo")
    if not apt:
        return
    prefix: list[str] = []
    if os.geteuid() != 0:
        if not sudo or subprocess.run([sudo, "-n", "true"], capture_output=True).returncode:
            return
        prefix = [sudo, "-n"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with Progress("Installing Chromium with apt-get"):
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run([*prefix, apt, *arguments], capture_output=True, env=environment)


def install_playwrights(python: Path) -> None:
    """Playwright's own Chromium, with the libraries it needs where they may be installed."""
    with Progress("Installing Playwright's Chromium"):
        may_install = sys.platform == "linux" and os.geteuid() == 0
        command = [str(python), "-m", "playwright", "install", *(["--with-deps"] if may_install else []), "chromium"]
        subprocess.run(command, capture_output=True)
