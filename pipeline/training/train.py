"""Context learning on any Wan folder: a LoRA that makes it look at remembered frames. Resumable: run it again.

    python dev.py train-wan --model FOLDER --clips FOLDER --out FOLDER --steps 10000

Writes OUT/lora.safetensors (for ComfyUI and diffusers), OUT/state.safetensors (to resume) and OUT/log.jsonl.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...kernels import MocSettings
from ...memory.retrieval.settings import RetrievalSettings
from ...memory.state.state import MemoryState
from ...models.wan.options import MemoryOptions
from ..attention import Routing
from .clips import Clip, read_clips
from .exam import exam_lessons, examine
from .lessons import CONTEXT, MEMENTO, OBJECTIVES, LessonPlan, Training, draw_lesson
from .lora import TARGETS, LoraLayers, add_lora
from .loss import Captions, ClipLatents, lesson_loss

log = logging.getLogger("pipeline.train")

FORMAT = "scene-memory-wan-lora-1"
BETAS = (0.9, 0.99)


def train(pipe: Any, clips: list[Clip], training: Training, out: Path) -> LoraLayers:
    """Trains a pipeline's transformer, from where OUT/state.safetensors says, and returns its low-rank layers.

    Every random number follows from the seed and the number of the step, so that a training that was stopped ends with
    the same weights as one that was not.

    Raises:
        ValueError: in words that name the field, the file and the cure.
    """
    network = getattr(pipe, training.part, None)
    if network is None or training.part not in ("transformer", "transformer_2"):
        raise ValueError(f"part is {training.part!r}, which this folder does not have. Use transformer.")
    out.mkdir(parents=True, exist_ok=True)
    captions = Captions.of_clips(pipe, clips)
    lora = add_lora(network, training.rank, layers=training.layers, seed=training.seed)
    weights = lora.weights()
    chosen = torch.optim.AdamW(weights.values(), lr=training.rate, betas=BETAS, weight_decay=training.decay)
    begun = _resume(out / "state.safetensors", lora, chosen, training)
    if begun:
        log.info("Goes on from step %d.", begun)
    network.enable_gradient_checkpointing()
    latents = ClipLatents(pipe.vae, clips)
    cameras = [clip.cameras() for clip in clips]
    exam = exam_lessons(clips, training) if training.exam_every else []
    if exam and not begun:
        _note(out, {"step": 0, "exam": examine(pipe, network.eval(), latents, captions, exam, training)})
    network.train()
    for step in range(begun, training.steps):
        line = _learn(pipe, network, latents, cameras, captions, training, step)
        line["gradient"] = float(nn.utils.clip_grad_norm_(weights.values(), 1.0))
        chosen.step()
        chosen.zero_grad(set_to_none=True)
        _note(out, {"step": step + 1, **{name: round(value, 6) for name, value in line.items()}})
        last = step + 1 == training.steps
        if (step + 1) % training.save_every == 0 or last:
            _save(out, lora, chosen, training, step + 1)
            log.info("Step %d of %d: loss %.4f", step + 1, training.steps, line["loss"])
        if exam and ((step + 1) % training.exam_every == 0 or last):
            marks = examine(pipe, network.eval(), latents, captions, exam, training)
            _note(out, {"step": step + 1, "exam": marks})
            log.info("Step %d, at fixed noise: %s", step + 1, json.dumps(marks))
            network.train()
    network.eval()
    return lora


def _learn(
    pipe: Any,
    network: Any,
    latents: ClipLatents,
    cameras: list[MemoryState],
    captions: Captions,
    training: Training,
    step: int,
) -> dict[str, float]:
    """The gradient of one step; returns the mean loss, and the subject's where it was rebuilt."""
    losses, subjects = [], []
    for turn in range(training.batch):
        random = np.random.default_rng([training.seed, step, turn])
        lesson = draw_lesson(latents.clips, cameras, training.lessons, random)
        seed = int(random.integers(2**62))
        learned = lesson_loss(pipe, network, latents, lesson, captions, training, seed)
        loss = learned.total(training.subject_weight)
        (loss / training.batch).backward()
        losses.append(float(loss.detach()))
        if learned.subject is not None:
            subjects.append(float(learned.subject.detach()))
    subject = {"subject": float(np.mean(subjects))} if subjects else {}
    return {"loss": float(np.mean(losses)), **subject}


def _save(out: Path, lora: LoraLayers, chosen: torch.optim.AdamW, training: Training, step: int) -> None:
    found: dict[str, Tensor] = {}
    for name, weight in lora.weights().items():
        found[f"weight/{name}"] = weight.detach().cpu().clone()
        for moment in ("exp_avg", "exp_avg_sq"):
            found[f"{moment}/{name}"] = chosen.state[weight][moment].detach().cpu().clone()
    metadata = {"format": FORMAT, "step": str(step), "training": training.shared_settings()}
    part = out / "state.part"
    save_file(found, part, metadata=metadata)
    part.replace(out / "state.safetensors")
    lora.save(out / "lora.safetensors", {"format": FORMAT, "steps": str(step), "part": training.part})


