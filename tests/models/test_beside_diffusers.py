"""Context frames, their cameras and routing all at once: Fun Camera's weights in diffusers agree with ComfyUI.

Diffusers has no Fun Camera. Its transformer is one but for the camera layers, which are written here from their formula
and added to the tokens where the patches are embedded.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from dev.support import tiny_wan

CAMERA = "wan2.2_fun_camera_high_noise_14B_fp8_scaled.safetensors"
CLOSE = 1e-4


def camera_tokens(weights: dict[str, Tensor], rays: Tensor) -> Tensor:
    """Rays (1, 24, T, H, W) as the adapter's addition to the tokens (1, dim, T, H / 16, W / 16)."""

    def layer(name: str, x: Tensor, **more: Any) -> Tensor:
        own = f"control_adapter.{name}"
        return F.conv2d(x, weights[f"{own}.weight"], weights[f"{own}.bias"], **more)

    frames = []
    for frame in rays[0].unbind(1):
        x = layer("conv", F.pixel_unshuffle(frame[None], 8), stride=2)
        inner = layer("residual_blocks.0.conv1", x, padding=1).relu()
        frames.append(x + layer("residual_blocks.0.conv2", inner, padding=1))
    return torch.stack(frames, dim=2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, comfy: Path) -> dict[str, Tensor]:
    return load_file(tiny_wan.make_model(tmp_path_factory.mktemp("cameras"), CAMERA))


@pytest.mark.parametrize("routed", [False, True])
@pytest.mark.parametrize(("times", "kind"), [("same as the segment", "after the segment"), ("clean", "true time")])
def test_with_context_cameras_and_routing_both_say_the_same(
    wan: Any, weights: dict[str, Tensor], times: str, kind: str, routed: bool
) -> None:
    import comfy.patcher_extension

    from scene_memory.kernels import MocSettings
    from scene_memory.models.moc.patch import RoutingOptions, routed_model
    from scene_memory.models.wan.options import WanOptions, with_options
    from scene_memory.pipeline.attention import Routing
    from scene_memory.pipeline.forward import Context, predict
    from scene_memory.pipeline.original import transformer_from_original
    from scene_memory.pipeline.rope import with_memory

    settings = MocSettings(top_k=2)
    model = with_options(wan.model(CAMERA), WanOptions(times=times, positions=kind))
    model = routed_model(model, RoutingOptions(settings)) if routed else model
    ready = wan.prepared(model, wan.segment(model, context=6, begins=True))
    calls: list[dict[str, Any]] = []

    def watch(executor: Any, x: Any, t: Any, text: Any, *rest: Any, **more: Any) -> Any:
        given = {"x": x.clone(), "t": t.clone(), "text": text.clone(), "rays": more["camera_conditions"].clone()}
        result = executor(x, t, text, *rest, **more)
        calls.append({**given, "out": result.clone()})
        return result

    wrapped = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    watched = ready.model.clone()
    watched.wrappers[wrapped] = {"before": [watch], **watched.wrappers[wrapped]}
    wan.step(model, replace(ready, model=watched))

    carried = ready.positive[0][1]["model_conds"]
    latents, noise, seen = carried["scene_memory_context"].cond
    plan = carried["scene_memory_context_plan"].cond
    context = Context(latents, tuple(plan.positions.at(calls[0]["x"].shape[2])), plan.times, noise)
    plain = {name: value for name, value in weights.items() if not name.startswith("control_adapter.")}
    transformer = with_memory(transformer_from_original(plain, tiny_wan.SIZES))

    def worst(routing: Routing | None, rays: Tensor) -> float:
        errors = []
        for call in calls:
            added = camera_tokens(weights, torch.cat([call["rays"], rays], dim=2))
            hook = transformer.patch_embedding.register_forward_hook(lambda _, given, out, added=added: out + added)
            with torch.inference_mode():
                made = predict(transformer, call["x"], call["t"], call["text"], context=context, routing=routing)
            hook.remove()
            errors.append(float((made - call["out"]).abs().max()))
        return max(errors)

    assert len(calls) > 0
    assert worst(Routing(settings) if routed else None, seen) < CLOSE
    assert worst(None if routed else Routing(settings), seen) > CLOSE
    assert worst(Routing(settings) if routed else None, seen.flip(2)) > CLOSE
