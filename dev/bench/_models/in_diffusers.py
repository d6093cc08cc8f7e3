"""The same tiny weights in diffusers: how far its transformers' answers are from ComfyUI's, with context frames.

The transformers are diffusers' own. Told apart from it, as in ``SceneMemoryPipeline``, are only the places in time of
the context frames, for which its RoPE has no argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .loaded import WHOLE_PROMPT, text
from .memory import prepared_of, segment_of
from .shots import CONTEXT, Studio

VACE_PARTS = {"before_proj": "proj_in", "after_proj": "proj_out"}


def largest_error(studio: Studio) -> float:
    """The largest difference between diffusers and ComfyUI in what the network answers, over the steps of a segment
    with context frames, for each MODEL of a pair."""
    whole = replace(studio.loaded, positive=[[text(0, WHOLE_PROMPT), {}]], negative=[[text(1, WHOLE_PROMPT), {}]])
    ready = prepared_of(whole, segment_of(studio, CONTEXT))
    models = [ready.model or studio.loaded.model, ready.low_noise]
    pairs = zip([model for model in models if model is not None], studio.loaded.files, strict=True)
    return max(_error(studio, replace(ready, model=model, low_noise=None), path) for model, path in pairs)


def _error(studio: Studio, ready: Any, path: Path) -> float:
    from ....pipeline.forward import predict
    from ....pipeline.original import transformer_from_file
    from ....pipeline.rope import with_memory

    calls = calls_of(studio, ready)
    if "vace_context" in calls[0]:
        transformer = vace_transformer(path)
        answers = (_vace(transformer, call) for call in calls)
    else:
        transformer = with_memory(transformer_from_file(path))
        context = _context(ready, calls[0]["x"].shape[2])
        answers = (
            predict(
                transformer,
                call["x"],
                call["t"],
                call["text"],
                image=call["clip"],
                context=context,
                level=call["level"],
            )
            for call in calls
        )
    with torch.inference_mode():
        errors = [float((ours - call["out"]).abs().max()) for ours, call in zip(answers, calls, strict=True)]
    return max(errors)


def calls_of(studio: Studio, ready: Any) -> list[dict[str, Any]]:
    """What the host asked its network at each step, before anything of ours saw it, and the answer."""
    import comfy.patcher_extension

    from ....models.host.sampling import sample

    seen: list[dict[str, Any]] = []

    def watch(executor: Any, x: Any, t: Any, text: Any, clip: Any, concat: Any, options: Any, **more: Any) -> Any:
        level = float(options["sigmas"].flatten()[0])
        given = {"x": x.clone(), "t": t.clone(), "text": text.clone(), "clip": clip, "level": level}
        given |= {name: more[name].clone() for name in ("vace_context",) if name in more}
        result = executor(x, t, text, clip, concat, options, **more)
        seen.append({**given, "out": result.clone()})
        return result

    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    watched = ready.model.clone()
    watched.wrappers[kind] = {"before": [watch], **watched.wrappers.get(kind, {})}
    once = replace(ready, model=watched)
    sample(watched, once, studio.sampler, studio.sigmas(), cfg=1.0, seed=1, on_step=lambda step, x0: None)
    return seen


def _context(ready: Any, own: int) -> Any:
    """The context frames that the conditioning carries, as the pipeline takes them; None where it carries none."""
    from ....models.wan.context import CONTEXT as CARRIED
    from ....models.wan.context import PLAN
    from ....pipeline.forward import Context

    carried = ready.positive[0][1].get("model_conds", {})
    if CARRIED not in carried:
        return None
    latents, noise, *_ = carried[CARRIED].cond
    plan = carried[PLAN].cond
    return Context(latents, tuple(plan.positions.at(own)), plan.times, noise)


def vace_transformer(path: Path) -> Any:
    """diffusers' VACE with the weights of an original file."""
    import json

    from diffusers import WanVACETransformer3DModel
    from safetensors import safe_open
    from safetensors.torch import load_file

    from ....pipeline.original import config_of

    weights = load_file(path)
    with safe_open(str(path), framework="pt") as file:
        told = json.loads((file.metadata() or {}).get("config", "{}")).get("transformer", {})
    config = config_of(weights, told)
    extra = sorted({int(name.split(".")[1]) for name in weights if name.startswith("vace_blocks.")})
    layers = list(range(0, config["num_layers"], config["num_layers"] // len(extra)))
    wide = weights["vace_patch_embedding.weight"].shape[1]
    network = WanVACETransformer3DModel(**config, vace_layers=layers, vace_in_channels=wide)
    network.load_state_dict(vace_names(weights))
    return network.eval()


def vace_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of an original VACE under the names of diffusers."""
    from ....pipeline.original import diffusers_name

    found = {}
    for name, value in weights.items():
        parts = name.split(".")
        if name.startswith("vace_blocks."):
            if parts[2] in VACE_PARTS:
                name = ".".join([*parts[:2], VACE_PARTS[parts[2]], *parts[3:]])
            else:
                name = f"vace_{diffusers_name(name.removeprefix('vace_'))}"
        elif parts[0] != "vace_patch_embedding":
            name = str(diffusers_name(name))
        found[name] = value
    return found


def _vace(transformer: Any, call: dict[str, Any]) -> Tensor:
    given = {"hidden_states": call["x"], "timestep": call["t"], "encoder_hidden_states": call["text"]}
    made: Tensor = transformer(**given, control_hidden_states=call["vace_context"][:, 0], return_dict=False)[0]
    return made
