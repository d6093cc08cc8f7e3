"""A MODEL is the same before it is sampled, after, when it is built anew, and in a new process: else a film that was
stopped is made from its beginning."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from scene_memory.dev.bench._trust import beside
from scene_memory.dev.bench._trust.beside import PACKS, identity_of, make_files, rows

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def models(comfy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_files(folder)
    return folder


@pytest.fixture(scope="module")
def made(models: Path) -> dict[str, Callable[[], Any]]:
    return rows(models)


@pytest.fixture(scope="module")
def elsewhere(models: Path, comfy: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a new process says, with the other packs in another folder."""
    packs = tmp_path_factory.mktemp("moved.here") / "packs"
    shutil.copytree(PACKS, packs, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, str(Path(beside.__file__)), str(ROOT), str(comfy), str(models)]
    done = subprocess.run(
        [*command, str(packs)], env={**os.environ, "PYTHONHASHSEED": "5"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


NAMES = (
    "plain", "float16", "bfloat16", "float8_e4m3fn", "packed", "packed, LoRA", "LoRA", "shift", "routed attention",
    "attention of another pack", "attention of another pack, routed", "torch.compile", "torch.compile, LoRA, routed",
    "guided attention", "NAG", "feed-forward in chunks", "a layer exchanged", "all patches", "EasyCache",
)  # fmt: skip


COMPILED = {name for name in NAMES if "compile" in name}
"""To sample these takes half a minute each: that is for -m slow."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in COMPILED else ()) for name in NAMES]
)
def test_a_model_stays_the_same(
    wan: Any, made: dict[str, Callable[[], Any]], elsewhere: dict[str, str], name: str
) -> None:
    torch._dynamo.reset()
    model = made[name]()
    before = identity_of(model)
    assert len(before) == 64, before
    assert torch.isfinite(wan.step(model, wan.prepared(model, wan.segment(model, 5, 1)))).all()
    assert {"after": identity_of(model), "built anew": identity_of(made[name]()), "elsewhere": elsewhere[name]} == {
        "after": before, "built anew": before, "elsewhere": before,
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_a_compiled_model_is_the_same_before_it_is_sampled(
    made: dict[str, Callable[[], Any]], elsewhere: dict[str, str], name: str
) -> None:
    first, anew = identity_of(made[name]()), identity_of(made[name]())
    assert len(first) == 64 and first == anew == elsewhere[name]


def test_they_are_told_apart(elsewhere: dict[str, str]) -> None:
    assert set(elsewhere) == set(NAMES) and len(set(elsewhere.values())) == len(NAMES)
