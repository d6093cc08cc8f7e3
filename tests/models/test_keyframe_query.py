"""Memento's KeyframeQuery against its formula written out by hand, query by query and head by head."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

HEADS, HEAD, CHANNELS = 2, 16, 16
WIDTH = HEADS * HEAD
PREFIX = "low_noise_model.base_model.model.keyframe_query."


def weights(width: int = WIDTH, shot: int = 5, story: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """Random weights under the names of the authors' code."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random) / shape[-1] ** 0.5

    made = {"memory_patcher.weight": draw(width, CHANNELS, 1, 2, 2), "memory_patcher.bias": draw(width)}
    made["queries"] = draw(shot, width)
    if story:
        made["queries_global"] = draw(story, width)
    for part in ("query_to_text", "query_to_visual"):
        for layer in "qkvo":
            made |= {f"{part}.{layer}.weight": 2 * draw(width, width), f"{part}.{layer}.bias": draw(width)}
        made |= {f"{part}.norm_{kind}.weight": 1 + draw(width) for kind in "qk"}
    return {PREFIX + name: value for name, value in made.items()}


def by_hand(
    w: dict[str, Tensor], latents: Tensor, places: list[int], texts: list[Tensor]
) -> tuple[list[float], list[float]]:
    """In numpy, complex numbers and loops: a time table whose index 512 is the next shot's first frame."""
    n = {name.removeprefix(PREFIX): value.double().numpy() for name, value in w.items()}
    x = latents[0].double().numpy()
    frames, rows, columns = x.shape[1], x.shape[2] // 2, x.shape[3] // 2
    heads = len(n["memory_patcher.bias"]) // HEAD
    tokens, turns = [], []
    shares = [HEAD - 4 * (HEAD // 6), 2 * (HEAD // 6), 2 * (HEAD // 6)]
    table = [np.exp(1j * np.outer(np.arange(-512, 512) if axis == 0 else np.arange(1024),
                                  10000.0 ** (-np.arange(0, share, 2) / share)))
             for axis, share in enumerate(shares)]  # fmt: skip
    for frame in range(frames):
        index = min(max(512 + places[frame], 0), 1023)
        for row in range(rows):
            for column in range(columns):
                patch = x[:, frame, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                kernel = n["memory_patcher.weight"][:, :, 0]
                tokens.append((kernel * patch[None]).sum((1, 2, 3)) + n["memory_patcher.bias"])
                turns.append(np.concatenate([table[0][index], table[1][row], table[2][column]]))

    def linear(part: str, layer: str, row: Any) -> Any:
        return n[f"{part}.{layer}.weight"] @ row + n[f"{part}.{layer}.bias"]

    def normed(part: str, kind: str, row: Any) -> Any:
        return row / math.sqrt((row**2).mean() + 1e-6) * n[f"{part}.norm_{kind}.weight"]

    def head(row: Any, number: int) -> Any:
        return row[number * HEAD : (number + 1) * HEAD]

    def rotated(row: Any, turn: Any) -> Any:
        turned = (row[0::2] + 1j * row[1::2]) * turn
        return np.stack([turned.real, turned.imag], axis=-1).reshape(-1)

    def read(part: str, asking: Any, seen: list[Any], turned: bool) -> Any:
        query, out = normed(part, "q", linear(part, "q", asking)), []
        keys = [normed(part, "k", linear(part, "k", one)) for one in seen]
        values = [linear(part, "v", one) for one in seen]
        for number in range(heads):
            own = [head(key, number) for key in keys]
            own = [rotated(key, turn) for key, turn in zip(own, turns, strict=True)] if turned else own
            scores = np.array([head(query, number) @ key for key in own]) / math.sqrt(HEAD)
            share = np.exp(scores - scores.max())
            share /= share.sum()
            out.append(sum(weight * head(value, number) for weight, value in zip(share, values, strict=True)))
        return n[f"{part}.o.weight"] @ np.concatenate(out) + n[f"{part}.o.bias"]

    result = []
    for queries, text in zip((n["queries"], n["queries_global"]), texts, strict=True):
        totals = np.zeros(frames)
        for query in queries:
            query = query + read("query_to_text", query, list(text[0].double().numpy()), False)
            query = query + read("query_to_visual", query, tokens, True)
            asked = linear("query_to_visual", "q", query)
            for place, (token, turn) in enumerate(zip(tokens, turns, strict=True)):
                key = linear("query_to_visual", "k", token)
                for number in range(heads):
                    agree = head(asked, number) @ rotated(head(key, number), turn) / math.sqrt(HEAD)
                    totals[place // (rows * columns)] += agree / (heads * rows * columns * len(queries))
        result.append(totals.tolist())
    return result[0], result[1]


def test_scores_are_those_of_the_formula(comfy: Any) -> None:
    from scene_memory.models.story.keyframe_query import query_in

    held = weights()
    query = query_in(held, "file")
    assert query is not None and query.has_story
    random = torch.Generator().manual_seed(1)
    latents = torch.randn(1, CHANNELS, 4, 4, 6, generator=random)
    texts = [torch.randn(1, 7, WIDTH, generator=random) for _ in range(2)]
    places = [-600, -40, -3, -1]
    shot, story = query.scores(latents, places, texts[0], texts[1], HEADS)
    expected = by_hand(held, latents, places, texts)
    assert story is not None and torch.allclose(shot, torch.tensor(expected[0]), atol=1e-5)
    assert torch.allclose(story, torch.tensor(expected[1]), atol=1e-5)
    assert shot.std() > 1e-3 and (shot - story).abs().max() > 1e-3
    elsewhere, _ = query.scores(latents, [-600, -40, -3, -2], texts[0], texts[1], HEADS)
    assert (elsewhere - shot).abs().max() > 1e-5, "places count"
    _, same = query.scores(latents, places, texts[0], None, HEADS)
    assert same is not None and (same - story).abs().max() > 1e-4, "the story's queries read the story's text"


def test_what_is_chosen(comfy: Any) -> None:
    from scene_memory.models.story.keyframe_query import choose

    shot, story = torch.tensor([0.0, 9, 1, 8, 2, 7, 3]), torch.tensor([5.0, 9, 6, 9, 9, 9, 1])
    assert choose(shot, story, 5) == [1, 2, 3, 4, 5], "1, 3 and 5 by the shot; of the others 4 and 2 by the story"
    assert choose(shot, None, 3) == [1, 3, 5]
    assert choose(shot, story, 5, fixed=1) == [0, 1, 3, 4, 5], "0 is fixed; 1 and 3 by the shot; then 4 and 5"
    assert choose(shot, story, 7) == list(range(7)) and choose(shot, story, 20) == list(range(7))


def test_a_file_without_it_and_a_file_that_is_not_whole(comfy: Any) -> None:
    from scene_memory.models.story.keyframe_query import query_in

    held = weights()
    assert query_in({"base_model.model.blocks.0.self_attn.q.lora_A.weight": torch.ones(2, 2)}, "file") is None
    alone = query_in(weights(story=0), "file")
    assert alone is not None and not alone.has_story
    for name in ("queries", "query_to_text.norm_q.weight", "memory_patcher.bias"):
        broken = {key: value for key, value in held.items() if key != PREFIX + name}
        with pytest.raises(ValueError, match=f"keyframe_query.*{name.split('.')[0]}|expected"):
            query_in(broken, "file")
    with pytest.raises(ValueError, match="query_to_visual.k.weight is .*expected .*Download"):
        query_in({**held, PREFIX + "query_to_visual.k.weight": torch.ones(3, 3)}, "file")


def test_the_node_chooses_for_the_next_shot_by_what_the_lora_file_brings(wan: Any, world: Any, tmp_path: Path) -> None:
    import folder_paths
    from safetensors.torch import save_file

    from scene_memory.memory.bank.bank import Bank
    from scene_memory.memory.cameras.presets import make_preset
    from scene_memory.models.story.keyframe_choice import QUERY
    from scene_memory.nodes.story.story_keyframes import StoryKeyframes
    from scene_memory.nodes.story.story_lora import LoadStoryLora

    plain, (_, clip, _) = wan.model("wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors"), world
    vae, held = wan.vae(plain), weights(width=64, shot=3)
    layer = "base_model.model.blocks.0.self_attn.q.lora_"
    lora = {f"{layer}A.weight": torch.ones(2, 64), f"{layer}B.weight": torch.ones(64, 2)}
    save_file({**held, **lora}, tmp_path / "memento.safetensors")
    folder_paths.add_model_folder_path("loras", str(tmp_path))
    (model,) = LoadStoryLora.execute(plain, "memento.safetensors", 1.0).args
    empty = Bank.create(tmp_path, "film").empty()
    pictures = np.random.default_rng(2).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    path = make_preset("pan", frames=12, fps=16.0, amount=0.0, fov=70.0, aspect=1.0)
    state = Bank.open(tmp_path, "film").append(empty, frames=pictures, trajectory=path, shot=0)
    prompt = "global caption: a red house; shot caption: the sea by night"
    given = {"keep": 5, "fixed": 0, "per_shot": 3, "likeness": 0.9, "by": QUERY, "vae": vae, "clip": clip}
    made, shown = StoryKeyframes.execute(state, model=model, prompt=prompt, **given).args

    candidates = [0, 3, 6, 8, 11]
    assert made.pinned_frames().tolist() == candidates and len(shown) == 5, "five even frames of twelve: all stay"
    again = Bank.open(tmp_path, "film").append(made, frames=pictures[::-1], trajectory=path, shot=1)
    candidates += [12, 15, 18, 20, 23]
    network = model.model.diffusion_model
    seen = again.read_frames(candidates, nearest=True)
    with torch.inference_mode():
        texts = [
            network.text_embedding(torch.nn.functional.pad(one, (0, 0, 0, 512 - one.shape[1])))
            for one in (
                clip.encode_from_tokens_scheduled(clip.tokenize(text))[0][0] for text in (prompt, "a red house")
            )
        ]
        images = [torch.from_numpy(picture[None]).float() / 255 for picture in seen]
        latents = model.model.process_latent_in(torch.cat([vae.encode(image) for image in images], dim=2))
    shot, story = by_hand(held, latents, [frame // 4 - 6 for frame in candidates], texts)
    best = sorted(range(10), key=lambda place: -shot[place])[:3]
    rest = sorted(set(range(10)) - set(best), key=lambda place: -story[place])[:2]
    made, _ = StoryKeyframes.execute(again, model=model, prompt=prompt, **given).args
    assert made.pinned_frames().tolist() == sorted(candidates[place] for place in best + rest)

    for wrong, says in (
        ({"model": plain}, "carries none. Load Memento's"),
        ({"model": None}, "needs model"),
        ({"prompt": " "}, "needs prompt"),
        ({"vae": None}, "needs vae"),
    ):
        with pytest.raises(ValueError, match=says):
            StoryKeyframes.execute(again, **{**given, "model": model, "prompt": prompt, **wrong})
