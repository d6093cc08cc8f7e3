"""A bank that was deleted by hand is noticed once."""

from __future__ import annotations

import shutil
from pathlib import Path

from scene_memory.memory.bank.bank import Bank


def test_a_bank_is_counted_as_gone_each_time_it_was_there_and_is_not(comfy: Path, tmp_path: Path) -> None:
    from scene_memory.nodes.remember.banks import SeenBanks

    seen = SeenBanks()
    bank = tmp_path / "film"
    assert seen.times_gone(bank) == 0, "nobody was given a memory in it"
    for times in (1, 2):
        Bank.create(tmp_path, "film")
        seen.add(bank)
        assert seen.times_gone(bank) == times - 1
        shutil.rmtree(bank)
        assert seen.times_gone(bank) == times
        assert seen.times_gone(bank) == times, "the same loss is counted once"
