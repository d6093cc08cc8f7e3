"""The benchmark of routed attention: a small run of the real thing, and what its figures mean."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend
from torch.nn.functional import scaled_dot_product_attention

from scene_memory.dev.bench import moc
from scene_memory.dev.bench._moc.cases import Case, cpu_case, gpu_case, growing_gpu_case, leaning_tensors
from scene_memory.dev.bench._moc.exact import relative_error
from scene_memory.dev.bench._moc.figures import figures, growth_exponent
from scene_memory.dev.bench._moc.measure import CLOCKS, Rounds, median_ratio, peak_bytes, rounds_of
from scene_memory.dev.bench._moc.rivals import dense_kernels, flex_attention, one_choice_a_shot
from scene_memory.dev.bench._moc.rows import Row, measure
from scene_memory.kernels import MocSettings, moc_attention, pairs_kept

NAMES = {
    "cpu_8k_speedup", "cpu_32k_speedup", "cpu_worst_ratio", "gpu_64k_speedup", "gpu_180k_speedup",
    "gpu_180k_share_of_ideal", "gpu_180k_over_flex", "growth_exponent", "extra_memory_share", "rel_l2_max",
    "revisit_psnr_drop",
}  # fmt: skip
SMALL = Case(640, 4, 2, 16, 32, MocSettings(2))


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a clock that goes on by a second when it is asked: every call takes one, however busy the machine."""
    asked = iter(range(1_000_000))
    monkeypatch.setitem(CLOCKS, "counting", lambda: float(next(asked)))
    return "counting"


@pytest.mark.parametrize("lengths", [[256], pytest.param([256, 512], marks=pytest.mark.slow)], ids=["one", "two"])
def test_a_small_run_writes_every_figure_and_row(tmp_path: Path, lengths: list[int], counting: str) -> None:
    file, threads = tmp_path / "moc.json", torch.get_num_threads()
    given = ["--device", "cpu", "--tokens", *map(str, lengths), "--seconds", "0", "--scenes", "0", "--json", str(file)]
    assert moc.main([*given, "--clock", counting]) == 0
    assert torch.get_num_threads() == threads
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert set(report["figures"]) >= NAMES and report["revisit"] is None
    assert report["figures"]["cpu_worst_ratio"] == 1 and report["figures"]["rel_l2_max"] < 1e-5
    expected = [(threads, tokens) for threads in (2, 1) for tokens in lengths]
    assert [(row["threads"], row["tokens"]) for row in report["rows"]] == expected
    for row in report["rows"]:
        assert row["dense_ms"] == row["moc_ms"] == row["routing_ms"] == 1000 and row["rounds"] == 3
        assert row["others_ms"] == {"block router": 1000}
        assert row["share_of_ideal"] == pytest.approx(row["speed_up"] / row["ideal_speed_up"])
        assert (row["rel_l2"] is None) == (row["threads"] == 1)


