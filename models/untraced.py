"""Calls that torch.compile leaves as they are.

ComfyUI's TorchCompileModel drops every guard on ``transformer_options``. What an override of the attention reads there,
and the mark that it uses up, would stay in the compiled program as they were when it was traced: so the program stops
before an override of ours and goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Override = Callable[..., Any]

_outside: Callable[..., Any] | None = None


def untraced(override: Override) -> Override:
    """``override``, whose body is never traced. It carries nothing but the override, so that a MODEL which keeps it
    can still be told from its content."""
    global _outside
    if _outside is None:
        # Not when this file is imported: it takes torch more than a second.
        _outside = torch.compiler.disable(_call)

    def called(*args: Any, **kwargs: Any) -> Any:
        assert _outside is not None
        return _outside(override, args, kwargs)

    return called


def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return function(*args, **kwargs)
