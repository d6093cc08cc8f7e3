"""MiniMax H3 with memory: the numbers of the host's own nodes for the same pictures, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

SIDE, FRAMES = 64, 22
TEXT = "a room, the camera turns to the left"


class H3Kit:
    """A tiny H3 from files, and segments for it."""

    def __init__(self, models: Path) -> None:
        import comfy.sd

        from dev.support import tiny_h3

        tiny_h3.make(models)
        self.model, self.references = (
            comfy.sd.load_diffusion_model(str(models / "diffusion_models" / name))
            for name in (tiny_h3.MODEL, tiny_h3.REFERENCES)
        )
        self.vae = tiny_h3.load_vae(models / "vae" / tiny_h3.VAE)
        self.clip = tiny_h3.load_text_encoder(models / "text_encoders" / tiny_h3.TEXT)

    def prompt(self, **changed: Any) -> Any:
        from scene_memory.models.minimax.prompt import H3Prompt, encoded

        with torch.inference_mode():
            return encoded(H3Prompt(self.clip, TEXT, **changed))

    def prepared(self, segment: Any, positive: Any, negative: Any = None) -> Any:
        from scene_memory.models.registry import adapter_for

        with torch.inference_mode():
            return adapter_for(self.model).prepare(self.model, positive, negative, segment, self.vae)

    def sampled(self, ready: Any, cfg: float = 1.0) -> torch.Tensor:
        import comfy.samplers

        from scene_memory.models.host.sampling import sample

        with torch.inference_mode():
            return sample(
                self.model, ready, comfy.samplers.sampler_object("euler"), torch.tensor([0.9, 0.5, 0.0]),
                cfg=cfg, seed=11, on_step=lambda step, x0: None,
            )  # fmt: skip


@pytest.fixture(scope="module")
def h3(comfy: Path, tmp_path_factory: pytest.TempPathFactory) -> H3Kit:
    return H3Kit(tmp_path_factory.mktemp("h3"))


def segment(context: tuple[int, ...] = (), begins: bool = False, frames: int = FRAMES) -> Any:
    """A pan from frame 20 of a path, remembering frames of it that were numbered so, each a random picture."""
    from scene_memory.film.segment import ContextFrames, Segment
    from scene_memory.memory.cameras.presets import make_preset

    pick = np.random.default_rng(3)
    path = make_preset("pan", frames=60, fps=24.0, amount=60.0, fov=70.0, aspect=1.0)
    pictures = pick.integers(0, 256, (60, SIDE, SIDE, 3), dtype=np.uint8)
    places = list(context)
    seen = (
        ContextFrames(pictures[places], path.poses[places], path.intrinsics[places], None, context) if places else None
    )
    return Segment(path[20 : 20 + frames], SIDE, SIDE, seen, pictures[20] if begins else None, 20)


def image(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture)[None].float() / 255


@torch.inference_mode()
def stock_keyframes(h3: H3Kit, **frames: Any) -> tuple[Any, Any]:
    from comfy_extras.nodes_minimax_h3 import MiniMaxH3ImageToVideo

    conditioning, latent = MiniMaxH3ImageToVideo.execute(h3.clip, h3.vae, TEXT, SIDE, SIDE, FRAMES, **frames).args
    return conditioning, latent


@torch.inference_mode()
def stock_references(h3: H3Kit, text: str, pictures: list[np.ndarray], size: str = "match") -> Any:
    from comfy_extras.nodes_minimax_h3 import MiniMaxH3ReferenceToVideo

    given = {f"ref_image_{number}": image(one) for number, one in enumerate(pictures)}
    return MiniMaxH3ReferenceToVideo.execute(
        h3.clip, h3.vae, None, text, SIDE, SIDE, FRAMES, ref_image_size=size, ref_images=given
    ).args[0]


@torch.inference_mode()
def stock_latents(h3: H3Kit, positive: Any, latent: Any) -> list[torch.Tensor]:
    """Pictures and sound that the host's own sampler makes."""
    import comfy.sample
    import comfy.samplers

    guider = comfy.samplers.CFGGuider(h3.model)
    guider.set_conds(positive, positive)
    guider.set_cfg(1.0)
    noise = comfy.sample.prepare_noise(latent["samples"], 11)
    sampler = comfy.samplers.sampler_object("euler")
    return list(guider.sample(noise, latent["samples"], sampler, torch.tensor([0.9, 0.5, 0.0]), seed=11).unbind())