def test_a_broken_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes turns is nothing, so that its times are anything: here it counts what is measured, and when."""
    keep, file = tmp_path / "keep.jsonl", tmp_path / "moc.json"
    given = ["--device", "cpu", "--tokens", "256", "--seconds", "0", "--scenes", "0", "--keep", str(keep)]
    measured: list[int] = []

    def quick(case: Case, *_: Any) -> Row:
        threads = torch.get_num_threads()
        measured.append(threads)
        taken = rounds_of({"moc": lambda: None}, Rounds(3, 3, 0.0), "processor")
        return row(tokens=case.tokens, threads=threads, moc_ms=1e3 * sum(taken["moc"]), rounds=len(taken["moc"]))

    monkeypatch.setattr(moc, "measure", quick)
    assert moc.main([*given, "--threads", "2"]) == 0
    first = [json.loads(line)["values"] for line in keep.read_text(encoding="utf-8").splitlines()]
    assert moc.main([*given, "--threads", "2", "1"]) == 0
    assert measured == [2, 1]
    assert moc.main([*given, "--threads", "2", "1", "--json", str(file)]) == 0
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    assert measured == [2, 1] and rows[0] == first[0] and [row["threads"] for row in rows] == [2, 1]


@pytest.mark.parametrize("wrong", [["--tokens", "20"], ["--device", "cuda"]])
def test_what_cannot_be_measured_is_refused(wrong: list[str]) -> None:
    if "cuda" in wrong and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(SystemExit):
        moc.main(wrong)


def row(**changed: Any) -> Row:
    whole = Row(
        device="cpu", threads=2, tokens=8192, shots=8, heads=4, head_size=64, chunk=64, grows=False,
        implementation="portable", moc_ms=10.0, routing_ms=1.0, pairs_kept=0.2, ideal_speed_up=5.0, rounds=5,
        dense_ms=30.0, speed_up=3.0, automatic_ratio=2.9, automatic_routes=True, share_of_ideal=0.6,
        extra_memory_share=0.12, rel_l2=1e-6,
    )  # fmt: skip
    return replace(whole, **changed)


def test_figures_take_the_worst_row_of_their_length_and_are_null_without_one() -> None:
    gpu = {"device": "cuda", "threads": 8, "tokens": 180_224}
    found = figures([
        row(), row(threads=1, speed_up=2.0, automatic_ratio=0.97),
        row(tokens=512, automatic_ratio=0.99, automatic_routes=False, extra_memory_share=0.6),
        row(**gpu, heads=12, speed_up=4.5, share_of_ideal=0.8, over_flex=1.5),
        row(**gpu, heads=40, speed_up=4.2, share_of_ideal=0.7, over_flex=1.2, rel_l2=2e-3),
        row(**gpu, heads=12, shots=3, speed_up=1.1, over_flex=0.4),
    ], 0.25)  # fmt: skip
    assert found["cpu_8k_speedup"] == 3.0 and found["cpu_8k_speedup_1_thread"] == 2.0
    assert found["cpu_32k_speedup"] is None and found["gpu_64k_speedup"] is None
    assert found["cpu_worst_ratio"] == 0.97
    assert (found["gpu_180k_speedup"], found["gpu_180k_share_of_ideal"], found["gpu_180k_over_flex"]) == (4.2, 0.7, 1.2)
    assert found["extra_memory_share"] == 0.12, "what stays dense takes no extra memory"
    assert found["rel_l2_max"] == 2e-3 and found["revisit_psnr_drop"] == 0.25
    assert set(found) >= NAMES


def test_growth_is_the_slope_over_films_that_grow() -> None:
    rows = [
        row(device="cuda", tokens=tokens, heads=heads, grows=True, moc_ms=tokens**power)
        for tokens in (16_384, 65_536, 180_224, 524_288)
        for heads, power in ((12, 1.02), (40, 1.1))
    ]
    assert growth_exponent(rows, 65_536) == pytest.approx(1.1)
    assert growth_exponent([row(tokens=tokens) for tokens in (65_536, 524_288)], 65_536) is None


def test_growing_films_keep_the_pairs_of_a_query_and_the_others_drop_enough() -> None:
    kept = [
        pairs_kept(case.layout, case.settings).kept / case.tokens
        for case in (growing_gpu_case(tokens, 12) for tokens in moc.GPU_TOKENS[1:])
    ]
    assert max(kept) / min(kept) < 1.2
    for case in (cpu_case(8192), cpu_case(32768), gpu_case(180_224, 12, 8)):
        assert pairs_kept(case.layout, case.settings).share < 0.2


def test_what_slows_both_does_not_move_the_ratio_of_a_round(counting: str) -> None:
    assert median_ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0
    order: list[str] = []
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    taken = rounds_of(runs, Rounds(2, 4, 60.0), counting)
    assert [len(taken[name]) for name in "ab"] == [4, 4] and set(taken["a"]) == {1.0}
    turns = [name for place, name in enumerate(order) if place == 0 or order[place - 1] != name]
    assert turns[:6] == ["a", "b", "a", "b", "a", "b"], "every other round goes backwards"
    assert [len(taken) for taken in rounds_of(runs, Rounds(2, 9, 0.0), counting).values()] == [2, 2]


def test_peak_memory_counts_what_lives_at_once() -> None:
    def run() -> torch.Tensor:
        first = torch.zeros(1 << 20)
        second = first + 1
        del first
        return second + 1

    assert peak_bytes(run, "cpu") == pytest.approx(2 * 4 * (1 << 20), rel=0.01)


def test_the_sampled_reference_tells_right_from_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = leaning_tensors(SMALL, torch.float32)
    layout, settings = SMALL.layout, SMALL.settings
    exact = moc_attention(q, k, v, layout, settings, "reference")
    monkeypatch.setattr("scene_memory.dev.bench._moc.exact.ROWS", 100)
    assert relative_error(exact, q, k, v, layout, settings) < 1e-6
    assert relative_error(1.01 * exact, q, k, v, layout, settings) == pytest.approx(0.01, rel=1e-3)
    assert relative_error(scaled_dot_product_attention(q, k, v), q, k, v, layout, settings) > 0.1


def test_flex_attention_is_asked_under_the_very_same_mask() -> None:
    q, k, v = leaning_tensors(SMALL, torch.float32)
    flex = flex_attention(q, k, v, SMALL.layout, SMALL.settings, compiled=False)
    assert flex is not None
    exact = moc_attention(q, k, v, SMALL.layout, SMALL.settings, "reference")
    torch.testing.assert_close(flex(), exact, atol=1e-5, rtol=1e-5)


def test_dense_kernels_are_those_that_run() -> None:
    q, k, v = leaning_tensors(SMALL, torch.float32)
    found = dense_kernels(q, k, v, (SDPBackend.MATH, SDPBackend.CUDNN_ATTENTION))
    assert list(found) == ["dense math"]
    torch.testing.assert_close(found["dense math"](), scaled_dot_product_attention(q, k, v), atol=1e-5, rtol=1e-5)


def test_the_block_router_keeps_as_many_pairs_and_looks_elsewhere() -> None:
    q, k, v = leaning_tensors(SMALL, torch.float32)
    shared = one_choice_a_shot(q, k, v, SMALL.layout, SMALL.settings)
    exact = moc_attention(q, k, v, SMALL.layout, SMALL.settings, "reference")
    first = slice(0, SMALL.tokens // 4)
    torch.testing.assert_close(shared[:, :, first], exact[:, :, first], atol=1e-5, rtol=1e-5)
    assert (shared - exact).norm() > 0.1 * exact.norm()


def test_the_films_for_a_gpu_are_measured_in_half_precision(counting: str) -> None:
    case = gpu_case(2048, 2, 8)
    found = measure(case, "cpu", torch.bfloat16, Rounds(1, 1, 0.0), counting)
    assert found.rel_l2 is not None and 1e-5 < found.rel_l2 < 2e-2
    assert (found.chunk, found.head_size, found.shots) == (256, 128, 8)
