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
STEPS, RATE, OVERFIT_RANK, SHIFT = 400, 1e-2, 64, 30.0
"""Of the training that overfits; a large shift is mostly noise, where the memory matters."""


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


def fresh(stock: Any, kind: str = "t2v") -> Any:
    """A pipeline with tiny random weights, the same each time."""
    from scene_memory.pipeline import SceneMemoryPipeline

    return SceneMemoryPipeline(**stock(kind).components)


def story_plan(**changed: Any) -> Any:
    return plan(objective="memento", subject_share=1.0, begins_share=0.5, **changed)


def with_subject(clips: Any) -> Any:
    return [replace(clip, subject="a red house", shows=tuple(range(0, FRAMES, 2))) for clip in clips]


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
    assert 110 < sum(lesson.captioned for lesson in many) < 190


def exams(out: Path) -> list[list[dict[str, Any]]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["exam"] for line in lines if "exam" in line]


def two_rooms_learned(folder: Path, steps: int) -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]]]:
    """The LoRA of a tiny Wan that has learned two rooms, and the marks of both before and after."""
    from dev.support import two_rooms
    from scene_memory.pipeline import SceneMemoryPipeline
    from scene_memory.pipeline.training import read_clips, train

    two_rooms.write_clips(folder / "clips")
    made = two_rooms.tiny_wan(folder / "clips", through=True)
    pipe, clips = SceneMemoryPipeline(**made.components), read_clips(folder / "clips", 16)
    asked = training(steps, rate=RATE, rank=OVERFIT_RANK, draws=4, exam_every=steps, shift=SHIFT)
    lora = train(pipe, clips, asked, folder / "out")
    before, after = exams(folder / "out")
    return lora, before, after


