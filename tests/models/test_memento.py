"""Memento on tiny Wan 2.2 image to video models, against its pass through the network computed by hand."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

HIGH, LOW = (f"wan2.2_i2v_{kind}_noise_14B_fp8_scaled.safetensors" for kind in ("high", "low"))
I2V21 = "wan2.1_i2v_480p_14B_fp16.safetensors"
MADE, SIGMA, CENTRE = 3, 0.7, 512


@pytest.fixture(scope="module")
def wan(wan: Any) -> Any:
    """The kit with pictures of 32 x 32, four tokens a latent frame, and a VAE that is loaded once: all that is asked
    here is as hard with them, and the VAE's work, which is most of it, is a quarter."""
    kit, kept = copy.copy(wan), []
    kit.SIDE = 32

    def vae(model: Any) -> Any:
        if not kept:
            kept.append(type(wan).vae(kit, model))
        return kept[0]

    kit.vae = vae
    return kit


def as_memento(model: Any, subject: bool = True, **options: Any) -> Any:
    from scene_memory.models.story.options import StoryOptions, with_story

    random = torch.Generator().manual_seed(8)
    texts = [torch.randn(1, 4, 256, generator=random) for _ in range(2)] if subject else [None, None]
    return with_story(model, StoryOptions("Memento", subject=texts[0], no_subject=texts[1], **options))


def begun(wan: Any, model: Any, context: int = 3) -> Any:
    return wan.segment(model, 9, context, begins=True)


def observed(wan: Any, model: Any, ready: Any, **given: Any) -> tuple[list[Any], list[Tensor]]:
    """What comes to the network from the host, before our wrapper, and what comes back."""
    import comfy.patcher_extension

    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    came: list[Any] = []
    back: list[Tensor] = []

    def watch(executor: Any, x: Any, t: Any, text: Any, *rest: Any, **more: Any) -> Any:
        result = executor(x, t, text, *rest, **more)
        came.append((x.clone(), t.clone(), text.clone()))
        back.append(result.clone())
        return result

    copy = (ready.model or model).clone()
    copy.wrappers[kind] = {"before": [watch], **copy.wrappers.get(kind, {})}
    wan.step(model, replace(ready, model=copy), **given)
    return came, back


