"""JSON in the answer of a chatbot: in a code fence, with words before and after it."""

from __future__ import annotations

import json
from typing import Any

_FENCE = "```"


def script_of(text: str, key: str, what: str) -> Any:
    """The JSON value of ``text``, or of its one code fence that holds an object with ``key``.

    Raises:
        ValueError: there is none, or more than one; says where the JSON breaks, and what to do.
    """
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        blocks = [block for block in _blocks(text) if block.lstrip().startswith("{")]
        if not blocks:
            begins = text.lstrip().startswith("{")
            cure = "Repair it there" if begins else "Begin the file with {"
            raise ValueError(
                f"{what} is not JSON ({error}). {cure}, and use a script like those in StoryMem's folder 'story'."
            ) from error
    found, broken = [], ""
    for block in blocks:
        try:
            found.append(json.loads(block))
        except (json.JSONDecodeError, RecursionError) as error:
            broken = broken or str(error)
    scripts = [value for value in found if key in value] or found
    if not scripts:
        raise ValueError(
            f"{what} has a code fence that is not JSON ({broken}, counted from the fence). Repair it there, or ask for "
            "the whole script again."
        )
    if len(scripts) > 1:
        raise ValueError(f"{what} has {len(scripts)} scripts in code fences. Keep the one that is meant.")
    return scripts[0]


def _blocks(text: str) -> list[str]:
    """What stands in code fences; the last may be open, as in an answer that was cut off."""
    blocks: list[list[str]] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith(_FENCE):
            inside = not inside
            if inside:
                blocks.append([])
        elif inside:
            blocks[-1].append(line)
    return ["".join(block) for block in blocks]
