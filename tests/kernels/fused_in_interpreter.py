"""Run by test_moc_fused.py in a process of its own, with TRITON_INTERPRET=1: the Triton programs on the CPU.

Two gaps of Triton's interpreter are closed first: it turns arrays of one number into indices in a way that newer NumPy
refuses, and it multiplies bfloat16 matrices by their bits.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import triton.language as tl
from triton.runtime import interpreter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dev.support.pack import load_pack  # noqa: E402

load_pack()

from scene_memory.kernels import MocLayout, MocSettings, moc_attention  # noqa: E402
from scene_memory.kernels.fused import attention as fused_module  # noqa: E402
from scene_memory.kernels.fused import available  # noqa: E402

LAYOUTS = {
    "film with text": MocLayout.sequence([6] * 12, [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3, text=5),
    "ragged frames": MocLayout.sequence([1, 70, 3, 12, 5, 2, 9, 4, 1], [0, 0, 1, 1, 2, 2, 2, 3, 3], text=3),
    "one frame": MocLayout.sequence([9], [0]),
    "a shot in two pieces": MocLayout.sequence([4, 5, 6, 7, 8, 3], [0, 2, 1, 0, 2, 1]),
    "segment with context": MocLayout.cross(4, [6] * 9, 12),
    "nothing but routed chunks": MocLayout((0, 4, 8, 11, 16), (0, 0, 0, 1), (False,) * 4, (0, 6), (2,)),
}
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 6e-2}


def close_gaps() -> None:
    patch_tensor, dot = interpreter._patch_lang_tensor, interpreter.InterpreterBuilder.create_dot

    def indexed(tensor: Any, scope: Any) -> None:
        patch_tensor(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    def widened(x: Any) -> Any:
        if x.dtype != tl.bfloat16:
            return x
        wide = interpreter._convert_float(x.data, tl.bfloat16, tl.float32, None).view("float32")
        return interpreter.TensorHandle(wide, tl.float32)

    interpreter._patch_lang_tensor = indexed
    interpreter.InterpreterBuilder.create_dot = lambda self, a, b, *rest: dot(self, widened(a), widened(b), *rest)


def results(layout: MocLayout, top_k: int, dtype: torch.dtype, size: int, name: str) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = [layout.queries, layout.keys, layout.keys]
    # Heads split from (B, L, H * D), as models hand them over.
    given = [torch.randn(2, n, 3, size, generator=generator).to(dtype).transpose(1, 2) for n in shapes]
    q, k, v = (x.requires_grad_() for x in given)
    out = moc_attention(q, k, v, layout, MocSettings(top_k), name)
    wanted = torch.randn(out.shape, generator=generator).to(dtype)
    return [out.detach(), *torch.autograd.grad(out, (q, k, v), wanted)]


def check(name: str, top_k: int, dtype: torch.dtype, size: int) -> None:
    assert available("cpu", dtype, size), f"the Triton programs are wrong for {dtype}, head size {size}"
    ours, wanted = (results(LAYOUTS[name], top_k, dtype, size, path) for path in ("triton", "reference"))
    again = results(LAYOUTS[name], top_k, dtype, size, "triton")
    for part, right, same in zip(ours, wanted, again, strict=True):
        torch.testing.assert_close(part, right, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])
        assert torch.equal(part, same), "the same input gave other bits"


def main() -> None:
    close_gaps()
    used = []
    launch = fused_module._attend
    fused_module._attend = lambda *given: (used.append(1), launch(*given))[1]
    for name in LAYOUTS:
        check(name, 2, torch.float32, 64)
    for dtype in (torch.float16, torch.bfloat16):
        check("ragged frames", 2, dtype, 64)
    for size in (80, 128, 256):
        check("ragged frames", 1, torch.float32, size)
    # A slice of the heads at a time gives what all at once gives.
    fused_module.RUNNING = 1000
    check("film with text", 50, torch.float32, 64)
    check("film with text", 2, torch.float32, 64)
    assert used, "no Triton program was launched"
    sys.stdout.write("the Triton programs equal the reference\n")


if __name__ == "__main__":
    main()
