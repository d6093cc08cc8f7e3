"""Depth models of the host's with random weights, in the files that its own loaders take: Depth Anything 3 and MoGe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .tiny_wan import random_weights, save

DA3, DA3_SKY = "da3_plain.safetensors", "da3_with_sky.safetensors"
MOGE_1, MOGE_2 = "moge_1.safetensors", "moge_2.safetensors"
FOLDER = "geometry_estimation"
BACKBONE = {"hidden_size": 64, "num_attention_heads": 1, "num_hidden_layers": 4, "layer_norm_eps": 1e-6}


def make(models: Path) -> None:
    """The files in the folder of ``models`` where they are not there yet; ComfyUI must be importable."""
    makers = {DA3: lambda: _da3(False), DA3_SKY: lambda: _da3(True), MOGE_1: _moge_1, MOGE_2: _moge_2}
    for seed, (name, network) in enumerate(makers.items()):
        path = models / FOLDER / name
        if not path.is_file():
            made = network()
            # How pictures are prepared is kept as weights, too.
            fixed = {part: value for part, value in made.state_dict().items() if "image_" in part}
            save({**random_weights(made, seed), **fixed}, path, None)


def _da3(sky: bool) -> Any:
    """Of the size that the host takes from the width, 384: 12 layers, but with a narrow head."""
    import comfy.ops
    from comfy.ldm.depth_anything_3.model import DepthAnything3Net

    return DepthAnything3Net(
        backbone_name="vits", out_layers=(5, 7, 9, 11), head_type="dpt", head_dim_in=384, head_output_dim=1,
        head_features=16, head_out_channels=(8, 8, 8, 8), head_use_sky_head=sky,
        operations=comfy.ops.disable_weight_init,
    )  # fmt: skip


def _moge_1() -> Any:
    import comfy.ops
    from comfy.ldm.moge.model import MoGeModelV1

    backbone = {**BACKBONE, "use_swiglu_ffn": False}
    return MoGeModelV1(backbone, dim_upsample=[16, 8, 8], operations=comfy.ops.disable_weight_init)


def _moge_2() -> Any:
    import comfy.ops
    from comfy.ldm.moge.model import MoGeModelV2

    def stack(dim_in: list[int], out: int | None) -> dict[str, Any]:
        return {
            "dim_in": dim_in, "dim_res_blocks": [16] * 5, "dim_out": [None] * 4 + [out], "num_res_blocks": [1] * 5,
            "resamplers": ["bilinear"] * 4, "res_block_in_norm": "none", "res_block_hidden_norm": "none",
        }  # fmt: skip

    encoder = {"backbone": {**BACKBONE, "use_swiglu_ffn": False}, "intermediate_layers": [0, 1, 2, 3], "dim_out": 16}
    heads = [stack([16] * 5, out) for out in (3, 1)]
    return MoGeModelV2(
        encoder, stack([18, 2, 2, 2, 2], 16), *heads, {"dims": [64, 16, 1]}, operations=comfy.ops.disable_weight_init
    )
