"""A custom node for tests: MiniMax H3's VAE and text encoder, of the host's own classes in a small size.

The stock loaders know these two in their full size only. Laid into a test server's custom_nodes beside tiny_h3.py.
"""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import ComfyExtension, io

from . import tiny_h3


class LoadTinyH3(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        outputs = [io.Vae.Output(), io.Clip.Output()]
        return io.Schema(node_id="LoadTinyH3", category="tests", inputs=[], outputs=outputs)

    @classmethod
    def execute(cls) -> io.NodeOutput:
        models = Path(folder_paths.models_dir)
        vae = tiny_h3.load_vae(models / "vae" / tiny_h3.VAE)
        return io.NodeOutput(vae, tiny_h3.load_text_encoder(models / "text_encoders" / tiny_h3.TEXT))


class TinyH3(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [LoadTinyH3]


async def comfy_entrypoint() -> TinyH3:
    return TinyH3()
