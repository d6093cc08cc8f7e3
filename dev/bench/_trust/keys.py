"""Whether finished segments are found again: after a refactoring, after settings that change nothing, beside others.

As a script, `python keys.py PACK COMFYUI BANK PACKS` films in a new process and prints how much of it was made anew.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PACKS = Path(__file__).with_name("other_packs")
SEGMENT, SEGMENTS, SIDE = 4, 4, 36
MOVES = {
    "models.world.adapter": "adapter_of_the_world",
    "models.moc.patch": "routing",
    "models.world.diffusion": "network",
    "kernels.settings": "choices",
    "memory.retrieval.settings": "asked",
    "world.network": "layers",
}
"""Modules that are called something else after the refactoring."""

HOST = ("model_base", "model_patcher", "model_sampling", "samplers", "sd", "conds", "latent_formats", "ops",
        "patcher_extension", "k_diffusion/sampling", "ldm/modules/attention", "ldm/wan/model")  # fmt: skip
"""Of ComfyUI's modules those that are refactored, too."""

IDLE: dict[str, dict[str, Any]] = {
    "min_overlap": {"min_overlap": 0.2},
    "far_share": {"far_share": 0.3},
    "seed": {"seed": 5},
    "all": {"min_overlap": 0.2, "far_share": 0.3, "seed": 5},
}
"""Settings of FOV Retriever that `coverage` does not look at."""


def figures() -> dict[str, float]:
    """Counts over real films and models, each of which should be 0.

    Returns:
        remade_after_refactor: of the segments of a film with routed attention and a patch of another pack, those that
        are made anew in a new process by a copy of the pack in another folder, with other messages, other names of
        locals and modules of other names, on a ComfyUI that was treated likewise. remade_after_idle_change: of a film
        by coverage those made anew after each of IDLE. identity_unstable: of the ways in which artists load and patch
        a MODEL (`beside.rows`) those whose identity is another after sampling, when built anew or in a new process.
    """
    with on_the_host() as comfyui, tempfile.TemporaryDirectory(prefix="keys") as place:
        folder = Path(place)
        filmed_anew(ROOT, comfyui, folder / "banks", PACKS)
        return {
            "remade_after_refactor": refactored_film(comfyui, folder, folder / "banks"),
            "remade_after_idle_change": idle_changes(folder / "idle"),
            "identity_unstable": len(unstable(comfyui, folder / "models")),
        }


def refactored_film(comfyui: Path, folder: Path, banks: Path) -> int:
    """Segments that a refactored copy makes of a film that is in the bank."""
    pack, host, packs = refactored_pack(folder / "elsewhere"), refactored_host(comfyui, folder), folder / "other.packs"
    shutil.copytree(PACKS, packs, ignore=shutil.ignore_patterns("__pycache__"))
    return filmed_anew(pack, comfyui, banks, packs, host)


def refactored_pack(folder: Path) -> Path:
    """A copy of the pack as it may be after an afternoon's work, in a folder of another name."""
    from .refactored import copy_refactored

    pack = folder / "another name"
    names = (path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file())
    shipped = ("__init__.py", "film/", "models/", "kernels/", "memory/", "world/", "nodes/", "dev/", "web/")
    copy_refactored(
        ROOT, [name for name in names if name.startswith(shipped) and "__pycache__" not in name], pack, MOVES
    )
    return pack


def refactored_host(comfyui: Path, folder: Path) -> Path:
    """A folder with ComfyUI's own package after the same treatment, to be found before the true one."""
    from .refactored import refactored

    host = folder / "host"
    shutil.copytree(comfyui / "comfy", host / "comfy", ignore=shutil.ignore_patterns("__pycache__"))
    for name in HOST:
        path = host / "comfy" / f"{name}.py"
        path.write_text(refactored(path.read_text(encoding="utf-8"), [], {}), encoding="utf-8")
    return host


