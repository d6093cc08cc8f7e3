"""Wan weights under their original names, as ComfyUI's files have them, as a diffusers transformer."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from .weights import read_tensors, transformer_with

PREFIX = "model.diffusion_model."
HEAD_SIZE = 128
"""Numbers of an attention head in every public Wan."""

_WHOLE = {
    "patch_embedding": "patch_embedding",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "img_emb.proj.0": "condition_embedder.image_embedder.norm1",
    "img_emb.proj.1": "condition_embedder.image_embedder.ff.net.0.proj",
    "img_emb.proj.3": "condition_embedder.image_embedder.ff.net.2",
    "img_emb.proj.4": "condition_embedder.image_embedder.norm2",
    "img_emb.emb_pos": "condition_embedder.image_embedder.pos_embed",
    "head.head": "proj_out",
    "head.modulation": "scale_shift_table",
}
_IN_BLOCK = {
    "modulation": "scale_shift_table",
    "norm3": "norm2",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
    **{
        f"{theirs}.{part}": f"{ours}.{name}"
        for theirs, ours in (("self_attn", "attn1"), ("cross_attn", "attn2"))
        for part, name in (
            ("q", "to_q"),
            ("k", "to_k"),
            ("v", "to_v"),
            ("o", "to_out.0"),
            ("norm_q", "norm_q"),
            ("norm_k", "norm_k"),
            ("k_img", "add_k_proj"),
            ("v_img", "add_v_proj"),
            ("norm_k_img", "norm_added_k"),
        )
    },
}
"""Norms without weights have no names: the second of a block is called norm3 there and norm2 here."""

_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


def diffusers_name(name: str) -> str | None:
    """What diffusers calls a weight of an original Wan; None for one that its transformer does not have."""
    found = _BLOCK.fullmatch(name)
    table, rest, front = (_WHOLE, name, "") if found is None else (_IN_BLOCK, found[2], f"blocks.{found[1]}.")
    if rest in table:
        return front + table[rest]
    part, _, kind = rest.rpartition(".")
    return f"{front}{table[part]}.{kind}" if part in table and kind in ("weight", "bias") else None


def original_name(name: str) -> str:
    """What an original Wan calls a layer or weight of a diffusers transformer's blocks, such as blocks.0.attn1.to_q.

    Raises KeyError for anything else.
    """
    found = _BLOCK.fullmatch(name)
    assert found is not None, name
    back = {ours: theirs for theirs, ours in _IN_BLOCK.items()}
    return f"blocks.{found[1]}.{back[found[2]]}"


def config_of(weights: Mapping[str, Tensor], options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Arguments of ``WanTransformer3DModel`` for original weights, by their names and the shape of each.

    Args:
        options: what the weights do not show, by ComfyUI's names (``num_heads``), as the metadata of a file has it.

    Raises:
        ValueError: the heads do not divide the width.
    """
    size = weights["patch_embedding.weight"].shape[0]
    heads = int((options or {}).get("num_heads", size // HEAD_SIZE))
    if heads < 1 or size % heads:
        raise ValueError(
            f"The transformer is {size} wide, which makes {heads} heads: expected a divisor. "
            "Give num_heads where heads are not of 128 numbers."
        )
    patch = tuple(weights["patch_embedding.weight"].shape[2:])
    seen = weights.get("img_emb.proj.0.weight")
    positions = weights.get("img_emb.emb_pos")
    layers = {int(found[1]) for found in map(_BLOCK.match, weights) if found}
    return {
        "patch_size": patch,
        "num_attention_heads": heads,
        "attention_head_dim": size // heads,
        "in_channels": weights["patch_embedding.weight"].shape[1],
        "out_channels": weights["head.head.weight"].shape[0] // (patch[0] * patch[1] * patch[2]),
        "text_dim": weights["text_embedding.0.weight"].shape[1],
        "freq_dim": weights["time_embedding.0.weight"].shape[1],
        "ffn_dim": weights["blocks.0.ffn.0.weight"].shape[0],
        "num_layers": len(layers),
        "cross_attn_norm": "blocks.0.norm3.weight" in weights,
        "image_dim": None if seen is None else seen.shape[0],
        "added_kv_proj_dim": size if "blocks.0.cross_attn.k_img.weight" in weights else None,
        "pos_embed_seq_len": None if positions is None else positions.shape[1],
    }


def transformer_from_original(weights: Mapping[str, Tensor], options: Mapping[str, Any] | None = None) -> Any:
    """A diffusers transformer with these weights, each of the shape in the file and the type most of them have; what
    diffusers keeps exact is float32.

    Raises:
        ValueError: a weight that is unknown or missing, or one of a type that only ComfyUI computes with.
    """
    given = {name.removeprefix(PREFIX): value for name, value in weights.items()}
    if any(value.element_size() == 1 for value in given.values()):
        raise ValueError("The weights are quantized to 8 bits: expected float32, float16 or bfloat16. Use that file.")
    names = {name: diffusers_name(name) for name in given}
    if unknown := [name for name, ours in names.items() if ours is None]:
        raise ValueError(
            f"The weights have {unknown[0]!r} and {len(unknown) - 1} more that no plain Wan has: expected a text to "
            "video, image to video or TI2V-5B model that is not quantized. Use ComfyUI for other kinds."
        )
    needed = ("patch_embedding.weight", "head.head.weight", "text_embedding.0.weight", "blocks.0.ffn.0.weight")
    if missing := [name for name in (*needed, "time_embedding.0.weight") if name not in given]:
        raise ValueError(f"The weights lack {missing[0]!r}: this is no Wan, or a part of one. Use the whole file.")
    found = {str(names[name]): value for name, value in given.items()}
    common = Counter(value.dtype for value in found.values()).most_common(1)[0][0]
    return transformer_with(config_of(given, options), found, common)


def transformer_from_file(path: Path) -> Any:
    """The transformer in a safetensors file of ComfyUI's or of Wan's own.

    Raises:
        ValueError: with the file's name, what is wrong with it and what to do.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
        weights = dict(read_tensors(path))
        options = json.loads(metadata.get("config", "{}")).get("transformer", {})
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}. Use a whole safetensors file of a Wan model.") from error
    try:
        return transformer_from_original(weights, options)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
