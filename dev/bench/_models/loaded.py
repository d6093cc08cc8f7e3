"""Tiny models of every family, through ComfyUI's own loaders, ready for Shot Generator and for the stock nodes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from dev.support import tiny_wan

WORDS, WHOLE_PROMPT = 6, 512
"""Tokens of a prompt: about as few beside the tokens of a tiny segment as the 512 that the host's UMT5 fills it up to
are beside those of a real one; and these 512, which diffusers counts on."""

SEEN = (1, 257, 1280)
"""What CLIP vision H tells of a picture."""

WIDE = {"dim": 1536, "ffn_dim": 8960}
WIDE_SIZES: dict[str, Any] = {"num_heads": 12, "text_dim": tiny_wan.TEXT_DIM, "freq_dim": 256}
"""Wan 1.3B's: a tiny width would weigh tokens too little beside latents, prompts and camera rays."""

ECHO = {"times": "same as the segment", "positions": "after the segment"}


@dataclass(frozen=True, eq=False)
class Loaded:
    """A family's MODEL with its options, as Shot Generator is given it, and what goes with it.

    plain: the same for a shot without memory. bare, low: the MODELs alone, for the stock nodes. files: of bare and low.
    clip_vision: what looks at the first picture, where the family is told.
    """

    model: Any
    plain: Any
    bare: Any
    vae: Any
    positive: list[Any]
    negative: list[Any]
    low: Any = None
    files: tuple[Path, ...] = ()
    clip_vision: Any = None


class SameView:
    """In the place of CLIP vision H, which has 632 million weights in its only size: tells the same of any picture."""

    def encode_image(self, image: Any, crop: bool = True) -> Any:
        import comfy.clip_vision

        output = comfy.clip_vision.Output()
        output.penultimate_hidden_states = torch.randn(*SEEN, generator=torch.Generator().manual_seed(3))
        return output


def load_wan(folder: Path, file: str, low: str = "", story: str = "", sees: bool = False, **options: Any) -> Loaded:
    """A Wan of the public file's kind.

    Args:
        low: file of the low noise model. story: StoryMem or Memento, the latter with a subject. sees: whether it is
            told of the first picture by CLIP vision. options: of ``WanOptions``.
    """
    paths = tuple(tiny_wan.make_model(folder, name) for name in (file, low) if name)
    bare, *rest = map(_model, paths)
    vae = _vae(folder, bare)
    view = SameView() if sees else None
    model = _with_options(bare, story, low_noise=rest[0] if rest else None, clip_vision=view, **options)
    positive, negative = ([[text(seed), {}]] for seed in range(2))
    return Loaded(model, model, bare, vae, positive, negative, rest[0] if rest else None, paths, view)


def load_echo(folder: Path, file: str) -> Loaded:
    """A file like Echo-Memory's: a Wan 2.1 text to video with camera layers in front of every block.

    Without memory it is taken without these layers, as the stock loader takes it.
    """
    path = folder / "echo" / "context_k1.safetensors"
    weights = load_file(tiny_wan.make_model(folder, file))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights | _camera_layers(tiny_wan.DIM, 2), path, metadata=metadata(tiny_wan.SIZES))
    bare = _model(path)
    plain = _with_options(bare, "", **ECHO)
    positive, negative = ([[text(seed), {}]] for seed in range(2))
    return Loaded(_with_layers(plain, path), plain, bare, _vae(folder, bare), positive, negative, files=(path,))


def wide_wan(folder: Path, file: str, low: str = "", story: str = "", sees: bool = False, **options: Any) -> Any:
    """The MODEL of ``load_wan`` with one layer, as wide as that of Wan 1.3B, and without a low noise model.

    CLIP vision is left out: its 257 tokens are nothing in a real segment and most of a tiny one.
    """
    import comfy.sd

    weights = _wide_weights(file)
    bare = comfy.sd.load_diffusion_model_state_dict(weights, metadata=metadata(WIDE_SIZES))
    return _with_options(bare, story, **options)


def wide_echo(folder: Path, file: str) -> Any:
    """The MODEL of ``load_echo`` with one layer, as wide as that of Wan 1.3B."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "wide camera layers.safetensors"
    save_file(_camera_layers(WIDE["dim"], 1), path)
    return _with_layers(wide_wan(folder, file, **ECHO), path)


def _with_options(model: Any, story: str, **options: Any) -> Any:
    from ....models.story.options import MEMENTO, StoryOptions, with_story
    from ....models.wan.options import WanOptions, with_options

    patched = with_options(model, WanOptions(**options))
    if not story:
        return patched
    subject, nothing = (text(seed) if story == MEMENTO else None for seed in (2, 3))
    return with_story(patched, StoryOptions(story, subject=subject, no_subject=nothing))


def _with_layers(model: Any, path: Path) -> Any:
    from ....models.wan.camera_layers import ATTACHMENT, read_camera_layers

    marked = model.clone()
    marked.set_attachments(ATTACHMENT, read_camera_layers(path, model))
    return marked


def _wide_weights(file: str) -> dict[str, torch.Tensor]:
    import comfy.ldm.wan.model as wan
    import comfy.ops

    known = tiny_wan.MODELS[file]
    network = getattr(wan, known.network)(
        in_dim=known.in_dim, out_dim=known.out_dim, num_layers=1, operations=comfy.ops.disable_weight_init,
        **known.built_with, **WIDE, **WIDE_SIZES,
    )  # fmt: skip
    return tiny_wan.random_weights(network, 0)


def _camera_layers(dim: int, blocks: int) -> dict[str, torch.Tensor]:
    random, found = torch.Generator().manual_seed(3), {}
    for block in range(blocks):
        own = f"blocks.{block}."
        shapes = {"action_mlp.proj": (dim, 12)} | {f"self_attn_with_action.{part}": (dim, dim) for part in "qkvo"}
        for name, shape in shapes.items():
            found[f"{own}{name}.weight"] = torch.randn(shape, generator=random) / shape[1] ** 0.5
            found[f"{own}{name}.bias"] = 0.1 * torch.randn(dim, generator=random)
        for part in ("norm_q", "norm_k"):
            found[f"{own}self_attn_with_action.{part}.weight"] = torch.ones(dim)
    return found


def metadata(sizes: dict[str, Any], part: str = "transformer") -> dict[str, str]:
    """What a file says of a network's sizes."""
    return {"config": json.dumps({part: sizes})}


def load_world(folder: Path) -> Loaded:
    """The bundled world model with its own weights."""
    from ....models.world.loader import load_world_model

    model, clip, vae = load_world_model()
    prompts: list[Any] = [
        clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in ("a room with a red floor", "dim")
    ]
    return Loaded(model, model, model, vae, prompts[0], prompts[1])


def wide_world(folder: Path) -> Any:
    """The bundled world model's MODEL: it is as wide as it is."""
    from ....models.world.loader import load_world_model

    return load_world_model()[0]


def _model(path: Path) -> Any:
    import comfy.sd

    return comfy.sd.load_diffusion_model(str(path))


def _vae(folder: Path, model: Any) -> Any:
    import comfy.sd
    import comfy.utils

    name = tiny_wan.VAES[model.model.latent_format.latent_channels == 48]
    weights, metadata = comfy.utils.load_torch_file(str(tiny_wan.make_vae(folder, name)), return_metadata=True)
    return comfy.sd.VAE(sd=weights, metadata=metadata)


def text(seed: int, words: int = WORDS) -> torch.Tensor:
    """A prompt (1, words, width) in place of what UMT5 says."""
    return torch.randn(1, words, tiny_wan.TEXT_DIM, generator=torch.Generator().manual_seed(seed))
