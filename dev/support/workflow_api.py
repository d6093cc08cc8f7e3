"""A workflow as the frontend saves it, turned into the prompt that the server's API takes.

The frontend does this in the browser (`app.graphToPrompt`); a test holds the two equal. Understood: links, widgets in
their saved order, the extra value behind a seed, upload buttons, dynamic combos, converted widgets, muted and bypassed
nodes, Reroute, Primitive and notes. Subgraphs are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
MUTED, BYPASSED = 2, 4
NOTES = {"Note", "MarkdownNote"}
VIRTUAL = NOTES | {"Reroute", "PrimitiveNode"}
WIDGETS = {"INT", "FLOAT", "BOOLEAN", "STRING", "COMBO"}
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
UPLOADS = ("image_upload", "animated_image_upload", "video_upload", "audio_upload")
VIDEO_PREVIEW = "video-preview"
"""A widget that the page adds to a node that uploads a video; it sends it, and saves none of it."""
SEEDS = {"seed", "noise_seed"}


class WorkflowError(ValueError):
    """The workflow cannot be turned into a prompt; the text says which node and why."""


@dataclass(frozen=True)
class Link:
    node: int
    slot: int


def to_prompt(workflow: Mapping[str, Any], object_info: Mapping[str, Any]) -> dict[str, Json]:
    """The API prompt `{node id: {class_type, inputs}}` of a saved workflow, by the server's `/object_info`.

    Raises:
        WorkflowError: a node type that the server does not have, a subgraph, or a value too many.
    """
    nodes: dict[int, Json] = {node["id"]: node for node in workflow["nodes"]}
    links = {key: value for key, value in map(_link, workflow.get("links", []))}
    prompt: dict[str, Json] = {}
    for node in nodes.values():
        if node["type"] in VIRTUAL or node.get("mode", 0) in (MUTED, BYPASSED):
            continue
        inputs = _widget_values(node, _definition(node, object_info))
        for slot in node.get("inputs", []):
            if slot.get("link") is None:
                continue
            found = _source(links[slot["link"]], slot["type"], nodes, links)
            if isinstance(found, Link):
                inputs[slot["name"]] = [str(found.node), found.slot]
            elif found is not None:
                inputs[slot["name"]] = found[0]
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt


def _link(saved: Any) -> tuple[int, Link]:
    if isinstance(saved, Mapping):
        return saved["id"], Link(saved["origin_id"], saved["origin_slot"])
    return saved[0], Link(saved[1], saved[2])


def _definition(node: Json, object_info: Mapping[str, Any]) -> Json:
    if node["type"] not in object_info:
        raise WorkflowError(
            f"Node {node['id']} is a {node['type']!r}, which this server does not have: a subgraph, or a missing pack."
        )
    definition: Json = object_info[node["type"]]
    return definition


def _source(link: Link, kind: str, nodes: Mapping[int, Json], links: Mapping[int, Link]) -> Link | list[Any] | None:
    """Where a link really comes from: a slot, a Primitive's value in a list, or None behind a muted node."""
    node = nodes[link.node]
    inputs = node.get("inputs", [])
    if node["type"] == "PrimitiveNode":
        return [node["widgets_values"][0]]
    if node["type"] == "Reroute":
        through = inputs[:1]
    elif node.get("mode", 0) == MUTED:
        return None
    elif node.get("mode", 0) == BYPASSED:
        same_place = inputs[link.slot : link.slot + 1]
        through = [slot for slot in [*same_place, *inputs] if slot["type"] == kind][:1]
    else:
        return link
    if not through or through[0].get("link") is None:
        return None
    return _source(links[through[0]["link"]], kind, nodes, links)


def _widget_values(node: Json, definition: Json) -> Json:
    saved = node.get("widgets_values") or []
    if isinstance(saved, Mapping):
        return {name: _wrapped(saved[name]) for name, _ in _plain_widgets(definition["input"]) if name in saved}
    remaining = iter(saved)
    values = {name: _wrapped(value) for name, value in _read(definition["input"], "", remaining)}
    if extra := list(remaining):
        raise WorkflowError(
            f"Node {node['id']} ({node['type']}) has {len(saved)} saved values, "
            f"{len(extra)} more than it has widgets: {extra}"
        )
    return values


def _wrapped(value: Any) -> Any:
    """A list is marked as a value, so that the server does not take it for a link."""
    return {"__value__": value} if isinstance(value, list) else value


def _read(inputs: Json, prefix: str, remaining: Iterator[Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of each widget, taking from `remaining` what the frontend saved, in its order."""
    for group in ("required", "optional"):
        uploads = 0
        for name, spec in inputs.get(group, {}).items():
            kind, options = _kind(spec)
            if not _is_widget(kind, options):
                continue
            value = next(remaining, _default(kind, spec, options))
            yield prefix + name, value
            if kind == DYNAMIC_COMBO:
                chosen = next((option for option in options["options"] if option["key"] == value), None)
                if chosen is not None:
                    yield from _read(chosen["inputs"], f"{prefix}{name}.", remaining)
            control = options.get("control_after_generate")
            if control or (control is None and kind == "INT" and name in SEEDS):
                next(remaining, None)
            uploads += any(options.get(key) for key in UPLOADS)
            if options.get("video_upload"):
                yield f"{prefix}{VIDEO_PREVIEW}", ""
        for _ in range(uploads):
            next(remaining, None)


def _plain_widgets(inputs: Json) -> Iterator[tuple[str, Any]]:
    for group in ("required", "optional"):
        yield from ((name, spec) for name, spec in inputs.get(group, {}).items() if _is_widget(*_kind(spec)))


def _kind(spec: Any) -> tuple[str, Json]:
    options: Json = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    return ("COMBO" if isinstance(spec[0], list) else str(spec[0])), options


def _is_widget(kind: str, options: Json) -> bool:
    return (kind in WIDGETS or kind == DYNAMIC_COMBO) and not options.get("forceInput")


def _default(kind: str, spec: Any, options: Json) -> Any:
    if "default" in options:
        return options["default"]
    if kind == DYNAMIC_COMBO:
        return options["options"][0]["key"]
    if kind == "COMBO":
        choices = spec[0] if isinstance(spec[0], list) else options.get("options", [])
        return choices[0] if choices else ""
    return {"INT": 0, "FLOAT": 0.0, "BOOLEAN": False}.get(kind, "")