def same(ours: Any, theirs: Any) -> None:
    """Conditioning that says the same, bit for bit; ours also carries its prompt."""
    from scene_memory.models.minimax.prompt import PROMPT_KEY

    assert len(ours) == len(theirs)
    for (text, values), (stock_text, stock_values) in zip(ours, theirs, strict=True):
        assert torch.equal(text, stock_text)
        _equal({name: held for name, held in values.items() if name != PROMPT_KEY}, stock_values)


def _equal(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, torch.Tensor):
        assert torch.equal(ours, theirs)
    elif isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for name in theirs:
            _equal(ours[name], theirs[name])
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            _equal(one, other)
    else:
        assert ours == theirs


def test_without_memory_it_is_the_stock_graph_bit_for_bit(h3: H3Kit) -> None:
    ready = h3.prepared(segment(), h3.prompt())
    positive, latent = stock_keyframes(h3)
    same(ready.positive, positive)
    video, sound = stock_latents(h3, positive, latent)
    made = h3.sampled(ready)
    assert torch.equal(made, video) and made.std() > 0.1
    assert sound.shape == (1, 32, 2, 37)
    assert h3.vae.decode(made).shape == (1, FRAMES, SIDE, SIDE, 3)


def test_a_segment_that_goes_on_begins_with_the_newest_frame_as_keyframe(h3: H3Kit) -> None:
    part = segment((2, 9), begins=True)
    ready = h3.prepared(part, h3.prompt())
    positive, latent = stock_keyframes(h3, first_frame=image(part.begins_with))
    same(ready.positive, positive)
    made = h3.sampled(ready)
    assert torch.equal(made, stock_latents(h3, positive, latent)[0])
    assert not torch.equal(made, h3.sampled(h3.prepared(segment(), h3.prompt()))), "the keyframe is seen"


def test_a_frame_that_was_taken_where_the_segment_ends_is_its_last_keyframe(h3: H3Kit) -> None:
    part = segment((2, 42, 59), begins=True)
    ready = h3.prepared(part, h3.prompt())
    last = image(part.context.pixels[1])
    same(ready.positive, stock_keyframes(h3, first_frame=image(part.begins_with), last_frame=last)[0])


def test_a_camera_that_ends_where_it_began_has_no_last_keyframe() -> None:
    from scene_memory.memory.cameras.trajectory import Trajectory
    from scene_memory.models.minimax.adapter import frame_at_the_end

    part = segment((2, 42), begins=True)
    path = part.trajectory
    assert frame_at_the_end(part) == 1
    there_and_back = Trajectory(
        np.concatenate([path.poses, path.poses[::-1]]), np.concatenate([path.intrinsics] * 2), path.fps
    )
    assert frame_at_the_end(replace(part, trajectory=there_and_back)) is None
    nearer = replace(part.context, intrinsics=part.context.intrinsics * 2)
    assert frame_at_the_end(replace(part, context=nearer)) is None, "another lens is another picture"


@pytest.mark.parametrize("size", ["match", "max"])
def test_after_a_cut_remembered_frames_are_the_stock_references_the_newest_first(h3: H3Kit, size: str) -> None:
    part = segment((2, 9, 15))
    words = "The same place as in <Picture 1>."
    ready = h3.prepared(part, h3.prompt(with_references=words, reference_size=size))
    positive = stock_references(h3, f"{words} {TEXT}", list(part.context.pixels[::-1]), size)
    same(ready.positive, positive)
    made = h3.sampled(ready)
    assert torch.equal(made, stock_latents(h3, positive, stock_keyframes(h3)[1])[0])
    other = replace(part, context=replace(part.context, pixels=255 - part.context.pixels))
    assert not torch.equal(made, h3.sampled(h3.prepared(other, h3.prompt(with_references=words))))


def test_references_can_be_had_in_every_segment(h3: H3Kit) -> None:
    part = segment((2, 9), begins=True)
    ready = h3.prepared(part, h3.prompt(references="always"))
    same(ready.positive, stock_references(h3, TEXT, list(part.context.pixels[::-1])))


def test_segments_with_references_are_sampled_by_the_model_for_references(h3: H3Kit) -> None:
    positive = h3.prompt(references_model=h3.references)
    assert h3.prepared(segment(), positive).model is None
    assert h3.prepared(segment((2, 9), begins=True), positive).model.model is h3.model.model
    ready = h3.prepared(segment((2, 9)), positive)
    assert ready.model.model is h3.references.model
    assert not torch.equal(h3.sampled(ready), h3.sampled(h3.prepared(segment((2, 9)), h3.prompt())))


