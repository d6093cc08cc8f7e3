"""The node Story in the real frontend: what it says of the text while it is written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dev.support.frontend import MODES, SCREENSHOTS, Frontend, Mode

NOTES = "() => app.graph.nodes[0].widgets.find(widget => widget.name === 'story_notes').element.innerText"
TEXT = "textarea"
MARA = "# T\n## Subjects\n- Mara: a girl\n## S\n### Shot\nMara runs.\n### Shot\n"


def says(frontend: Frontend, words: str) -> None:
    frontend.page.wait_for_function(f"words => ({NOTES})().includes(words)", arg=words)


@pytest.mark.parametrize("mode", MODES)
def test_notes_follow_the_text_while_it_is_typed(open_frontend: Callable[[Mode], Frontend], mode: Mode) -> None:
    frontend = open_frontend(mode)
    page = frontend.page
    page.set_viewport_size({"width": 1440, "height": 900})
    frontend.new_workflow()
    page.evaluate("""() => {
      const node = LiteGraph.createNode('SceneMemoryStory')
      node.pos = [80, 60]
      app.graph.add(node)
      node.setSize([560, 700])
    }""")
    says(frontend, "3 shots, nothing to mend.")
    box = page.locator(TEXT).first
    box.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(MARA)
    page.keyboard.type("She stops at the sea.")
    says(frontend, "2 shots. A model would not understand:")
    says(frontend, "Shot 2, line 7: 'she': a model does not know who that is.")
    page.screenshot(path=SCREENSHOTS / f"story-{mode}.png")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(MARA + "camra: pan\nMara stops.")
    says(frontend, "The story, line 8: 'camra' is nothing that a shot has. Did you mean 'camera'?")
    box.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(MARA + "camera: pan\nMara stops.")
    says(frontend, "2 shots, nothing to mend.")
    assert frontend.to_prompt() and not frontend.errors
    saved = page.evaluate("() => app.graph.serialize()")
    assert len(saved["nodes"][0]["widgets_values"]) == 2, "the notes are no part of a workflow"
    frontend.load(saved)
    says(frontend, "2 shots, nothing to mend.")
    assert frontend.page.evaluate("() => app.graph.nodes[0].widgets[0].value").endswith("Mara stops.")
    assert not frontend.errors
