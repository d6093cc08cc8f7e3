"""The cameras in a scene that three.js wrote: its tree walked, the matrices of parents and children multiplied."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..cameras.camera import FloatArray
from .numbers import json_array
from .source import MAX_POSES, Source

Node = dict[str, object]


def scene_cameras(source: Source) -> list[object] | None:
    """The perspective cameras of a scene, each with its ``matrix`` in the world; None for any other file."""
    document = source.document
    root = document.get("object", document) if isinstance(document, dict) else None
    if not isinstance(root, dict) or not (isinstance(root.get("children"), list) or root.get("type") == "Scene"):
        return None
    found: list[object] = []
    flat = 0
    for node, matrix in _walked(source, root):
        kind = str(node.get("type", ""))
        flat += kind == "OrthographicCamera"
        if kind == "PerspectiveCamera":
            found.append({**node, "matrix": _unscaled(matrix).T.reshape(16).tolist()})
    if not found:
        source.refuse(
            f"the scene has {'only orthographic cameras' if flat else 'no camera'}",
            "Add a PerspectiveCamera to it, or export the camera itself",
        )
    if isinstance(document, dict) and _is_animated(document, root):
        source.refuse(
            "the scene is moved by animations, which are not read", "Bake the camera's movement to a list of cameras"
        )
    if len(found) > 1:
        source.tell(f"The scene has {len(found)} cameras: each is a frame, in their order. Name one to have it alone.")
    return found


def _walked(source: Source, root: Node) -> Iterator[tuple[Node, FloatArray]]:
    """Every object below and with ``root``, parents first, and its matrix (4, 4) in the world."""
    waiting: list[tuple[Node, FloatArray]] = [(root, np.eye(4))]
    seen = 0
    while waiting:
        node, above = waiting.pop()
        seen += 1
        if seen > MAX_POSES:
            source.refuse(f"it has more than {MAX_POSES} objects", "Export the camera alone")
        matrix = above @ _local(source, node)
        yield node, matrix
        children = node.get("children")
        for child in reversed(children if isinstance(children, list) else []):
            if isinstance(child, dict):
                waiting.append((child, matrix))


def _local(source: Source, node: Node) -> FloatArray:
    if "matrix" not in node:
        return np.eye(4)
    name = str(node.get("name") or node.get("type") or "object")[:40]
    columns = json_array(source, [node["matrix"]], (16,), "the matrix", lambda _: name)
    return np.ascontiguousarray(columns.reshape(4, 4).T)


def _unscaled(matrix: FloatArray) -> FloatArray:
    """A camera does not see the scale of what it is in: only the directions of its axes."""
    length = np.linalg.norm(matrix[:3, :3], axis=0)
    result: FloatArray = matrix.copy()
    result[:3, :3] /= np.where(length > 0.0, length, 1.0)
    return result


def _is_animated(document: Node, root: Node) -> bool:
    return any(isinstance(one.get("animations"), list) and one["animations"] for one in (document, root))
