"""Texts on nodes: what a name of somebody else's file holds becomes no link and no wall of text."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The lighthouse [bundled]: 4 shots", "The lighthouse [bundled]: 4 shots"),
        ("房间 café, 12 frames\n3 % at 10:30", "房间 café, 12 frames\n3 % at 10:30"),
        ("[[Update needed|https://evil.example/]]", "[ [Update needed|https: //evil.example/] ]"),
        ("[\u200b[Update|x]\u202e]", "[ [Update|x] ]"),
        ("[[[a|b]]]", "[ [ [a|b] ] ]"),
        ("go to HTTP://evil.example or www.evil.example", "go to HTTP: //evil.example or www. evil.example"),
        ("javascript:alert(1) mailto:a@b.c", "javascript: alert(1) mailto: a@b.c"),
        ("<a href=x>here</a>", "‹a href=x›here‹/a›"),
        ("a\0\x1b[31mb\u2028c", "a[31mbc"),
    ],
)
def test_a_text_is_shown_as_text(comfy: Path, text: str, shown: str) -> None:
    from scene_memory.nodes import messages

    assert messages.shown(text) == shown
    assert messages.shown(messages.shown(text)) == shown


def test_a_text_without_end_is_cut(comfy: Path) -> None:
    from scene_memory.nodes import messages

    assert messages.shown("x" * 1000) == "x" * 1000
    assert len(messages.shown("x" * 100_000)) == 1000 and messages.shown("x" * 100_000).endswith(" ...")
