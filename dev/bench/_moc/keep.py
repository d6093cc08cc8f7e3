"""What was measured, kept in a file of lines, so that a broken run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Values = dict[str, Any]


class Kept:
    """Values by what was asked for; without a file nothing outlives the run."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.values: dict[str, Values] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                self.values[entry["asked"]] = entry["values"]

    def get(self, asked: str, measure: Callable[[], Values]) -> Values:
        """The values of that name, measured now if they never were."""
        if asked not in self.values:
            self.values[asked] = measure()
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"asked": asked, "values": self.values[asked]}) + "\n")
        return self.values[asked]
