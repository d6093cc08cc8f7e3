"""One page for all tests of a file in one canvas: ComfyUI's page takes seconds to open, an empty workflow none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.support.frontend import MODES, Frontend
from dev.support.server import HostServer


@pytest.fixture(scope="module", params=MODES)
def page_of_the_file(
    browser: object, comfyui_process: HostServer, request: pytest.FixtureRequest
) -> Iterator[Frontend]:
    if not comfyui_process.running:
        comfyui_process.restart()
    page = Frontend(browser, comfyui_process, request.param)  # type: ignore[arg-type]
    yield page
    page.close()


@pytest.fixture
def frontend(page_of_the_file: Frontend, server: HostServer, request: pytest.FixtureRequest) -> Iterator[Frontend]:
    """The pinned frontend in each canvas, with an empty workflow. What a test does to `window` stays for the next."""
    page_of_the_file.errors.clear()
    page_of_the_file.new_workflow()
    failed = request.session.testsfailed
    yield page_of_the_file
    if request.session.testsfailed > failed:
        page_of_the_file.open()
