"""Processes that film one short shot each, to be killed: `python film_process.py PACK COMFYUI`, then lines on stdin.

    FOLDER<tab>SEGMENTS    films into the bank "film" in FOLDER; answers the process id, and 1 at its end, 0 if killed

Where the system can fork, a film begins at once in a copy of this process, which has the model loaded already.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, SEGMENT = 48, 36, 4


def prepare(pack: str, comfyui: str) -> Any:
    """Everything that a film needs, loaded but not yet used."""
    sys.path[:0] = [comfyui]
    sys.path.append(pack)
    import torch
    from comfy.cli_args import args

    args.cpu = True
    torch.set_num_threads(1)
    from dev.support.pack import load_pack

    load_pack()
    import comfy.samplers

    from scene_memory.film.loop import generate_shot
    from scene_memory.film.plan import ShotPlan
    from scene_memory.memory.bank.bank import Bank
    from scene_memory.memory.cameras.presets import make_preset
    from scene_memory.memory.retrieval.settings import RetrievalSettings
    from scene_memory.models.registry import adapter_for
    from scene_memory.models.world.loader import load_world_model

    model, clip, vae = load_world_model()
    positive = clip.encode_from_tokens_scheduled(clip.tokenize("a small room with a red box"))

    @torch.inference_mode()
    def film(folder: str, segments: int) -> None:
        there = Bank.exists(Path(folder), "film")
        bank = Bank.open(Path(folder), "film") if there else Bank.create(Path(folder), "film")
        path = make_preset(
            "look around", frames=SEGMENT * segments, fps=8.0, amount=200.0, fov=70.0, aspect=WIDTH / HEIGHT
        )
        plan = ShotPlan(
            model=model,
            vae=vae,
            positive=positive,
            negative=None,
            sampler=comfy.samplers.sampler_object("euler"),
            sigmas=torch.tensor([1.0, 0.0]),
            seed=7,
            cfg=1.0,
            trajectory=path,
            retriever=RetrievalSettings(k=4),
            segment_frames=SEGMENT,
            width=WIDTH,
            height=HEIGHT,
        )
        for _ in generate_shot(bank.empty(), plan, adapter_for(plan.model)):
            pass

    return film


def main() -> None:
    if len(sys.argv) > 3:
        prepare(*sys.argv[1:3])(sys.argv[3], int(sys.argv[4]))
        return
    film = prepare(*sys.argv[1:3]) if hasattr(os, "fork") else None
    print("ready", flush=True)
    for line in sys.stdin:
        folder, segments = line.rstrip("\n").split("\t")
        if film is None:
            child = subprocess.Popen([sys.executable, *sys.argv, folder, segments], stdout=subprocess.DEVNULL)
            print(child.pid, flush=True)
            ended = child.wait() == 0
        else:
            pid = os.fork()
            if pid == 0:
                film(folder, int(segments))
                os._exit(0)
            print(pid, flush=True)
            ended = os.waitpid(pid, 0)[1] == 0
        print(int(ended), flush=True)


if __name__ == "__main__":
    main()
