"""What changes nothing in a film makes nothing anew and writes no second file of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from dev.support.server import HostServer


def films(server: HostServer, name: str) -> list[Path]:
    return sorted((server.output / "tests").glob(f"{name}_*.mp4"))


def test_settings_without_effect_make_no_segment_and_no_second_file(server: HostServer, kit: Any) -> None:
    prompt = kit.film("same film", frames=16)
    assert server.client.queue(prompt).ok
    (first,) = films(server, "same film")
    bytes_of_it = first.read_bytes()
    before = len(server.log_text())
    changes = [{"preview_frame": 3}, {"min_overlap": 0.3}, {"far_share": 0.5}, {"seed": 9}]
    for change in changes:
        assert server.client.queue(kit.changed(prompt, "fov", **change)).ok
    told = re.findall(r"(\d+) of (\d+) segments of this shot were in the bank already", server.log_text()[before:])
    assert told == [("2", "2")] * len(changes)
    assert films(server, "same film") == [first] and first.read_bytes() == bytes_of_it


def test_a_file_that_is_gone_or_was_changed_is_written_anew(server: HostServer, kit: Any) -> None:
    prompt = kit.film("same film, lost", frames=8)
    assert server.client.queue(prompt).ok
    (first,) = films(server, "same film, lost")
    os.utime(first, ns=(1, 1))
    assert server.client.queue(kit.changed(prompt, "fov", preview_frame=1)).ok
    assert len(films(server, "same film, lost")) == 2
    for path in films(server, "same film, lost"):
        path.unlink()
    assert server.client.queue(kit.changed(prompt, "fov", preview_frame=2)).ok
    assert len(films(server, "same film, lost")) == 1
    assert server.client.queue(kit.changed(prompt, "video", scale=3)).ok
    assert len(films(server, "same film, lost")) == 2