def test_the_host_makes_room_for_the_pictures(h3: H3Kit) -> None:
    import comfy.sampler_helpers

    from scene_memory.models.minimax.adapter import reckon_pictures

    ready = h3.prepared(segment((2, 9)), h3.prompt())
    (text, values), *_ = ready.positive
    latents = [reference["latent"] for reference in values["minimax_refs"]]
    pictured = int((values["minimax_token_tags"] == 0).sum())
    assert len(latents) == 2 and 0 < pictured < text.shape[1]
    asked: list[Any] = []
    conds = {"positive": comfy.sampler_helpers.convert_cond(ready.positive), "negative": [{}]}
    reckon_pictures(lambda model, shape, given: asked.append(shape), h3.model, (1, 1, 4096), conds)
    # A token is a patch of 2 x 2 latents of 24 numbers.
    assert asked == [[1, 1, 4096 + 2 * latents[0].numel() + 96 * pictured]]
    assert h3.model.wrappers == {} and ready.model.wrappers["prepare_sampling"]


def test_a_negative_prompt_of_its_own_sees_the_pictures_too_and_a_plain_one_stays_plain(h3: H3Kit) -> None:
    part = segment((2, 9))
    carried = h3.prompt()
    plain = stock_keyframes(h3)[0]
    ready = h3.prepared(part, carried, carried)
    same(ready.negative, stock_references(h3, TEXT, list(part.context.pixels[::-1])))
    ready = h3.prepared(part, carried, plain)
    assert ready.negative is plain
    assert bool(torch.isfinite(h3.sampled(ready, cfg=3.0)).all())


def test_what_other_nodes_said_of_a_prompt_stays_and_inputs_are_not_changed(h3: H3Kit) -> None:
    import node_helpers

    carried = h3.prompt()
    ranged = [
        *node_helpers.conditioning_set_values(carried, {"start_percent": 0.0, "end_percent": 0.4}),
        *node_helpers.conditioning_set_values(carried, {"start_percent": 0.4, "end_percent": 1.0}),
    ]
    before = [dict(values) for _, values in ranged]
    ready = h3.prepared(segment((2, 9)), ranged)
    assert [values["end_percent"] for _, values in ready.positive] == [0.4, 1.0]
    assert all(len(values["minimax_refs"]) == 2 for _, values in ready.positive)
    assert [dict(values) for _, values in ranged] == before


def test_the_host_cannot_take_references_and_keyframes_at_once(h3: H3Kit) -> None:
    """Why a segment has one or the other. If the host learns it, this fails, and the adapter can do better."""
    part = segment((2, 9), begins=True)
    first = stock_keyframes(h3, first_frame=image(part.begins_with))
    references = stock_references(h3, TEXT, list(part.context.pixels))
    both = [[references[0][0], {**first[0][0][1], **references[0][1]}]]
    with pytest.raises(RuntimeError, match="shape mismatch"):
        stock_latents(h3, both, first[1])


def passing(frames: int = 90, at: tuple[int, ...] = (0, 25, 45, 60)) -> Any:
    """A pan that begins with the newest frame and passes cameras of remembered frames."""
    from scene_memory.film.segment import ContextFrames, Segment
    from scene_memory.memory.cameras.presets import make_preset

    path = make_preset("pan", frames=frames, fps=24.0, amount=80.0, fov=70.0, aspect=1.0, easing="even")
    pictures = np.random.default_rng(3).integers(0, 256, (len(at), SIDE, SIDE, 3), dtype=np.uint8)
    places = list(at)
    seen = ContextFrames(pictures, path.poses[places], path.intrinsics[places], None, tuple(range(len(at))))
    return Segment(path, SIDE, SIDE, seen, pictures[0], 200)


def test_remembered_frames_that_the_path_passes_apart_from_each_other_and_from_its_ends() -> None:
    from scene_memory.models.minimax.adapter import frames_on_the_way

    assert frames_on_the_way(passing()) == [(1, 25), (2, 45)], "60 lies too near to 45"
    assert frames_on_the_way(passing(at=(5, 80))) == [], "too near to the ends"
    assert len(frames_on_the_way(passing(124, at=(20, 40, 60, 80)))) == 3
    other = passing()
    lens = other.context.intrinsics * [1.5, 1.5, 1.0, 1.0]
    assert frames_on_the_way(replace(other, context=replace(other.context, intrinsics=lens))) == []


