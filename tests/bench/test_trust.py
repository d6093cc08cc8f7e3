"""The bench trust joins the figures of parts that were run one at a time."""

from __future__ import annotations

import json
from pathlib import Path

from scene_memory.dev.bench import trust


def test_figures_of_earlier_runs_are_joined_and_each_keeps_its_day(tmp_path: Path) -> None:
    files = [tmp_path / "one.json", tmp_path / "two.json", tmp_path / "all.json"]
    files[0].write_text(json.dumps({"date": "2026-01-01", "figures": {"a": 1, "b": 2}}))
    measured = {"b": "2026-01-02", "c": "2026-01-03"}
    files[1].write_text(json.dumps({"date": "2026-01-03", "figures": {"b": 0, "c": 3}, "measured": measured}))
    assert trust.main(["--parts", "--from", *map(str, files[:2]), "--json", str(files[2])]) == 0
    joined = json.loads(files[2].read_text())
    assert joined["figures"] == {"a": 1, "b": 0, "c": 3}
    assert joined["measured"] == {"a": "2026-01-01", **measured}