def filmed_anew(pack: Path, comfyui: Path, banks: Path, packs: Path, host: Path | None = None) -> int:
    """Segments that a new process makes of the film in ``banks``."""
    command = [sys.executable, str(Path(__file__).resolve()), str(pack), str(comfyui), str(banks), str(packs)]
    done = subprocess.run(
        [*command, str(host or comfyui)],
        env={**os.environ, "PYTHONHASHSEED": "11"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return int(json.loads(done.stdout.strip().splitlines()[-1])["made"])


def idle_changes(folder: Path) -> int:
    """Segments that are made anew after each of IDLE, pictures that differ counted as well."""
    from scene_memory.memory.bank.bank import Bank

    bank, plan = Bank.create(folder, "film"), film_plan(PACKS)
    first, _ = filmed(bank.empty(), plan)
    again = 0
    for change in IDLE.values():
        state, made = filmed(bank.empty(), replace(plan, retriever=replace(plan.retriever, **change)))
        again += made + int((state.read_frames(range(state.frames)) != first.read_frames(range(first.frames))).any())
    return again


def unstable(comfyui: Path, models: Path) -> list[str]:
    """Rows of `beside.rows` that do not keep their identity."""
    from . import beside

    beside.make_files(models)
    command = [sys.executable, str(Path(beside.__file__).resolve()), str(ROOT), str(comfyui), str(models), str(PACKS)]
    elsewhere = json.loads(subprocess.check_output(command, text=True).strip().splitlines()[-1])
    found = []
    for name, make in beside.rows(models).items():
        model = make()
        before = beside.identity_of(model)
        beside.sample(model)
        if len(before) != 64 or {before, beside.identity_of(model), beside.identity_of(make()), elsewhere[name]} != {
            before
        }:
            found.append(name)
    return found


@contextmanager
def on_the_host() -> Iterator[Path]:
    """ComfyUI's folder, importable in this process."""
    from dev.paths import COMFYUI
    from dev.support.pack import load_pack

    comfyui = Path(os.environ.get("COMFYUI_PATH") or COMFYUI)
    sys.path.insert(0, str(comfyui))
    from comfy.cli_args import args

    args.cpu = True
    load_pack()
    try:
        yield comfyui
    finally:
        sys.path.remove(str(comfyui))


def film_plan(packs: Path) -> Any:
    """A film by the bundled world model, routed, with a patch of another pack on it."""
    import comfy.samplers
    import torch

    import scene_memory
    import scene_memory.models.moc.again  # noqa: F401, for the routing, whatever its module is called
    from scene_memory.film.loop import ShotPlan
    from scene_memory.kernels import MocSettings
    from scene_memory.memory.cameras.presets import make_preset
    from scene_memory.models.world.loader import load_world_model

    model, clip, vae = load_world_model()
    routing = sys.modules[find("RoutingOptions", scene_memory.__name__)]
    settings = sys.modules[find("RetrievalSettings", scene_memory.__name__)]
    model = routing.routed_model(
        other_pack(packs, "patches").with_attention(model), routing.RoutingOptions(MocSettings(4))
    )
    return ShotPlan(
        model=model,
        vae=vae,
        positive=clip.encode_from_tokens_scheduled(clip.tokenize("a small room with a red box")),
        negative=None,
        sampler=comfy.samplers.sampler_object("euler_ancestral"),
        sigmas=torch.tensor([1.0, 0.5, 0.0]),
        seed=3,
        cfg=1.0,
        trajectory=make_preset("look around", frames=SEGMENT * SEGMENTS, fps=8.0, amount=300.0, fov=70.0, aspect=1.0),
        retriever=settings.RetrievalSettings(k=6),
        segment_frames=SEGMENT,
        width=SIDE,
        height=SIDE,
    )


def find(name: str, package: str) -> str:
    """The module of the pack that defines a class, wherever it has moved."""
    loaded = {key: getattr(module, name, None) for key, module in sys.modules.items() if key.startswith(package)}
    return str(next(found.__module__ for found in loaded.values() if found is not None))


def other_pack(folder: Path, name: str) -> Any:
    """A module of another pack; see `beside`, which is no module of a package where this file is a script."""
    spec = importlib.util.spec_from_file_location("beside_others", Path(__file__).with_name("beside.py"))
    assert spec is not None and spec.loader is not None
    beside = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(beside)
    return beside.other_pack(folder, name)


def filmed(state: Any, plan: Any) -> tuple[Any, int]:
    """The memory with the film, and how many segments were made for it."""
    import torch

    from scene_memory.film.loop import generate_shot
    from scene_memory.models.registry import adapter_for

    made = 0
    with torch.inference_mode():
        for done in generate_shot(state, plan, adapter_for(plan.model)):
            state, made = done.state, made + done.made
    return state, made


def main() -> None:
    pack, comfyui, banks, packs, host = sys.argv[1:6]
    sys.path[:0] = [host, comfyui]
    sys.path.append(pack)
    from comfy.cli_args import args

    args.cpu = True
    from dev.support.pack import load_pack

    load_pack()
    from scene_memory.memory.bank.bank import Bank

    plan, root = film_plan(Path(packs)), Path(banks)
    bank = Bank.open(root, "film") if Bank.exists(root, "film") else Bank.create(root, "film")
    _, made = filmed(bank.empty(), plan)
    print(json.dumps({"made": made, "of": SEGMENTS}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main()
    else:
        sys.path.append(str(ROOT))
        from dev.support.pack import import_from_pack

        print(json.dumps(import_from_pack("dev.bench._trust.keys").figures(), indent=2))
