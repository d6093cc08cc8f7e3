"""Load World Model: the bundled model as MODEL, CLIP and VAE."""

from __future__ import annotations

from comfy_api.latest import io

from ...models.world.loader import load_world_model
from .. import folders
from ..types import CATEGORY


class LoadWorldModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryLoadWorldModel",
            display_name="Load World Model",
            category=f"{CATEGORY}/world model",
            description="Loads the small world model that comes with SceneMemory. It paints little rooms and "
            "landscapes from a caption and a camera path, on any computer: for trying, teaching and testing.",
            search_aliases=["bundled model", "tiny video model", "checkpoint"],
            inputs=[
                io.Combo.Input(
                    "weights",
                    options=folders.world_models(),
                    default=folders.BUNDLED,
                    tooltip="Which world model to load. 'bundled' comes with the pack; others are your own trainings "
                    "in models/scene_memory. Recommended: bundled.",
                )
            ],
            outputs=[
                io.Model.Output(tooltip="The world model. Works with the Shot Generator and with stock samplers."),
                io.Clip.Output(tooltip="Its caption encoder, for CLIP Text Encode."),
                io.Vae.Output(tooltip="Its VAE: the model paints pixels, so this loses nothing."),
            ],
        )

    @classmethod
    def execute(cls, weights: str) -> io.NodeOutput:
        return io.NodeOutput(*load_world_model(folders.world_model(weights)))
