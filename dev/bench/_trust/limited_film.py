"""Films in processes of their own, to be killed: `python limited_film.py`, then one JSON request a line on stdin.

The model is loaded once; each film is a copy of that process (fork). A request has `folder`, `seed`, `most` (bytes, 0
for no limit) and `kill_after` (seconds, or null); the answer has `ended`, and if the film came to its end its `id`,
`made` segments, `segments`, `kept` (whether each frame has its picture) and `error`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
WIDTH, HEIGHT, SEGMENT, SEGMENTS = 48, 36, 4, 10

Film = Callable[[str, int, int], dict[str, Any]]


def prepared() -> Film:
    """Everything that a film needs, loaded but not yet used."""
    sys.path.append(str(ROOT))
    from dev.support.pack import import_from_pack

    import_from_pack("dev.bench._host").load_host(cpu=True)
    import comfy.samplers
    import torch

    torch.set_num_threads(1)
    shot, adapter_for = import_from_pack("film.loop"), import_from_pack("models.registry").adapter_for
    bank_of = import_from_pack("memory.bank.bank").Bank
    preset = import_from_pack("memory.cameras.presets").make_preset
    settings = import_from_pack("memory.retrieval.settings").RetrievalSettings
    model, clip, vae = import_from_pack("models.world.loader").load_world_model()
    positive = clip.encode_from_tokens_scheduled(clip.tokenize("a small room with a red box"))

    @torch.inference_mode()
    def film(folder: str, seed: int, most: int) -> dict[str, Any]:
        root = Path(folder)
        bank = (bank_of.open if bank_of.exists(root, "film") else bank_of.create)(root, "film", most or None)
        aspect = WIDTH / HEIGHT
        path = preset("look around", frames=SEGMENT * SEGMENTS, fps=8.0, amount=200.0, fov=70.0, aspect=aspect)
        state, made = bank.empty(), 0
        for number, length in enumerate((6, SEGMENTS - 6)):
            begin = 6 * SEGMENT * number
            plan = shot.ShotPlan(
                model=model, vae=vae, positive=positive, negative=None, sampler=comfy.samplers.sampler_object("euler"),
                sigmas=torch.tensor([1.0, 0.0]), seed=seed + number, cfg=1.0,
                trajectory=path[begin : begin + SEGMENT * length], retriever=settings(k=4), segment_frames=SEGMENT,
                width=WIDTH, height=HEIGHT,
            )  # fmt: skip
            for done in shot.generate_shot(state, plan, adapter_for(plan.model)):
                state, made = done.state, made + done.made
        ids = [state.segments[i].id for i in range(len(state.segments))]
        return {"id": state.id, "made": made, "segments": ids, "kept": bank.kept(state, range(state.frames)).tolist()}

    return film


def answered(film: Film, folder: str, seed: int, most: int, kill_after: float | None) -> dict[str, Any]:
    """Films in a child process, which is killed ``kill_after`` seconds after it began."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            said = film(folder, seed, most)
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        os.write(writer, json.dumps(said).encode())
        os._exit(0)
    os.close(writer)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    return {"ended": bool(text), **(json.loads(text) if text else {})}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.disable(logging.WARNING)
    film = prepared()
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answered(film, **json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
