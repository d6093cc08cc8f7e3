"""dev.py on machines that lack something: one clear sentence each, and nothing half-done is taken for whole."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from dev import cli, environment, host
from dev.checks import free_port, require_disk, require_port
from dev.cli import wants_browser
from dev.console import Progress, SetupError, bar
from dev.link import link_pack
from dev.paths import PACK_FOLDER, ROOT
from dev.pip import explain_failure, pip
from dev.support import chromium
from dev.support.pack import import_from_pack


def run_dev(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "dev.py"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )


def sentence(text: str) -> str:
    """The text, if it is one line a person can act on and no traceback."""
    assert "Traceback" not in text and len(text.strip().splitlines()) == 1, text
    return text


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 9, 18), (3, 14, 0)])
def test_a_python_too_old_or_too_new_is_told_which_one_to_use(version: tuple[int, int, int]) -> None:
    dev = str(ROOT / "dev.py")
    code = f"import sys, runpy; sys.version_info = {version}; runpy.run_path({dev!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"needs Python 3.10 to 3.13, and this is Python {version[0]}.{version[1]}" in sentence(done.stderr)


def test_a_port_that_is_taken_is_told_with_one_that_is_free() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = run_dev("serve", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} is taken" in sentence(done.stderr)
    assert require_port(free_port())


def test_a_port_that_does_not_exist_is_told() -> None:
    assert "Port 70000 does not exist" in sentence(run_dev("serve", "--port", "70000").stderr)


def test_a_full_disk_is_told_before_anything_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**12, 10**12, 10**9))
    with pytest.raises(SetupError, match="needs about 8 GB, .* has 1.0 GB free"):
        require_disk(tmp_path, 8)


def test_no_network_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free_port()}/simple")
    with pytest.raises(SetupError, match="cannot reach the package index.* needs the network") as told:
        pip(
            Path(sys.executable), ["download", "--retries", "0", "a-package"], "Fetching", tmp_path / "logs" / "pip.log"
        )
    sentence(str(told.value))
    assert "127.0.0.1" in (tmp_path / "logs" / "pip.log").read_text()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "sha256 differs"),
        ("Collecting x\nERROR: No matching distribution found for x==9", "No matching distribution found for x==9"),
        ("", "it gave no reason"),
    ],
)
def test_what_stopped_pip_is_told(said: str, told: str) -> None:
    assert told in sentence(explain_failure(said, Path("folder/.venv/setup.log")))


def test_a_comfyui_path_without_comfyui_is_told(tmp_path: Path) -> None:
    done = run_dev("train", COMFYUI_PATH=str(tmp_path))
    assert done.returncode == 1
    assert f"COMFYUI_PATH is {tmp_path}, where no ComfyUI" in sentence(done.stderr)


def test_an_existing_comfyui_brings_its_own_python_and_what_it_lacks_is_named(comfyui: Path, tmp_path: Path) -> None:
    mine = tmp_path / "ComfyUI"
    (mine / "comfy_api" / "latest").mkdir(parents=True)
    (mine / "main.py").touch()
    assert environment.python_of(mine) == Path(sys.executable)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(mine / "venv")], check=True)
    with pytest.raises(SetupError, match=r"lacks torch, .*cv2: run .* -m pip install -r") as told:
        environment.existing(mine, tests=False)
    assert str(mine / "venv") in sentence(str(told.value))
    with pytest.raises(SetupError, match=r'lacks torch, .*diffusers.* -m pip install -r .* "diffusers>='):
        environment.existing(mine, tests=False, pipeline=True)


def test_an_unknown_benchmark_is_told_with_those_there_are() -> None:
    said = sentence(run_dev("bench", "nothing").stderr)
    assert "There is no benchmark 'nothing': choose one of" in said and "moc" in said


@pytest.mark.parametrize("module", ["world.training.train", "dev.bench.moc"])
def test_training_and_benchmarks_get_their_arguments(module: str) -> None:
    program = [sys.executable, "-m", "dev.run", module, "--help"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("usage:"), done.stderr


@pytest.fixture
def set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished set-up in a folder of its own, with this interpreter in it."""
    monkeypatch.setattr(environment, "STAMP", tmp_path / "stamp.json")
    monkeypatch.setattr(environment, "host_is_ready", lambda: True)
    (tmp_path / "stamp.json").write_text(json.dumps({"fingerprint": environment.fingerprint()}))
    return tmp_path


def test_a_finished_set_up_is_taken_as_it_is(set_up: Path) -> None:
    assert environment.is_whole(Path(sys.executable))


def test_a_set_up_without_its_stamp_or_with_half_of_it_is_not_whole(set_up: Path) -> None:
    (set_up / "stamp.json").write_text('{"finger')
    assert not environment.is_whole(Path(sys.executable))
    (set_up / "stamp.json").unlink()
    assert not environment.is_whole(Path(sys.executable))


def test_other_requirements_make_a_set_up_stale(set_up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "REQUIREMENTS", ("requirements-dev.txt",))
    assert not environment.is_whole(Path(sys.executable))


