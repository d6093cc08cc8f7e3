"""Two posed clips of rooms that differ and a tiny Wan with random weights: `python -m dev.support.two_rooms FOLDER`.

Both clips have the same camera path and the same caption, so that only remembered frames tell which room is meant.
`python dev.py train-wan --model FOLDER/wan --clips FOLDER/clips --out FOLDER/out ...` then trains on them.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

import cv2

from .pack import import_from_pack, load_pack

load_pack()

ROOMS = {"one": 1, "other": 4}
"""Names of the clips, and the seeds of their rooms."""

CAPTION = "a house by the sea"
WORDS = ("<pad>", "</s>", "<unk>", "a", "house", "by", "the", "sea", "garden", "red", "blue")
TEXT_DIM = 32
WIDE = {"num_attention_heads": 4, "attention_head_dim": 24, "ffn_dim": 192, "num_layers": 2}


def write_clips(folder: Path, frames: int = 16, side: int = 32, amount: float = 60.0) -> None:
    """A clip folder for each room: pictures of the bundled renderer, and the path that turns away and comes back."""
    scenes, renderer, presets, files = (
        import_from_pack(name)
        for name in ("world.scenes", "world.render", "memory.cameras.presets", "memory.camera_files")
    )
    path = presets.make_preset("turn away and come back", frames=frames, fps=16.0, amount=amount, fov=70.0, aspect=1.0)
    for name, seed in ROOMS.items():
        home = folder / name
        (home / "frames").mkdir(parents=True)
        scene = scenes.make_scene(seed, "room")
        pictures = renderer.render(scene, path.poses, path.intrinsics, side, side).numpy()
        for number, picture in enumerate(pictures):
            _, data = cv2.imencode(".png", picture[..., ::-1])
            (home / "frames" / f"frame_{number}.png").write_bytes(data.tobytes())
        files.write_trajectory(path, home / "trajectory.json", "SceneMemory JSON")
        (home / "caption.txt").write_text(CAPTION, encoding="utf-8")


def tiny_text() -> tuple[Any, Any]:
    """A tokenizer of a few words and a UMT5 of one layer."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    transformers: Any = importlib.import_module("transformers")
    plain = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    plain.pre_tokenizer = Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )
    config = transformers.UMT5Config(
        vocab_size=len(WORDS), d_model=TEXT_DIM, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0
    )
    return tokenizer, transformers.UMT5EncoderModel(config).eval()


def tiny_wan(clips: Path, seed: int = 0, kind: str = "t2v", through: bool = False, **sizes: int) -> Any:
    """diffusers' WanPipeline with random weights as diffusers draws them; its VAE's statistics are those of the clips.

    Args:
        kind: "t2v", or "i2v" (36 channels in, as Wan 2.2 A14B).
        through: the patches go into the network and come out again by a rotation and its inverse. At high noise a
            trained Wan lets the noise through as well; what is left to learn is the picture.
    """
    import torch

    diffusers: Any = importlib.import_module("diffusers")
    torch.manual_seed(seed)
    tokenizer, text = tiny_text()
    vae = diffusers.AutoencoderKLWan(base_dim=4, latents_mean=[0.0] * 16, latents_std=[1.0] * 16).eval()
    reader, latents = import_from_pack("pipeline.training.clips"), import_from_pack("pipeline.latents")
    with torch.no_grad():
        seen = torch.cat(
            [
                vae.encode(latents.as_video(clip.frames(range(first, first + 5)))).latent_dist.mode()
                for clip in reader.read_clips(clips, 16)
                for first in range(0, len(clip) - 4, 4)
            ]
        )
    vae.register_to_config(
        latents_mean=seen.mean((0, 2, 3, 4)).tolist(), latents_std=seen.std((0, 2, 3, 4)).clamp(min=1e-3).tolist()
    )
    network = diffusers.WanTransformer3DModel(
        in_channels=36 if kind == "i2v" else 16, out_channels=16, text_dim=TEXT_DIM, freq_dim=32, **{**WIDE, **sizes}
    )
    if through:
        _let_through(network)
    return diffusers.WanPipeline(
        tokenizer=tokenizer, text_encoder=text, vae=vae, transformer=network.eval(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )  # fmt: skip


def _let_through(network: Any) -> None:
    import torch

    inner, made = network.proj_out.in_features, network.proj_out.out_features
    rotation = torch.nn.init.orthogonal_(torch.empty(inner, made))
    with torch.no_grad():
        taken = network.patch_embedding.weight
        taken.zero_()
        taken[:, : made // 4] = 3 * rotation.view(inner, made // 4, 1, 2, 2)
        back = rotation.T.reshape(made // 4, 1, 2, 2, inner).permute(1, 2, 3, 0, 4).reshape(made, inner)
        network.proj_out.weight.copy_((made / inner) ** 0.5 * back)
        network.proj_out.bias.zero_()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("two_rooms", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--side", type=int, default=32, help="pixels; a multiple of 16")
    parser.add_argument("--kind", choices=("t2v", "i2v"), default="t2v")
    parser.add_argument("--through", action="store_true", help="patches pass through; see tiny_wan")
    told = parser.parse_args(argv)
    write_clips(told.folder / "clips", told.frames, told.side)
    tiny_wan(told.folder / "clips", kind=told.kind, through=told.through).save_pretrained(told.folder / "wan")
    print(f"{told.folder / 'clips'} and {told.folder / 'wan'} are there.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
