"""Load Story LoRA: StoryMem's and Memento's LoRAs as their authors saved them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.sd
import comfy.utils
import folder_paths
from comfy_api.latest import io

from ...models.story.keyframe_query import query_in, with_query
from ...models.story.options import for_host
from ..messages import say
from ..types import CATEGORY

SUFFIXES = (".safetensors", ".pth")


class LoadStoryLora(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryLoadStoryLora",
            display_name="Load Story LoRA",
            category=f"{CATEGORY}/story",
            description="Puts StoryMem's or Memento's LoRA on a Wan 2.2. Their names and scale are those of another "
            "library, so that the stock LoRA loader finds nothing in them; here both are set right first.",
            search_aliases=["StoryMem", "Memento", "MI2V", "MM2V", "rslora"],
            inputs=[
                io.Model.Input("model", tooltip="One of the pair. Recommended: MODEL of Load Diffusion Model."),
                io.Combo.Input(
                    "lora",
                    options=lora_files(),
                    tooltip="A file in models/loras. Recommended: backbone_high_noise on the high noise model, "
                    "backbone_low_noise on the other.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="How strongly it works. Recommended: 1, as it was trained.",
                ),
            ],
            outputs=[io.Model.Output(tooltip="The model with the LoRA, for Wan Memory Options.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model: Any, lora: str, strength: float) -> io.NodeOutput:
        """Raises ValueError if the file cannot be read or nothing in it fits the model."""
        path = Path(folder_paths.get_full_path_or_raise(folder_name="loras", filename=lora))
        if path.suffix not in SUFFIXES:
            raise ValueError(f"lora is {lora}: {' and '.join(SUFFIXES)} files are read. Download one of these forms.")
        held = _held(path)
        (weights, note), query = for_host(held, path.name), query_in(held, path.name)
        patched, _ = comfy.sd.load_lora_for_models(
            model=model, clip=None, lora=weights, strength_model=strength, strength_clip=0.0
        )
        if _patches(patched) == _patches(model):
            raise ValueError(
                f"Nothing in {path.name} fits this model. Use it on Wan 2.2 A14B: text or image to video as it says."
            )
        if note:
            say(cls, note)
        return io.NodeOutput(patched if query is None else with_query(patched, query))


def _held(path: Path) -> dict[str, Any]:
    """What is in the file. A .pth is read as plain numbers: what it would run is refused by PyTorch."""
    try:
        held: dict[str, Any] = comfy.utils.load_torch_file(ckpt=str(path), safe_load=True)
    except Exception as error:
        raise ValueError(f"{path.name} cannot be read: {error}. Download it anew, as .safetensors.") from error
    return held


def _patches(model: Any) -> int:
    """How many changes of weights a MODEL carries."""
    return sum(map(len, model.patches.values()))


def lora_files() -> list[str]:
    """LoRA files that hold plain numbers, folders with / on every system: a workflow finds them on another one too."""
    names = folder_paths.get_filename_list(folder_name="loras")
    return [Path(name).as_posix() for name in names if name.endswith(SUFFIXES)]
