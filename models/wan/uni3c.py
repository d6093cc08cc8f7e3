"""Uni3C: a control net for Wan that is shown a render of the coming views, here what the memory knows of them.

The host's own node puts it on a MODEL (*WanUni3CControlnetApply*); its render is grey where nothing is known, as the
authors' renders of point clouds are, and begins with the known first picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..host.calls import HostNode

ATTACHMENT = "scene_memory_uni3c"

APPLY = HostNode(
    "comfy_extras.nodes_model_patch",
    "WanUni3CControlnetApply",
    ("model", "model_patch", "vae", "render_video", "strength", "start_percent", "end_percent"),
    function="apply_patch",
    of_object=True,
)
"""Called where a MODEL carries a control net only: ComfyUI has it since 0.29."""


@dataclass(frozen=True, eq=False)
class Uni3C:
    """The host's MODEL_PATCH of a Uni3C control net, and how strongly it works."""

    patch: Any
    strength: float = 1.0


def with_uni3c(model: Any, guide: Uni3C) -> Any:
    """A copy of a MODEL that carries the control net, for segments that have known pixels.

    Raises ValueError where this ComfyUI has no Uni3C, or another than the one known here.
    """
    APPLY.check()
    marked = model.clone()
    marked.set_attachments(key=ATTACHMENT, attachment=guide)
    return marked


def uni3c_of(model: Any) -> Uni3C | None:
    """The control net that a MODEL carries."""
    found = model.get_attachment(key=ATTACHMENT)
    return found if isinstance(found, Uni3C) else None


def guided(model: Any, guide: Uni3C, vae: Any, video: Tensor) -> Any:
    """A copy of a MODEL that the control net guides along a video, the host's IMAGE (T, H, W, 3) in 0..1.

    Raises ValueError where the control net is for a Wan of another width.
    """
    (patched,) = APPLY(
        model=model, model_patch=guide.patch, vae=vae, render_video=video, strength=guide.strength, start_percent=0.0,
        end_percent=1.0,
    )  # fmt: skip
    return patched
