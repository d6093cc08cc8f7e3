"""What artists load and wire beside a memory, each built anew: `python beside.py PACK COMFYUI FOLDER PACKS`
prints the identity of each as JSON. FOLDER holds the model files, PACKS the modules of other packs."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

T2V = "wan2.1_t2v_1.3B_fp16.safetensors"
PACKS = Path(__file__).with_name("other_packs")
DTYPES = ("float16", "bfloat16", "float8_e4m3fn")


def other_pack(folder: Path, name: str) -> Any:
    """A module of another pack, under the name that the host gives it: its whole path."""
    named = f"{folder / name}".replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(named, folder / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[named] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_files(models: Path) -> None:
    """The tiny Wan as it is, and in the types that files come in."""
    import torch
    from safetensors.torch import load_file, save_file

    from dev.support import tiny_wan

    whole = load_file(tiny_wan.make_model(models, T2V))
    config = json.dumps({"transformer": tiny_wan.SIZES})
    for name in DTYPES:
        kind = getattr(torch, name)
        cast = {key: weight.to(kind) if weight.ndim > 1 else weight for key, weight in whole.items()}
        save_file(cast, models / f"{name}.safetensors", {"config": config})


def rows(models: Path, packs: Path = PACKS) -> dict[str, Callable[[], Any]]:
    """How each MODEL is made."""
    import comfy.sd
    import torch

    patches, packed = other_pack(packs, "patches"), other_pack(packs, "packed")

    def plain(name: str = T2V) -> Any:
        return comfy.sd.load_diffusion_model(str(models / name))

    def with_lora(model: Any) -> Any:
        patched, network = model.clone(), model.model.diffusion_model
        names = [name for name, _ in network.named_parameters() if name.endswith("ffn.0.weight")]
        size = (network.ffn_dim, network.dim)
        added = {f"diffusion_model.{name}": ("diff", (torch.full(size, 1 / 64),)) for name in names}
        patched.add_patches(added, 0.5)
        return patched

    def compiled(model: Any) -> Any:
        from comfy_extras.nodes_torch_compile import TorchCompileModel

        return TorchCompileModel.execute(model, "eager").result[0]

    def easy_cache(model: Any) -> Any:
        from comfy_extras.nodes_easycache import EasyCacheNode

        return EasyCacheNode.execute(model, 0.2, 0.15, 0.95, False).result[0]

    def shifted(model: Any) -> Any:
        from comfy_extras.nodes_model_advanced import ModelSamplingSD3

        return ModelSamplingSD3().patch(model, 5.0)[0]

    def routed(model: Any) -> Any:
        from scene_memory.kernels import MocSettings
        from scene_memory.models.moc.patch import RoutingOptions, routed_model

        return routed_model(model, RoutingOptions(MocSettings(top_k=3)))

    made: dict[str, Callable[[], Any]] = {"plain": plain}
    made |= {name: lambda name=name: plain(f"{name}.safetensors") for name in DTYPES}  # type: ignore[misc]
    made |= {
        "packed": lambda: packed.load(models / T2V),
        "packed, LoRA": lambda: with_lora(packed.load(models / T2V)),
        "LoRA": lambda: with_lora(plain()),
        "shift": lambda: shifted(plain()),
        "routed attention": lambda: routed(plain()),
        "attention of another pack": lambda: patches.with_attention(plain()),
        "attention of another pack, routed": lambda: routed(patches.with_attention(plain())),
        "torch.compile": lambda: compiled(plain()),
        "torch.compile, LoRA, routed": lambda: compiled(routed(with_lora(plain()))),
        "guided attention": lambda: patches.with_guidance(plain()),
        "NAG": lambda: patches.with_nag(plain(), torch.linspace(-1.0, 1.0, 7 * 64).reshape(1, 7, 64)),
        "feed-forward in chunks": lambda: patches.with_chunks(plain()),
        "a layer exchanged": lambda: patches.with_layer(plain()),
        "all patches": lambda: patches.with_attention(patches.with_chunks(patches.with_guidance(with_lora(plain())))),
        "EasyCache": lambda: easy_cache(plain()),
    }
    return made


def identity_of(model: Any) -> str:
    from scene_memory.film.identity import NoIdentity
    from scene_memory.models.host.identity import shot_key

    try:
        return shot_key(model=model).shared
    except NoIdentity as nothing:
        return f"none: {nothing}"


def sample(model: Any) -> None:
    """One step of the host's sampler along a segment without a past."""
    import comfy.samplers
    import torch

    text = torch.linspace(-1.0, 1.0, 4 * 256).reshape(1, 4, 256)
    guider = comfy.samplers.CFGGuider(model)
    guider.inner_set_conds({"positive": [[text, {}]]})
    with torch.inference_mode():
        noise = torch.linspace(-1.0, 1.0, 16 * 2 * 64).reshape(1, 16, 2, 8, 8)
        made = guider.sample(noise, torch.zeros_like(noise), comfy.samplers.sampler_object("euler"),
                             torch.tensor([0.7, 0.4]), disable_pbar=True, seed=1)  # fmt: skip
    if not torch.isfinite(made).all():
        raise ValueError("what was sampled is no number")


def main() -> None:
    pack, comfyui, models, packs = sys.argv[1:5]
    sys.path[:0] = [comfyui]
    sys.path.append(pack)
    from comfy.cli_args import args

    args.cpu = True
    from dev.support.pack import load_pack

    load_pack()
    found = {name: identity_of(make()) for name, make in rows(Path(models), Path(packs)).items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
