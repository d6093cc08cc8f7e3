"""What the registry would ship: complete, and nothing in it that its scanner or a reviewer would stop."""

from __future__ import annotations

import re
import subprocess
import sys
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


def test_what_only_the_pipeline_needs_is_an_extra_that_its_page_names_and_the_tests_bring() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extra = re.search(r"^pipeline = \[(.*?)\]", project, re.MULTILINE)
    assert extra is not None
    wanted = re.findall(r'"([^"]+)"', extra[1])
    page = (ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8")
    assert "diffusers" not in (ROOT / "requirements.txt").read_text()
    assert wanted and re.search(r"pip install " + " ".join(f'"?{name}"?' for name in wanted), page)
    assert "diffusers==" in (ROOT / "requirements-test.txt").read_text()


NODES_ALONE = """
import sys
from pathlib import Path

sys.modules["diffusers"] = None
root, comfyui = sys.argv[1:]
sys.path[:] = [path for path in sys.path if path and Path(path).resolve() != Path(root)] + [root]
from dev.support.pack import load_pack

load_pack()
sys.path.insert(0, comfyui)
from comfy.cli_args import args

args.cpu = True
from scene_memory import nodes
from scene_memory.models.world.loader import load_world_model

model, clip, vae = load_world_model()
nodes.folders.register()
names = [node.define_schema().node_id for node in nodes.NODES]
sys.stdout.write(f"{len(names)} {len(set(names))} {type(model).__name__}")
"""


def test_no_node_needs_diffusers(comfyui: Path) -> None:
    program = [sys.executable, "-c", NODES_ALONE, str(ROOT), str(comfyui)]
    done = subprocess.run(program, cwd=ROOT.anchor, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    count, different, model = done.stdout.split()[-3:]
    assert count == different and int(count) >= 29 and model == "ModelPatcher"


def test_nothing_shipped_is_heavier_than_the_weights_may_be() -> None:
    heavy = [name for name in shipped() if (ROOT / name).stat().st_size > 25 * 1024**2]
    assert heavy == []