def test_a_tiny_model_learns_two_rooms_by_looking_at_its_memory(tmp_path: Path) -> None:
    """A quarter of the training below: enough to be lost without the memory, not to know the rooms by it."""
    _, before, after = two_rooms_learned(tmp_path, STEPS // 4)
    for start, end in zip(before, after, strict=True):
        assert abs(start["none"] / start["own"] - 1) < 0.01, "an untrained model looks at nothing"
        assert end["own"] < 0.6 * start["own"] and end["own"] < 0.75 * end["none"]


@pytest.mark.slow
def test_a_tiny_model_overfits_two_rooms_and_tells_them_apart_by_its_memory(tmp_path: Path) -> None:
    """Two rendered rooms, the same camera path, one caption; marks are of noise that the training never saw.

    A model that knows everything of the noise and nothing of the pictures is left with their variance, 1; one that
    knows the pictures and not the noise likewise. Half of the start (2) is where neither is enough. At nothing but
    noise only the memory can say which of the rooms is meant.
    """
    lora, before, after = two_rooms_learned(tmp_path, STEPS)
    for start, end in zip(before, after, strict=True):
        assert end["own"] < 0.4 * start["own"] and end["own"] < 0.7
        assert end["right"] < 0.9 * end["wrong"]
        assert end["other"] > 1.04 * end["own"] and abs(start["other"] / start["own"] - 1) < 0.01
        assert end["other_last"] > 1.05 * end["own_last"]
    assert all(float(layer.up.detach().abs().max()) > 0 for layer in lora.layers.values())


def test_a_training_that_was_stopped_ends_with_the_same_weights(clips: Any, stock: Any, tmp_path: Path) -> None:
    from scene_memory.kernels import MocSettings
    from scene_memory.pipeline import Routing
    from scene_memory.pipeline.training import train

    # Drop-off and drop-in draw from the seed, the step and the layer, so a stop must not change what they draw.
    routed = {"routing": Routing(MocSettings(top_k=1, drop_off=0.5, drop_in=1.0)), "batch": 2}
    whole = train(fresh(stock), clips, training(4, **routed), tmp_path / "whole").weights()
    train(fresh(stock), clips, training(2, **routed), tmp_path / "stopped")
    again = train(fresh(stock), clips, training(4, **routed), tmp_path / "stopped").weights()
    assert all(torch.equal(again[name], weight) for name, weight in whole.items())
    with pytest.raises(ValueError, match="of a training with other settings"):
        train(fresh(stock), clips, training(6, rate=1.0), tmp_path / "stopped")


def test_drop_off_and_drop_in_change_what_a_step_learns_and_follow_the_seed(clips: Any, stock: Any) -> None:
    from scene_memory.kernels import MocSettings
    from scene_memory.pipeline import Routing
    from scene_memory.pipeline.training import Lesson
    from scene_memory.pipeline.training.loss import Captions, ClipLatents, lesson_loss

    pipe = fresh(stock)
    captions, latents = Captions.of_clips(pipe, clips), ClipLatents(pipe.vae, clips)
    lesson = Lesson(0, 6, 5, (0, 2, 4, 6, 13), True, True)

    def loss(seed: int, **drop: float) -> float:
        asked = training(1, routing=Routing(MocSettings(top_k=2, **drop)), draws=2)
        with torch.no_grad():
            return float(lesson_loss(pipe, pipe.transformer, latents, lesson, captions, asked, seed, 0.9).shot)

    plain = [loss(seed) for seed in range(4)]
    for drop in ({"drop_off": 1.0}, {"drop_in": 2.0}):
        drawn = [loss(seed, **drop) for seed in range(4)]
        assert drawn != plain and drawn == [loss(seed, **drop) for seed in range(4)], drop


def test_mementos_lessons_know_the_past_only(clips: Any) -> None:
    from scene_memory.pipeline.training import Shot, draw_lesson

    told = with_subject(clips)
    cameras = [clip.cameras() for clip in told]
    drawn = [draw_lesson(told, cameras, story_plan(), np.random.default_rng(seed)) for seed in range(80)]
    for lesson in drawn:
        assert lesson.first >= 4 and 1 <= len(lesson.context) <= 3 and max(lesson.context) < lesson.first
        assert lesson.subject is not None and lesson.subject < lesson.first and lesson.subject % 2 == 0
    assert 20 < sum(lesson.begins for lesson in drawn) < 60, "with the first picture and without"
    short = [
        draw_lesson(told, cameras, story_plan(recent_share=1.0), np.random.default_rng(seed)) for seed in range(30)
    ]
    assert all(lesson.subject is None and min(lesson.context) >= lesson.first - 5 for lesson in short)
    cut = [replace(clip, shots=(Shot(0, 7, "one"), Shot(7, FRAMES, "two"))) for clip in told]
    firsts = {draw_lesson(cut, cameras, story_plan(), np.random.default_rng(seed)).first for seed in range(40)}
    assert firsts <= set(range(7, 12)) and len(firsts) > 2, "no segment over a cut"
    assert cut[0].caption(6) == "one" and cut[0].caption(7) == "two"


def test_equation_8_is_the_shot_and_the_weighted_subject(clips: Any, stock: Any, tmp_path: Path) -> None:
    """Recomputed from two calls: the shot never sees the subject, so without one it has the same loss."""
    from scene_memory.pipeline.training import Lesson, train
    from scene_memory.pipeline.training.loss import Captions, ClipLatents, lesson_loss

    told, pipe = with_subject(clips), fresh(stock, "i2v")
    captions, latents = Captions.of_clips(pipe, told), ClipLatents(pipe.vae, told)
    asked = training(4, lessons=story_plan(), subject_weight=0.5, draws=2)
    lesson = Lesson(0, 8, 5, (0, 3, 6), True, True, 4)

    def learned(**changed: Any) -> Any:
        one = replace(lesson, **changed)
        with torch.no_grad():
            return lesson_loss(pipe, pipe.transformer, latents, one, captions, asked, 5, 0.8)

    both, shot = learned(), learned(subject=None)
    assert shot.subject is None and both.subject > 0
    assert float(both.total(0.5)) == pytest.approx(float(both.shot) + 0.5 * float(both.subject))
    assert float(shot.total(0.5)) == float(shot.shot)
    other = learned(context_clip=1)
    assert float(other.subject) != pytest.approx(float(both.subject), rel=1e-3), "the subject sees the memory"
    untold = learned(subject_captioned=False)
    assert float(untold.subject) != pytest.approx(float(both.subject), rel=1e-5), "and its own text"
    assert float(learned(begins=False).shot) != pytest.approx(float(both.shot), rel=1e-4), "with and without a picture"
    train(pipe, told, replace(asked, exam_every=2), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all(line["subject"] > 0 for line in lines if "loss" in line)
    marks = exams(tmp_path)
    assert len(marks) == 3 and marks[-1][0]["subject"] < marks[0][0]["subject"]
    with pytest.raises(ValueError, match="cannot be routed"):
        from scene_memory.pipeline import Routing

        replace(asked, routing=Routing())


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
    shots = home / "shots.json"
    (home / "frames" / "frame_3.png").write_bytes((home / "frames" / "frame_4.png").read_bytes())
    for wrong in ('[{"first": 1}]', '[{"first": 0}, {"first": 99}]', "{}", "no"):
        shots.write_text(wrong, encoding="utf-8")
        with pytest.raises(ValueError, match="shots.json.*rising from 0"):
            read_clips(tmp_path, 16)
    shots.write_text('[{"first": 0, "caption": "a"}, {"first": 9}]', encoding="utf-8")
    (home / "subject.txt").write_text("a boat", encoding="utf-8")
    (home / "subject_frames.txt").write_text("0-3, 7", encoding="utf-8")
    (read,) = read_clips(tmp_path, 16)
    assert read.shows == (0, 1, 2, 3, 7) and [shot.stop for shot in read.shots] == [9, 16]
    (home / "subject_frames.txt").write_text("12-16", encoding="utf-8")
    with pytest.raises(ValueError, match="no frames of a clip of 16"):
        read_clips(tmp_path, 16)
    (home / "trajectory.json").unlink()
    with pytest.raises(ValueError, match="0 files trajectory"):
        read_clips(tmp_path, 16)
    with pytest.raises(ValueError, match="frames is 81, but the longest shot has 16. Use 13"):
        draw_lesson(clips, [], replace(plan(), frames=81), np.random.default_rng(0))
    with pytest.raises(ValueError, match="part is 'transformer_2', which this folder does not have"):
        train(fresh(stock), clips, training(1, part="transformer_2"), tmp_path)
    with pytest.raises(ValueError, match="layers is 'some'.*Use attention"):
        train(fresh(stock), clips, training(1, layers="some"), tmp_path)


def test_the_command_line_trains_from_folders(folder: Any, tmp_path: Path) -> None:
    from scene_memory.pipeline.training.train import main

    written(tmp_path / "clips", "one", (0, 9))
    words = ["--model", str(folder("ti2v")), "--clips", str(tmp_path / "clips"), "--out", str(tmp_path / "out")]
    words += ["--steps", "1", "--frames", "5", "--context", "2", "--rank", "2", "--device", "cpu", "--top-k", "1"]
    assert main(words) == 0
    assert (tmp_path / "out" / "lora.safetensors").is_file() and (tmp_path / "out" / "state.safetensors").is_file()
    assert main([*words[:1], str(tmp_path), *words[2:]]) == 1
    (tmp_path / "clips" / "one" / "subject.txt").write_text("a house", encoding="utf-8")
    story = [*words[:5], str(tmp_path / "story"), *words[6:-2], "--objective", "memento", "--exam-every", "1"]
    assert main(story) == 0 and exams(tmp_path / "story")[-1][0]["clip"] == "one"
    assert main([*words, "--draws", "0"]) == 1
