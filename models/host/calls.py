"""What the loop and the adapters call of ComfyUI: by keyword, and looked at before anything runs.

ComfyUI reorders and adds inputs of its nodes and functions from one release to the next. A call by keyword is right as
long as the names are there; where they are not, the shot is refused at its start, not after the minutes of its first
segment.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class HostNode:
    """A function of a node, a class or (with ``node`` "") a module of the host: ``arguments`` are the names that it is
    called with here."""

    module: str
    node: str
    arguments: tuple[str, ...]
    function: str = "execute"

    def __call__(self, **given: Any) -> Any:
        """What the function returns; of an ``io.NodeOutput`` its values."""
        assert set(given) <= set(self.arguments), "what is looked at is what is called"
        made = _function(self.module, self.node, self.function)(**given)
        return getattr(made, "args", made)

    @property
    def is_there(self) -> bool:
        """Whether this ComfyUI has it and takes these names: for nodes of newer ones that can be done without."""
        return not _problem(self)

    def check(self) -> None:
        """Raises:
        ValueError: this ComfyUI has not got the function, or it does not take these names, or needs others.
        """
        if problem := _problem(self):
            raise ValueError(
                f"This ComfyUI's {self.node or self.function} is another than the one known here: {problem}. Update "
                "SceneMemory, or go back to the ComfyUI that it worked with."
            )


def _function(module: str, node: str, function: str) -> Any:
    found = importlib.import_module(module)
    return getattr(getattr(found, node) if node else found, function)


@cache
def _problem(called: HostNode) -> str:
    try:
        signature = inspect.signature(_function(called.module, called.node, called.function))
    except (ImportError, AttributeError) as error:
        return f"it is not there ({error})"
    try:
        signature.bind(**dict.fromkeys(called.arguments))
    except TypeError as error:
        return f"{called.function} takes {', '.join(signature.parameters)} ({error})"
    return ""


_NOISE = ("noise", "latent_image", "sampler", "sigmas", "denoise_mask", "callback", "disable_pbar", "seed")
LOOP = (
    HostNode("comfy.sample", "", ("latent_image", "seed"), "prepare_noise"),
    HostNode("comfy.samplers", "CFGGuider", ("self", *_NOISE), "sample"),
    HostNode("comfy.samplers", "CFGGuider", ("self", "positive", "negative"), "set_conds"),
    HostNode("comfy.samplers", "CFGGuider", ("self", "conds"), "inner_set_conds"),
    HostNode("node_helpers", "", ("conditioning", "values"), "conditioning_set_values"),
)
"""What every shot calls."""

_PLACES = ("t", "h", "w", "t_start", "device", "dtype", "transformer_options")
WAN = (
    HostNode("comfy.ldm.wan.model", "WanModel", ("self", *_PLACES), "rope_encode"),
    HostNode("comfy.model_patcher", "ModelPatcher", ("self", "wrapper_type", "key", "wrapper"), "add_wrapper_with_key"),
)
"""What every Wan with a memory calls."""
