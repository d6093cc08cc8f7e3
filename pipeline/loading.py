"""A Wan folder in diffusers' layout, looked at before anything is loaded, so that what is wrong with it is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

KNOWN = ("WanPipeline", "WanImageToVideoPipeline", "SceneMemoryPipeline")
NEEDED = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
WITH_WEIGHTS = ("transformer", "transformer_2", "vae", "text_encoder", "image_encoder")
_CONFIGS = {
    "scheduler": "scheduler_config.json",
    "tokenizer": "tokenizer_config.json",
    "image_processor": "preprocessor_config.json",
}


def check_folder(folder: Path) -> None:
    """Raises ValueError with the folder, the file, the field and the cure where it is no whole Wan folder."""
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}. Give the folder of a Wan model in diffusers' layout.")
    index_file = folder / "model_index.json"
    if not index_file.is_file():
        hint = "Give the folder that has it, not the one above or a single file."
        if next(folder.glob("*.safetensors"), None) is not None:
            hint = "A single ComfyUI file is read with transformer_from_file; a whole folder is needed here."
        raise ValueError(f"{folder} has no model_index.json. {hint}")
    index = _document(index_file)
    kind = index.get("_class_name")
    if kind not in KNOWN:
        raise ValueError(f"{index_file}: _class_name is {kind!r}, expected {', '.join(KNOWN)}. Use a Wan folder.")
    for part in NEEDED:
        if not _named(index, part):
            raise ValueError(f"{index_file}: {part} is not named. Use a whole Wan folder.")
    parts = [part for part in (*NEEDED, "transformer_2", "image_encoder", "image_processor") if _named(index, part)]
    for part in parts:
        _check_part(folder, part)
    ratio = index.get("boundary_ratio")
    if "transformer_2" in parts and not (isinstance(ratio, int | float) and 0.0 < ratio < 1.0):
        raise ValueError(
            f"{index_file}: boundary_ratio is {ratio!r}, but there is a transformer_2: expected a number between 0 and "
            "1. Use 0.875 for text to video, 0.9 for image to video."
        )


def _named(index: dict[str, Any], part: str) -> bool:
    entry = index.get(part)
    return isinstance(entry, list) and len(entry) == 2 and all(entry)


def _check_part(folder: Path, part: str) -> None:
    home = folder / part
    if not home.is_dir():
        raise ValueError(f"{folder} has no folder {part!r}, which model_index.json names. Copy the whole model again.")
    config = home / _CONFIGS.get(part, "config.json")
    if not config.is_file():
        raise ValueError(f"{home} has no {config.name}. Copy the whole model again.")
    _document(config)
    if part not in WITH_WEIGHTS:
        return
    lists = sorted(home.glob("*.safetensors.index.json"))
    if lists:
        pieces = sorted(set(_document(lists[0]).get("weight_map", {}).values()))
        for piece in pieces:
            if not (home / str(piece)).is_file():
                raise ValueError(
                    f"{home} has no {piece}, one of {len(pieces)} files that {lists[0].name} names. Copy it again."
                )
    elif next(home.glob("*.safetensors"), None) is None:
        raise ValueError(f"{home} has no .safetensors file. Copy the weights, or convert them to safetensors.")


def _document(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} cannot be read as JSON: {error}. Copy the file again.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file} holds {type(found).__name__}, expected an object. Copy the file again.")
    return found