def _resume(file: Path, lora: LoraLayers, chosen: torch.optim.AdamW, training: Training) -> int:
    """Steps that were taken before; 0 where nothing was saved."""
    if not file.is_file():
        return 0
    try:
        with safe_open(str(file), framework="pt") as opened:
            metadata = opened.metadata() or {}
            found = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except Exception as error:
        raise ValueError(f"{file} cannot be read: {error}. Remove it to begin anew.") from error
    same = _settings(metadata.get("training", "{}")) == _settings(training.shared_settings())
    if metadata.get("format") != FORMAT or not same:
        raise ValueError(f"{file} is of a training with other settings. Use those of before, or another folder.")
    lora.load({name.removeprefix("weight/"): value for name, value in found.items() if name.startswith("weight/")})
    step = int(metadata["step"])
    for name, weight in lora.weights().items():
        state = {moment: found[f"{moment}/{name}"].to(weight.device) for moment in ("exp_avg", "exp_avg_sq")}
        chosen.state[weight] = {"step": torch.tensor(float(step)), **state}
    return step


def _settings(text: str) -> Any:
    """Settings as they were noted; those that an older version did not have are at what it did."""
    noted = json.loads(text)
    lessons = {"objective": CONTEXT, "subject_share": 0.8, **noted.get("lessons", {})}
    return {"draws": 1, "subject_weight": 0.5, **noted, "lessons": lessons}


def _note(out: Path, line: dict[str, Any]) -> None:
    with (out / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def main(argv: Sequence[str]) -> int:
    """The command line."""
    from ..pipeline import SceneMemoryPipeline

    args = _parser().parse_args(argv)
    try:
        training = _training(args)
        kinds = {"vae": torch.float32, "default": torch.bfloat16 if args.device != "cpu" else torch.float32}
        pipe = SceneMemoryPipeline.from_folder(args.model, torch_dtype=kinds)
        clips = read_clips(args.clips, 2 * int(pipe.vae.config.scale_factor_spatial))
        train(pipe.to(args.device), clips, training, args.out)
    except ValueError as error:
        log.error("%s", error)
        return 1
    return 0


def _training(args: argparse.Namespace) -> Training:
    story = args.objective == MEMENTO
    routing = None
    if args.top_k:
        routing = Routing(MocSettings(args.top_k, drop_off=args.drop_off, drop_in=args.drop_in))
    context = args.context or (8 if story else 20)
    shares = {"recent_share": args.recent_share, "silent_share": args.silent_share, "subject_share": args.subject_share}
    plan = LessonPlan(
        args.frames, RetrievalSettings(args.strategy, context), **shares, objective=args.objective,
        empty_share=0.0 if story else args.empty_share, begins_share=0.5 if story else 0.9,
    )  # fmt: skip
    return Training(
        steps=args.steps, seed=args.seed, batch=args.batch, rate=args.rate, rank=args.rank, layers=args.layers,
        part=args.part, shift=args.shift, save_every=args.save_every, routing=routing, lessons=plan,
        options=MemoryOptions(args.times, args.positions), draws=args.draws, subject_weight=args.subject_weight,
        exam_every=args.exam_every,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a Wan folder in diffusers' layout")
    parser.add_argument(
        "--clips", type=Path, required=True, help="a folder of clips: frames/, trajectory.*, caption.txt"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="where the LoRA and what is needed to resume are written"
    )
    parser.add_argument("--steps", type=int, default=10_000, help="steps in all; the paper takes more than 10000")
    parser.add_argument(
        "--objective", default=CONTEXT, choices=OBJECTIVES, help="context: Context-as-Memory; memento: its equation 8"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--frames", type=int, default=81, help="pictures of a segment, 4n+1; 81 is Wan's own")
    parser.add_argument("--context", type=int, default=0, help="context frames; 0 is the papers': 20, for memento 8")
    parser.add_argument(
        "--strategy", default="fov_nonadjacent", help="how context is retrieved; the paper's is default"
    )
    parser.add_argument("--times", default="auto", help="time of context frames, as in Wan Memory Options; "
                        "auto: 'same as the segment' on text to video, and then choose that there too")
    parser.add_argument("--positions", default="auto", help="positions of context frames, as in Wan Memory Options; "
                        "auto: 'after the segment' on text to video, and then choose that there too")
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--layers", default="attention", choices=sorted(TARGETS))
    parser.add_argument("--part", default="transformer", choices=("transformer", "transformer_2"))
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--batch", type=int, default=1, help="lessons a step, one after another")
    parser.add_argument("--draws", type=int, default=1, help="noises of one lesson, at once; more for small models")
    parser.add_argument("--subject-weight", type=float, default=0.5, help="memento: the subject's share of the loss")
    parser.add_argument("--subject-share", type=float, default=0.8, help="memento: lessons that rebuild the subject")
    parser.add_argument("--recent-share", type=float, default=0.1, help="lessons that see the newest frames only")
    parser.add_argument("--empty-share", type=float, default=0.1, help="context: lessons that remember nothing")
    parser.add_argument("--silent-share", type=float, default=0.1, help="lessons without caption")
    parser.add_argument("--exam-every", type=int, default=0, help="steps between examinations at fixed noise; 0: none")
    parser.add_argument("--shift", type=float, default=3.0, help="of the noise levels: 3 for 480p, 5 for 720p")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--top-k", type=int, default=0, help="routes attention to so many chunks; 0 trains it dense")
    parser.add_argument("--drop-off", type=float, default=0.25, help="with --top-k: chosen chunks left out, at most")
    parser.add_argument("--drop-in", type=float, default=1.0, help="with --top-k: random chunks let in, on average")
    return parser