def test_a_set_up_whose_python_or_packages_are_gone_is_not_whole(set_up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not environment.is_whole(set_up / "bin" / "python")
    monkeypatch.setattr(environment, "RUN_MODULES", ("torch", "a_package_nobody_has"))
    assert not environment.is_whole(Path(sys.executable))


def archive(path: Path, *members: tuple[str, bytes | None]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc"
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))
    return path


def test_only_the_wanted_folder_is_unpacked_and_no_link(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.tar.gz", ("p/setup.py", b"1"), ("p/in/main.py", b"2"), ("p/in/d/x", b"3"), ("p/in/l", None)
    )
    assert host.unpack(path, PurePosixPath("p/in"), tmp_path / "out") == 2
    files = sorted(
        file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*") if file.is_file()
    )
    assert files == ["d/x", "main.py"]


@pytest.mark.parametrize("name", ["p/in/../../evil", "p/in/C:evil", "p/in/a\\..\\evil"])
def test_an_archive_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SetupError, match="leads out of its folder"):
        host.unpack(archive(tmp_path / "a.tar.gz", (name, b"")), PurePosixPath("p/in"), tmp_path / "out")


def test_an_archive_without_the_wanted_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="not the expected file"):
        host.unpack(archive(tmp_path / "a.tar.gz", ("other/x", b"")), PurePosixPath("p/in"), tmp_path / "out")


def test_the_checkout_is_linked_once_and_found_under_any_name(tmp_path: Path) -> None:
    checkout, nodes = tmp_path / "my checkout", tmp_path / "custom_nodes"
    checkout.mkdir()
    assert link_pack(nodes, checkout) == PACK_FOLDER == link_pack(nodes, checkout)
    assert (nodes / PACK_FOLDER).resolve() == checkout
    inside = nodes / "scene-memory"
    inside.mkdir()
    assert link_pack(nodes, inside) == "scene-memory"


def test_a_link_to_another_checkout_is_moved_and_a_folder_is_left_alone(tmp_path: Path) -> None:
    old, new, nodes = tmp_path / "old", tmp_path / "new", tmp_path / "custom_nodes"
    old.mkdir()
    new.mkdir()
    (old / "kept").touch()
    link_pack(nodes, old)
    link_pack(nodes, new)
    assert (nodes / PACK_FOLDER).resolve() == new and (old / "kept").exists()
    full = tmp_path / "full"
    (full / PACK_FOLDER).mkdir(parents=True)
    with pytest.raises(SetupError, match="is there already and is not this checkout"):
        link_pack(full, new)


def test_without_a_browser_the_person_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "installed_browsers", list)
    monkeypatch.setattr(chromium, "playwrights_own", lambda python: [])
    tried: list[str] = []
    monkeypatch.setattr(chromium, "install_debian", lambda python: tried.append("debian"))
    monkeypatch.setattr(chromium, "install_playwrights", lambda python: tried.append("playwright"))
    with pytest.raises(SetupError, match="need Chromium or Chrome: install one"):
        chromium.ensure_browser(Path(sys.executable))
    assert tried == ["debian", "playwright"]


def test_a_browser_that_does_not_start_is_passed_over(tmp_path: Path) -> None:
    assert chromium.starts(Path(sys.executable))
    assert os.name == "nt" or not chromium.starts(tmp_path / "chromium")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], True),
        (["-q"], True),
        (["tests"], True),
        (["tests/browser/test_workflows.py"], True),
        (["tests/test_dev.py::test_x", "-x"], False),
        (["tests/test_dev.py", "tests/browser"], True),
    ],
)
def test_a_browser_is_looked_for_when_browser_tests_may_run(arguments: list[str], wanted: bool) -> None:
    assert wants_browser(arguments) is wanted


@pytest.mark.parametrize("style", [0, 1])
def test_all_tests_go_in_two_processes_and_some_as_pytest_is_asked(monkeypatch: pytest.MonkeyPatch, style: int) -> None:
    asked: list[tuple[list[str], str]] = []

    def run(environment: object, module: str, arguments: Sequence[str], threads: str = "") -> int:
        assert module == "pytest"
        asked.append((list(arguments), threads))
        return style if "lint" in arguments else 0

    monkeypatch.setattr(cli, "prepare", lambda **_: None)
    monkeypatch.setattr(cli, "run_module", run)
    monkeypatch.setattr(cli, "wants_browser", lambda arguments: False)
    assert [cli.main(["test", *rest]) for rest in ([], ["tests/nodes"], ["-m", "slow"])] == [style, 0, 0]
    whole = [(["-q", "-m", "lint", "tests/test_lint.py"], ""), (["-n", "2", "--dist", "loadfile"], "1")]
    assert asked == [*whole, (["tests/nodes"], ""), (["-m", "slow"], "")]


def test_progress_is_told_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError), Progress("Working"):
        raise ValueError
    assert "Working: stopped after 0 s" in capsys.readouterr().out
    assert bar(0.5, 4) == "[##..]" and bar(7, 4) == "[####]"


def test_the_pack_is_the_package_scene_memory_whatever_its_folder_is_called() -> None:
    assert import_from_pack("memory.cameras.camera").__name__ == "scene_memory.memory.cameras.camera"
