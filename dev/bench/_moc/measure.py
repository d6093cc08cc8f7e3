"""Time and memory of a call."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

Run = Callable[[], object]
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
SHORTEST = 0.02
"""Seconds that one measurement lasts at least; quicker calls are repeated inside it."""


@dataclass(frozen=True)
class Rounds:
    """How often all take turns: at least and at most so many times, and no new round after so many seconds."""

    least: int
    most: int
    seconds: float


def rounds_of(runs: Mapping[str, Run], rounds: Rounds, clock: str) -> dict[str, list[float]]:
    """Seconds of each call in every round. All take turns, every other round backwards, after one round to warm up.

    What slows the machine for a while so slows all alike: compare what was measured in one round (`median_ratio`). For
    the same reason all are measured for about as long as the slowest call takes once, on a processor; a card has
    nobody beside.

    clock: "wall"; "processor" counts the time that this process was given, for a busy machine; "cuda" that of the card.
    """
    def measured(run: Run, calls: int) -> float:
        return _cuda_seconds(run, calls) if clock == "cuda" else _seconds(run, calls, CLOCKS[clock])

    once = {name: max(measured(run, 1), 1e-6) for name, run in runs.items()}
    lasting = max(SHORTEST, 0 if clock == "cuda" else max(once.values()))
    calls = {name: max(1, int(lasting / seconds)) for name, seconds in once.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    begun = time.perf_counter()
    for number in range(rounds.most):
        if number >= rounds.least and time.perf_counter() - begun > rounds.seconds:
            break
        for name in runs if number % 2 == 0 else reversed(runs):
            times[name].append(measured(runs[name], calls[name]))
    return times


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median over the rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def _seconds(run: Run, calls: int, clock: Callable[[], float]) -> float:
    begin = clock()
    for _ in range(calls):
        run()
    return (clock() - begin) / calls


def _cuda_seconds(run: Run, calls: int) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(calls):
        run()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1e3 / calls


def peak_bytes(run: Run, device: str) -> int:
    """Most bytes of tensors alive at once during a call, beyond those that were there, its result included."""
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True, acc_events=True) as profile:
        result = run()
    del result
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most
