"""Time and memory of a call."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Run = Callable[[], object]
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def median_seconds(runs: Mapping[str, Run], repeats: int, clock: str) -> dict[str, float]:
    """The median time of each; they take turns, after one round to warm up, so that a busy minute slows all alike.

    clock: "wall"; "processor" counts the time that this process was given, for a busy machine; "cuda" that of the card.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            seconds = _cuda_seconds(run) if clock == "cuda" else _seconds(run, CLOCKS[clock])
            if repeat:
                times[name].append(seconds)
    return {name: statistics.median(taken) for name, taken in times.items()}


def _seconds(run: Run, clock: Callable[[], float]) -> float:
    begin = clock()
    run()
    return clock() - begin


def _cuda_seconds(run: Run) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1e3


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
