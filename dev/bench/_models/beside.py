"""What artists load and wire beside a memory: identity, compilation, the host's functions, encodes of the VAE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._trust.identities import unstable_elsewhere
from .compiled import CLOSE, differences
from .encodes import after_the_first_revisit, encodes
from .loaded import load_wan


def beside(folder: Path) -> dict[str, Any]:
    """Four figures and what they are made of.

    - ``identity_unstable``: ways to load and patch a Wan whose identity is another before sampling, after it or in a
      new process, so that finished segments would not be found.
    - ``compile_wrong``: ways in which a memory enters a Wan that make another film under torch.compile.
    - ``signatures_unbound``: calls of this ComfyUI in the shipped code that do not fit what it takes.
    - ``vae_encodes_per_segment_k20``: remembered frames that go through the VAE, a segment, after the first revisit.
    """
    from ....models.host.call_table import every_call
    from ....models.registry import ADAPTERS

    folder.mkdir(parents=True, exist_ok=True)
    names = unstable_elsewhere()
    compiled = differences(folder)
    wrong = {name: worst for name, worst in compiled.items() if not worst < CLOSE}
    calls = every_call() | {node for adapter in ADAPTERS for node in adapter.host_nodes}
    unbound = sorted(f"{node.module}:{node.node}.{node.function}" for node in calls if not node.is_there)
    counts = encodes(folder, load_wan(folder / "models", "wan2.1_t2v_1.3B_fp16.safetensors"), (64, 64))
    return {
        "figures": {
            "identity_unstable": len(names),
            "compile_wrong": len(wrong),
            "signatures_unbound": len(unbound),
            "vae_encodes_per_segment_k20": round(after_the_first_revisit(counts), 2),
        },
        "rows": {"unstable": names, "compiled": compiled, "unbound": unbound, "encodes": counts},
    }
