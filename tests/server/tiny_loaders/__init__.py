"""Custom nodes for tests: what the stock loaders know in full size only, of the host's own classes in a small one; and
a patch of a MODEL as other packs make them.

Laid into a test server's custom_nodes beside tiny_h3.py, tiny_ltx.py and tiny_wan.py.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import ComfyExtension, io

from . import tiny_h3, tiny_ltx


class LoadTinyH3(io.ComfyNode):
    """VAE and text encoder of MiniMax H3."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        outputs = [io.Vae.Output(), io.Clip.Output()]
        return io.Schema(node_id="LoadTinyH3", category="tests", inputs=[], outputs=outputs)

    @classmethod
    def execute(cls) -> io.NodeOutput:
        models = Path(folder_paths.models_dir)
        vae = tiny_h3.load_vae(models / "vae" / tiny_h3.VAE)
        return io.NodeOutput(vae, tiny_h3.load_text_encoder(models / "text_encoders" / tiny_h3.TEXT))


class LoadTinyT5(io.ComfyNode):
    """The text encoder of LTX video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="LoadTinyT5", category="tests", inputs=[], outputs=[io.Clip.Output()])

    @classmethod
    def execute(cls) -> io.NodeOutput:
        path = Path(folder_paths.models_dir) / "text_encoders" / tiny_ltx.TEXT
        return io.NodeOutput(tiny_ltx.load_text_encoder(path))


class PatchThatHidesItsState(io.ComfyNode):
    """A patch of attention that counts its calls under a lock, so that nothing can tell what it will do."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs, outputs = [io.Model.Input("model")], [io.Model.Output()]
        return io.Schema(node_id="PatchThatHidesItsState", category="tests", inputs=inputs, outputs=outputs)

    @classmethod
    def execute(cls, model: Any) -> io.NodeOutput:
        patched, counts, lock = model.clone(), [0], threading.Lock()

        def counted(attention: Any, *given: Any, **named: Any) -> Any:
            with lock:
                counts[0] += 1
            return attention(*given, **named)

        options = dict(patched.model_options.get("transformer_options", {}))
        patched.model_options["transformer_options"] = {**options, "optimized_attention_override": counted}
        return io.NodeOutput(patched)


class TinyLoaders(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [LoadTinyH3, LoadTinyT5, PatchThatHidesItsState]


async def comfy_entrypoint() -> TinyLoaders:
    return TinyLoaders()