def turned(x: Tensor, places: list[float], height: int, width: int, heads: int) -> Tensor:
    """RoPE by complex numbers, as Memento's code: a table whose index 512 is time 0."""
    size = x.shape[-1] // heads
    parts = [size - 4 * (size // 6), 2 * (size // 6), 2 * (size // 6)]

    def angles(at: Tensor, part: int) -> Tensor:
        return torch.outer(at.double(), 10000.0 ** (-torch.arange(0, part, 2).double() / part))

    table = angles(torch.arange(-CENTRE, CENTRE), parts[0])
    time = table[torch.tensor([int(place) + CENTRE for place in places])]
    grid = [
        time[:, None, None].expand(-1, height, width, -1),
        angles(torch.arange(height), parts[1])[None, :, None].expand(len(places), -1, width, -1),
        angles(torch.arange(width), parts[2])[None, None].expand(len(places), height, -1, -1),
    ]
    turn = torch.cat(grid, dim=-1).flatten(0, 2)[:, None]
    split = torch.view_as_complex(x.double().unflatten(-1, (heads, -1, 2)))
    return torch.view_as_real(split * torch.polar(torch.ones_like(turn), turn)).flatten(2).float()


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, seen: Tensor | None = None) -> Tensor:
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if seen is not None:
        scores = scores.masked_fill(~seen, -math.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def by_hand(
    network: Any, x: Tensor, t: Tensor, text: Tensor, subject: Tensor | None, places: list[float], memory: int,
    nag: Any = None,
) -> Tensor:
    """Memento's forward on the host's weights; with ``nag`` cross attention that is guided away from its text."""
    from comfy.ldm.wan.model import sinusoidal_embedding_1d

    height, width, heads = x.shape[-2] // 2, x.shape[-1] // 2, network.num_heads
    frame = height * width
    kinds = [0] * (subject is not None) + [1] * memory
    kinds += [2] * (x.shape[2] - len(kinds))
    kind = torch.tensor(kinds).repeat_interleave(frame)
    first = (kind[:, None] <= 1) & (kind[None] <= 1)
    second = (kind[:, None] >= 1) & (kind[None] >= 1)
    tokens = network.patch_embedding(x).flatten(2).transpose(1, 2)
    e = network.time_embedding(sinusoidal_embedding_1d(network.freq_dim, t).float())
    e0 = network.time_projection(e).unflatten(1, (6, network.dim))
    caption = network.text_embedding(text)
    own = None if subject is None else network.text_embedding(subject)
    for block in network.blocks:
        parts = (block.modulation + e0).chunk(6, dim=1)
        normed = block.norm1(tokens) * (1 + parts[1]) + parts[0]
        attn = block.self_attn
        q, k = (turned(n(p(normed)), places, height, width, heads)
                for n, p in ((attn.norm_q, attn.q), (attn.norm_k, attn.k)))  # fmt: skip
        v = attn.v(normed)
        if subject is None:
            made = attention(q, k, v, heads)
        else:
            one, two = (attention(q, k, v, heads, seen).nan_to_num() for seen in (first, second))
            weight = torch.tensor([1.0, 0.5, 0.0])[kind][None, :, None]
            made = weight * one + (1 - weight) * two
        tokens = tokens + attn.o(made) * parts[2]
        cross, asked = block.cross_attn, block.norm3(tokens)
        q = cross.norm_q(cross.q(asked))
        made = attention(q, cross.norm_k(cross.k(caption)), cross.v(caption), heads)
        if own is not None:
            its = attention(q, cross.norm_k(cross.k(own)), cross.v(own), heads)
            made = torch.where((kind == 0)[None, :, None], its, made)
        if nag is not None:
            made = nag.mixed(made, attention(q, cross.norm_k(cross.k(nag.text)), cross.v(nag.text), heads))
        tokens = tokens + cross.o(made)
        tokens = tokens + block.ffn(block.norm2(tokens) * (1 + parts[4]) + parts[3]) * parts[5]
    shift, scale = (network.head.modulation + e[:, None]).chunk(2, dim=1)
    tokens = network.head.head(network.head.norm(tokens) * (1 + scale) + shift)
    grid = tokens.unflatten(1, (x.shape[2], height, width)).unflatten(-1, (1, 2, 2, -1))
    made = torch.einsum("bfhwpqrc->bcfphqwr", grid)
    return made.reshape(x.shape[0], -1, *x.shape[2:])


def nag_patches() -> Any:
    from scene_memory.dev.bench._trust.beside import PACKS, other_pack

    return other_pack(PACKS, "patches")


@pytest.mark.parametrize(("subject", "guided"), [(False, False), (True, False), (False, True), (True, True)])
def test_it_is_mementos_own_pass_through_the_network(wan: Any, subject: bool, guided: bool) -> None:
    """``guided``: beside NAG, whose negative prompt all tokens keep away from, the subject's from its own text on."""
    from scene_memory.models.story.options import story_of
    from scene_memory.models.wan.timesteps import frame_noise

    plain, nag = wan.model(HIGH), None
    if guided:
        text = torch.randn(1, 7, plain.model.diffusion_model.dim, generator=torch.Generator().manual_seed(4))
        patches = nag_patches()
        plain, nag = patches.with_nag(plain, text), patches.NormalizedGuidance(text)
    model = as_memento(plain, subject)
    segment = begun(wan, model)
    ready = wan.prepared(model, segment)
    assert ready.in_front == 3 + subject and ready.latent.shape[2] == 3 + subject + MADE
    came, back = observed(wan, model, ready, steps=(SIGMA, 0.4))
    x, t, text = (part.clone() for part in came[0])
    clean = model.model.process_latent_in(segment.context.latents)
    noise = frame_noise(clean, segment.context.numbers)
    x[:, :16, int(subject) : subject + 3] = SIGMA * noise + (1 - SIGMA) * clean
    now = segment.first_frame + 1
    places = [float(number // 4 - now // 4) for number in segment.context.numbers]
    places = [-512.0] * subject + places + [0.0, 1.0, 2.0]
    with torch.inference_mode():
        own = story_of(model).subject if subject else None
        expected = by_hand(model.model.diffusion_model, x, t, text, own, places, 3, nag)
        apart = by_hand(model.model.diffusion_model, x, t, text, own, places, 3)
    assert back[0].shape == expected.shape
    assert (back[0] - expected).abs().max() < 1e-4 * expected.abs().max()
    assert guided == bool((back[0] - apart).abs().max() > 1e-2 * expected.abs().max())


def test_mask_and_pictures_beside_the_noise(wan: Any) -> None:
    model = as_memento(wan.model(HIGH))
    segment = begun(wan, model)
    came, _ = observed(wan, model, wan.prepared(model, segment))
    mask, pictures = came[0][0][0, 16:20], came[0][0][0, 20:]
    assert mask.mean(dim=(0, 2, 3)).tolist() == [0, 1, 1, 1, 1, 0, 0]
    vae, blank = wan.vae(model), torch.full((9, wan.SIDE, wan.SIDE, 3), 0.5)
    video = torch.cat([torch.from_numpy(segment.begins_with)[None] / 255, blank[1:]])
    expected = torch.cat([vae.encode(blank[:1]), segment.context.latents, vae.encode(video)], dim=2)
    assert torch.allclose(pictures, model.model.process_latent_in(expected)[0], atol=1e-5)


def test_places_are_as_long_ago_as_the_frames_are(comfy: Any) -> None:
    from scene_memory.models.story.memento import positions_of

    assert positions_of((0, 5, 80), 81, False) == (-20.0, -19.0, -1.0), "the last would stand on the shot's first frame"
    assert positions_of((0, 3999), 4000, True) == (-512.0, -512.0, -1.0)
    assert positions_of((), 81, False) == ()


def test_without_memory_the_bits_of_the_family(wan: Any) -> None:
    plain = wan.model(HIGH)
    segment = begun(wan, plain, 0)
    ours, stock = (wan.step(one, wan.prepared(one, segment), 3.0) for one in (as_memento(plain), plain))
    assert torch.equal(ours, stock)


@pytest.mark.parametrize("subject", [False, True])
def test_memory_in_another_order_with_its_places_gives_the_same_shot(wan: Any, subject: bool) -> None:
    """The network sees the memory's own noise, so only what is thrown away differs."""
    model = as_memento(wan.model(HIGH), subject)
    segment, order = begun(wan, model, 4), [2, 0, 3, 1]
    context = segment.context
    moved = replace(context, latents=context.latents[:, :, order], numbers=tuple(context.numbers[i] for i in order))
    first = wan.step(model, wan.prepared(model, segment))
    second = wan.step(model, wan.prepared(model, replace(segment, context=moved)))
    wrong = replace(moved, numbers=context.numbers)
    third = wan.step(model, wan.prepared(model, replace(segment, context=wrong)))
    assert torch.allclose(first, second, atol=2e-5)
    assert (first - third).abs().max() > 1e-4


def test_guidance_together_or_apart_with_a_text_of_its_own_for_each(wan: Any) -> None:
    model = as_memento(wan.model(HIGH))
    ready = wan.prepared(model, begun(wan, model))
    together = wan.step(model, ready, 3.0)
    positive = wan.step(model, replace(ready, negative=None))
    negative = wan.step(model, replace(ready, positive=ready.negative, negative=None))
    assert torch.allclose(together, negative + 3.0 * (positive - negative), atol=1e-4)
    without = as_memento(wan.model(HIGH), False)
    assert (wan.step(without, wan.prepared(without, begun(wan, without))) - positive).abs().max() > 1e-3


def test_a_pair_remembers_in_both(wan: Any) -> None:
    from scene_memory.models.wan.options import WanOptions, with_options

    model = as_memento(with_options(wan.model(HIGH), WanOptions(low_noise=wan.model(LOW), boundary=0.5)))
    segment, steps = begun(wan, model), (0.9, 0.6, 0.3, 0.1)
    ready = wan.prepared(model, segment)
    pair = wan.step(model, ready, 1.0, steps)
    blind = wan.step(model, replace(ready, low_noise=wan.model(LOW)), 1.0, steps)
    assert pair.shape[2] == MADE and (pair - blind).abs().max() > 1e-3


def test_the_attention_of_another_is_kept_for_each_part(comfy: Any) -> None:
    from scene_memory.models.story.memento import split_self, split_text

    random = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(2, 12, 8, generator=random) for _ in range(3))
    asked: list[tuple[int, int]] = []

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        asked.append((q.shape[1], k.shape[1]))
        return F.scaled_dot_product_attention(q, k, v)

    made = split_self(attend, q, k, v, 2, 4)
    assert asked == [(6, 6), (10, 10)] and made.shape == q.shape
    asked.clear()
    assert split_text(attend, q, k[:, :7], v[:, :7], 2, 5).shape == q.shape and asked == [(2, 2), (10, 5)]


def test_a_block_that_is_called_without_options_still_splits_its_attention(wan: Any) -> None:
    """As a forward of another pack calls what stands before its blocks."""
    from scene_memory.models.story.memento import CALL, OVERRIDE, MementoPlan, conditions, join_memory

    class Caught:
        class_obj = wan.model(HIGH).model.diffusion_model

        def __call__(self, x: Tensor, *rest: Any) -> Tensor:
            self.options = rest[-1]
            return x

    told = conditions(MementoPlan((-512.0, -3.0), True), *torch.zeros(2, 1, 16, 1, 4, 4), torch.zeros(1, 5, 256))
    executor, seen = Caught(), []
    given = (torch.zeros(1, 36, 4, 4, 4), torch.full((1,), 700.0), torch.zeros(1, 8, 256), None, None)
    more = {name: held.cond for name, held in told.items()}
    join_memory(executor, *given, {"sigmas": torch.full((1,), 0.7)}, **more)
    executor.options["patches_replace"]["dit"]["double_block", 0]({"img": 1}, {"original_block": seen.append})
    assert {CALL, OVERRIDE, "sigmas"} <= set(seen[0]["transformer_options"])


def test_wan_2_1_is_refused(wan: Any) -> None:
    model = as_memento(wan.model(I2V21))
    with pytest.raises(ValueError, match="Memento was trained on Wan 2.2"):
        wan.prepared(model, begun(wan, model))


def test_context_windows_are_refused(comfy: Any) -> None:
    from scene_memory.models.story.storymem import check_whole

    check_whole({})
    with pytest.raises(ValueError, match="Context windows cut"):
        check_whole({"context_window": object()})


def test_a_subject_beside_a_cross_attention_that_hands_nothing_on_is_refused_before_the_first_shot(wan: Any) -> None:
    """An older NAG asks for attention without the options, and shows every token the whole text."""
    plain, patches = wan.model(HIGH), nag_patches()
    text = torch.zeros(1, 7, plain.model.diffusion_model.dim)
    other = plain.clone()
    other.add_object_patch("diffusion_model.blocks.0.cross_attn.forward", lambda *given, **more: None)
    exchanged = plain.clone()
    exchanged.add_object_patch("diffusion_model.blocks.1.cross_attn", torch.nn.Identity())
    for model in (patches.with_nag(plain, text, told=False), other, exchanged):
        for segment in (begun(wan, plain), wan.segment(plain, 9, 0)):
            with pytest.raises(ValueError, match=r"blocks\.[01]\.cross_attn.*NAG.*subject.*Update that pack"):
                wan.prepared(as_memento(model), segment)
        wan.prepared(as_memento(model, subject=False), begun(wan, plain))
    wan.prepared(as_memento(patches.with_nag(plain, text)), begun(wan, plain))
