"""What the registry would ship: complete, and nothing in it that its scanner or a reviewer would stop."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = re.compile(
    r"(?<![.\w])(eval|exec)\(|\bpickle\b|torch\.load\(|\bsubprocess\b|os\.system|urllib\.request|requests\.(get|post)|\.cuda\(\)"
    r"|\bsocket\b|importlib\.reload|\bprint\("
)


def files(*arguments: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z", *arguments], cwd=ROOT, capture_output=True, check=True).stdout
    return {name for name in listed.decode().split("\0") if name}


def shipped() -> list[str]:
    """Tracked files that .comfyignore lets through."""
    return sorted(files() - files("--cached", "--ignored", "--exclude-from=.comfyignore"))


def test_what_artists_need_is_shipped_and_our_tools_are_not() -> None:
    names = shipped()
    assert {"__init__.py", "pyproject.toml", "requirements.txt", "LICENSE", "memory/bank/bank.py"} <= set(names)
    folders = {name.split("/")[0] for name in names}
    assert not folders & {"tests", "dev", "dev.py", ".ci", ".gitignore", "requirements-dev.txt"}


def test_shipped_code_runs_no_programs_loads_no_pickles_and_opens_no_connections() -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in shipped()
        if name.endswith(".py") and not name.startswith("world/train")
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


def test_the_requirements_say_what_the_project_file_says() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = re.search(r"^dependencies = \[(.*?)\]", project, re.MULTILINE | re.DOTALL)
    assert declared is not None
    wanted = re.findall(r'"([^"]+)"', declared.group(1))
    assert wanted == (ROOT / "requirements.txt").read_text().split()
    pinned = (ROOT / "requirements-dev.txt").read_text()
    assert all(re.search(rf"^{name}==", pinned, re.MULTILINE) for name in wanted)


def test_nothing_shipped_is_heavier_than_the_weights_may_be() -> None:
    heavy = [name for name in shipped() if (ROOT / name).stat().st_size > 25 * 1024**2]
    assert heavy == []
