"""Run by test_moc_fused.py: compiles the Triton programs for cards that need not be here, and reports their memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dev.support.pack import load_pack  # noqa: E402

load_pack()

from scene_memory.kernels.fused import programs  # noqa: E402
from scene_memory.kernels.fused.attention import _tile  # noqa: E402

TYPES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
FIXED = ("M", "N", "D", "PRECISION")


def kind(name: str, dtype: torch.dtype) -> str:
    if name in FIXED:
        return "constexpr"
    if name in ("q", "k", "v", "grad"):
        return "*" + TYPES[dtype]
    return {"rows": "*i32", "tiles": "*i64", "scale": "fp32", "out": "*fp32", "lse": "*fp32", "delta": "*fp32",
            "grad_q": "*fp32", "grad_k": "*fp32", "grad_v": "*fp32"}.get(name, "i32")


def main() -> None:
    capability, dtype, size = int(sys.argv[1]), getattr(torch, sys.argv[2]), int(sys.argv[3])
    tile = _tile(torch.empty(1, 1, 1, size, dtype=dtype))
    shared = {}
    for program in (programs.attend, programs.slope_q, programs.slope_kv):
        signature = {name: kind(name, dtype) for name in program.arg_names}
        source = ASTSource(fn=program, signature=signature, constexprs={name: tile[name] for name in FIXED})
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
        shared[program.__name__] = compiled.metadata.shared
    sys.stdout.write(json.dumps(shared))


if __name__ == "__main__":
    main()
