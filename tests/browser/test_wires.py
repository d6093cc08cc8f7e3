"""Wires of memory, path and rule have a colour each, in both canvases and in every palette of the page."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dev.paths import ROOT
from dev.support.frontend import MODES, Frontend, Mode

TYPES = ("SCENE_MEMORY", "SCENE_TRAJECTORY", "SCENE_RETRIEVER", "SCENE_STORY", "SCENE_DEPTH")
PUT_ON = "async name => { await app.extensionManager.setting.set('Comfy.ColorPalette', name) }"
COLOURS = """types => types.map(type => [
  app.canvas.default_connection_color_byType[type], LGraphCanvas.link_type_colors[type],
  getComputedStyle(document.documentElement).getPropertyValue(`--color-datatype-${type}`).trim(),
])"""


@pytest.mark.parametrize("mode", MODES)
def test_each_of_our_types_has_a_colour_of_its_own(open_frontend: Callable[[Mode], Frontend], mode: Mode) -> None:
    frontend = open_frontend(mode)
    frontend.load(json.loads((ROOT / "workflows" / "Three shots, one room.json").read_text(encoding="utf-8")))
    page = frontend.page
    found = page.evaluate(COLOURS, TYPES)
    assert all(one == two == three != "" for one, two, three in found) and len({one for one, *_ in found}) == len(TYPES)
    frontend.screenshot(f"wires-{mode}")
    try:
        for palette in ("light", "dark"):
            page.evaluate(PUT_ON, palette)
            same = f"([types, expected]) => JSON.stringify(({COLOURS})(types)) === JSON.stringify(expected)"
            page.wait_for_function(same, arg=[TYPES, found])
            frontend.screenshot(f"wires-{palette}-{mode}")
    finally:
        page.evaluate(PUT_ON, "dark")
    assert not frontend.errors, frontend.errors
