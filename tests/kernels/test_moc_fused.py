"""The Triton path: its programs equal the reference in Triton's interpreter, and where it cannot serve another does."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from scene_memory.kernels import MocLayout, MocSettings, implementation_for, moc_attention
from scene_memory.kernels.fused import available, moc_attention_fused, probe
from scene_memory.kernels.fused.tiles import dense_groups, routed_groups
from scene_memory.kernels.plan import shot_keys

MakeTensors = Callable[..., tuple[Tensor, Tensor, Tensor]]

FILM = MocLayout.sequence([6] * 12, [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3, text=5)


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    available.cache_clear()
    yield
    available.cache_clear()


def test_the_programs_equal_the_reference_forward_and_backward_in_tritons_interpreter() -> None:
    """Triton is built for Linux only; elsewhere the probe must say that it is not there."""
    if importlib.util.find_spec("triton") is None:
        assert not available("cuda", torch.float16, 64)
        return
    script = Path(__file__).with_name("fused_in_interpreter.py")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=500)
    assert run.returncode == 0 and "equal the reference" in run.stdout, run.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["80", "90"])
@pytest.mark.parametrize(
    ("dtype", "size"), [("bfloat16", 128), ("float16", 64), ("bfloat16", 256), ("float32", 64), ("float32", 256)]
)
def test_the_programs_compile_and_fit_the_shared_memory_of_every_card(capability: str, dtype: str, size: int) -> None:
    """99 KiB is what a block may have on consumer cards (compute capability 8.6, 8.9 and 12.0)."""
    if importlib.util.find_spec("triton") is None:
        assert not available("cuda", torch.float16, 64)
        return
    script = Path(__file__).with_name("compile_fused.py")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    run = subprocess.run([sys.executable, str(script), capability, dtype, str(size)],
                         env=environment, capture_output=True, text=True, timeout=500)
    assert run.returncode == 0, run.stderr[-3000:]
    assert max(json.loads(run.stdout).values()) <= 99 * 1024


def test_without_triton_the_portable_path_serves_and_one_line_says_why(
    tensors: MakeTensors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    q, k, v = tensors(FILM)
    monkeypatch.setattr(probe.importlib.util, "find_spec", lambda name: None)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            out = moc_attention(q, k, v, FILM, MocSettings(2), "triton")
    assert torch.equal(out, moc_attention(q, k, v, FILM, MocSettings(2), "portable"))
    assert [line for line in caplog.messages if "Triton is not installed" in line] == [
        "Triton does not serve MoC attention on cpu, torch.float32, head size 8: Triton is not installed"
    ]


@pytest.mark.parametrize("failure", ["raises", "is wrong"])
def test_a_triton_that_fails_or_is_wrong_is_not_used(
    failure: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fused(q: Tensor, k: Tensor, v: Tensor, *_: object) -> Tensor:
        if failure == "raises":
            raise RuntimeError("PTX was made by a newer compiler")
        return q * 2 + 0 * (k.sum() + v.sum())

    monkeypatch.setattr(probe, "_refusal", lambda *_: None)
    monkeypatch.setattr(probe, "moc_attention_fused", fused)
    with caplog.at_level(logging.INFO):
        assert not available("cpu", torch.float32, 64)
    expected = "RuntimeError: PTX was made" if failure == "raises" else "differs from the portable path's"
    assert expected in caplog.text


@pytest.mark.parametrize(("dtype", "size"), [(torch.float64, 64), (torch.float16, 320)])
def test_types_and_heads_that_it_does_not_take_are_refused(dtype: torch.dtype, size: int) -> None:
    assert not available("cuda", dtype, size)


def test_the_cpu_is_served_by_the_portable_path(tensors: MakeTensors) -> None:
    assert implementation_for(tensors(FILM)[0]) == "portable"


def test_nothing_to_route_needs_no_program_at_all(tensors: MakeTensors) -> None:
    layout = MocLayout.sequence([9, 4], [0, 0])
    q, k, v = tensors(layout)
    expected = moc_attention(q, k, v, layout, MocSettings(2))
    torch.testing.assert_close(moc_attention_fused(q, k, v, layout, MocSettings(2), 8**-0.5), expected)


def test_tiles_name_every_choice_once_and_no_more() -> None:
    chosen = torch.tensor([[[[0, 3], [1, -1], [3, 0]], [[2, 1], [-1, -1], [0, 1]]]], dtype=torch.int16)
    layout = MocLayout((0, 4, 9, 11, 16), (0, 0, 0, 0), (False,) * 4, (0, 3), (1,))
    groups = routed_groups(chosen, layout)
    assert groups is not None
    met = set()
    for first, count, begin, end, where in groups.by_queries(2).tolist():
        assert count <= 2
        met |= {(where, query, begin, end) for query in groups.rows[first : first + count].tolist()}
    starts = layout.key_starts
    wanted = {
        (head, query, starts[chunk], starts[chunk + 1])
        for head in range(2) for query in range(3) for chunk in chosen[0, head, query].tolist() if chunk >= 0
    }
    assert met == wanted
    keys = [(where, key) for _, _, begin, end, where in groups.by_keys(2).tolist() for key in range(begin, end)]
    assert len(keys) == len(set(keys)), "a key in two tiles would be written twice"


def test_dense_tiles_cover_all_queries_of_a_shot() -> None:
    shot = shot_keys(MocLayout.sequence([5, 6, 7], [0, 1, 0]), MocSettings(1))[0]
    groups = dense_groups(shot, shot.dense[0], 2, torch.device("cpu"))
    tiles = groups.by_queries(4).tolist()
    assert sum(count for _, count, *_ in tiles) == 2 * 12
    assert groups.rows.tolist() == [*range(5), *range(11, 18)]
