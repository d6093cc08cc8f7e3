"""What is called of ComfyUI: by keyword, and looked at before anything runs.

ComfyUI reorders and adds inputs of its nodes and functions from one release to the next. A call by keyword is right as
long as the names are there; where they are not, the shot is refused at its start, not after the minutes of its first
segment. ``call_table`` has the table of all calls.
"""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

ANY = "_"
_CALL = re.compile(r"([\w.]+):((?:\w+\.)*)(\w+)\((?:(.*?), /(?:, )?)?(.*)\)")


@dataclass(frozen=True)
class HostNode:
    """A function of a node, a class or (with ``node`` "") a module of the host: ``arguments`` are the names that it is
    called with here, after ``positional`` that are given by their order alone (ANY: whatever the host calls it)."""

    module: str
    node: str
    arguments: tuple[str, ...]
    function: str = "execute"
    positional: tuple[str, ...] = ()
    of_object: bool = False
    """Whether a plain function of the class is called on an object of it."""

    @classmethod
    def read(cls, text: str) -> HostNode:
        """A call as Python writes signatures: "module:Class.function(argument, /, name)".

        Raises ValueError where a text is none.
        """
        if (found := _CALL.fullmatch(text)) is None:
            raise ValueError(f"{text!r} is no call: expected module:Class.function(argument, /, name).")
        module, node, function, positional, names = found.groups()
        listed = [tuple(filter(None, (part or "").split(", "))) for part in (names, positional)]
        return cls(module, node.rstrip("."), listed[0], function, listed[1], of_object=True)

    def __call__(self, **given: Any) -> Any:
        """What the function returns; of an ``io.NodeOutput`` its values."""
        assert set(given) <= set(self.arguments), "what is looked at is what is called"
        function, on_object = _found(self)
        made = function(_owner(self)(), **given) if on_object else function(**given)
        return getattr(made, "args", made)

    @property
    def is_there(self) -> bool:
        """Whether this ComfyUI has it and takes these names: for nodes of newer ones that can be done without."""
        return not _problem(self)

    @property
    def misfit(self) -> str:
        """What does not fit and the cure, in words; "" where all does."""
        problem = _problem(self)
        if not problem:
            return ""
        named = [part for part in (self.node, self.function) if part and part != "execute"]
        return (
            f"This ComfyUI's {'.'.join(named)} is another than the one known here: {problem}. Update SceneMemory, or "
            "go back to the ComfyUI that it worked with."
        )

    def check(self) -> None:
        """Raises:
        ValueError: this ComfyUI has not got the function, or it does not take these names, or needs others.
        """
        if self.misfit:
            raise ValueError(self.misfit)


def _owner(called: HostNode) -> Any:
    owner: Any = importlib.import_module(called.module)
    for name in filter(None, called.node.split(".")):
        owner = getattr(owner, name)
    return owner


def _found(called: HostNode) -> tuple[Any, int]:
    """The function, and how many arguments it is given before ours: the object, where it is a method of one."""
    owner = _owner(called)
    on_object = called.of_object and inspect.isclass(owner)
    first = on_object and inspect.isfunction(inspect.getattr_static(owner, called.function))
    return getattr(owner, called.function), int(first)


@cache
def _problem(called: HostNode) -> str:
    try:
        function, first = _found(called)
        signature = inspect.signature(function)
    except (ImportError, AttributeError) as error:
        return f"it is not there ({error})"
    takes = list(signature.parameters)[first:]
    said = f"{called.function} takes {', '.join(takes)}"
    try:
        signature.bind(*[None] * (first + len(called.positional)), **dict.fromkeys(called.arguments))
    except TypeError as error:
        return f"{said} ({error})"
    if any(argument not in (ANY, name) for argument, name in zip(called.positional, takes, strict=False)):
        return f"{said} (expected {', '.join(called.positional)} first)"
    return ""
