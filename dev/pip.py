"""pip as the person has set it up, with a progress line and with its failures in one sentence."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .console import Progress, SetupError

NO_NETWORK = re.compile(
    r"name resolution|NameResolutionError|NewConnectionError|Failed to establish a new connection|getaddrinfo failed"
    r"|nodename nor servname|Network is unreachable|No route to host|Connection refused|ConnectTimeout|Read timed out"
    r"|ProxyError|ConnectionResetError|RemoteDisconnected|from versions: none",
    re.IGNORECASE,
)
NO_DISK = re.compile(r"No space left on device|Errno 28|not enough space on the disk|WinError 112", re.IGNORECASE)
NO_MATCH = re.compile(r"DO NOT MATCH THE HASHES", re.IGNORECASE)
NEWS = re.compile(r"^\s*(Collecting|Downloading|Using cached|Building|Preparing|Installing collected packages)\b(.*)")


def pip(python: Path, arguments: Sequence[str], title: str, log: Path) -> None:
    """Runs `python -m pip ARGUMENTS`; what it prints is appended to `log`.

    Raises:
        SetupError: pip failed; the sentence says whether the network, the disk or a package is the reason.
    """
    command = [str(python), "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments]
    log.parent.mkdir(parents=True, exist_ok=True)
    said: list[str] = []
    with Progress(title) as progress, log.open("a", encoding="utf-8") as file:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                said.append(line)
                if news := NEWS.match(line):
                    verb, rest = news.groups()
                    progress.update("unpacking them" if verb.startswith("Installing") else f"{verb} {rest.strip()}")
        if process.returncode:
            raise SetupError(explain_failure("".join(said), log))


def explain_failure(output: str, log: Path) -> str:
    """One sentence for what pip printed before it gave up."""
    if NO_DISK.search(output):
        return (
            f"The disk is full: set-up needs about 8 GB in {log.parent.parent} and room for downloads in "
            f"{tempfile.gettempdir()} (set TMPDIR to use another folder); free some and run this again."
        )
    if NO_MATCH.search(output):
        return "A downloaded file is not the expected one (its sha256 differs): run this again, do not use that file."
    if NO_NETWORK.search(output):
        return (
            "pip cannot reach the package index: the first run needs the network (about 3 GB); "
            "connect, or set PIP_INDEX_URL to a mirror, and run this again."
        )
    errors = [line.strip() for line in output.splitlines() if line.startswith("ERROR")]
    reason = errors[-1][:300] if errors else "it gave no reason"
    return f"pip could not finish: {reason} (all that it said is in {log})."
