"""MoC Sparse Sampler: routed attention on a MODEL, and the SAMPLER and SIGMAS to go with it."""

from __future__ import annotations

import logging
from typing import Any

import comfy.samplers
from comfy_api.latest import io

from ...kernels import MocSettings
from ...models.host.identity import model_kind
from ...models.moc.patch import RoutingOptions, routed_model, routing_report
from ...models.registry import can_be_routed
from ..types import CATEGORY

log = logging.getLogger(__name__)

BACKENDS = ["auto", "portable", "triton"]


class MocSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryMocSampler",
            display_name="MoC Sparse Sampler",
            category=f"{CATEGORY}/models",
            description="Mixture of Contexts: every part of the picture looks only into the few remembered frames that "
            "matter to it, besides the prompt and its own shot. Gives MODEL, SAMPLER and SIGMAS for the Shot Generator "
            "or any stock sampler.",
            search_aliases=["mixture of contexts", "sparse attention", "scheduler", "sigmas"],
            inputs=[
                io.Model.Input("model", tooltip="The model to route. Recommended: the MODEL of Load World Model."),
                io.Boolean.Input(
                    "routing",
                    default=True,
                    tooltip="Off gives the model as it is, attending to every remembered frame. Recommended: on.",
                ),
                io.Int.Input(
                    "top_k",
                    default=5,
                    min=1,
                    max=1000,
                    tooltip="Remembered frames that each part of the picture may look into. With as many as there are, "
                    "nothing is left out. Recommended: 5 (the paper's value).",
                ),
                io.Int.Input(
                    "dense_layers",
                    default=0,
                    min=0,
                    max=200,
                    tooltip="Layers at the start of the model that stay unrouted. Recommended: 0.",
                ),
                io.Combo.Input(
                    "sampler_name",
                    options=comfy.samplers.SAMPLER_NAMES,
                    default="euler",
                    tooltip="The sampling method. Recommended: euler.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=comfy.samplers.SCHEDULER_NAMES,
                    default="simple",
                    tooltip="How the noise falls from step to step. Recommended: simple.",
                ),
                io.Int.Input(
                    "steps", default=2, min=1, max=1000, tooltip="Sampling steps. Recommended: 2 with the world model."
                ),
                io.Int.Input(
                    "switch_on",
                    default=0,
                    min=0,
                    max=10_000_000,
                    optional=True,
                    tooltip="Length of the attention, in tokens, from which it is routed. 0 routes where that is "
                    "expected to be faster, 1 always. Recommended: 0.",
                ),
                io.Int.Input(
                    "chunk_tokens",
                    default=0,
                    min=0,
                    max=1_000_000,
                    optional=True,
                    tooltip="Tokens that are chosen together. 0 takes one remembered frame. Recommended: 0.",
                ),
                io.Int.Input(
                    "anchor_frames",
                    default=0,
                    min=0,
                    max=1000,
                    optional=True,
                    tooltip="Oldest remembered frames that every part of the picture looks into, whatever it chooses. "
                    "Recommended: 0.",
                ),
                io.Int.Input(
                    "dense_steps",
                    default=0,
                    min=0,
                    max=1000,
                    optional=True,
                    tooltip="Sampling steps at the start that stay unrouted. Recommended: 0; 1 to 3 of 20 if the "
                    "composition suffers.",
                ),
                io.Combo.Input(
                    "backend",
                    options=BACKENDS,
                    default="auto",
                    optional=True,
                    tooltip="What computes the routed attention. auto takes Triton on a CUDA device where it runs, and "
                    "ordinary PyTorch elsewhere. Recommended: auto.",
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The model with routed attention."),
                io.Sampler.Output(tooltip="The sampling method."),
                io.Sigmas.Output(tooltip="The noise levels of the steps."),
                io.String.Output(
                    display_name="report", tooltip="What routing leaves out, and the speed-up to expect, by length."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        routing: bool,
        top_k: int,
        dense_layers: int,
        sampler_name: str,
        scheduler: str,
        steps: int,
        switch_on: int = 0,
        chunk_tokens: int = 0,
        anchor_frames: int = 0,
        dense_steps: int = 0,
        backend: str = "auto",
    ) -> io.NodeOutput:
        options = RoutingOptions(
            MocSettings(top_k=top_k), dense_layers, backend, chunk_tokens, anchor_frames, dense_steps, switch_on
        )
        served = can_be_routed(model)
        if routing and not served:
            log.warning("MoC Sparse Sampler cannot route this model (%s) yet: it stays as it is.", model_kind(model))
        routed = routed_model(model, options) if routing else model
        if not routing:
            report = "Routing is off: the model stays as it is."
        elif not served:
            report = f"This model ({model_kind(model)}) cannot be routed yet: it stays as it is."
        else:
            report = routing_report(options)
        sigmas = comfy.samplers.calculate_sigmas(
            model_sampling=model.get_model_object(name="model_sampling"), scheduler_name=scheduler, steps=steps
        )
        return io.NodeOutput(routed, comfy.samplers.sampler_object(name=sampler_name), sigmas.cpu(), report)
