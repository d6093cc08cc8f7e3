"""The same weights in diffusers' Wan, an independent implementation, agree with context frames in the sequence."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dev.support import tiny_wan

T2V, TI2V = "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.2_ti2v_5B_fp16.safetensors"
NAMES = [
    (r"^blocks\.(\d+)\.self_attn\.", r"blocks.\1.attn1."),
    (r"^blocks\.(\d+)\.cross_attn\.", r"blocks.\1.attn2."),
    (r"\.(q|k|v)\.(weight|bias)$", r".to_\1.\2"),
    (r"\.o\.(weight|bias)$", r".to_out.0.\1"),
    (r"^blocks\.(\d+)\.ffn\.0\.", r"blocks.\1.ffn.net.0.proj."),
    (r"^blocks\.(\d+)\.ffn\.2\.", r"blocks.\1.ffn.net.2."),
    (r"^blocks\.(\d+)\.norm3\.", r"blocks.\1.norm2."),
    (r"^blocks\.(\d+)\.modulation$", r"blocks.\1.scale_shift_table"),
    (r"^text_embedding\.0\.", "condition_embedder.text_embedder.linear_1."),
    (r"^text_embedding\.2\.", "condition_embedder.text_embedder.linear_2."),
    (r"^time_embedding\.0\.", "condition_embedder.time_embedder.linear_1."),
    (r"^time_embedding\.2\.", "condition_embedder.time_embedder.linear_2."),
    (r"^time_projection\.1\.", "condition_embedder.time_proj."),
    (r"^head\.head\.", "proj_out."),
    (r"^head\.modulation$", "scale_shift_table"),
]


def theirs(model: Any, folder: Any, name: str) -> Any:
    from diffusers import WanTransformer3DModel

    known = tiny_wan.MODELS[name]
    heads = tiny_wan.SIZES["num_heads"]
    network = WanTransformer3DModel(
        num_attention_heads=heads,
        attention_head_dim=tiny_wan.DIM // heads,
        in_channels=known.in_dim,
        out_channels=known.out_dim,
        text_dim=tiny_wan.TEXT_DIM,
        freq_dim=tiny_wan.SIZES["freq_dim"],
        ffn_dim=2 * tiny_wan.DIM,
        num_layers=2,
    )
    weights = {}
    for key, value in load_file(tiny_wan.make_model(folder, name)).items():
        for pattern, replacement in NAMES:
            key = re.sub(pattern, replacement, key)
        weights[key] = value
    network.load_state_dict(weights)
    return network.eval()


def one_call(wan: Any, model: Any, ready: Any) -> tuple[torch.Tensor, ...]:
    """x, t, text and result of the first call of the network."""
    import comfy.patcher_extension

    made: list[tuple[torch.Tensor, ...]] = []

    def watch(executor: Any, x: Any, t: Any, text: Any, *rest: Any, **more: Any) -> Any:
        result = executor(x, t, text, *rest, **more)
        made.append((x.clone(), t.clone(), text.clone(), result.clone()))
        return result

    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    ready.model.wrappers[kind] = {"before": [watch], **ready.model.wrappers[kind]}
    wan.step(model, ready)
    return made[0]


@pytest.mark.parametrize("context", [1, 3])
@torch.no_grad()
def test_text_to_video_with_context_behind_it(wan: Any, tmp_path: Any, context: int) -> None:
    from scene_memory.models.wan.options import WanOptions, with_options

    model = with_options(wan.model(T2V), WanOptions(times="same as the segment", positions="after the segment"))
    segment = wan.segment(model, context=context)
    x, t, text, ours = one_call(wan, model, wan.prepared(model, segment))
    clean = model.model.process_latent_in(segment.context.latents).flip(2)
    whole = theirs(model, tmp_path, T2V)(torch.cat([x, clean], dim=2), t, text, return_dict=False)[0]
    assert (whole[:, :, : x.shape[2]] - ours).abs().max() < 1e-4
    assert ours.abs().max() > 0.1


@torch.no_grad()
def test_ti2v_5b_with_clean_context_before_it_and_a_known_first_frame(wan: Any, tmp_path: Any) -> None:
    """RoPE is relative: -K to T-1 is 0 to K+T-1. Context and the known frame are at time 0, the rest at its own."""
    model = wan.model(TI2V)
    segment = wan.segment(model, context=3, begins=True)
    x, t, text, ours = one_call(wan, model, wan.prepared(model, segment))
    assert t.shape == (1, 3) and t[0, 0] == 0 and t[0, 1] > 0
    clean = model.model.process_latent_in(segment.context.latents)
    times = torch.cat([torch.zeros(1, 3), t], dim=1).repeat_interleave(x.shape[-2] * x.shape[-1] // 4, dim=1)
    whole = theirs(model, tmp_path, TI2V)(torch.cat([clean, x], dim=2), times, text, return_dict=False)[0]
    assert (whole[:, :, 3:] - ours).abs().max() < 1e-4
