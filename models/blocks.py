"""What adapters do to a network of the host: arguments that each block gets, rotary embeddings (RoPE), wrappers, marks.

Plain PyTorch on the objects that are handed in. Nothing of ComfyUI is imported, and nothing that is given is changed,
so that copies of a MODEL on other devices work at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Options = dict[str, Any]
"""The host's ``transformer_options``."""

Arguments = dict[str, Any]
"""What a block is called with: "img", "txt", "vec", "pe" and its ``transformer_options``."""

Override = Callable[..., Any]

_outside: Callable[..., Any] | None = None


def with_block_arguments(options: Options, changes: Sequence[Callable[[Arguments], Arguments]]) -> Options:
    """Options under which block i is called with ``changes[i]`` of its arguments.

    For models whose ``forward`` asks ``patches_replace`` for ("double_block", i), as Wan's: call it in a
    DIFFUSION_MODEL wrapper. A replacement that was there is kept, and is given the changed arguments.
    """
    replaced = dict(options.get("patches_replace", {}))
    inner = replaced["dit"] = dict(replaced.get("dit", {}))
    for number, change in enumerate(changes):
        inner["double_block", number] = _changing(inner.get(("double_block", number)), change)
    return {**options, "patches_replace": replaced}


def _changing(before: Callable[..., Any] | None, change: Callable[[Arguments], Arguments]) -> Callable[..., Any]:
    def block(given: Arguments, more: dict[str, Any]) -> Any:
        given = change(given)
        return before(given, more) if before else more["original_block"](given)

    return block


def rotary(
    network: Any, like: Tensor, options: Options, own: int, *, front: Sequence[float] = (),
    behind: Sequence[float] = (),
) -> Tensor:  # fmt: skip
    """Rotary embedding (1, tokens, 1, d/2, 2, 2) of the frames [front | own | behind], each as large as ``like``
    (B, C, T, h, w).

    The ``own`` frames stand where the network itself puts them, from 0 on, the others at positions in time that are
    given in latent frames. These are computed in float32: bfloat16, which the network would use, has no whole numbers
    above 256.
    """
    height, width = like.shape[-2:]
    scale = (options.get("rope_options") or {}).get("scale_t", 1.0)
    size = {"h": height, "w": width, "device": like.device, "transformer_options": options}
    made = network.rope_encode(t=own, dtype=like.dtype, **size)
    before, after = (
        [network.rope_encode(t=1, t_start=position * scale, dtype=torch.float32, **size) for position in part]
        for part in (front, behind)
    )
    return torch.cat([*before, made, *after], dim=1)


def with_wrappers(model: Any, key: str, wrappers: Mapping[str, Callable[..., Any]]) -> Any:
    """A copy of a MODEL with wrappers, by the host's kinds of them (``WrappersMP``), all under one key."""
    patched = model.clone()
    for kind, wrapper in wrappers.items():
        patched.add_wrapper_with_key(wrapper_type=kind, key=key, wrapper=wrapper)
    return patched


class FirstCall:
    """A mark for the first attention of one pass through one block: ``take`` says True once, then False."""

    def __init__(self) -> None:
        self._taken = False

    def take(self) -> bool:
        taken, self._taken = self._taken, True
        return not taken


def with_first_call(given: Arguments, key: str, options: Options) -> Arguments:
    """Arguments of a block with a fresh ``FirstCall`` under a key of its ``transformer_options``, which marks the
    self-attention of a block that computes it first. A block that is called without any gets ``options``, those of the
    whole pass: what they say of attention holds for it, too."""
    return {**given, "transformer_options": {**(given.get("transformer_options") or options), key: FirstCall()}}


def untraced(override: Override) -> Override:
    """An override of the attention whose body torch.compile never traces.

    ComfyUI's TorchCompileModel drops every guard on ``transformer_options``. What an override reads there, and the mark
    that it uses up, would stay in the compiled program as they were when it was traced: so the program stops before it
    and goes on behind it. It carries nothing but the override, so that a MODEL which keeps it still has an identity.
    """
    global _outside
    if _outside is None:
        # Not when this file is imported: it takes torch more than a second.
        _outside = torch.compiler.disable(lambda function, args, kwargs: function(*args, **kwargs))

    def called(*args: Any, **kwargs: Any) -> Any:
        assert _outside is not None
        return _outside(override, args, kwargs)

    return called
