"""What every test may use: the pack as `scene_memory`, a real ComfyUI server, the real frontend in a browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
# Last on the path: ComfyUI has modules called `nodes` and `server` of its own, and they shall win.
sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != ROOT] + [str(ROOT)]

from dev.console import SetupError  # noqa: E402
from dev.paths import COMFYUI  # noqa: E402
from dev.support.chromium import HELP, find_browser  # noqa: E402
from dev.support.kits import load_wan, load_wan_vae, wan, world, world_plan  # noqa: E402, F401
from dev.support.newest_frontend import newest_frontend  # noqa: E402
from dev.support.pack import load_pack  # noqa: E402
from dev.support.server import HostServer  # noqa: E402

load_pack()

# The same cases each time; `python dev.py test --hypothesis-profile fresh` draws others, and says how to get one again.
settings.register_profile("fixed", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("fresh", deadline=None, max_examples=200, print_blob=True)
settings.load_profile("fixed")


class _RootIsNoTestPackage:
    """The pack's root has an `__init__.py` for ComfyUI; pytest shall walk through the folder, not import it."""

    @staticmethod
    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        return pytest.Dir.from_parent(parent, path=path) if path == ROOT else None


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_RootIsNoTestPackage(), "root is no test package")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need a server or a browser, and puts them last: the quick ones speak first."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if {"comfyui_process", "newest_process"} & set(fixtures):
            item.add_marker("server")
        if "browser" in fixtures:
            item.add_marker("browser")
    items.sort(key=lambda item: ("browser" in item.keywords, "server" in item.keywords))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failed test also shows what the server logged meanwhile."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, HostServer):
        log = server.log_text()[item.stash.get(LOG_START, 0) :]
        report.sections.append(("ComfyUI's log during this test", log[-6000:]))
    return report


LOG_START: pytest.StashKey[int] = pytest.StashKey()


@pytest.fixture(scope="session")
def comfyui() -> Path:
    """The folder of the ComfyUI under test: COMFYUI_PATH, else the one that dev.py has unpacked."""
    folder = Path(os.environ.get("COMFYUI_PATH") or COMFYUI)
    if not (folder / "main.py").is_file():
        pytest.fail(f"no ComfyUI in {folder}: run `python dev.py test`, or set COMFYUI_PATH")
    return folder


@pytest.fixture(scope="session")
def comfyui_process(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostServer]:
    """A ComfyUI process with only this pack, on a free port, with a folder of its own for models, output and user."""
    with HostServer(Path(sys.executable), comfyui, base=tmp_path_factory.mktemp("comfyui")) as server:
        yield server


@pytest.fixture
def server(comfyui_process: HostServer, request: pytest.FixtureRequest) -> HostServer:
    """The running server. `server.client.queue(prompt)` runs a prompt; `server.output` is its output folder.

    Shared by all tests: use names of your own for what you save. It is started again if a test ended it.
    """
    if not comfyui_process.running:
        comfyui_process.restart()
    request.node.stash[LOG_START] = len(comfyui_process.log_text())
    return comfyui_process


@pytest.fixture(scope="session")
def comfy(comfyui: Path) -> Path:
    """Makes `import comfy...` work in the test process, on the CPU. Returns ComfyUI's folder."""
    if str(comfyui) not in sys.path:
        sys.path.insert(0, str(comfyui))
    from comfy.cli_args import args

    args.cpu = True
    return comfyui


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """A headless Chromium or Chrome. Without one the test fails and says what to install."""
    found = find_browser(Path(sys.executable))
    if found is None:
        pytest.fail(HELP)
    from dev.support.frontend import launch

    with launch(found) as chromium:
        yield chromium


@pytest.fixture(scope="session")
def newest_process(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostServer]:
    """The same ComfyUI with the newest frontend. Where that cannot be had, the test fails and says why."""
    try:
        frontend = newest_frontend(Path(sys.executable))
    except SetupError as problem:
        pytest.fail(str(problem))
    base = tmp_path_factory.mktemp("comfyui newest")
    with HostServer(Path(sys.executable), comfyui, base=base, frontend=frontend) as server:
        yield server


@pytest.fixture
def open_frontend(browser: object, server: HostServer) -> Iterator[Callable[..., object]]:
    """`open_frontend("classic")` or `open_frontend("nodes2")` opens ComfyUI's page: see dev/frontend.py."""
    yield from opened_pages(browser, server)


@pytest.fixture
def open_newest(browser: object, newest_process: HostServer) -> Iterator[Callable[..., object]]:
    """As `open_frontend`, in the newest frontend."""
    yield from opened_pages(browser, newest_process)


def opened_pages(browser: object, server: HostServer) -> Iterator[Callable[..., object]]:
    """A function that opens pages, which are closed in the end."""
    from dev.support.frontend import Frontend

    opened: list[Frontend] = []

    def open_page(mode: str) -> Frontend:
        opened.append(Frontend(browser, server, mode))  # type: ignore[arg-type]
        return opened[-1]

    yield open_page
    for page in opened:
        page.close()
