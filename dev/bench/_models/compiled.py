"""Whether a film with a memory is the same when the network is compiled by ComfyUI's own node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ....memory.bank.bank import Bank
from ....memory.cameras.presets import make_preset
from ....memory.retrieval.settings import RetrievalSettings
from .loaded import Loaded, load_echo, load_wan

T2V, TI2V = "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.2_ti2v_5B_fp16.safetensors"
I2V = "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors"
SIDE, FRAMES = 64, 9
BACKENDS = ("eager", "inductor")
CLOSE = 1e-3
"""Of the largest number of a latent: below it two programs round differently, above it they are two films."""

Rows = dict[str, Callable[[], Loaded]]


def rows(folder: Path) -> Rows:
    """What is compiled: each way in which a memory enters a Wan."""

    def routed(file: str) -> Loaded:
        from dataclasses import replace

        from ....kernels import MocSettings
        from ....models.moc.patch import RoutingOptions, routed_model

        loaded = load_wan(folder, file)
        return replace(loaded, model=routed_model(loaded.model, RoutingOptions(MocSettings(top_k=1))))

    return {
        "context frames": lambda: load_wan(folder, T2V),
        "known pictures": lambda: load_wan(folder, I2V),
        "clean time": lambda: load_wan(folder, TI2V),
        "camera layers": lambda: load_echo(folder, T2V),
        "StoryMem": lambda: load_wan(folder, I2V, story="StoryMem"),
        "Memento": lambda: load_wan(folder, I2V, story="Memento"),
        "routed": lambda: routed(T2V),
    }


def differences(folder: Path) -> dict[str, float]:
    """For each row and backend the largest difference of a film of three segments, compiled or not, over the largest
    number of its latents."""
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    found = {}
    for name, load in rows(folder / "models").items():
        loaded = load()
        expected = latents(folder, loaded, loaded.model)
        size = max(float(one.abs().max()) for one in expected)
        for backend in BACKENDS:
            torch._dynamo.reset()
            compiled = TorchCompileModel.execute(loaded.model, backend).result[0]
            made = latents(folder, loaded, compiled)
            worst = max(float((one - two).abs().max()) for one, two in zip(made, expected, strict=True))
            found[f"{name}, {backend}"] = worst / size
    return found


def latents(folder: Path, loaded: Loaded, model: Any) -> list[torch.Tensor]:
    """The latents of a film of three segments, each of which looks back."""
    import tempfile

    import comfy.samplers

    from ....film.loop import generate_shot
    from ....film.plan import ShotPlan
    from ....models.registry import adapter_for

    found: list[torch.Tensor] = []

    class Kept:
        """The VAE, which keeps what it decodes."""

        def __getattr__(self, name: str) -> Any:
            return getattr(loaded.vae, name)

        def decode(self, latent: torch.Tensor) -> Any:
            found.append(latent.clone())
            return loaded.vae.decode(latent)

    path = make_preset("pan", frames=3 * FRAMES - 2, fps=16.0, amount=60.0, fov=70.0, aspect=1.0)
    with tempfile.TemporaryDirectory(dir=folder) as banks:
        bank = Bank.create(Path(banks), "film")
        plan = ShotPlan(
            model=model, vae=Kept(), positive=loaded.positive, negative=None,
            sampler=comfy.samplers.sampler_object("euler"), sigmas=torch.tensor([1.0, 0.6, 0.0]), seed=3, cfg=1.0,
            trajectory=path, retriever=RetrievalSettings(k=4), segment_frames=FRAMES, width=SIDE, height=SIDE,
        )  # fmt: skip
        for _ in generate_shot(bank.empty(), plan, adapter_for(plan.model)):
            pass
    return found
