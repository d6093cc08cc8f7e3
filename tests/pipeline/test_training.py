"""Context learning on two clips with one caption: only the memory can say which of them is meant."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

FRAMES, SIDE = 16, 32
RANK = 16


def written(root: Path, name: str, colours: tuple[int, int], caption: str = "a house by the sea") -> Path:
    """A clip of stripes that move, seen by a camera that turns away and comes back."""
    from scene_memory.memory.camera_files import write_trajectory
    from scene_memory.memory.cameras.presets import make_preset

    home = root / name
    (home / "frames").mkdir(parents=True)
    for number in range(FRAMES):
        stripes = (np.arange(SIDE) + number) // 8 % 2
        picture = np.full((SIDE, SIDE, 3), colours[0], dtype=np.uint8)
        picture[:, stripes == 1] = (colours[1], colours[1], colours[0])
        cv2.imwrite(str(home / "frames" / f"frame_{number}.png"), picture)
    move = make_preset("turn away and come back", frames=FRAMES, fps=16.0, amount=60.0, fov=70.0, aspect=1.0)
    write_trajectory(move, home / "trajectory.json", "SceneMemory JSON")
    (home / "caption.txt").write_text(caption, encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from scene_memory.pipeline.training import read_clips

    root = tmp_path_factory.mktemp("clips")
    written(root, "dark", (20, 40))
    written(root, "bright", (230, 210))
    return read_clips(root, 16)


def plan(**changed: Any) -> Any:
    from scene_memory.memory.retrieval.settings import RetrievalSettings
    from scene_memory.pipeline.training import LessonPlan

    shares = {"recent_share": 0.0, "empty_share": 0.0, "silent_share": 0.0}
    return LessonPlan(5, RetrievalSettings("fov_nonadjacent", k=3), **{**shares, **changed})


def training(steps: int, **changed: Any) -> Any:
    from scene_memory.pipeline.training import Training

    asked = {"rate": 1e-2, "rank": RANK, "layers": "all", "save_every": 1000, "lessons": plan(), "decay": 0.0}
    return Training(steps, **{**asked, **changed})


def fresh(stock: Any, clips: Any) -> Any:
    """A pipeline whose untrained transformer lets through what it is given, as a trained one does at high noise.

    Its patches go into the network and come out again by a rotation and its inverse, so that a LoRA has to learn what
    the memory says and nothing else. Latents have an even scale, channel by channel.
    """
    from diffusers import AutoencoderKLWan, WanTransformer3DModel

    from scene_memory.pipeline import SceneMemoryPipeline
    from scene_memory.pipeline.latents import as_video

    torch.manual_seed(1)
    wide = WanTransformer3DModel(
        num_attention_heads=4, attention_head_dim=24, text_dim=32, freq_dim=32, ffn_dim=96, num_layers=2
    )
    parts = stock("t2v").components
    vae = AutoencoderKLWan(base_dim=4, latents_mean=[0.0] * 16, latents_std=[1.0] * 16)
    vae.load_state_dict(parts["vae"].state_dict())
    frames = [as_video(clip.frames([frame])) for clip in clips for frame in (0, 6, 13)]
    with torch.no_grad():
        rotation = torch.nn.init.orthogonal_(torch.empty(96, 64))
        wide.patch_embedding.weight.copy_(3 * rotation.view(96, 16, 1, 2, 2))
        back = rotation.T.reshape(16, 1, 2, 2, 96).permute(1, 2, 3, 0, 4).reshape(64, 96)
        wide.proj_out.weight.copy_((64 / 96) ** 0.5 * back)
        wide.proj_out.bias.zero_()
        raw = torch.cat([vae.encode(frame).latent_dist.mode() for frame in frames])
    vae.register_to_config(
        latents_mean=raw.mean((0, 2, 3, 4)).tolist(), latents_std=(3 * raw.std((0, 2, 3, 4))).tolist()
    )
    return SceneMemoryPipeline(**{**parts, "vae": vae.eval(), "transformer": wide.eval()})


def test_lessons_follow_algorithm_1(clips: Any) -> None:
    from scene_memory.pipeline.training import draw_lesson

    cameras = [clip.cameras() for clip in clips]
    drawn = [draw_lesson(clips, cameras, plan(), np.random.default_rng(seed)) for seed in range(60)]
    assert {lesson.clip for lesson in drawn} == {0, 1} and len({lesson.first for lesson in drawn}) > 6
    for lesson in drawn:
        inside = set(range(lesson.first, lesson.first + lesson.frames))
        assert lesson.first in lesson.context and not inside & set(lesson.context) - {lesson.first}
        assert list(lesson.context) == sorted(lesson.context) and 1 <= len(lesson.context) <= 3
    assert max(len(lesson.context) for lesson in drawn) == 3
    assert draw_lesson(clips, cameras, plan(), np.random.default_rng(7)) == drawn[7]
    shares = plan(recent_share=0.25, empty_share=0.25, silent_share=0.5)
    many = [draw_lesson(clips, cameras, shares, np.random.default_rng(seed)) for seed in range(300)]
    assert 45 < sum(not lesson.context for lesson in many) < 105
    assert 110 < sum(lesson.told for lesson in many) < 190


def test_a_tiny_model_learns_two_clips_of_one_caption_and_tells_them_apart_by_its_memory(
    clips: Any, stock: Any, tmp_path: Path
) -> None:
    from scene_memory.pipeline.training import Lesson, train
    from scene_memory.pipeline.training.loss import ClipLatents, lesson_loss
    from scene_memory.pipeline.training.train import _captions

    pipe = fresh(stock, clips)
    text, latents, asked = _captions(pipe, clips)[0], ClipLatents(pipe.vae, clips), training(80)
    lessons = [Lesson(clip, 6, 5, (0, 6, 13), True, True) for clip in (0, 1)]

    def losses(swapped: bool) -> float:
        """Mean loss at high noise, where the picture must come from the memory: its own clip's, or the other's."""
        found = []
        for lesson in lessons:
            seen = latents
            if swapped:
                seen = ClipLatents(pipe.vae, clips)
                other = 1 - lesson.clip
                for frame in lesson.context:
                    seen._kept[lesson.clip, frame, 1] = latents.of(other, frame)
            with torch.no_grad():
                found += [
                    float(lesson_loss(pipe, pipe.transformer, seen, lesson, text, asked, seed, 0.95)) for seed in (1, 2)
                ]
        return float(np.mean(found))

    before = losses(False)
    lora = train(pipe, clips, asked, tmp_path)
    own, other = losses(False), losses(True)
    assert own < 0.95 * before and other > 1.2 * own
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 81))
    assert all(float(layer.up.detach().abs().max()) > 0 for layer in lora.layers.values())


def test_a_training_that_was_stopped_ends_with_the_same_weights(clips: Any, stock: Any, tmp_path: Path) -> None:
    from scene_memory.kernels import MocSettings
    from scene_memory.pipeline import Routing
    from scene_memory.pipeline.training import train

    routed = {"routing": Routing(MocSettings(top_k=1, drop_off=0.5, drop_in=1.0)), "batch": 2}
    whole = train(fresh(stock, clips), clips, training(4, **routed), tmp_path / "whole").weights()
    train(fresh(stock, clips), clips, training(2, **routed), tmp_path / "stopped")
    again = train(fresh(stock, clips), clips, training(4, **routed), tmp_path / "stopped").weights()
    assert all(torch.equal(again[name], weight) for name, weight in whole.items())
    with pytest.raises(ValueError, match="of a training with other settings"):
        train(fresh(stock, clips), clips, training(6, rate=1.0), tmp_path / "stopped")


def test_the_lora_works_in_comfyui_as_it_does_here(ours: Any, wan: Any, tmp_path: Path) -> None:
    import comfy.sd
    import comfy.utils

    from scene_memory.pipeline.forward import predict
    from scene_memory.pipeline.original import transformer_from_file
    from scene_memory.pipeline.rope import with_memory
    from scene_memory.pipeline.training import add_lora

    name = "wan2.1_t2v_1.3B_fp16.safetensors"
    model = wan.model(name)
    mine = with_memory(transformer_from_file(wan._models / "diffusion_models" / name))
    lora = add_lora(mine, 4, alpha=8.0, layers="all")
    random = torch.Generator().manual_seed(2)
    for layer in lora.layers.values():
        with torch.no_grad():
            layer.up.copy_(0.1 * torch.randn(layer.up.shape, generator=random))
    lora.save(tmp_path / "lora.safetensors", {})
    loaded = comfy.utils.load_torch_file(str(tmp_path / "lora.safetensors"))
    theirs, _ = comfy.sd.load_lora_for_models(model, None, loaded, 1.0, 0.0)
    assert len(theirs.patches) == len(lora.layers)
    latents, text = torch.randn(1, 16, 2, 4, 4, generator=random), torch.randn(1, 5, 256, generator=random)
    time = torch.tensor([500.0])
    theirs.patch_model()
    try:
        with torch.inference_mode():
            out = theirs.model.diffusion_model(latents, time, text)
            assert torch.allclose(predict(mine, latents, time, text), out, atol=1e-4)
            assert (predict(ours(name), latents, time, text) - out).abs().max() > 1e-2
    finally:
        theirs.unpatch_model()


def test_what_is_wrong_with_clips_and_settings_is_said(clips: Any, stock: Any, tmp_path: Path) -> None:
    from scene_memory.pipeline.training import draw_lesson, read_clips, train

    with pytest.raises(ValueError, match="has no clips. Make a folder a clip"):
        read_clips(tmp_path, 16)
    home = written(tmp_path, "one", (0, 9))
    with pytest.raises(ValueError, match="is 32 x 32: this model takes multiples of 12"):
        read_clips(tmp_path, 12)
    (home / "frames" / "frame_3.png").unlink()
    with pytest.raises(ValueError, match="15 frames, but trajectory.json has 16 cameras"):
        read_clips(tmp_path, 16)
    (home / "trajectory.json").unlink()
    with pytest.raises(ValueError, match="0 files trajectory"):
        read_clips(tmp_path, 16)
    with pytest.raises(ValueError, match="frames is 81, but the longest clip has 16. Use 13"):
        draw_lesson(clips, [], replace(plan(), frames=81), np.random.default_rng(0))
    with pytest.raises(ValueError, match="part is 'transformer_2', which this folder does not have"):
        train(fresh(stock, clips), clips, training(1, part="transformer_2"), tmp_path)
    with pytest.raises(ValueError, match="layers is 'some'.*Use attention"):
        train(fresh(stock, clips), clips, training(1, layers="some"), tmp_path)


def test_the_command_line_trains_from_folders(folder: Any, tmp_path: Path) -> None:
    from scene_memory.pipeline.training.train import main

    written(tmp_path / "clips", "one", (0, 9))
    words = ["--model", str(folder("ti2v")), "--clips", str(tmp_path / "clips"), "--out", str(tmp_path / "out")]
    words += ["--steps", "1", "--frames", "5", "--context", "2", "--rank", "2", "--device", "cpu", "--top-k", "1"]
    assert main(words) == 0
    assert (tmp_path / "out" / "lora.safetensors").is_file() and (tmp_path / "out" / "state.safetensors").is_file()
    assert main([*words[:1], str(tmp_path), *words[2:]]) == 1