def test_a_host_without_guides_is_told_what_it_can_take(h3: H3Kit) -> None:
    from scene_memory.models.minimax.adapter import _GUIDE

    assert not _GUIDE.is_there, "ComfyUI 0.30 has no Add Guide for MiniMax H3"
    told = h3.prepared(passing(), h3.prompt()).positive[0][1]
    assert [one["resolved_frame_index"] for one in told["minimax_keyframes"]] == [0]


def test_a_host_with_guides_anchors_what_the_path_passes(h3: H3Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add Guide for MiniMax H3 as ComfyUI has had it since 0.33: names and result of its public signature. What is told
    is compared; the network of ComfyUI 0.30 itself takes no keyframe between the ends."""
    import comfy_extras.nodes_minimax_h3 as host
    import node_helpers
    from comfy_api.latest import io

    from scene_memory.models.host import calls as host_nodes

    class MiniMaxH3AddGuide:
        @classmethod
        def execute(cls, positive: Any, latent: Any, frame_idx: int, vae: Any = None, audio_vae: Any = None,
                    image: Any = None, audio: Any = None) -> Any:  # fmt: skip
            assert latent["samples"].is_nested
            known = list(positive[0][1].get("minimax_keyframes", []))
            known.append({"resolved_frame_index": frame_idx, "latent": vae.encode(image)})
            return io.NodeOutput(node_helpers.conditioning_set_values(positive, {"minimax_keyframes": known}))

    monkeypatch.setattr(host, "MiniMaxH3AddGuide", MiniMaxH3AddGuide, raising=False)
    host_nodes._problem.cache_clear()
    try:
        ready = h3.prepared(passing(), h3.prompt())
        found = ready.positive[0][1]["minimax_keyframes"]
        assert [one["resolved_frame_index"] for one in found] == [0, 25, 45]
        pictures = passing().context.pixels
        assert torch.equal(found[1]["latent"], h3.vae.encode(image(pictures[1])))
        both = h3.prepared(passing(), h3.prompt(references="always")).positive[0][1]
        assert [one["resolved_frame_index"] for one in both["minimax_keyframes"]] == [0] and both["minimax_refs"]
    finally:
        host_nodes._problem.cache_clear()


def test_the_key_of_a_shot_knows_the_prompt_and_its_text_encoder(h3: H3Kit) -> None:
    from scene_memory.models.host.identity import identity

    def key(**changed: Any) -> str:
        return identity().add("conditioning", h3.prompt(**changed)).hexdigest()

    assert key() == key()
    assert len({key(), key(references="always"), key(with_references="Here."), key(reference_size="max")}) == 4


def test_lengths_are_those_of_the_model(h3: H3Kit) -> None:
    from scene_memory.models.registry import adapter_for

    adapter = adapter_for(h3.model)
    assert adapter.segment_lengths(300, 0) == [124, 123, 53]
    assert adapter.segment_lengths(43, 22, continues=True) == [21, 21, 1]
    assert [adapter.made_for(frames) for frames in (2, 22, 23, 124)] == [22, 22, 39, 124]
    with pytest.raises(ValueError, match=r"17n\+5.*Use 124"):
        adapter.segment_lengths(300, 120)
    with pytest.raises(ValueError, match="at most 362"):
        adapter.segment_lengths(800, 379)
    with pytest.raises(ValueError, match="multiples of 32"):
        adapter.check_size(1280, 720)


def test_what_does_not_fit_is_refused_with_what_to_do(h3: H3Kit, world: Any, load_wan_vae: Any) -> None:
    from scene_memory.models.minimax.prompt import H3Prompt, encoded, with_pictures
    from scene_memory.models.registry import adapter_for

    carried = h3.prompt()
    plain = [[text, {}] for text, _ in carried]
    with pytest.raises(ValueError, match="Connect MiniMax H3 Prompt"):
        h3.prepared(segment(), plain)
    with pytest.raises(ValueError, match="16 channels.*takes 24"):
        adapter_for(h3.model).prepare(h3.model, carried, None, segment(), load_wan_vae())
    with pytest.raises(ValueError, match="not the text encoder of MiniMax H3"):
        encoded(H3Prompt(world[1], "a room"))
    with pytest.raises(ValueError, match="WorldModel.*ref2va"):
        h3.prepared(segment((2, 9)), h3.prompt(references_model=world[0]))
    with pytest.raises(ValueError, match="schedule"):
        with_pictures(carried, [[carried[0], carried[0]]])
